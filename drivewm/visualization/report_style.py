"""Looks and vocabulary of the report page: its style sheet and the glossary that every report may end with."""

STYLE = """
:root { --ink: #1f242e; --muted: #5d6573; --line: #e2e5ea; --paper: #fff; --page: #f5f6f8; --accent: #c21464; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
header, main { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 40px; padding-bottom: 20px; }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.4rem); line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
header > p { margin: 0; color: var(--muted); max-width: 70ch; font-size: 1.05rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-top: 24px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  display: flex; flex-direction: column; }
.tile b { font-size: 1.7rem; line-height: 1.15; color: var(--accent); font-variant-numeric: tabular-nums; }
.tile span { font-weight: 600; margin-top: 4px; line-height: 1.3; }
.tile small { color: var(--muted); line-height: 1.4; margin-top: 3px; }
nav { position: sticky; top: 0; z-index: 2; background: rgba(245, 246, 248, 0.96); border-bottom: 1px solid var(--line);
  display: flex; gap: 4px 22px; overflow-x: auto; white-space: nowrap; padding: 10px max(20px, calc(50% - 540px)); }
nav a { color: var(--muted); text-decoration: none; font-size: 0.92rem; font-weight: 600; }
nav a:hover, nav a:focus { color: var(--accent); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; margin: 22px 0;
  padding: 24px 28px; scroll-margin-top: 52px; }
h2 { font-size: 1.35rem; margin: 0 0 10px; line-height: 1.3; }
p, ul { max-width: 76ch; margin: 0 0 12px; }
ul { padding-left: 22px; }
code { background: #eef0f3; border-radius: 4px; padding: 1px 5px;
  font: 0.88em ui-monospace, Consolas, "DejaVu Sans Mono", monospace; }
figure { margin: 0; min-width: 0; }
figure.table { margin: 16px 0 20px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { background: #f1f3f6; font-size: 0.84rem; color: #39404d; vertical-align: bottom;
  white-space: normal; }
th:first-child, td:first-child { position: sticky; left: 0; background: inherit; font-weight: 600; }
thead tr { background: #f1f3f6; }
tbody tr { background: var(--paper); }
tbody tr:last-child td { border-bottom: 0; }
tr.ours { background: #fcf1f6; }
.number { text-align: right; }
td.best { font-weight: 700; color: var(--accent); text-decoration: underline; text-underline-offset: 3px; }
.key { white-space: nowrap; }
figcaption { color: var(--muted); font-size: 0.9rem; line-height: 1.5; margin-top: 7px; max-width: 90ch; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 22px;
  margin-top: 16px; }
.figures .wide { grid-column: 1 / -1; }
img, video { display: block; max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px;
  margin: 0 auto; }
dl { display: grid; grid-template-columns: minmax(120px, max-content) 1fr; gap: 7px 22px; margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; max-width: 76ch; color: #39404d; }
@media (max-width: 620px) {
  header, main { padding-left: 12px; padding-right: 12px; }
  section { padding: 18px 14px; border-radius: 10px; }
  th, td { padding: 7px 9px; }
  th:first-child, td:first-child { white-space: normal; min-width: 92px; max-width: 120px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 9px; }
}
@media print { nav { display: none; } section { break-inside: avoid; border: 0; padding: 0; } }
"""

GLOSSARY = {
    "occupancy": "The space around the car as small cubes (voxels), each with a class such as car, road or free.",
    "ego": "The car that sees, predicts and drives. Its frame is the rear axle: x forward, y left, z up.",
    "t0": "The last observed moment; what follows is predicted. The frames observed until then are the history.",
    "horizon": "How far after t0 a forecast looks, in seconds.",
    "token": "An entry of a learned codebook that stands for a patch of the scene; the world model predicts tokens.",
    "reconstruction": "A true frame turned into tokens and back: what is lost here, a forecast can hardly win back.",
    "IoU": "Overlap of predicted and true occupied voxels over their union, in percent; 100 is perfect.",
    "mIoU": "The same for each class, averaged over the classes. Rare, thin classes count as much as the road.",
    "dynamic mIoU": "mIoU over the classes that can move: vehicles, bicycles, pedestrians.",
    "newly seen": "Voxels that lay outside the observed grids: nothing there can be copied from the past.",
    "copy last": "The baseline that repeats the last observed frame as it is.",
    "ego-warped copy": "The baseline that moves the last observed frame by the ego's true motion. It misses what moves "
    "by itself and what comes newly into view.",
    "closed loop": "The planner really drives: its steering changes what it sees next, and others react.",
    "episode PDMS": "Driving score in [0, 1], 1 is best: 0 after an at-fault collision or off the road, else made of "
    "progress, time to collision and comfort. It is NAVSIM's formula over a whole episode, not a published PDMS.",
    "collision rate": "Share of episodes in which the ego touched anything, whoever was at fault.",
    "progress": "Distance made along the route against a reference driver's.",
    "IDM": "Intelligent driver model: a hand-written car follower. It reads the true state, so it is a ceiling here.",
    "constant velocity": "The baseline that keeps its speed and heading.",
    "interval": "95% bootstrap interval; whole scenes are redrawn, since samples of one scene resemble each other.",
}
"""Word -> meaning, in the order of a first reading."""

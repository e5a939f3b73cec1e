"""Episodes of a planner that thinks aloud as files: pictures of some moments, and a video of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import episode_name
from drivewm.closed_loop.town import TownEnvironment
from drivewm.visualization.files import write_mp4, write_png
from drivewm.visualization.thought_episodes import Thinker, think_aloud
from drivewm.visualization.thoughts import draw_thought


def draw_thoughts(
    planner: Thinker, environment: TownEnvironment, out_dir: str | Path, moments_s: Sequence[float], video: bool = False
) -> dict[str, Path]:
    """Drive an episode with a planner and draw what it considers.

    Writes `EPISODE__TIMEs.png` for each moment, and `EPISODE.mp4`, a picture each replanning step, in real time.

    Args:
        environment: at the beginning of its scored part.
        moments_s: after that beginning [s]; the planner has thought at the step that is nearest.
        video: drives to the end; otherwise to the last moment.

    Returns:
        the files by name: "2.0s" and so on, "video".

    Raises:
        ValueError: a moment is not within the scored part, or there is nothing to draw.
    """
    scenario = environment.scenario
    scored_s = scenario.duration_s - environment.simulator.time_s
    wanted = {round(moment / REPLAN_S) for moment in moments_s}
    wrong = [moment for moment in moments_s if not 0 <= round(moment / REPLAN_S) * REPLAN_S < scored_s]
    if wrong:
        raise ValueError(f"moments must be within the scored {scored_s:g} s of {scenario.name}, got {wrong}")
    if not wanted and not video:
        raise ValueError("there is nothing to draw: neither a moment nor a video is wanted")
    name = episode_name({"planner": planner.name, "scenario": scenario.name, "variant": scenario.variant})
    files, frames = {}, []
    for time_s, considered, fate in think_aloud(planner, environment):
        step = round(time_s / REPLAN_S)
        if video or step in wanted:
            speed = f"{3.6 * considered.speed_mps:.0f} km/h"
            told = (f"{planner.name.replace('_', ' ')} in {scenario.name}", f"{time_s:.1f} s", speed, fate)
            picture = draw_thought(considered, "   ".join(told).rstrip())
            frames.append(picture)
        if step in wanted:
            files[f"{time_s:.1f}s"] = write_png(Path(out_dir) / f"{name}__{time_s:.1f}s.png", picture)
        if not video and len(files) == len(wanted):
            break
    if video:
        files["video"] = write_mp4(Path(out_dir) / f"{name}.mp4", frames, fps=1 / REPLAN_S)
    return files

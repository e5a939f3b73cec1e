"""The last stage: pictures of forecasts and of driven episodes, and the report page that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demo_stages.models import clip_history, load_driving_model
from demo_stages.options import DemoOptions, digest_of
from demo_stages.report import write_demo_report
from demo_stages.stage import Stage
from demo_stages.summary import PLANNERS, read_json

FORECAST_FRAMES = 6


def render(options: DemoOptions, out: Path) -> Stage:
    """Draw a held-out forecast, a driven episode and the real recordings; write report.html."""

    def run(folder: Path) -> None:
        pictures = {"town": draw_forecast_of(out / "town/set/index", out, folder / "town")}
        for name in read_json(out / "recordings/recordings.json"):
            pictures[name] = draw_forecast_of(out / "recordings" / name / "index", out, folder / name)
        episodes = draw_episodes(out, folder)
        write_demo_report(out, options, pictures, episodes)

    made_of = {"pictures": digest_of("tools/demo_stages", "drivewm/visualization")}
    return Stage(
        "render", "draw pictures and write the report", made_of, ("town/forecast_bev.png", "../report.html"), run
    )


def draw_forecast_of(index: Path, out: Path, folder: Path) -> dict[str, Path]:
    """Draw the forecasts of the held-out clip in which the ego goes farthest."""
    from drivewm.data import DriveClips
    from drivewm.visualization.forecasts import draw_model_forecast

    clips = DriveClips(index, "val", clip_history(), FORECAST_FRAMES, stride=4)
    ahead = [float(clips[i]["clip"].future_poses()[0, -1, :2, 3].norm()) for i in range(len(clips))]
    return draw_model_forecast(load_driving_model(out / "planner"), clips[int(np.argmax(ahead))]["clip"], folder)


def draw_episodes(out: Path, folder: Path) -> dict[str, Path]:
    """The episode in which the learned planner got farthest, as an animation for each planner."""
    from drivewm.closed_loop.records import EpisodeLog
    from drivewm.closed_loop.rollout_files import load_rollout
    from drivewm.visualization.files import write_gif
    from drivewm.visualization.rollout import animate_rollout

    records = EpisodeLog(out / "closed_loop/episodes.jsonl").records
    driven = [r for r in records.values() if r["planner"] == "learned" and r["status"] == "ok"]
    if not driven:
        return {}
    farthest = max(driven, key=lambda record: record["score"]["progress_m"])
    files = {}
    for planner in PLANNERS:
        path = out / f"closed_loop/rollouts/{planner}__{farthest['scenario']}__{farthest['variant']}.npz"
        if path.exists():
            rollout = load_rollout(path)
            frames = animate_rollout(rollout, every=3, pixels_per_m=4.0, title=planner.replace("_", " "))
            files[planner] = write_gif(folder / f"episode_{planner}.gif", frames, fps=1 / (3 * rollout.dt_s))
    return files

"""summary.json: the demo's figures in percent and seconds."""

from __future__ import annotations

import json
from pathlib import Path

from drivewm.host import write_json

SCORES = ("miou", "iou", "dynamic_miou")
HORIZONS = ("1s", "2s", "3s")
BASELINES = ("idm", "constant_velocity")
PLANNERS = ("learned", *BASELINES)
RATES = ("score", "collision_rate", "progress")


def write_summary(out: Path, seconds: dict[str, float]) -> dict:
    """Collect the figures of all stages into `summary.json`; returns its content.

    The time of the planner's head counts to `world_model`, that of the real recordings to `evaluate`. `total` is the
    sum of all stages.
    """
    reconstruction = read_json(out / "evaluate/tokenizer.json")["figures"]
    forecasts = forecast_table(read_json(out / "evaluate/planner.json"))
    driving = read_json(out / "closed_loop/summary.json")
    times = {name: seconds[name] for name in ("town", "tokenizer", "world_model", "evaluate", "closed_loop", "render")}
    times["world_model"] += seconds["planner"]
    times["evaluate"] += seconds["recordings"]
    summary = {
        "seconds": {name: round(value, 1) for name, value in (times | {"total": sum(times.values())}).items()},
        "reconstruction": {score: reconstruction[score] for score in ("miou", "iou")},
        "forecast": {p: {s: {h: by[s][h] for h in HORIZONS} for s in SCORES} for p, by in forecasts.items()},
        "closed_loop": {p: {rate: driving[p]["all"][rate]["value"] for rate in RATES} for p in PLANNERS},
    }
    write_json(out / "summary.json", summary, indent=1)
    return summary


def forecast_table(tested: dict) -> dict[str, dict[str, dict[str, float]]]:
    """`{predictor: {score: {step: percent}}}` over all evaluated windows, from what `tools/test.py` wrote."""
    return {row["predictor"]: row["scores"] for row in tested["forecasts"]["rows"] if row["windows"] == "evaluated"}


def read_json(path: Path) -> dict:
    """Content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))

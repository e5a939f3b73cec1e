"""Shares of returns in occupied voxels over many clips: the report of `tools/agreement.py`, and its table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.evaluation.forecast.record import step_keys
from drivewm.evaluation.functional.bootstrap import clustered_interval, paired_difference_interval
from drivewm.evaluation.tables import interval_cell, markdown_table


def agreement_report(records: Sequence[dict], ours: str, resamples: int = 1000) -> dict:
    """Sum up.

    Args:
        records: one a clip: "scene", "times_s" of its F frames, equal in all, and "counts", name of a future ->
            `(F, 2)` as `returns_in_occupied` gives them for each frame.
        ours: the future that the others are compared with.
        resamples: of the bootstrap over scenes.

    Returns:
        "clips", "scenes", "steps" and for each name: "share" of all frames with its interval, "steps", shares of each
        frame, and "gain", by how much the share of `ours` is higher in the same clips; all in percent.

    Raises:
        ValueError: there are no records, or they differ in their frames.
    """
    if not records:
        raise ValueError("no clip was asked about")
    steps = {tuple(step_keys(np.asarray(record["times_s"]))) for record in records}
    if len(steps) != 1:
        raise ValueError(f"clips must have equal frames, got {sorted(steps)}")
    scenes = [record["scene"] for record in records]
    counts = {name: np.stack([record["counts"][name] for record in records]) for name in records[0]["counts"]}
    futures = {}
    for name, own in counts.items():
        future = {"share": clustered_interval(own.sum(1), scenes, _share, _rng(), resamples)}
        future["steps"] = [_share(total) for total in own.sum(0)]
        if name != ours:
            apart = (np.array([_share(clip) for clip in c.sum(1)]) for c in (counts[ours], own))
            future["gain"] = paired_difference_interval(*apart, scenes, _rng(), resamples)
        futures[name] = future
    return {"clips": len(records), "scenes": len(set(scenes)), "steps": list(*steps), "futures": futures}


def agreement_text(report: dict, ours: str) -> str:
    """The table."""
    rows = [
        [name, *found["steps"], interval_cell(found["share"], 1), interval_cell(found.get("gain"), 1)]
        for name, found in report["futures"].items()
    ]
    table = markdown_table(["future", *report["steps"], "all", f"{ours} is higher by"], rows)
    head = f"{report['clips']} clips of {report['scenes']} scenes; percent of returns in occupied voxels."
    return f"{head}\n\n{table}"


def _share(counts: np.ndarray) -> float:
    """Percent, of `(2,)`; NaN where nothing counts."""
    return float(100 * counts[0] / counts[1]) if counts[1] else float("nan")


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)

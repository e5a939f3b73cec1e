"""Speed counts only at no less quality: the reconstruction of tokenizers that were trained equally long."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Row

NO_TRAINING = "no equal training: speed only"
MOST_APART = 1.1
"""Ratio of training times up to which they count as equal."""


def gated(row: Row, folder: Path | None) -> Row:
    """The row, with the reconstruction of both tokenizers in its note, and without a verdict where ours is worse.

    Args:
        row: of speeds.
        folder: holds the work dirs `ours` and `occworld` of tools/train.py, each with a `figures.json` that
            tools/test.py wrote (`--out`); None: there is none.

    Raises:
        ValueError: a figure is missing in such a file.
    """
    runs = [] if folder is None else [_run(folder / name) for name in ("ours", "occworld")]
    if len(runs) < 2 or None in runs:
        return _noted(row, NO_TRAINING)
    (miou, trained_s), (other_miou, other_s) = runs
    figures = f"reconstruction mIoU {miou:.1f} against {other_miou:.1f}, trained {trained_s:.0f} and {other_s:.0f} s"
    if max(trained_s, other_s) > MOST_APART * min(trained_s, other_s):
        return _noted(row, f"{NO_TRAINING} ({figures})")
    if miou < other_miou:
        return _noted(replace(row, goal=None), f"faster or not, ours reconstructs worse: {figures}")
    return _noted(row, figures)


def _noted(row: Row, note: str) -> Row:
    return replace(row, note=f"{row.note}; {note}" if row.note else note)


def _run(work_dir: Path) -> tuple[float, float] | None:
    """Reconstruction mIoU and seconds of training, or None where one of them is not there."""
    figures, logs = work_dir / "figures.json", sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not figures.is_file() or not logs:
        return None
    found = json.loads(figures.read_text())["figures"]
    if "miou" not in found:
        raise ValueError(f"{figures}: found {', '.join(sorted(found))}, expected miou")
    return found["miou"], sum(_seconds(log) for log in logs)


def _seconds(log: Path) -> float:
    """Training time by the logged seconds of an iteration, each of which stands for those since the line before."""
    seconds, last = 0.0, 0
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if "time" in entry and "loss" in entry:
            seconds, last = seconds + entry["time"] * (entry["iter"] - last), entry["iter"]
    return seconds

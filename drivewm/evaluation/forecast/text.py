"""A report as Markdown tables, which also read well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from drivewm.evaluation.forecast.record import OWN_PRESENT, REFERENCE, step_key
from drivewm.evaluation.forecast.report import AVERAGES, EVALUATED, HORIZONS_S, MAIN_SCORES
from drivewm.evaluation.functional.occupancy import CONVENTIONS
from drivewm.evaluation.tables import interval_cell, markdown_table

TITLES = {"miou": "mIoU", "iou": "IoU", "dynamic_miou": "dynamic mIoU", "static_miou": "static mIoU"}

PARTS = ("dynamic_miou", "static_miou", "visible_miou", "newly_seen_miou", "moving_dynamic_miou")


def forecast_text(report: dict, horizons_s: Sequence[float] = HORIZONS_S) -> str:
    """The tables of a report (`forecast_report`): published columns by window set, then what the papers leave out.

    Args:
        report: the report.
        horizons_s: instants [s] that get a column.
    """
    steps = [step_key(h) for h in horizons_s]
    sections = [
        ("Windows", _windows(report), ""),
        (
            "mIoU and IoU [%]",
            _scores(report, ("miou", "iou"), [*steps, *AVERAGES], published=True),
            "avg: mean of 1, 2 and 3 s; avg_steps: mean of all steps up to 3 s",
        ),
        (
            "mIoU by class convention [%]",
            _scores(report, ("miou", *(f"miou_{c}" for c in CONVENTIONS[1:])), ["avg", "avg_steps"], published=True),
            "occworld: a class without truth scores 1; i2world: a class with IoU 0 is left out",
        ),
        *(
            (f"Lead over the {over.replace('_', ' ')} [%], 95 % over scenes", _lead(report, over, [*steps, "avg"]), "")
            for over in (REFERENCE, OWN_PRESENT)
        ),
        (
            "mIoU of parts [%], all evaluated windows",
            _parts(report, [*steps, "avg"]),
            "by class: dynamic, static; by voxel: visible (LiDAR saw it), newly seen (no observed frame covers it), "
            "moving (a movable thing came or went)",
        ),
    ]
    if len(report["steps"]) > len(steps):
        sections.append(("mIoU by step [%], all evaluated windows", _scores(report, ("miou",), report["steps"]), ""))
    sections.append(("Calibration, all evaluated windows", _calibration(report), "NLL in nats; ECE with 15 bins"))
    parts = [f"## {title}\n\n{table}" + (f"\n\n{note}" if note else "") for title, table, note in sections if table]
    return "\n\n".join([*parts, latency_text(report["latency"])])


def _windows(report: dict) -> str:
    rows = []
    for name, found in report["windows"].items():
        expected = found["expected"]
        state = "" if expected is None else "complete" if found["windows"] == expected else "INCOMPLETE"
        rows.append([name, found["windows"], expected, state, found["scenes"]])
    return markdown_table(["window set", "evaluated", "of", "", "scenes"], rows)


def _rows(report: dict, published: bool) -> list[dict]:
    """Rows of all window sets, or of all evaluated windows alone; the latter are left out where they are a set."""
    if not published:
        return [row for row in report["rows"] if row["windows"] == EVALUATED]
    count = report["windows"][EVALUATED]["windows"]
    same = any(w["windows"] == count for name, w in report["windows"].items() if name != EVALUATED)
    return [row for row in report["rows"] if not (same and row["windows"] == EVALUATED)]


def _scores(report: dict, scores: Sequence[str], columns: Sequence[str], published: bool = False) -> str:
    headers = ["windows", "predictor", "ego pose", *(f"{_title(s)} {c}" for s in scores for c in columns)]
    rows = [
        [row["windows"], row["predictor"], row["ego_pose"], *(row["scores"][s][c] for s in scores for c in columns)]
        for row in _rows(report, published)
    ]
    return markdown_table(headers, rows)


def _parts(report: dict, columns: Sequence[str]) -> str:
    rows = [
        [_title(score), row["predictor"], row["ego_pose"], *(row["scores"][score][c] for c in columns)]
        for score in PARTS
        for row in _rows(report, published=False)
        if score in row["scores"]
    ]
    return markdown_table(["part", "predictor", "ego pose", *columns], rows)


def _lead(report: dict, over: str, columns: Sequence[str]) -> str:
    key = f"lead_over_{over}"
    rows = [
        [
            row["windows"],
            row["predictor"],
            _title(score),
            *(interval_cell(row[key][score][c], signed=True) for c in columns),
        ]
        for row in _rows(report, published=True)
        if key in row
        for score in MAIN_SCORES
    ]
    return markdown_table(["windows", "predictor", "score", *columns], rows) if rows else ""


def _calibration(report: dict) -> str:
    headers = ["predictor", "voxels", *(f"{s} {c}" for s in ("NLL", "Brier", "ECE") for c in ("1s", "3s", "all steps"))]
    rows = []
    for row in _rows(report, published=False):
        for subset, scores in row.get("calibration", {}).items():
            cells = (scores[s].get(c) for s in ("nll", "brier", "ece") for c in ("1s", "3s", "all_steps"))
            cells = ("-" if v is None or v != v else f"{v:.4f}" for v in cells)
            rows.append([row["predictor"], subset.replace("_", " "), *cells])
    return markdown_table(headers, rows) if rows else ""


def latency_text(found: dict[str, float] | None) -> str:
    """A line on what a window takes (`report.latency`)."""
    if found is None:
        return "Latency: not known."
    mean, median = 1000 * found["mean_s"], 1000 * found["median_s"]
    return f"Latency of a window, with tokenizing and decoding: mean {mean:.1f} ms, median {median:.1f} ms, over " + (
        f"{found['windows']} windows (without the first batch)."
    )


def _title(score: str) -> str:
    base = max((s for s in TITLES if s in score), key=len)
    return " ".join(score.replace(base, TITLES[base]).replace("_", " ").split())

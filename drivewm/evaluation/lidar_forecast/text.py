"""A report of LiDAR forecasts as Markdown tables, which also read well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from drivewm.evaluation.forecast.text import latency_text
from drivewm.evaluation.lidar_forecast.report import MAIN_SCORES
from drivewm.evaluation.tables import interval_cell, markdown_table

TITLES = {
    "cd_in": "CD near [m2]",
    "cd_all": "CD all [m2]",
    "cd_in_plain": "CD near, plain [m]",
    "cd_all_plain": "CD all, plain [m]",
    "l1_mean": "L1 mean [m]",
    "l1_median": "L1 median [m]",
    "absrel_mean": "AbsRel mean [%]",
    "absrel_median": "AbsRel median [%]",
    "cd_moving": "CD moving [m2]",
    "moving_missed": "moving missed [m2]",
    "returns": "returns [%]",
    "intensity": "intensity",
    "silent": "silent IoU [%]",
}
PUBLISHED = ("cd_in", "cd_all", "l1_mean", "l1_median", "absrel_mean", "absrel_median")
MOVING = ("cd_moving", "moving_missed")


def lidar_text(report: dict) -> str:
    """The tables of a report (`lidar_report`): published scores by average, then the rest, step by step and leads."""
    averages, steps = report["averages"], report["steps"]
    sections = [
        *((f"Point clouds, {_up_to(average)}", _scores(report, PUBLISHED, average), "") for average in averages),
        (
            f"Plain Chamfer distances, what comes back and how bright, {_up_to(averages[-1])}",
            _scores(report, ("cd_in_plain", "cd_all_plain", "returns", "silent", "intensity"), averages[-1]),
            "returns: points as a share of the true ones; silent: directions from which nothing comes back; "
            "intensity: mean absolute error, 0 to 255",
        ),
        ("Points in moving boxes", _moving(report), "missed: true points against the whole forecast"),
        ("By step", _by_step(report, ("cd_in", "l1_median"), steps), ""),
        (
            f"Lead over {report['reference']}, 95 % over scenes",
            _lead(report, averages),
            "the baseline's value less the predictor's, frame by frame: above 0 is better",
        ),
    ]
    head = f"{report['windows']} windows of {report['scenes']} scenes, frames of {', '.join(steps)}."
    tables = [f"## {title}\n\n{table}" + (f"\n\n{note}" if note else "") for title, table, note in sections if table]
    return "\n\n".join([head, *tables, latency_text(report["latency"])])


def _up_to(average: str) -> str:
    return f"mean over frames up to {average.removeprefix('avg_')}"


def _scores(report: dict, scores: Sequence[str], column: str) -> str:
    rows = [[row["predictor"], *(row["scores"][s][column] for s in scores)] for row in report["rows"]]
    return markdown_table(["predictor", *(TITLES[s] for s in scores)], rows)


def _moving(report: dict) -> str:
    """Scores of moving boxes with the number of frames, which differ: a forecast may have no point in any box."""
    columns = [(score, average) for average in report["averages"] for score in MOVING]
    rows = [
        [row["predictor"], *(row[kind][s][c] for s, c in columns for kind in ("scores", "frames"))]
        for row in report["rows"]
    ]
    if not any(row["frames"][score][c] for row in report["rows"] for score, c in columns):
        return ""
    headers = [title for s, c in columns for title in (f"{TITLES[s]} {c}", "frames")]
    return markdown_table(["predictor", *headers], rows)


def _by_step(report: dict, scores: Sequence[str], steps: Sequence[str]) -> str:
    rows = [
        [TITLES[s], row["predictor"], *(row["scores"][s][c] for c in steps)] for s in scores for row in report["rows"]
    ]
    return markdown_table(["score", "predictor", *steps], rows)


def _lead(report: dict, columns: Sequence[str]) -> str:
    rows = [
        [row["predictor"], TITLES[score], *(interval_cell(row["lead"][score][c], signed=True) for c in columns)]
        for row in report["rows"]
        if "lead" in row
        for score in MAIN_SCORES
    ]
    return markdown_table(["predictor", "score", *columns], rows) if rows else ""

"""A report as Markdown tables, which also read well in a terminal."""

from __future__ import annotations

from drivewm.evaluation.functional.manoeuvres import MANOEUVRES
from drivewm.evaluation.obedience.record import CONTINUED, EVERYTHING, NEWLY_SEEN
from drivewm.evaluation.obedience.report import AXES, NOT_MEASURED
from drivewm.evaluation.tables import interval_cell, markdown_table

SHORT = {
    "curving_to_left": "left",
    "curving_to_right": "right",
    "straight_constant_high_speed": "fast",
    "straight_constant_low_speed": "slow",
    "straight_accelerating": "accel.",
    "straight_decelerating": "decel.",
    "starting": "start",
    "stopping": "stop",
    "stopped": "stands",
    NOT_MEASURED: "-",
}


def obedience_text(report: dict, confusion_of: str = "model") -> str:
    """The tables of a report (`obedience_report`); the confusion is that of one predictor."""
    least = report["least_m"]
    sections = [
        (
            f"Is the told manoeuvre found again? {report['clips']} clips of {report['scenes']} scenes",
            _manoeuvres(report),
            "[95 % over scenes]. reachable: commands that begin within 1 m/s of the ego's speed. The last row is the "
            "measurement's own error: on recorded frames, of clips that move; its class is that of the driven path",
        ),
        (
            "Does it change in the right direction? [%]",
            _direction(report),
            f"pairs of manoeuvres of one clip, by their end points; left out: told ones that differ by less than "
            f"{least['ahead']:.2f} m ahead, {least['left']:.2f} m to the left. Measured ones must differ by half of "
            f"that",
        ),
        (
            "Does it show what is to be seen from there? [%]",
            _told_apart(report),
            "of columns at which two told motions see different things: those that show what the own one sees, of "
            "those that show what either sees (shown). 50: takes no notice. net: (right - wrong) / all columns, 0: "
            "takes no notice; lead: in that, over the copy that goes on where nothing was observed, paired",
        ),
        (
            "Steps in newly seen columns alone",
            _new_steps(report),
            f"measured: share of steps; direction: pairs of steps that differ by {least['step']:.2f} m or more",
        ),
        (
            "Counterfactuals",
            _counterfactuals(report),
            "mean distance [m] of the measured path to the told and to the driven one; changed: columns of the last "
            "frame that are not as under the driven motion [%]",
        ),
        (f"Told (rows) and measured (columns) manoeuvres of {confusion_of}", _confusion(report, confusion_of), ""),
    ]
    return "\n\n".join(f"## {title}\n\n{table}" + (f"\n\n{note}" if note else "") for title, table, note in sections)


def _manoeuvres(report: dict) -> str:
    rows = []
    for name, found in report["predictors"].items():
        shares = [_percent(found["accuracy"]), _percent(found["accuracy_reachable"])]
        rows.append(
            [name, *shares, interval_cell(found["ade_m"]), interval_cell(found["fde_m"]), found["not_measured"]]
        )
    odometry = report["odometry"]
    own = [f"{100 * odometry['same_class']:.1f}", None, odometry["ade_m"], odometry["fde_m"], odometry["not_measured"]]
    rows.append(["recorded frames", *own])
    return markdown_table(["predictor", "class [%]", "reachable [%]", "ADE [m]", "FDE [m]", "not measured"], rows)


def _direction(report: dict) -> str:
    rows = []
    for name, found in report["predictors"].items():
        direction = found["direction"]
        shares = [_percent(direction[part]) for part in ("all", *AXES)]
        rows.append([name, *shares, direction["cases"], sum(direction[f"{axis}_left_out"] for axis in AXES)])
    return markdown_table(["predictor", "right", *AXES, "cases", "left out"], rows)


def _told_apart(report: dict) -> str:
    rows = []
    for name, found in report["predictors"].items():
        cells = []
        for part in (EVERYTHING, NEWLY_SEEN):
            apart = found["told_apart"][part]
            cells += [_percent(apart["right"]), 100 * apart["shown"], _percent(apart["net"])]
        apart = found["told_apart"][NEWLY_SEEN]
        lead = _percent(apart["lead"]) if "lead" in apart and name != CONTINUED else None
        rows.append([name, *cells, lead, apart["columns"]])
    headers = ["everywhere", "shown", "net", "newly seen", "shown", "net", "lead", "columns"]
    return markdown_table(["predictor", *headers], rows)


def _new_steps(report: dict) -> str:
    rows = [[name, *_steps(found["new_steps"])] for name, found in report["predictors"].items()]
    rows.append(["recorded frames", *_steps(report["odometry"]["new_steps"])])
    headers = ["steps", "measured [%]", "median error [m]", "within half a voxel [%]", "direction [%]"]
    return markdown_table(["predictor", *headers], rows)


def _steps(found: dict) -> list:
    direction = _percent(found["direction"]) if "direction" in found else None
    return [
        found["steps"],
        100 * found["measured"],
        found["median_m"],
        100 * found["within_half_voxel"],
        direction,
    ]


def _counterfactuals(report: dict) -> str:
    rows = [
        [name, told, values["to_told_m"], values["to_recorded_m"], 100 * values["changed"]]
        for name, found in report["predictors"].items()
        for told, values in found["counterfactuals"].items()
    ]
    return markdown_table(["predictor", "told motion", "to told", "to driven", "changed"], rows)


def _confusion(report: dict, predictor: str) -> str:
    confusion = report["predictors"][predictor]["confusion"]
    classes = [*MANOEUVRES, NOT_MEASURED]
    rows = [[SHORT[told], *(counts[c] for c in classes)] for told, counts in confusion.items()]
    return markdown_table(["told", *(SHORT[c] for c in classes)], rows)


def _percent(interval: list[float]) -> str:
    return interval_cell([100 * v for v in interval], digits=1)

"""From records to a report: every published variant of the scores by its name, beside what the papers leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from drivewm.evaluation.forecast.record import (
    BASELINES,
    CEILING,
    OWN_PRESENT,
    REFERENCE,
    ForecastRecord,
    record_forecast,
)
from drivewm.evaluation.functional.bootstrap import cluster_sums, percentiles, redrawn_sums
from drivewm.evaluation.functional.calibration import calibration_scores
from drivewm.evaluation.functional.occupancy import CONVENTIONS, iou_of_sums, mean_iou, occupied_iou_of_sums
from drivewm.evaluation.functional.windows import window_sets
from drivewm.structures import OCC3D, LabelSet

HORIZONS_S = (1.0, 2.0, 3.0)
"""Horizons [s] that published tables report; `avg` is the mean over exactly these."""
AVERAGES = {"avg": ("1s", "2s", "3s"), "avg_steps": ("0.5s", "1s", "1.5s", "2s", "2.5s", "3s")}
"""Means over instants: of the published three, and of all steps up to 3 s. NaN where a forecast lacks one of them."""
MAIN_SCORES = ("miou", "iou", "dynamic_miou")
"""Scores that get intervals and are compared with the reference."""
EVALUATED = "evaluated"
"""The set of all windows that were evaluated, whatever they are."""


def scores_of_sums(sums: np.ndarray, labels: LabelSet = OCC3D) -> dict[str, np.ndarray]:
    """Scores in percent from `class_sums (..., 3, C)`, each `(...)`; NaN where there was nothing to score.

    `miou` (all classes but free), `iou` (occupied against free), `dynamic_miou` (movable classes) and `static_miou`
    (the other ones).
    """
    static = [i for i in labels.occupied if i not in labels.movable]
    scores = {
        "miou": mean_iou(sums, labels.occupied),
        "iou": occupied_iou_of_sums(sums, labels.free),
        "dynamic_miou": mean_iou(sums, labels.movable),
        "static_miou": mean_iou(sums, static),
    }
    return {name: 100.0 * value for name, value in scores.items()}


def forecast_report(
    records: Sequence[ForecastRecord],
    scenes: Mapping[str, Sequence[str]] | None = None,
    labels: LabelSet = OCC3D,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """All scores, as plain data: percent but for calibration; NaN where there was nothing to score.

    Args:
        records: one a window.
        scenes: tokens of all keyframes of each scene, in order; without them the only window set is `evaluated`.
        labels: the classes.
        resamples, seed: of the bootstrap over scenes.

    Returns:
        - `ego_pose`, `steps`, `predictors`;
        - `windows`: window set -> how many `windows` of how many `expected` (None: not known), of how many `scenes`;
        - `rows`: one a window set and predictor, with `windows`, `predictor`, `ego_pose` and

          - `scores`: SCORE -> STEP -> value. SCORE: `miou`, `iou`, `dynamic_miou`, `static_miou`; the first in other
            conventions, `miou_occworld` and `miou_i2world`; the four over subsets of the voxels, `visible_miou` and so
            on with `visible`, `newly_seen` and `moving`. STEP: "0.5s" ... and `AVERAGES`;
          - `class_iou`: class -> STEP -> value;
          - `intervals`: `MAIN_SCORES` -> STEP -> value, low and high, 95 % over scenes (NaN for one scene);
          - `lead_over_ego_warped_copy` and, where it was not shown the labels, `lead_over_own_present_warped`: the same
            of the paired difference, for forecasts that are no baseline;
          - `calibration`: subset -> nll, brier, ece -> "0.5s" ... and `all_steps`, where there were probabilities;
        - `latency`: mean and median seconds per window, where known.

    Raises:
        ValueError: if there are no records, or they differ in predictors, steps, subsets or ego pose.
    """
    check_alike(records, ("names", "steps", "ego_pose"))
    for record in records:
        if set(record.sums) != set(records[0].sums) or set(record.calibration) != set(records[0].calibration):
            raise ValueError(
                f"window {record.sample_token} of scene {record.scene} has other subsets or probabilities "
                f"({[*record.sums, *record.calibration]}) than {records[0].sample_token} "
                f"({[*records[0].sums, *records[0].calibration]})"
            )
    rng, first = np.random.default_rng(seed), records[0]
    sets = window_sets(scenes or {})
    chosen = {name: [r for r in records if r.sample_token in tokens] for name, tokens in sets.items()}
    chosen |= {EVALUATED: list(records)}
    rows = []
    for windows, members in chosen.items():
        if members:
            rows += [{"windows": windows, **row} for row in _rows(members, labels, rng, resamples)]
    return {
        "ego_pose": first.ego_pose,
        "steps": list(first.steps),
        "predictors": list(first.names),
        "windows": {
            name: {
                "windows": len(members),
                "expected": len(sets[name]) if scenes and name in sets else None,
                "scenes": len({r.scene for r in members}),
            }
            for name, members in chosen.items()
            if scenes or name == EVALUATED
        },
        "rows": rows,
        "latency": latency([r.seconds for r in records if r.seconds is not None]),
    }


def score_forecasts(
    samples: Iterable[Mapping[str, Any]],
    scenes: Mapping[str, Sequence[str]] | None = None,
    labels: LabelSet = OCC3D,
    horizons_s: Sequence[float] = HORIZONS_S,
) -> dict:
    """The report of samples (see `OccupancyForecastMetric`), which may come from a generator: one is held at a time."""
    return forecast_report([record_forecast(sample, labels, horizons_s) for sample in samples], scenes, labels)


def check_alike(records: Sequence[Any], fields: Sequence[str]) -> None:
    """ValueError if there are no records of windows, or they differ in one of the fields: a table needs them alike."""
    if not records:
        raise ValueError("there is no window to score")
    for record in records:
        for field in fields:
            found, expected = getattr(record, field), getattr(records[0], field)
            if found != expected:
                raise ValueError(
                    f"window {record.sample_token} of scene {record.scene}: {field} is {found}, but window "
                    f"{records[0].sample_token} has {expected}: a table needs them alike"
                )


def _rows(records: list[ForecastRecord], labels: LabelSet, rng: np.random.Generator, resamples: int) -> list[dict]:
    """One row a predictor over these windows."""
    first = records[0]
    names, steps = first.names, first.steps
    columns = (*steps, *AVERAGES)
    total = {subset: np.sum([r.sums[subset] for r in records], axis=0) for subset in first.sums}
    scores = {}
    for subset, sums in total.items():
        prefix = "" if subset == "all" else f"{subset}_"
        scores |= {prefix + name: value for name, value in scores_of_sums(sums, labels).items()}
    for convention in CONVENTIONS[1:]:
        scores[f"miou_{convention}"] = 100.0 * mean_iou(total["all"], labels.occupied, convention)
    class_iou = np.moveaxis(100.0 * iou_of_sums(total["all"]), -1, 0)

    per_scene = cluster_sums(np.stack([r.sums["all"] for r in records]), [r.scene for r in records])
    value, draws = (
        {name: _averaged(v, steps) for name, v in scores_of_sums(sums, labels).items() if name in MAIN_SCORES}
        for sums in (total["all"], redrawn_sums(per_scene, rng, resamples))
    )
    if len(per_scene) == 1:  # one scene says nothing of how scenes differ
        draws = {name: np.full_like(v, np.nan) for name, v in draws.items()}
    rows = []
    for p, predictor in enumerate(names):
        row: dict[str, Any] = {
            "predictor": predictor,
            "ego_pose": first.ego_pose,
            "scores": {name: by_column(_averaged(v[p], steps), columns) for name, v in scores.items()},
            "class_iou": {
                labels.names[i]: by_column(_averaged(class_iou[i, p], steps), columns) for i in labels.occupied
            },
            "intervals": {s: intervals(value[s][p], draws[s][:, p], columns) for s in MAIN_SCORES},
        }
        for still in (REFERENCE, OWN_PRESENT):
            if still in names and predictor not in (*BASELINES, OWN_PRESENT, CEILING):
                q = names.index(still)
                row[f"lead_over_{still}"] = {
                    s: intervals(value[s][p] - value[s][q], draws[s][:, p] - draws[s][:, q], columns)
                    for s in MAIN_SCORES
                }
        if predictor in first.calibration:
            row["calibration"] = _calibration([r.calibration[predictor] for r in records], steps)
        rows.append(row)
    return rows


def _averaged(values: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """Values `(..., T)` with `AVERAGES` behind them: `(..., T + 2)`."""
    means = []
    for wanted in AVERAGES.values():
        there = [steps.index(step) for step in wanted if step in steps]
        complete = len(there) == len(wanted)
        means.append(values[..., there].mean(-1) if complete else np.full(values.shape[:-1], np.nan))
    return np.concatenate([values, np.stack(means, axis=-1)], axis=-1)


def by_column(values: np.ndarray, columns: Sequence[str]) -> dict[str, float]:
    """Values `(K,)` under the names of their columns."""
    return {key: float(v) for key, v in zip(columns, values, strict=True)}


def intervals(values: np.ndarray, draws: np.ndarray, columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Values `(K,)` with the bounds of draws `(R, K)`, under the names of their columns."""
    low, high = percentiles(draws)
    return {
        key: {"value": float(v), "low": float(a), "high": float(b)}
        for key, v, a, b in zip(columns, values, low, high, strict=True)
    }


def _calibration(records: list[dict[str, np.ndarray]], steps: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    out = {}
    for subset in records[0]:
        sums = np.sum([record[subset] for record in records], axis=0)
        with_all = calibration_scores(np.concatenate([sums, sums.sum(0, keepdims=True)]))
        out[subset] = {
            score: {key: float(v) for key, v in zip((*steps, "all_steps"), values, strict=True)}
            for score, values in with_all.items()
        }
    return out


def latency(seconds: list[float]) -> dict[str, float] | None:
    """Mean and median of the seconds of windows, and of how many; None of none."""
    if not seconds:
        return None
    return {"mean_s": float(np.mean(seconds)), "median_s": float(np.median(seconds)), "windows": len(seconds)}

"""From the records of all clips to figures: how well told motions are found again in what was predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.evaluation.functional.bootstrap import clustered_interval
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES, classify, start_speed
from drivewm.evaluation.obedience.averages import (
    distances,
    finite_mean,
    finite_quantile,
    mean_interval,
    pair_differences,
    point_alike,
    ratio,
    row_means,
    share_interval,
    to_array,
)
from drivewm.evaluation.obedience.record import CONTINUED, EVERYTHING, NEWLY_SEEN, RECORDED, SHUFFLED, ZERO, told_steps

NOT_MEASURED = "not_measured"
"""Column of the confusion: the motion could not be measured."""
REACHABLE_MPS = 1.0
"""A command can be driven from where the clip is if it begins within so much of the ego's speed."""
MOVES_M = 1.0
"""Steps and paths that are shorter stand."""
AXES = ("ahead", "left")


def obedience_report(records: Sequence[dict], seed: int = 0) -> dict:
    """Figures of all predictors over the clips; intervals are 95 %, by bootstrap over scenes.

    Args:
        records: of `record_obedience`, all of the same told motions and predictors.
        seed: of the bootstrap.

    Returns:
        `clips`, `scenes`, `told`, `odometry` (errors of the measurement itself, on the recorded frames of clips that
        move), `least_m` (by how much told motions must differ at least to be compared: ahead, to the left, and in one
        step ahead) and `predictors`, each with

        - `accuracy`, `accuracy_reachable`, `by_manoeuvre`, `confusion` (told -> measured -> clips), `ade_m`, `fde_m`
          and `not_measured` of the manoeuvres;
        - `direction`: of pairs of manoeuvres of one clip, how many differ in the direction told (see `_direction`);
        - `told_apart`: by columns, see `record_obedience`: the share that is right of those that are right or wrong
          (`shown`, as a share of all), `net`, (right - wrong) / all, and the paired `lead` in that over `CONTINUED`;
        - `new_steps`: single steps, measured in newly seen columns alone;
        - `counterfactuals`: told motion -> `to_told_m`, `to_recorded_m` (ADE against either) and `changed`.
    """
    if not records:
        raise ValueError("there are no records to report on")
    told, predictors = records[0]["told"], list(records[0]["predictors"])
    if any(record["told"] != told or list(record["predictors"]) != predictors for record in records):
        raise ValueError("all records must be of the same told motions and predictors")
    odometry, least_m = _odometry(records)
    return {
        "clips": len(records),
        "scenes": len({record["scene"] for record in records}),
        "told": list(told),
        "odometry": odometry,
        "least_m": least_m,
        "predictors": {name: _predictor(records, name, least_m, seed) for name in predictors},
    }


def _odometry(records: Sequence[dict]) -> tuple[dict, dict[str, float]]:
    true = to_array([record["poses"][record["told"].index(RECORDED)] for record in records])
    found = to_array([record["odometry"]["poses"] for record in records])
    new = to_array([record["odometry"]["new_steps"] for record in records])
    moves, steps = np.linalg.norm(true[:, -1, :2], axis=-1) > MOVES_M, told_steps(true)
    path, step = distances(found, true)[moves], distances(told_steps(found), steps)[moves]
    far = (np.linalg.norm(steps[..., :2], axis=-1) > MOVES_M)[:, 1:]
    new_error = distances(new, steps)[:, 1:][far]
    half, wide = records[0]["voxel_m"] / 2, np.sqrt(2)  # the difference of two measurements has twice the variance
    ends = np.abs(found - true)[moves][:, -1, :2]
    least = {axis: max(half, wide * finite_quantile(ends[:, i], 0.95)) for i, axis in enumerate(AXES)}
    least["step"] = max(half, wide * finite_quantile(np.abs(new - steps)[:, 1:, 0][far], 0.95))
    figures = {
        "moving_clips": int(moves.sum()),
        "step_median_m": finite_quantile(step, 0.5),
        "step_95_m": finite_quantile(step, 0.95),
        "step_yaw_95_rad": finite_quantile(np.abs(told_steps(found) - steps)[moves][..., 2], 0.95),
        "ade_m": finite_mean(path),
        "fde_m": finite_mean(path[:, -1]),
        "not_measured": int(np.isnan(found).any((1, 2)).sum()),
        "same_class": float(np.mean([classify(p) == classify(q) for p, q in zip(found, true, strict=True)])),
        "new_steps": _step_figures(new_error, half),
    }
    return figures, least


def _predictor(records: Sequence[dict], name: str, least_m: dict[str, float], seed: int) -> dict:
    rows, told = [record["predictors"][name] for record in records], records[0]["told"]
    scenes = [record["scene"] for record in records]
    poses, found = to_array([record["poses"] for record in records]), to_array([row["poses"] for row in rows])
    names = [n for n in told if n in MANOEUVRES]
    which = [told.index(n) for n in names]
    classes = [[classify(path) or NOT_MEASURED for path in paths[which]] for paths in found]
    correct = np.array([[c == n for c, n in zip(row, names, strict=True)] for row in classes])
    speeds = [record["speed_mps"] for record in records]
    reachable = np.array([[abs(start_speed(n, v) - v) <= REACHABLE_MPS for n in names] for v in speeds])
    distance = distances(found, poses)
    return {
        "accuracy": share_interval(correct.sum(1), np.full(len(rows), len(names)), scenes, seed),
        "accuracy_reachable": share_interval((correct & reachable).sum(1), reachable.sum(1), scenes, seed),
        "by_manoeuvre": {
            n: {
                "accuracy": float(correct[:, i].mean()),
                "ade_m": finite_mean(distance[:, which[i]]),
                "fde_m": finite_mean(distance[:, which[i], -1]),
                "reachable": int(reachable[:, i].sum()),
            }
            for i, n in enumerate(names)
        },
        "confusion": {
            n: {c: sum(row[i] == c for row in classes) for c in (*MANOEUVRES, NOT_MEASURED)}
            for i, n in enumerate(names)
        },
        "ade_m": mean_interval(row_means(distance[:, which]), scenes, seed),
        "fde_m": mean_interval(row_means(distance[:, which][..., -1:]), scenes, seed),
        "not_measured": int(np.isnan(found[:, which]).any((2, 3)).sum()),
        "direction": _direction(poses[:, which], found[:, which], least_m, scenes, seed),
        "told_apart": {
            part: _told_apart(*(_counts(records, n, part) for n in (name, CONTINUED)), scenes, seed)
            for part in (EVERYTHING, NEWLY_SEEN)
        },
        "new_steps": _new_steps(poses, to_array([row["new_steps"] for row in rows]), records, least_m, scenes, seed),
        "counterfactuals": _counterfactuals(poses, found, to_array([row["changed"] for row in rows]), told, names),
    }


def _direction(poses, found, least_m, scenes, seed) -> dict:
    """Pairs of manoeuvres of one clip whose end points differ by at least `least_m`: does what is measured do so too?

    Each pair is a case ahead and one to the left. A motion that was not measured is wrong.
    """
    figures, right, cases = {}, 0, 0
    for axis, name in enumerate(AXES):
        asked, seen = (pair_differences(ends[:, :, -1, axis]) for ends in (poses, found))
        counted = np.abs(asked) >= least_m[name]
        hits = counted & point_alike(seen, asked, least_m[name])
        figures[name] = share_interval(hits.sum(1), counted.sum(1), scenes, seed)
        right, cases = right + hits.sum(1), cases + counted.sum(1)
        figures[f"{name}_left_out"] = int((~counted).sum())
    return {"all": share_interval(right, cases, scenes, seed), "cases": int(cases.sum()), **figures}


def _told_apart(counts: np.ndarray, reference: np.ndarray | None, scenes, seed) -> dict:
    """From counts `(N, 3)`: right, wrong, neither. `net` has columns that show neither in it: (right - wrong) / all."""
    shown, columns = counts[:, :2].sum(1), counts.sum(1)
    figures = {
        "right": share_interval(counts[:, 0], shown, scenes, seed),
        "shown": ratio(np.array([shown.sum(), columns.sum()])),
        "net": share_interval(counts[:, 0] - counts[:, 1], columns, scenes, seed),
        "columns": int(columns.sum()),
    }
    if reference is not None:
        sums = np.stack([(counts - reference) @ [1, -1, 0], columns], axis=-1)  # of the same columns
        figures["lead"] = list(clustered_interval(sums, scenes, ratio, np.random.default_rng(seed)))
    return figures


def _counts(records: Sequence[dict], name: str, part: str) -> np.ndarray | None:
    if name not in records[0]["predictors"]:
        return None
    return np.array([record["predictors"][name]["told_apart"][part] for record in records])


def _new_steps(poses, new, records, least_m, scenes, seed) -> dict:
    """Single steps in newly seen columns, the first left out, before which nothing is new.

    `direction` is over pairs of told motions of one clip whose steps to the same frame differ ahead, both measured.
    """
    steps = told_steps(poses)[:, :, 1:]
    new, half = new[:, :, 1:], records[0]["voxel_m"] / 2
    far = np.linalg.norm(steps[..., :2], axis=-1) > MOVES_M
    right, cases = np.zeros(len(poses)), np.zeros(len(poses))
    for f in range(steps.shape[2]):
        asked, seen = pair_differences(steps[:, :, f, 0]), pair_differences(new[:, :, f, 0])
        counted = (np.abs(asked) >= least_m["step"]) & np.isfinite(seen)
        right, cases = right + (counted & point_alike(seen, asked, least_m["step"])).sum(1), cases + counted.sum(1)
    figures = _step_figures(distances(new, steps)[far], half)
    return figures | {"direction": share_interval(right, cases, scenes, seed), "cases": int(cases.sum())}


def _step_figures(error: np.ndarray, half_m: float) -> dict:
    """Of steps that do not stand: the share that is measured, and of those the error and how many are right."""
    measured = error[np.isfinite(error)]
    return {
        "steps": int(error.size),
        "measured": float(measured.size / error.size) if error.size else float("nan"),
        "median_m": finite_quantile(measured, 0.5),
        "within_half_voxel": finite_mean(measured <= half_m),
    }


def _counterfactuals(poses, found, changed, told, names) -> dict:
    recorded = poses[:, told.index(RECORDED), None]
    rows = {n: [told.index(n)] for n in (RECORDED, ZERO, SHUFFLED) if n in told}
    rows["swapped"] = [told.index(n) for n in names if n != ZERO]
    return {
        n: {
            "to_told_m": finite_mean(distances(found[:, k], poses[:, k])),
            "to_recorded_m": finite_mean(distances(found[:, k], np.broadcast_to(recorded, found[:, k].shape))),
            "changed": finite_mean(changed[:, k]),
        }
        for n, k in rows.items()
    }

"""From the records of all clips to figures: how well told motions are found again in what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from drivewm.evaluation.functional.bootstrap import clustered_interval, clustered_mean_interval
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES, classify, start_speed
from drivewm.evaluation.obedience.record import EVERYTHING, NEWLY_SEEN, RECORDED, SHUFFLED, ZERO, told_steps

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
        - `told_apart`: by columns, see `record_obedience`; `shown` is the share of them that is right or wrong;
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
    true = _array([record["poses"][record["told"].index(RECORDED)] for record in records])
    found = _array([record["odometry"]["poses"] for record in records])
    new = _array([record["odometry"]["new_steps"] for record in records])
    moves, steps = np.linalg.norm(true[:, -1, :2], axis=-1) > MOVES_M, told_steps(true)
    path, step = _distances(found, true)[moves], _distances(told_steps(found), steps)[moves]
    far = (np.linalg.norm(steps[..., :2], axis=-1) > MOVES_M)[:, 1:]
    new_error = _distances(new, steps)[:, 1:][far]
    half, wide = records[0]["voxel_m"] / 2, np.sqrt(2)  # the difference of two measurements has twice the variance
    ends = np.abs(found - true)[moves][:, -1, :2]
    least = {axis: max(half, wide * _quantile(ends[:, i], 0.95)) for i, axis in enumerate(AXES)}
    least["step"] = max(half, wide * _quantile(np.abs(new - steps)[:, 1:, 0][far], 0.95))
    figures = {
        "moving_clips": int(moves.sum()),
        "step_median_m": _quantile(step, 0.5),
        "step_95_m": _quantile(step, 0.95),
        "step_yaw_95_rad": _quantile(np.abs(told_steps(found) - steps)[moves][..., 2], 0.95),
        "ade_m": _mean(path),
        "fde_m": _mean(path[:, -1]),
        "not_measured": int(np.isnan(found).any((1, 2)).sum()),
        "same_class": float(np.mean([classify(p) == classify(q) for p, q in zip(found, true, strict=True)])),
        "new_steps": _step_figures(new_error, half),
    }
    return figures, least


def _predictor(records: Sequence[dict], name: str, least_m: dict[str, float], seed: int) -> dict:
    rows, told = [record["predictors"][name] for record in records], records[0]["told"]
    scenes = [record["scene"] for record in records]
    poses, found = _array([record["poses"] for record in records]), _array([row["poses"] for row in rows])
    names = [n for n in told if n in MANOEUVRES]
    which = [told.index(n) for n in names]
    classes = [[classify(path) or NOT_MEASURED for path in paths[which]] for paths in found]
    correct = np.array([[c == n for c, n in zip(row, names, strict=True)] for row in classes])
    speeds = [record["speed_mps"] for record in records]
    reachable = np.array([[abs(start_speed(n, v) - v) <= REACHABLE_MPS for n in names] for v in speeds])
    distance = _distances(found, poses)
    return {
        "accuracy": _share(correct.sum(1), np.full(len(rows), len(names)), scenes, seed),
        "accuracy_reachable": _share((correct & reachable).sum(1), reachable.sum(1), scenes, seed),
        "by_manoeuvre": {
            n: {
                "accuracy": float(correct[:, i].mean()),
                "ade_m": _mean(distance[:, which[i]]),
                "fde_m": _mean(distance[:, which[i], -1]),
                "reachable": int(reachable[:, i].sum()),
            }
            for i, n in enumerate(names)
        },
        "confusion": {
            n: {c: sum(row[i] == c for row in classes) for c in (*MANOEUVRES, NOT_MEASURED)}
            for i, n in enumerate(names)
        },
        "ade_m": _interval(_row_means(distance[:, which]), scenes, seed),
        "fde_m": _interval(_row_means(distance[:, which][..., -1:]), scenes, seed),
        "not_measured": int(np.isnan(found[:, which]).any((2, 3)).sum()),
        "direction": _direction(poses[:, which], found[:, which], least_m, scenes, seed),
        "told_apart": {
            part: _told_apart(np.array([row["told_apart"][part] for row in rows]), scenes, seed)
            for part in (EVERYTHING, NEWLY_SEEN)
        },
        "new_steps": _new_steps(poses, _array([row["new_steps"] for row in rows]), records, least_m, scenes, seed),
        "counterfactuals": _counterfactuals(poses, found, _array([row["changed"] for row in rows]), told, names),
    }


def _direction(poses, found, least_m, scenes, seed) -> dict:
    """Pairs of manoeuvres of one clip whose end points differ by at least `least_m`: does what is measured do so too?

    Each pair is a case ahead and one to the left. A motion that was not measured is wrong.
    """
    figures, right, cases = {}, 0, 0
    for axis, name in enumerate(AXES):
        asked, seen = (_differences(ends[:, :, -1, axis]) for ends in (poses, found))
        counted = np.abs(asked) >= least_m[name]
        hits = counted & _alike(seen, asked, least_m[name])
        figures[name] = _share(hits.sum(1), counted.sum(1), scenes, seed)
        right, cases = right + hits.sum(1), cases + counted.sum(1)
        figures[f"{name}_left_out"] = int((~counted).sum())
    return {"all": _share(right, cases, scenes, seed), "cases": int(cases.sum()), **figures}


def _told_apart(counts: np.ndarray, scenes, seed) -> dict:
    shown = counts[:, :2].sum(1)
    return {
        "right": _share(counts[:, 0], shown, scenes, seed),
        "shown": float(shown.sum() / counts.sum()) if counts.sum() else float("nan"),
        "columns": int(counts.sum()),
    }


def _new_steps(poses, new, records, least_m, scenes, seed) -> dict:
    """Single steps in newly seen columns, the first left out, before which nothing is new.

    `direction` is over pairs of told motions of one clip whose steps to the same frame differ ahead, both measured.
    """
    steps = told_steps(poses)[:, :, 1:]
    new, half = new[:, :, 1:], records[0]["voxel_m"] / 2
    far = np.linalg.norm(steps[..., :2], axis=-1) > MOVES_M
    right, cases = np.zeros(len(poses)), np.zeros(len(poses))
    for f in range(steps.shape[2]):
        asked, seen = _differences(steps[:, :, f, 0]), _differences(new[:, :, f, 0])
        counted = (np.abs(asked) >= least_m["step"]) & np.isfinite(seen)
        right, cases = right + (counted & _alike(seen, asked, least_m["step"])).sum(1), cases + counted.sum(1)
    figures = _step_figures(_distances(new, steps)[far], half)
    return figures | {"direction": _share(right, cases, scenes, seed), "cases": int(cases.sum())}


def _step_figures(error: np.ndarray, half_m: float) -> dict:
    """Of steps that do not stand: the share that is measured, and of those the error and how many are right."""
    measured = error[np.isfinite(error)]
    return {
        "steps": int(error.size),
        "measured": float(measured.size / error.size) if error.size else float("nan"),
        "median_m": _quantile(measured, 0.5),
        "within_half_voxel": _mean(measured <= half_m),
    }


def _counterfactuals(poses, found, changed, told, names) -> dict:
    recorded = poses[:, told.index(RECORDED), None]
    rows = {n: [told.index(n)] for n in (RECORDED, ZERO, SHUFFLED) if n in told}
    rows["swapped"] = [told.index(n) for n in names if n != ZERO]
    return {
        n: {
            "to_told_m": _mean(_distances(found[:, k], poses[:, k])),
            "to_recorded_m": _mean(_distances(found[:, k], np.broadcast_to(recorded, found[:, k].shape))),
            "changed": _mean(changed[:, k]),
        }
        for n, k in rows.items()
    }


def _differences(values: np.ndarray) -> np.ndarray:
    """Of all pairs of the K columns of `(N, K)`: `(N, K (K - 1) / 2)`."""
    pairs = np.array(list(combinations(range(values.shape[1]), 2)), int).reshape(-1, 2)
    return values[:, pairs[:, 0]] - values[:, pairs[:, 1]]


def _alike(seen: np.ndarray, asked: np.ndarray, least_m: float) -> np.ndarray:
    """Do differences point the same way? One of less than half of `least_m` is none: noise is not obedience."""
    return seen * np.sign(asked) >= least_m / 2


def _distances(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found[..., :2] - true[..., :2], axis=-1)


def _array(values) -> np.ndarray:
    return np.array(values, np.float64)  # None, which files have for NaN, becomes NaN


def _mean(values: np.ndarray) -> float:
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _quantile(values: np.ndarray, share: float) -> float:
    values = values[np.isfinite(values)]
    return float(np.quantile(values, share)) if values.size else float("nan")


def _row_means(values: np.ndarray) -> np.ndarray:
    return np.array([_mean(row) for row in values])


def _interval(values: np.ndarray, scenes, seed) -> list[float]:
    return list(clustered_mean_interval(values, scenes, np.random.default_rng(seed)))


def _share(hits: np.ndarray, cases: np.ndarray, scenes, seed) -> list[float]:
    """Share of hits with its interval: value, low, high."""
    sums = np.stack([hits, cases], axis=-1).astype(np.int64)
    return list(clustered_interval(sums, scenes, _ratio, np.random.default_rng(seed)))


def _ratio(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1]) if sums[1] > 0 else float("nan")

"""From records to a report: each score per frame, averaged over frames, with intervals and the lead over a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from drivewm.evaluation.forecast.report import by_column, check_alike, intervals, latency
from drivewm.evaluation.functional.bootstrap import cluster_sums, redrawn_sums
from drivewm.evaluation.functional.lidar_forecast import SCORES
from drivewm.evaluation.lidar_forecast.record import LidarRecord

HORIZONS_S = (1.0, 3.0)
"""Horizons [s] that published tables average over."""
MAIN_SCORES = ("cd_in", "cd_all", "l1_mean", "l1_median", "absrel_mean", "absrel_median", "cd_moving", "moving_missed")
"""Scores that get intervals and are compared with the reference; less is better in all of them."""
REFERENCE = "raycast_history"
"""The baseline that models are compared with, unless another is asked for."""


def average_key(horizon_s: float) -> str:
    """Name of the average over all frames up to a horizon: "avg_3s"."""
    return f"avg_{horizon_s:g}s"


def lidar_report(
    records: Sequence[LidarRecord],
    horizons_s: Sequence[float] = HORIZONS_S,
    reference: str = REFERENCE,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """All scores, as plain data; NaN where there was nothing to score.

    Args:
        records: one a window.
        horizons_s: there is an average over the frames up to each [s].
        reference: the predictor that others are compared with, where it is there.
        resamples, seed: of the bootstrap over scenes.

    Returns:
        - `steps`, `averages`, `predictors`, `reference`; `windows` and `scenes`, how many;
        - `rows`: one a predictor, with `predictor` and

          - `scores`: SCORE -> COLUMN -> mean over frames, of the frames that could be scored. SCORE: see
            `frame_scores`; COLUMN: "0.5s" ..., then `averages`, over all frames up to a horizon;
          - `frames`: SCORE -> COLUMN -> how many frames that were;
          - `intervals`: `MAIN_SCORES` -> COLUMN -> value, low and high, 95 % over scenes (NaN for one scene);
          - `lead`: the same of the reference's score less the predictor's, over frames in which both have one:
            above 0, the predictor is nearer to the truth. Not of the reference itself;
        - `latency`: mean and median seconds per window, where known.

    Raises:
        ValueError: if there are no records, or they differ in predictors or steps.
    """
    check_alike(records, ("names", "steps"))
    names, steps = records[0].names, records[0].steps
    times = np.array([float(step[:-1]) for step in steps])
    columns = (*steps, *(average_key(h) for h in horizons_s))
    scores = np.stack([record.scores for record in records])
    compared = names.index(reference) if reference in names else None
    leads = scores[:, [compared]] - scores if compared is not None else np.full_like(scores, np.nan)
    both = np.stack([_sums(kind, times, horizons_s) for kind in (scores, leads)], axis=1)  # (N, 2, P, K, S, 2)

    per_scene = cluster_sums(both, [record.scene for record in records])
    value, draws = _means(per_scene.sum(0)), _means(redrawn_sums(per_scene, np.random.default_rng(seed), resamples))
    if len(per_scene) == 1:  # one scene says nothing of how scenes differ
        draws = np.full_like(draws, np.nan)
    counts = per_scene.sum(0)[0, ..., 1]
    rows = []
    for p, name in enumerate(names):
        row: dict[str, Any] = {
            "predictor": name,
            "scores": {score: by_column(value[0, p, :, s], columns) for s, score in enumerate(SCORES)},
            "frames": {
                score: {key: int(n) for key, n in zip(columns, counts[p, :, s], strict=True)}
                for s, score in enumerate(SCORES)
            },
        }
        for kind, key in enumerate(("intervals", "lead")):
            if kind == 0 or compared not in (None, p):
                row[key] = {
                    score: intervals(value[kind, p, :, s], draws[:, kind, p, :, s], columns)
                    for s, score in enumerate(SCORES)
                    if score in MAIN_SCORES
                }
        rows.append(row)
    return {
        "steps": list(steps),
        "averages": list(columns[len(steps) :]),
        "predictors": list(names),
        "reference": reference,
        "windows": len(records),
        "scenes": len(per_scene),
        "rows": rows,
        "latency": latency([r.seconds for r in records if r.seconds is not None]),
    }


def _sums(scores: np.ndarray, times: np.ndarray, horizons_s: Sequence[float]) -> np.ndarray:
    """Sum and number of the scores `(N, P, T, S)` that are there, by column: `(N, P, K, S, 2)`."""
    there = np.isfinite(scores)
    pairs = np.stack([np.where(there, scores, 0.0), there], axis=-1)
    up_to = [pairs[:, :, times <= horizon + 1e-9].sum(2) for horizon in horizons_s]
    return np.concatenate([pairs, *(pair[:, :, None] for pair in up_to)], axis=2)


def _means(pairs: np.ndarray) -> np.ndarray:
    """Means `(...)` of sums and numbers `(..., 2)`; NaN of none."""
    total, count = pairs[..., 0], pairs[..., 1]
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

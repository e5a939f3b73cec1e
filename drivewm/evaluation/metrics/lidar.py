"""LiDAR forecasting for mmengine: Chamfer distances and errors along rays, beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.forecast.record import STEP_S, step_key, to_numpy
from drivewm.evaluation.functional.codes import code_figures
from drivewm.evaluation.functional.lidar_forecast import SCORES, frame_scores
from drivewm.evaluation.lidar_forecast.record import LidarRecord, record_lidar_forecast
from drivewm.evaluation.lidar_forecast.report import HORIZONS_S, MAIN_SCORES, REFERENCE, average_key, lidar_report
from drivewm.evaluation.lidar_forecast.text import lidar_text


@METRICS.register_module()
class LidarForecastMetric(BaseMetric):
    """LiDAR point-cloud forecasting, one report for the model and its baselines.

    Each data sample has under `lidar` a dict of

    - `clouds`: predictor name -> F clouds `(N, 3)` [m] or `(N, 4)` with intensity 0..255, each in the ego frame of its
      own future frame;
    - `truth`: F clouds, the same way: what the sensor measured;
    - `times_s`: `(F,)` time of each frame after t0 [s], from the timestamps;
    - `T_t0_ego`: `(F, 4, 4)` the driven ego motion; `T_ego_lidar`: `(F, 4, 4)` sensor poses; `T_t0_lidar`: `(4, 4)` the
      sensor's pose at t0, in the ego frame at t0. The sensor's poses are given to all predictors (4D-Occ's protocol);
    - `scene`: scene name, the unit of the bootstrap;
    - `silent` (optional): predictor name -> `(F, rows, columns)` bool, cells of a `RayRaster` from which nothing will
      come back; with `silent_truth` and `returned_truth`, those that are silent and those with returns;
    - `boxes` (optional): `(F, M, 7)` true boxes, each frame in its own ego frame, with `boxes_moving (F, M)` bool;
    - `sample_token` (optional): of the frame t0;
    - `seconds` (optional): what the model's forecast took, tokenizing and decoding included.

    After `evaluate`, `report` holds all scores (`evaluation.lidar_forecast.lidar_report`) and `text()` the tables. The
    flat result is the part of it that a log has room for: `lidar/NAME/SCORE/COLUMN`, SCORE one of `MAIN_SCORES` and
    COLUMN each of `horizons_s` and the average over all frames up to it.

    Args:
        horizons_s: reported horizons [s]; every sample must reach them.
        step_s: time between frames [s]; stamps are checked against it.
        reference: the predictor that others are compared with.
        resamples: of the bootstrap over scenes.
        collect_device, prefix: as in mmengine.
    """

    default_prefix = "lidar"

    def __init__(
        self,
        horizons_s: Sequence[float] = HORIZONS_S,
        step_s: float = STEP_S,
        reference: str = REFERENCE,
        resamples: int = 1000,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if not horizons_s:
            raise ValueError("horizons_s is empty, but scores are averages over the frames up to a horizon")
        self.horizons_s, self.step_s, self.reference = tuple(horizons_s), step_s, reference
        self.resamples = resamples
        self.report: dict | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep one record per sample; the first batch of a run warms up, so its time does not count."""
        warm = bool(self.results)
        for sample in data_samples:
            record = record_lidar_forecast(sample["lidar"], self.horizons_s, self.step_s)
            self.results.append(record if warm else replace(record, seconds=None))

    def compute_metrics(self, results: list[LidarRecord]) -> dict[str, float]:
        """Flat names, see the class."""
        self.report = lidar_report(results, self.horizons_s, self.reference, self.resamples)
        columns = [key for h in self.horizons_s for key in (step_key(h, self.step_s), average_key(h))]
        return {
            f"{row['predictor']}/{score}/{column}": row["scores"][score][column]
            for row in self.report["rows"]
            for score in MAIN_SCORES
            for column in columns
        }

    def text(self) -> str:
        """The report's tables; ValueError before `evaluate` (and in all processes but the first)."""
        if self.report is None:
            raise ValueError("there is no report before evaluate() is called")
        return lidar_text(self.report)


@METRICS.register_module()
class LidarReconstructionMetric(BaseMetric):
    """How well a LiDAR tokenizer gives sweeps back, along their own rays.

    Each data sample is a dict of

    - `reconstruction`, `truth`: T clouds `(N, 3)` or, with intensity, `(N, 4)` [m, LiDAR frame];
    - `silent` (optional): for each frame what `frame_scores` takes, or None;
    - `scene`: its scene;
    - `codes` (optional): name of a token grid -> `(V,)` how often each code is used.

    Result: means of those scores of `frame_scores` that any frame has, over these frames, and of each token grid
    `perplexity/GRID` and `unused_codes/GRID` over the whole set.
    """

    default_prefix = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores of each frame."""
        for sample in data_samples:
            scores = []
            silent = sample.get("silent", [None] * len(sample["truth"]))
            for cloud, truth, cells in zip(sample["reconstruction"], sample["truth"], silent, strict=True):
                cells = None if cells is None else tuple(to_numpy(part) for part in cells)
                scores.append(frame_scores(to_numpy(cloud), to_numpy(truth), np.zeros(3), silent=cells))
            codes = {name: to_numpy(used) for name, used in sample.get("codes", {}).items()}
            self.results.append({"scene": sample["scene"], "scores": np.stack(scores), "codes": codes})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names, see the class."""
        scores = np.concatenate([record["scores"] for record in results])
        columns = {name: column[np.isfinite(column)] for name, column in zip(SCORES, scores.T, strict=True)}
        figures = {name: float(column.mean()) for name, column in columns.items() if len(column)}
        return figures | code_figures([record["codes"] for record in results])

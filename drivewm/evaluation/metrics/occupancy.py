"""Occupancy metrics for mmengine: forecasts beside their baselines, and reconstruction.

Each sample leaves one small record of sums (never voxels); scores are taken once, from the summed records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.forecast.record import ForecastRecord, record_forecast, step_key, to_numpy
from drivewm.evaluation.forecast.report import EVALUATED, HORIZONS_S, MAIN_SCORES, forecast_report, scores_of_sums
from drivewm.evaluation.forecast.text import forecast_text
from drivewm.evaluation.functional.codes import code_figures
from drivewm.evaluation.functional.occupancy import class_sums, confusion_counts, iou_per_class
from drivewm.structures import OCC3D, LabelSet


@METRICS.register_module()
class OccupancyForecastMetric(BaseMetric):
    """4D occupancy forecasting, one report for the model and its baselines.

    Each data sample is a dict of

    - `forecasts`: predictor name -> `(F, X, Y, Z)` uint8, each frame in its own ego frame;
    - `truth`: `(F, X, Y, Z)` uint8;
    - `times_s`: `(F,)` time of each frame after t0 [s], from the timestamps;
    - `scene`: scene name, the unit of the bootstrap;
    - `visible`, `newly_seen` (optional): `(F, X, Y, Z)` bool, subsets that are scored beside the whole;
    - `sample_token` (optional): of the frame t0, by which the published window sets are told;
    - `ego_pose` (optional): under whose ego motion the forecasts are made, "given" (the driven one) or "planner";
    - `probabilities` (optional): predictor name -> `(F, C, X, Y, Z)` float;
    - `seconds` (optional): what the model's forecast took, tokenizing and decoding included.

    After `evaluate`, `report` holds all scores (`evaluation.forecast.forecast_report`) and `text()` the tables. The
    flat result is the part of it that a log has room for: `NAME/SCORE/HORIZON` in percent over all evaluated windows,
    with SCORE `miou`, `iou` and `dynamic_miou`, HORIZON each of `horizons_s` and `avg` (1, 2 and 3 s).

    Args:
        labels: the classes.
        horizons_s: reported horizons [s]; every sample must reach them.
        resamples: of the bootstrap over scenes.
        collect_device, prefix: as in mmengine.
    """

    def __init__(
        self,
        labels: LabelSet = OCC3D,
        horizons_s: Sequence[float] = HORIZONS_S,
        resamples: int = 1000,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.labels, self.horizons_s, self.resamples = labels, tuple(horizons_s), resamples
        self.report: dict | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep one record per sample; the first batch of a run warms up, so its time does not count."""
        warm = bool(self.results)
        for sample in data_samples:
            record = record_forecast(sample, self.labels, self.horizons_s)
            self.results.append(record if warm else replace(record, seconds=None))

    def compute_metrics(self, results: list[ForecastRecord]) -> dict[str, float]:
        """Flat names and percent, see the class."""
        scenes = (self.dataset_meta or {}).get("scenes")
        self.report = forecast_report(results, scenes, self.labels, self.resamples)
        columns = [*(step_key(h) for h in self.horizons_s), "avg"]
        return {
            f"{row['predictor']}/{score}/{column}": row["scores"][score][column]
            for row in self.report["rows"]
            if row["windows"] == EVALUATED
            for score in MAIN_SCORES
            for column in columns
        }

    def text(self) -> str:
        """The report's tables; ValueError before `evaluate` (and in all processes but the first)."""
        if self.report is None:
            raise ValueError("there is no report before evaluate() is called")
        return forecast_text(self.report, self.horizons_s)


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """How well a tokenizer gives frames back: a ceiling for every forecast in its tokens ("0 s").

    Each data sample is a dict of `reconstruction` and `truth`, both `(..., X, Y, Z)` uint8, `scene` and, where the use
    of codes is to be scored, `codes`: name of a token grid -> `(V,)` how often each code is used.

    Result, in percent: `miou`, `iou`, `dynamic_miou`, `static_miou`; with `per_class` also `class_iou/CLASS`. Of each
    token grid: `perplexity/GRID` and `unused_codes/GRID`, over the whole set.
    """

    def __init__(
        self, labels: LabelSet = OCC3D, per_class: bool = False, collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device, prefix)
        self.labels = labels
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep one record of counts per sample."""
        for sample in data_samples:
            counts = confusion_counts(
                to_numpy(sample["reconstruction"]), to_numpy(sample["truth"]), self.labels.num_classes
            )
            codes = {name: to_numpy(used) for name, used in sample.get("codes", {}).items()}
            self.results.append({"scene": sample["scene"], "counts": counts, "codes": codes})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names and percent, see the class."""
        counts = np.sum([record["counts"] for record in results], axis=0)
        scores = {name: float(value) for name, value in scores_of_sums(class_sums(counts), self.labels).items()}
        if self.per_class:
            iou = 100 * iou_per_class(counts)
            scores |= {f"class_iou/{self.labels.names[i]}": float(iou[i]) for i in self.labels.occupied}
        return scores | code_figures([record["codes"] for record in results])

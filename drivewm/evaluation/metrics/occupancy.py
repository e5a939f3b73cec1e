"""Occupancy metrics for mmengine: forecasts by horizon with their baselines, and reconstruction.

Each sample leaves one small record of confusion counts (never voxels); scores are taken once, from the summed counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.functional.bootstrap import Interval, clustered_interval
from drivewm.evaluation.functional.occupancy import confusion_counts, iou_per_class, miou, occupied_iou
from drivewm.structures import OCC3D, LabelSet

STEP_S = 0.5
"""Forecasts are scored on this time step [s], the keyframes' (2 Hz)."""
HORIZONS_S = (1.0, 2.0, 3.0)
"""Horizons [s] that published tables report; `avg` is the mean over exactly these."""
_SUBSETS = ("visible", "newly_seen")


def score_counts(counts: np.ndarray, labels: LabelSet = OCC3D) -> dict[str, float]:
    """Scores in percent from counts `(C, C)`: `miou` (all classes but free), `iou` (occupied against free),
    `dynamic_miou` (movable classes) and `static_miou` (the others). NaN where there was nothing to score."""
    static = [i for i in labels.occupied if i not in labels.movable]
    scores = {
        "miou": miou(counts, labels.occupied),
        "iou": occupied_iou(counts, labels.free),
        "dynamic_miou": miou(counts, labels.movable),
        "static_miou": miou(counts, static),
    }
    return {name: 100.0 * float(value) for name, value in scores.items()}


def horizon_key(time_s: float) -> str:
    """Name of the step of 0.5 s nearest to a time: "1s", "1.5s". ValueError where no step is within 0.2 s."""
    nearest = round(time_s / STEP_S) * STEP_S
    if not abs(nearest - time_s) <= 0.2 or nearest <= 0:
        raise ValueError(f"a forecast at {time_s} s belongs to no step of {STEP_S} s (nearest: {nearest} s)")
    return f"{nearest:g}s"


@METRICS.register_module()
class OccupancyForecastMetric(BaseMetric):
    """4D occupancy forecasting, one table for the model and its baselines.

    Each data sample is a dict of

    - `forecasts`: predictor name -> `(F, X, Y, Z)` uint8, each frame in its own ego frame;
    - `truth`: `(F, X, Y, Z)` uint8;
    - `times_s`: `(F,)` time of each frame after t0 [s], from the timestamps;
    - `scene`: scene name, the unit of the bootstrap;
    - `visible`, `newly_seen` (optional): `(F, X, Y, Z)` bool, subsets that are scored beside the whole.

    The flat result, in percent: `NAME/SCORE/HORIZON` with SCORE `miou`, `iou`, `dynamic_miou`, `static_miou`, each also
    as `visible_SCORE` and `newly_seen_SCORE` where given, HORIZON `0.5s` ... `3s` and `avg` (1, 2 and 3 s); and
    `NAME/class_iou/CLASS/HORIZON` with `per_class`. `nested` gives the same as nested dicts.

    Args:
        labels: the classes.
        horizons_s: reported horizons [s]; every sample must reach them.
        per_class: also report each class.
        collect_device, prefix: as in mmengine.
    """

    def __init__(
        self,
        labels: LabelSet = OCC3D,
        horizons_s: Sequence[float] = HORIZONS_S,
        per_class: bool = False,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.labels = labels
        self.horizons = tuple(horizon_key(h) for h in horizons_s)
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep one record of counts per sample."""
        self.results.extend(forecast_record(sample, self.labels) for sample in data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names and percent, see the class."""
        return flatten(self.nested(results))

    def nested(self, results: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
        """`{name: {score: {horizon: percent}}}` from records; `class_iou` has one more level, the class."""
        table: dict = {}
        for name, by_subset in sum_records(results).items():
            table[name] = {}
            for subset, by_horizon in by_subset.items():
                prefix = "" if subset == "all" else f"{subset}_"
                missing = [h for h in self.horizons if h not in by_horizon]
                if missing:
                    raise ValueError(f"forecast {name!r} was asked for {missing}, but holds only {sorted(by_horizon)}")
                rows = {h: score_counts(by_horizon[h], self.labels) for h in sorted(by_horizon, key=_seconds)}
                for score in rows[self.horizons[0]]:
                    values = {h: row[score] for h, row in rows.items()}
                    table[name][prefix + score] = _with_average(values, self.horizons)
            if self.per_class:
                iou = {h: 100 * iou_per_class(c) for h, c in by_subset["all"].items()}
                table[name]["class_iou"] = {
                    self.labels.names[i]: _with_average({h: float(v[i]) for h, v in iou.items()}, self.horizons)
                    for i in self.labels.occupied
                }
        return table


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """How well a tokenizer gives frames back: a ceiling for every forecast in its tokens ("0 s").

    Each data sample is a dict of `reconstruction` and `truth`, both `(..., X, Y, Z)` uint8, and `scene`. Result, in
    percent: `miou`, `iou`, `dynamic_miou`, `static_miou`; with `per_class` also `class_iou/CLASS`.
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
            self.results.append({"scene": sample["scene"], "counts": counts})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names and percent, see the class."""
        counts = np.sum([record["counts"] for record in results], axis=0)
        scores = score_counts(counts, self.labels)
        if self.per_class:
            iou = 100 * iou_per_class(counts)
            scores |= {f"class_iou/{self.labels.names[i]}": float(iou[i]) for i in self.labels.occupied}
        return scores


def forecast_record(sample: Mapping[str, Any], labels: LabelSet = OCC3D) -> dict:
    """What is kept of one sample (`OccupancyForecastMetric`): `scene` and counts by name, subset and horizon.

    Raises:
        ValueError: if shapes disagree, two frames fall on one step, or a label is out of range.
    """
    truth = to_numpy(sample["truth"])
    times = np.asarray(to_numpy(sample["times_s"]), np.float64).reshape(-1)
    if len(times) != len(truth):
        raise ValueError(f"times_s has {len(times)} entries for {len(truth)} frames of truth")
    keys = [horizon_key(float(t)) for t in times]
    if len(set(keys)) != len(keys):
        raise ValueError(f"several frames fall on one step of {STEP_S} s: times_s is {times.tolist()}")
    masks = {"all": [None] * len(truth)} | {s: to_numpy(sample[s]) for s in _SUBSETS if sample.get(s) is not None}
    counts = {}
    for name, forecast in sample["forecasts"].items():
        forecast = to_numpy(forecast)
        if forecast.shape != truth.shape:
            raise ValueError(f"forecast {name!r} has shape {forecast.shape}, but the truth has {truth.shape}")
        counts[name] = {
            subset: {
                key: confusion_counts(forecast[f], truth[f], labels.num_classes, mask[f]) for f, key in enumerate(keys)
            }
            for subset, mask in masks.items()
        }
    return {"scene": sample["scene"], "counts": counts}


def sum_records(records: Sequence[dict]) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Counts `(C, C)` by name, subset and horizon, summed over records."""
    total: dict = {}
    for record in records:
        for name, by_subset in record["counts"].items():
            for subset, by_horizon in by_subset.items():
                into = total.setdefault(name, {}).setdefault(subset, {})
                for horizon, counts in by_horizon.items():
                    into[horizon] = into.get(horizon, 0) + counts
    return total


def forecast_intervals(
    records: Sequence[dict],
    name: str,
    against: str | None,
    horizon: str,
    rng: np.random.Generator,
    score: str = "miou",
    subset: str = "all",
    labels: LabelSet = OCC3D,
    resamples: int = 1000,
) -> Interval:
    """Interval, clustered by scene, of one score [%] of a forecast, or of its lead over another one (paired).

    Args:
        records: those of `OccupancyForecastMetric.results` (or of `forecast_record`).
        name, against: predictors; with `against` the value is the difference, above 0 where `name` is better.
        horizon: "1s" etc.
    """
    names = [name] if against is None else [name, against]
    counts = np.stack([[r["counts"][n][subset][horizon] for n in names] for r in records])

    def statistic(total: np.ndarray) -> float:
        values = [score_counts(c, labels)[score] for c in total]
        return values[0] if against is None else values[0] - values[1]

    return clustered_interval(counts, [r["scene"] for r in records], statistic, rng, resamples)


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested dicts as one, with `/` between the names of the levels."""
    flat: dict[str, float] = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def to_numpy(value: Any) -> np.ndarray:
    """A tensor (any device) or array as NumPy array."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _with_average(values: dict[str, float], horizons: Sequence[str]) -> dict[str, float]:
    return values | {"avg": float(np.mean([values[h] for h in horizons]))}


def _seconds(key: str) -> float:
    return float(key.removesuffix("s"))

"""Generated LiDAR clouds for mmengine: imagined futures against recorded ones, as sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.forecast.record import BASELINES, drift_s, step_key, to_numpy
from drivewm.evaluation.functional.generation import (
    QUANTILES,
    bev_histogram,
    jensen_shannon,
    maximum_mean_discrepancy,
    range_quantiles,
)
from drivewm.evaluation.functional.lidar_forecast import in_lidar_t0
from drivewm.evaluation.tables import markdown_table

TRUTH = "recorded"


@METRICS.register_module()
class LidarGenerationMetric(BaseMetric):
    """Clouds of one future frame a window, as a set, against the recorded ones, for which no single truth is needed.

    Each data sample has under `lidar` what `LidarForecastMetric` takes (of it are read `truth`, `times_s`,
    `T_ego_lidar`, `scene` and the two copies in `clouds`), and beside it

    - `generated`: name -> F clouds `(N, 3 + C)` [m], each in the ego frame of its own future frame. They must not know
      the directions of the true rays, as forecasts do.

    After `evaluate`, `report` has a row for the recorded set and each other one: `jsd` and `mmd` against the recorded
    set, those of the recorded set itself between the one half of its scenes and the other (NaN for a single scene);
    `points_mean`, `points_std` over clouds; `range_N` [m], means over clouds of the quantiles of the range; `empty`,
    how many clouds have no point within reach of the histograms, which `mmd` leaves out. `text()` is the table.

    Args:
        at_s: which frame [s] after t0.
        collect_device, prefix: as in mmengine.
    """

    default_prefix = "lidar_generation"

    def __init__(self, at_s: float = 3.0, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        self.at_s = at_s
        self.report: dict | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep a histogram and a few numbers of each cloud."""
        for sample in data_samples:
            sample = sample["lidar"]
            if "generated" not in sample:
                raise ValueError("there are no generated clouds: a world model gives them with score_imagined=True")
            times_s = to_numpy(sample["times_s"])
            f = int(np.argmin(np.abs(times_s - self.at_s)))
            if abs(times_s[f] - self.at_s) > drift_s(self.at_s):
                window = f"window {sample.get('sample_token')} of scene {sample['scene']}"
                raise ValueError(f"{window}: no frame is {self.at_s} s after t0, they are at {times_s.tolist()}")
            T_lidar_ego = np.linalg.inv(to_numpy(sample["T_ego_lidar"])[f].astype(np.float64))
            copies = {name: sample["clouds"][name] for name in BASELINES}
            sets = {TRUTH: sample["truth"]} | sample["generated"] | copies
            clouds = {name: _statistics(in_lidar_t0(to_numpy(frames[f]), T_lidar_ego)) for name, frames in sets.items()}
            self.results.append({"scene": sample["scene"], "clouds": clouds})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """`NAME/FIGURE` of each row."""
        scenes = sorted({record["scene"] for record in results})
        first_half = np.isin([record["scene"] for record in results], scenes[::2])
        recorded = np.stack([record["clouds"][TRUTH]["histogram"] for record in results])
        rows = []
        for name in results[0]["clouds"]:
            clouds = [record["clouds"][name] for record in results]
            histograms = np.stack([cloud["histogram"] for cloud in clouds])
            sets = (recorded[first_half], recorded[~first_half]) if name == TRUTH else (histograms, recorded)
            rows.append({"set": name, **_compare(*sets), **_numbers(clouds)})
        self.report = {"step": step_key(self.at_s), "windows": len(results), "scenes": len(scenes), "rows": rows}
        return {f"{row['set']}/{key}": value for row in rows for key, value in row.items() if key != "set"}

    def text(self) -> str:
        """The report's table; ValueError before `evaluate` (and in all processes but the first)."""
        if self.report is None:
            raise ValueError("there is no report before evaluate() is called")
        titles = {"jsd": "JSD", "mmd": "MMD [1e-4]", "points_mean": "points", "points_std": "std", "empty": "empty"}
        titles |= {f"range_{q}": f"range {q} % [m]" for q in QUANTILES}
        rows = [row | {"mmd": 1e4 * row["mmd"]} for row in self.report["rows"]]
        table = markdown_table(["set", *titles.values()], [[row["set"], *(row[key] for key in titles)] for row in rows])
        head = "{windows} windows of {scenes} scenes, the frame {step} after t0.".format(**self.report)
        note = f"JSD and MMD of the row {TRUTH!r} are between one half of the scenes and the other: a floor"
        return f"{head}\n\n{table}\n\n{note}"


def _statistics(cloud: np.ndarray) -> dict[str, Any]:
    histogram = bev_histogram(cloud).astype(np.int32)
    return {"histogram": histogram, "points": len(cloud), "range_m": range_quantiles(cloud)}


def _compare(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Distances of two sets of histograms; NaN where one has no points."""
    full = [histograms[histograms.any((1, 2))] for histograms in (ours, theirs)]
    if not all(map(len, full)):
        return {"jsd": np.nan, "mmd": np.nan}
    return {"jsd": jensen_shannon(*full), "mmd": maximum_mean_discrepancy(*full)}


def _numbers(clouds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    points = np.array([cloud["points"] for cloud in clouds])
    ranges = np.stack([cloud["range_m"] for cloud in clouds if cloud["points"]] or [np.full(len(QUANTILES), np.nan)])
    quantiles = {f"range_{q}": float(value) for q, value in zip(QUANTILES, ranges.mean(0), strict=True)}
    empty = sum(not cloud["histogram"].any() for cloud in clouds)
    return {"points_mean": float(points.mean()), "points_std": float(points.std()), "empty": empty} | quantiles

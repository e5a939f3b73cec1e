"""Forecast camera views for mmengine: PSNR and SSIM at each horizon, beside the last views again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.forecast.record import drift_s, step_key, to_numpy
from drivewm.evaluation.functional.images import psnr, ssim, to_unit

_HIGHEST_DB = 60.0
SCORES = {"psnr": lambda pictures, truth: psnr(pictures, truth).clamp_max(_HIGHEST_DB), "ssim": ssim}


@METRICS.register_module()
class CameraForecastMetric(BaseMetric):
    """Means over valid views of PSNR [dB] and SSIM, of each predictor and horizon: `PREDICTOR/SCORE/STEP`.

    The PSNR of a view counts at most 60 dB: the last view again is the next one where the ego stands and nothing moves.

    Each data sample has under `camera` a dict of

    - `forecasts`: predictor -> `(F, V, 3, H, W)` uint8;
    - `truth`: `(F, V, 3, H, W)` uint8, `valid`: `(F, V)` bool, views that count;
    - `times_s`: `(F,)` [s] after t0; `scene`.

    Args:
        horizons_s: [s]; each must be the time of a frame.
        collect_device, prefix: as in mmengine.
    """

    default_prefix = "camera"

    def __init__(
        self, horizons_s: Sequence[float] = (1.0, 2.0, 3.0), collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device, prefix)
        self.horizons_s = tuple(horizons_s)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep sums and counts of each horizon."""
        for sample in (sample["camera"] for sample in data_samples):
            times_s, record = to_numpy(sample["times_s"]), {}
            for horizon_s in self.horizons_s:
                f = int(np.argmin(np.abs(times_s - horizon_s)))
                if abs(times_s[f] - horizon_s) > drift_s(horizon_s):
                    raise ValueError(f"no frame is {horizon_s} s after t0, they are at {times_s.tolist()}")
                valid = torch.as_tensor(sample["valid"])[f]
                truth = to_unit(torch.as_tensor(sample["truth"])[f][valid])
                for name, frames in sample["forecasts"].items():
                    pictures = to_unit(torch.as_tensor(frames)[f][valid])
                    for score, function in SCORES.items():
                        values = function(pictures, truth) if len(truth) else truth.new_zeros(0)
                        record[f"{name}/{score}/{step_key(horizon_s)}"] = (float(values.sum()), len(values))
            self.results.append(record)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """NaN where no view was valid."""
        figures = {}
        for name in results[0]:
            total, count = (sum(record[name][part] for record in results) for part in (0, 1))
            figures[name] = total / count if count else float("nan")
        return figures

"""Camera images for mmengine: how well a tokenizer gives them back, beside what its grid's resolution alone keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.evaluation.forecast.record import to_numpy
from drivewm.evaluation.functional.codes import code_figures
from drivewm.evaluation.functional.images import psnr, ssim, through_grid, to_unit

SCORES = {"psnr": psnr, "ssim": ssim}
BASELINE = "bicubic"


@METRICS.register_module()
class CameraReconstructionMetric(BaseMetric):
    """PSNR [dB] and SSIM of reconstructed views, and of bicubic shrinking to the size of the token grid and back.

    Each data sample is a dict of

    - `reconstruction`, `truth`: `(T, V, 3, H, W)` uint8;
    - `valid`: `(T, V)` bool, views that count;
    - `cameras`: names of the V views;
    - `cells`: rows and columns of a view's token grid;
    - `scene`: its scene;
    - `codes` (optional): name of a token grid -> `(V,)` how often each code is used.

    Result: `SCORE/PICTURES/VIEW`, with SCORE of `psnr`, `psnr_gain` (over bicubic) and `ssim`, PICTURES of `tokens`
    and `bicubic`, VIEW each camera and `mean`, the mean over all images; and of each token grid `perplexity/GRID` and
    `unused_codes/GRID` over the whole set. A camera that never has an image has no figures.
    """

    default_prefix = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores of each image."""
        for sample in data_samples:
            truth = to_unit(torch.as_tensor(sample["truth"]))
            tokens = to_unit(torch.as_tensor(sample["reconstruction"]))
            named = {"tokens": tokens, BASELINE: through_grid(truth, tuple(sample["cells"]))}
            scores = {
                f"{score}/{name}": to_numpy(function(pictures, truth))
                for score, function in SCORES.items()
                for name, pictures in named.items()
            }
            codes = {name: to_numpy(used) for name, used in sample.get("codes", {}).items()}
            record = {"scene": sample["scene"], "cameras": tuple(sample["cameras"]), "scores": scores, "codes": codes}
            self.results.append(record | {"valid": to_numpy(sample["valid"])})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names, see the class."""
        cameras = np.concatenate([np.broadcast_to(r["cameras"], r["valid"].shape)[r["valid"]] for r in results])
        if not len(cameras):
            raise ValueError(f"none of the {len(results)} samples has a view that is valid: nothing can be scored")
        figures = {}
        for name in results[0]["scores"]:
            values = np.concatenate([record["scores"][name][record["valid"]] for record in results])
            views = {camera: values[cameras == camera] for camera in dict.fromkeys(cameras.tolist())}
            figures |= {f"{name}/{view}": float(own.mean()) for view, own in ({"mean": values} | views).items()}
        for name in [name for name in figures if name.startswith("psnr/tokens/")]:
            gain = figures[name] - figures[name.replace("tokens", BASELINE)]
            figures[name.replace("psnr/tokens", "psnr_gain/tokens")] = gain
        return figures | code_figures([record["codes"] for record in results])

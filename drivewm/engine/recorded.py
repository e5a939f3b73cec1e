"""Forecasts in files instead of a model: scored as a model's are, and written while a model is tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from drivewm.data import DataError, DatasetExistsError, DriveClips
from drivewm.data.predictions import DESCRIPTION, GIVEN, PredictionSet, write_prediction
from drivewm.evaluation.forecast.record import BASELINES, CEILING, drift_s, to_numpy
from drivewm.structures import SceneClip
from drivewm.world_model.predictions import beside_baselines


class PredictedClips(DriveClips):
    """The windows that a folder of predictions (`PredictionSet`) is of.

    Args:
        predictions: the folder.
        index, split, data_root: as of `DriveClips`.

    Raises:
        DataError: as `PredictionSet.open` and `DriveClips` do.
    """

    def __init__(
        self, predictions: str | Path, index: str | Path, split: str, data_root: str | Path | None = None
    ) -> None:
        found = PredictionSet.open(predictions)
        super().__init__(
            index,
            split,
            found.num_history,
            found.num_future,
            load_boxes=False,
            data_root=data_root,
            sample_tokens=found.sample_tokens,
        )


class RecordedPredictions(BaseModel):
    """A "model" that reads its forecasts from a folder (`PredictionSet`); nothing is trained or run.

    Args:
        folder: of the predictions.
        data_preprocessor: as of other models.

    Raises:
        DataError: if `predictions.json` is not there or not right.
    """

    def __init__(self, folder: str | Path, data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor)
        self.predictions = PredictionSet.open(folder)
        self.grid = None  # compared with the data's below, for an error that names the file
        if self.predictions.name in (*BASELINES, CEILING):
            path, taken = Path(folder) / DESCRIPTION, ", ".join((*BASELINES, CEILING))
            raise DataError(path, "name", self.predictions.name, f"another name than {taken}")

    def forward(self, clip: SceneClip, mode: str = "predict") -> list[dict]:
        """One dict a clip as `OccupancyForecastMetric` takes it, for `mode` "predict", the only one."""
        if mode != "predict":
            raise ValueError(f'recorded predictions only have the mode "predict", got {mode!r}')
        if clip.grid != self.predictions.grid:
            path = self.predictions.folder / DESCRIPTION
            raise DataError(path, "grid", self.predictions.grid, f"{clip.grid}, the data's")
        arrays = [self.predictions.read(token) for token in clip.sample_token]
        times_s = clip.future_times_s()
        for token, window, expected in zip(clip.sample_token, arrays, times_s.cpu().numpy(), strict=True):
            if (np.abs(window["times_s"] - expected) > drift_s(expected)).any():
                found, wanted = window["times_s"].tolist(), np.round(expected, 2).tolist()
                raise DataError(self.predictions.path(token), "times_s", found, f"the data's keyframes at {wanted}")

        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([window[name] for window in arrays])).to(times_s.device)

        given = self.predictions.ego_pose == GIVEN
        T_t0_ego = clip.future_poses() if given else stacked("T_t0_ego").float()
        samples = beside_baselines(clip, {self.predictions.name: stacked("labels")}, T_t0_ego)
        for sample, window in zip(samples, arrays, strict=True):
            sample.update(ego_pose=self.predictions.ego_pose, seconds=window.get("seconds"))
            if "probabilities" in window:
                sample["probabilities"] = {self.predictions.name: window["probabilities"]}
        return samples


class DumpPredictionsHook(Hook):
    """Writes what a model forecasts in a test to a folder that `RecordedPredictions` reads.

    Args:
        folder: to write to; must not hold predictions.
        probabilities: write them too; they are large (138 MB a window of Occ3D's size, before compression).
    """

    def __init__(self, folder: str | Path, probabilities: bool = False) -> None:
        self.folder, self.probabilities = Path(folder), probabilities
        self.found: PredictionSet | None = None

    def before_test(self, runner: Runner) -> None:
        """Refuse a folder in use."""
        if (self.folder / DESCRIPTION).exists():
            raise DatasetExistsError(self.folder / DESCRIPTION, "predictions", "some", "an empty folder to write to")

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: Sequence[dict] = ()) -> None:
        """Write a file a window."""
        dataset = runner.test_dataloader.dataset
        for sample in outputs:
            (name,) = [name for name in sample["forecasts"] if name not in (*BASELINES, CEILING)]
            arrays = {"labels": sample["forecasts"][name], "times_s": sample["times_s"], "seconds": sample["seconds"]}
            if sample["ego_pose"] != GIVEN:
                arrays["T_t0_ego"] = sample["T_t0_ego"]
            if self.probabilities:
                arrays["probabilities"] = sample["probabilities"][name]
            arrays = {key: to_numpy(value) for key, value in arrays.items()}
            if self.found is None:
                sizes, tokens = (dataset.num_history, len(arrays["labels"])), tuple(dataset.sample_tokens)
                self.found = PredictionSet(self.folder, name, sample["ego_pose"], *sizes, dataset.grid, tokens)
            write_prediction(self.found.path(sample["sample_token"]), arrays)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Say that the folder is complete."""
        self.found.write()

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
from drivewm.data.recording import split_sweeps
from drivewm.evaluation.forecast.record import BASELINES, CEILING, OWN_PRESENT, drift_s, to_numpy
from drivewm.evaluation.lidar_forecast.report import REFERENCE
from drivewm.geometry import se3
from drivewm.structures import SceneClip
from drivewm.world_model.lidar_predictions import lidar_beside_baselines
from drivewm.world_model.predictions import beside_baselines

_TAKEN = (*BASELINES, REFERENCE, OWN_PRESENT, CEILING)
"""Names that stand beside the model's in the tables."""


class PredictedClips(DriveClips):
    """The windows that a folder of predictions (`PredictionSet`) is of.

    Args:
        predictions: the folder.
        index, split, data_root, load_boxes, num_sweeps: as of `DriveClips`; point clouds are scored in moving boxes
            apart where boxes are loaded.

    Raises:
        DataError: as `PredictionSet.open` and `DriveClips` do.
    """

    def __init__(
        self,
        predictions: str | Path,
        index: str | Path,
        split: str,
        data_root: str | Path | None = None,
        load_boxes: bool = False,
        num_sweeps: int = 1,
    ) -> None:
        found = PredictionSet.open(predictions)
        lidar = found.modality == "lidar"
        super().__init__(
            index,
            split,
            found.num_history,
            found.num_future,
            frame_step=found.frame_step,
            load_occupancy=False if lidar else None,
            load_boxes=load_boxes,
            load_points=lidar,
            num_sweeps=num_sweeps,
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
        if self.predictions.name in _TAKEN:
            path = Path(folder) / DESCRIPTION
            raise DataError(path, "name", self.predictions.name, f"another name than {', '.join(_TAKEN)}")

    def forward(self, clip: SceneClip, mode: str = "predict") -> list[dict]:
        """One dict a clip as `OccupancyForecastMetric` or `LidarForecastMetric` takes it, for `mode` "predict", the
        only one."""
        if mode != "predict":
            raise ValueError(f'recorded predictions only have the mode "predict", got {mode!r}')
        lidar = self.predictions.modality == "lidar"
        if not lidar and clip.grid != self.predictions.grid:
            path = self.predictions.folder / DESCRIPTION
            raise DataError(path, "grid", self.predictions.grid, f"{clip.grid}, the data's")
        arrays = [self.predictions.read(token) for token in clip.sample_token]
        times_s = clip.future_times_s().cpu().numpy()
        for token, window, expected in zip(clip.sample_token, arrays, times_s, strict=True):
            if (np.abs(window["times_s"] - expected) > drift_s(expected)).any():
                found, wanted = window["times_s"].tolist(), np.round(expected, 2).tolist()
                raise DataError(self.predictions.path(token), "times_s", found, f"the data's frames at {wanted}")
        return self._clouds(clip, arrays) if lidar else self._occupancy(clip, arrays)

    def _occupancy(self, clip: SceneClip, arrays: list[dict[str, np.ndarray]]) -> list[dict]:
        name, device = self.predictions.name, clip.occupancy.device

        def stacked(key: str) -> Tensor:
            return torch.from_numpy(np.stack([window[key] for window in arrays])).to(device)

        given = self.predictions.ego_pose == GIVEN
        T_t0_ego = clip.future_poses() if given else stacked("T_t0_ego").float()
        samples = beside_baselines(clip, {name: stacked("labels")}, T_t0_ego)
        for sample, window in zip(samples, arrays, strict=True):
            sample.update(ego_pose=self.predictions.ego_pose, seconds=window.get("seconds"))
            if "probabilities" in window:
                sample["probabilities"] = {name: window["probabilities"]}
        return samples

    def _clouds(self, clip: SceneClip, arrays: list[dict[str, np.ndarray]]) -> list[dict]:
        T_ego_lidar = clip.T_ego_lidar[:, clip.num_history :].double().cpu().numpy()
        clouds = [
            [
                se3.transform_points(T, points).astype(np.float32)
                for T, points in zip(poses, split_sweeps(window["points"], window["frame_ptr"]), strict=True)
            ]
            for poses, window in zip(T_ego_lidar, arrays, strict=True)
        ]
        samples = lidar_beside_baselines(clip, {self.predictions.name: clouds})
        for sample, window in zip(samples, arrays, strict=True):
            sample["lidar"]["seconds"] = window.get("seconds")
        return samples


class DumpPredictionsHook(Hook):
    """Writes what a model forecasts in a test to a folder that `RecordedPredictions` reads.

    Args:
        folder: to write to; must not hold predictions.
        probabilities: of occupancy, write them too; they are large (138 MB a window of Occ3D's size, before
            compression).
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
            if not {"forecasts", "lidar"} & set(sample):
                raise ValueError(f"there are no forecasts to dump: the model's predictions hold {', '.join(sample)}")
            lidar = "lidar" in sample
            if lidar and "forecasts" in sample:
                raise ValueError("predictions are of one modality: ask the model for one output, by --outputs")
            sample = sample["lidar"] if lidar else sample
            # The model's stands first; an imagined future beside it is not its forecast.
            name = next(name for name in sample["clouds" if lidar else "forecasts"] if name not in _TAKEN)
            arrays = self._cloud_arrays(sample, name) if lidar else self._occupancy_arrays(sample, name)
            arrays |= {"times_s": sample["times_s"], "seconds": sample["seconds"]}
            arrays = {key: to_numpy(value) for key, value in arrays.items()}
            if self.found is None:
                self.found = PredictionSet(
                    self.folder,
                    name,
                    sample.get("ego_pose", GIVEN),
                    dataset.num_history,
                    len(arrays["times_s"]),
                    None if lidar else dataset.grid,
                    tuple(dataset.sample_tokens),
                    dataset.frame_step,
                )
            write_prediction(self.found.path(sample["sample_token"]), arrays)

    def _occupancy_arrays(self, sample: dict, name: str) -> dict:
        arrays = {"labels": sample["forecasts"][name]}
        if sample["ego_pose"] != GIVEN:
            arrays["T_t0_ego"] = sample["T_t0_ego"]
        if self.probabilities:
            arrays["probabilities"] = sample["probabilities"][name]
        return arrays

    def _cloud_arrays(self, sample: dict, name: str) -> dict:
        """In float64, and by the exact inverse of a calibration that is rigid to float32 alone: read again, points are
        the same to the last bit."""
        if self.probabilities:
            raise ValueError("point clouds have no probabilities to dump")
        T_lidar_ego = np.linalg.inv(to_numpy(sample["T_ego_lidar"]).astype(np.float64))
        clouds = [to_numpy(cloud) for cloud in sample["clouds"][name]]
        points = [se3.transform_points(T, cloud) for T, cloud in zip(T_lidar_ego, clouds, strict=True)]
        ends = np.cumsum([len(cloud) for cloud in clouds])
        return {"points": np.concatenate(points), "frame_ptr": np.concatenate([[0], ends])}

    @master_only
    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Say that the folder is complete."""
        self.found.write()

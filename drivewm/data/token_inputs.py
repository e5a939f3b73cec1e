"""TokenInputs: what tokens are made of: the labels, the sweeps or the views of a data set's keyframes."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from drivewm.data.augment import has_both_sides, is_mirrorable
from drivewm.data.clip_images import load_images
from drivewm.data.clip_points import load_points
from drivewm.data.index import Index, fingerprint
from drivewm.data.sweeps import SWEEP_FORMATS
from drivewm.geometry import VoxelGrid
from drivewm.structures import SceneClip

_SAMPLED = 16


@dataclass(frozen=True)
class TokenInputs(ABC):
    """The keyframes of a data set as a tokenizer of one modality sees them.

    Attributes:
        index: of the data set.
        modality: as `TokenSpec` names it.
        column: of the index, which says what a keyframe has of it.
        mirrorable: can keyframes be mirrored?
        grid: of the tokenizer's voxels, if it has any.
        num_sweeps: how many sweeps make the points of a keyframe.
    """

    index: Index = field(repr=False)
    modality: ClassVar[str]
    column: ClassVar[str]
    mirrorable: ClassVar[bool]
    grid: ClassVar[VoxelGrid | None] = None
    num_sweeps: ClassVar[int] = 1

    @cached_property
    def frames(self) -> np.ndarray:
        """Keyframes that have what tokens are made of: `(N,)`, in the index's order."""
        return np.flatnonzero(self.index[self.column] != b"")

    def clips(self, frames: np.ndarray) -> SceneClip:
        """Keyframes `(N,)` as N clips of one frame each, with nothing but what tokens are made of.

        Raises DataError where a file is missing or broken.
        """
        index = self.index
        scenes = np.searchsorted(index["scene_frame_ptr"], frames, side="right") - 1
        return SceneClip(
            num_history=1,
            timestamp_us=torch.from_numpy(index["frame_time_us"][frames])[:, None],
            T_global_ego=torch.from_numpy(index["frame_T_global_ego"][frames])[:, None],
            scene=tuple(name.decode() for name in index["scene_name"][scenes]),
            sample_token=tuple(token.decode() for token in index["frame_token"][frames]),
            **self._parts(frames),
        )

    def describe(self) -> dict:
        """What a cache must agree with: grid, sweeps or cameras, and a digest of the data set.

        The digest is of the tables, the keyframes and a few of the labels, sweeps or images, of which tables say
        nothing.
        """
        tables = fingerprint(self.index.data_root, self.index.tables)
        digest = hashlib.sha256(json.dumps(tables, sort_keys=True).encode())
        digest.update(self.index["frame_token"].tobytes())
        for frame in self.frames[:: -(-len(self.frames) // _SAMPLED) or 1]:
            digest.update(self._content(frame).tobytes())
        return self._particulars() | {"data_set": digest.hexdigest()}

    @abstractmethod
    def _parts(self, frames: np.ndarray) -> dict:
        """Fields of a `SceneClip` of N clips."""

    @abstractmethod
    def _particulars(self) -> dict:
        """What else a cache must agree with."""

    @abstractmethod
    def _content(self, frame: int) -> np.ndarray:
        """What was published of a keyframe: what is computed of it may differ by machine."""


@dataclass(frozen=True)
class LabelInputs(TokenInputs):
    """Occupancy labels.

    Attributes:
        grid: of the tokenizer.

    Raises:
        ValueError: the labels have another grid.
    """

    grid: VoxelGrid
    modality, column = "occupancy", "frame_occupancy_file"

    def __post_init__(self) -> None:
        if self.grid != self.index.grid:
            raise ValueError(f"{self.index.folder} has the grid {self.index.grid}, but the tokenizer {self.grid}")

    @property
    def mirrorable(self) -> bool:
        return is_mirrorable(self.grid)

    def _parts(self, frames: np.ndarray) -> dict:
        labels = np.concatenate([self._content(frame) for frame in frames])
        return {"grid": self.grid, "occupancy": torch.from_numpy(labels)[:, None]}

    def _particulars(self) -> dict:
        return {"grid": _grid_as_json(self.grid)}

    def _content(self, frame: int) -> np.ndarray:
        return self.index.labels(slice(frame, frame + 1), None)[0]


@dataclass(frozen=True)
class SweepInputs(TokenInputs):
    """LiDAR sweeps.

    Attributes:
        grid: voxels in which the tokenizer sees them.
        num_sweeps: see `DriveClips`.
    """

    grid: VoxelGrid
    num_sweeps: int = 1
    modality, column, mirrorable = "lidar", "frame_lidar_file", True

    def _parts(self, frames: np.ndarray) -> dict:
        return _one_frame_each(load_points(self.index, frames.tolist(), self.num_sweeps))

    def _particulars(self) -> dict:
        return {"grid": _grid_as_json(self.grid), "num_sweeps": self.num_sweeps}

    def _content(self, frame: int) -> np.ndarray:
        path, size = self.index.path(frame, self.column), int(self.index["frame_lidar_bytes"][frame])
        return SWEEP_FORMATS[self.index.sweep_format].read(path, size)[0]


@dataclass(frozen=True)
class ViewInputs(TokenInputs):
    """Camera views. All keyframes have tokens: a view that is absent has the mask.

    Attributes:
        cameras, image_size: which and how large [px]; see `DriveClips`.
    """

    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    modality, column = "camera", "image_file"

    @cached_property
    def frames(self) -> np.ndarray:
        return np.arange(self.index.num_frames if self.cameras else 0)

    @property
    def mirrorable(self) -> bool:
        return has_both_sides(self.cameras)

    def _parts(self, frames: np.ndarray) -> dict:
        loaded = load_images(self.index, frames.tolist(), self.cameras, self.image_size)
        return _one_frame_each(loaded) | {"cameras": self.cameras}

    def _particulars(self) -> dict:
        return {"grid": None, "cameras": list(self.cameras), "image_size": list(self.image_size)}

    def _content(self, frame: int) -> np.ndarray:
        rows = range(*self.index["frame_image_ptr"][frame : frame + 2])
        files = [self.index.path(row, self.column).read_bytes() for row in rows]
        return np.frombuffer(b"".join(files), np.uint8)


def _one_frame_each(loaded: dict[str, Tensor]) -> dict[str, Tensor]:
    """`(1, N, ...)`, N frames of a clip, as N clips."""
    return {name: values.transpose(0, 1) for name, values in loaded.items()}


def _grid_as_json(grid: VoxelGrid) -> dict:
    return {"range_m": list(grid.range_m), "voxel_m": grid.voxel_m}

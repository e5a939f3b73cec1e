"""TokenInputs: what tokens are made of: the labels, the sweeps or the views of a data set's keyframes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from drivewm.data.augment import has_both_sides, is_mirrorable
from drivewm.data.clip_images import load_images
from drivewm.data.clip_points import load_points
from drivewm.data.index import Index, fingerprint
from drivewm.data.sweeps import SWEEP_FORMATS
from drivewm.geometry import VoxelGrid
from drivewm.structures import SceneClip

COLUMNS = {"occupancy": "frame_occupancy_file", "lidar": "frame_lidar_file", "camera": "image_file"}
"""Modalities that tokens are cached of, and where the index says which keyframes have them. Of cameras all keyframes
have tokens: a view that is absent has the mask."""
_SAMPLED = 16


@dataclass(frozen=True)
class TokenInputs:
    """The keyframes of a data set as a tokenizer of one modality sees them.

    Attributes:
        index: of the data set.
        modality: one of `COLUMNS`.
        grid: voxels in which the tokenizer sees them; of labels that of the data set.
        num_sweeps: of LiDAR, how many make the points of a keyframe; see `DriveClips`.
        cameras, image_size: of views, which and how large [px]; see `DriveClips`.

    Raises:
        ValueError: there is no such modality, or the labels have another grid.
    """

    index: Index = field(repr=False)
    modality: str
    grid: VoxelGrid | None
    num_sweeps: int = 1
    cameras: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.modality not in COLUMNS:
            raise ValueError(f"tokens are cached of {', '.join(COLUMNS)}, got {self.modality!r}")
        if self.modality == "occupancy" and self.grid != self.index.grid:
            raise ValueError(f"{self.index.folder} has the grid {self.index.grid}, but the tokenizer {self.grid}")

    @cached_property
    def frames(self) -> np.ndarray:
        """Keyframes that have labels or a sweep, or all, of views: `(N,)`, in the index's order."""
        if self.modality == "camera":
            return np.arange(self.index.num_frames if self.cameras else 0)
        return np.flatnonzero(self.index[COLUMNS[self.modality]] != b"")

    @property
    def mirrorable(self) -> bool:
        """Can clips of them be mirrored? Points always can."""
        if self.modality == "camera":
            return has_both_sides(self.cameras)
        return self.modality == "lidar" or is_mirrorable(self.index.grid)

    def clips(self, frames: np.ndarray) -> SceneClip:
        """Keyframes `(N,)` as N clips of one frame each, with nothing but what tokens are made of.

        Raises DataError where a file is missing or broken.
        """
        index = self.index
        if self.modality == "lidar":
            loaded = load_points(index, frames.tolist(), self.num_sweeps)
            parts = {name: values.transpose(0, 1) for name, values in loaded.items()}
        elif self.modality == "camera":
            loaded = load_images(index, frames.tolist(), self.cameras, self.image_size)
            parts = {name: values.transpose(0, 1) for name, values in loaded.items()} | {"cameras": self.cameras}
        else:
            labels = np.concatenate([index.labels(slice(frame, frame + 1), None)[0] for frame in frames])
            parts = {"grid": index.grid, "occupancy": torch.from_numpy(labels)[:, None]}
        scenes = np.searchsorted(index["scene_frame_ptr"], frames, side="right") - 1
        return SceneClip(
            num_history=1,
            timestamp_us=torch.from_numpy(index["frame_time_us"][frames])[:, None],
            T_global_ego=torch.from_numpy(index["frame_T_global_ego"][frames])[:, None],
            scene=tuple(name.decode() for name in index["scene_name"][scenes]),
            sample_token=tuple(token.decode() for token in index["frame_token"][frames]),
            **parts,
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
        grid = self.grid and {"range_m": list(self.grid.range_m), "voxel_m": self.grid.voxel_m}
        particular = {"num_sweeps": self.num_sweeps} if self.modality == "lidar" else {}
        if self.modality == "camera":
            particular = {"cameras": list(self.cameras), "image_size": list(self.image_size)}
        return {"grid": grid, **particular, "data_set": digest.hexdigest()}

    def _content(self, frame: int) -> np.ndarray:
        """Labels, or sweep and images as they are published: what is computed of them may differ by machine."""
        if self.modality == "camera":
            rows = range(*self.index["frame_image_ptr"][frame : frame + 2])
            files = [self.index.path(row, "image_file").read_bytes() for row in rows]
            return np.frombuffer(b"".join(files), np.uint8)
        if self.modality == "occupancy":
            return self.index.labels(slice(frame, frame + 1), None)[0]
        path, size = self.index.path(frame, "frame_lidar_file"), int(self.index["frame_lidar_bytes"][frame])
        return SWEEP_FORMATS[self.index.sweep_format].read(path, size)[0]

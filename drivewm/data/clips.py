"""Clips of frames from an indexed data set: nuScenes, KITTI odometry, Argoverse 2, or whatever was converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from drivewm.data.clip_images import choose_cameras, load_images
from drivewm.data.clip_points import load_points
from drivewm.data.errors import DataError
from drivewm.data.index import Index
from drivewm.data.token_cache import TokenCache
from drivewm.data.windows import find_windows
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import BoxTracks, Route, SceneClip

VISIBLE_TO = ("lidar", "camera")
"""Whose view labels.npz has masks of."""


class DriveClips(Dataset):
    """Windows of `num_history + num_future` frames, none of which spans two scenes or a gap in time.

    A frame is a keyframe of nuScenes; where a data set has none, each of its sweeps is a frame.

    Args:
        index: an `Index`, or the folder of one.
        split: e.g. train or val. Which there are stands in the index.
        num_history: observed frames; the last of them is t0.
        num_future: frames after t0.
        stride: take every stride-th window of a scene, from its first.
        frame_step: a window's frames are so many frames of the data set apart.
        within: frames of each scene, counted from 0, from and up to (excluded; None: to its end): take only windows
            that lie among them with all their frames. So parts of one scene are told apart.
        load_occupancy, load_visible, load_boxes, load_points, load_images: which parts to load; the others are None in
            the clip. None for occupancy and visible: if the data set has them.
        num_sweeps: points of a frame are those of so many sweeps up to its own, as far as the scene has them; 1: of its
            own alone. None is later than the frame.
        cameras: channels of the views, in this order; None: all that the split's scenes have, by name. A camera without
            an image at a frame is a view that is not valid.
        image_size: width and height [px] to which images are cut and scaled without distortion (`PictureCut`), and
            their intrinsics with them; None: as they are published.
        visible_to: lidar or camera, whose mask `visible` holds. That of cameras is not cached in the index and costs
            unpacking the labels.
        data_root: where the data set is, if it moved apart from its index.
        tokens: folder of a token cache of this data set, to be put into the clips, or several of different modalities.
        sample_tokens: take only the windows with these frames t0, in the order of the data set.

    Scenes that are too short for a window yield none.

    Raises:
        DataError: the split is unknown or without any window; a window that is asked for does not exist; occupancy or
            its tokens are asked for where there are no labels; images where there are no such cameras; the tokens are
            not of this data set, of so many sweeps or of these cameras, two caches are of one modality, or one is
            damaged.
    """

    def __init__(
        self,
        index: Index | str | Path,
        split: str,
        num_history: int,
        num_future: int,
        stride: int = 1,
        frame_step: int = 1,
        within: tuple[int, int | None] = (0, None),
        load_occupancy: bool | None = None,
        load_visible: bool | None = None,
        load_boxes: bool = True,
        load_points: bool = False,
        num_sweeps: int = 1,
        load_images: bool = False,
        cameras: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        data_root: str | Path | None = None,
        tokens: str | Path | Sequence[str | Path] | None = None,
        sample_tokens: Sequence[str] | None = None,
        visible_to: str = "lidar",
    ) -> None:
        sizes = {"num_history": num_history, "stride": stride, "frame_step": frame_step, "num_sweeps": num_sweeps}
        wrong = [f"{name} {value}" for name, value in sizes.items() if value < 1]
        if wrong or num_future < 0:
            needed = ", ".join(f"{name} >= 1" for name in sizes)
            raise ValueError(f"need {needed}, num_future >= 0, got {', '.join(wrong) or num_future}")
        start, stop = within
        if start < 0 or (stop is not None and stop <= start):
            raise ValueError(f"within must go from a frame >= 0 up to a later one or None, got {tuple(within)}")
        if visible_to not in VISIBLE_TO:
            raise ValueError(f"visible_to must be one of {', '.join(VISIBLE_TO)}, got {visible_to!r}")
        self.visible_to = visible_to
        self.index = index if isinstance(index, Index) else Index.open(index, data_root)
        self.split, self.num_history, self.num_future = split, num_history, num_future
        self.frame_step, self.num_sweeps = frame_step, num_sweeps
        self.load_boxes, self.load_points, self.load_images = load_boxes, load_points, load_images
        scenes = self.index.scenes_of(split)
        if load_images:
            self.cameras, self.image_size = choose_cameras(self.index, scenes, cameras, image_size)
        self.load_occupancy = self._has_occupancy(scenes, load_occupancy)
        self.load_visible = self.load_occupancy if load_visible is None else load_visible
        if self.load_visible and not self.load_occupancy:
            self._has_occupancy(scenes, True)
        self.tokens = self._open_caches(tokens)
        if any(cache.inputs.modality == "occupancy" for cache in self.tokens):
            self._has_occupancy(scenes, True)
        self.starts, self.scenes = find_windows(self.index, split, self.num_frames, frame_step, stride, within)
        """First frame and scene of each clip: `(len,)` int64."""
        if sample_tokens is not None:
            self._keep(sample_tokens)

    @property
    def metainfo(self) -> dict:
        """What mmengine hands to metrics: `scenes`, all keyframes' tokens of each scene of the split, in order."""
        pointer, tokens = self.index["scene_frame_ptr"], self.index["frame_token"]
        return {
            "scenes": {
                self.index["scene_name"][s].decode(): [t.decode() for t in tokens[pointer[s] : pointer[s + 1]]]
                for s in self.index.scenes_of(self.split)
            }
        }

    @property
    def sample_tokens(self) -> list[str]:
        """Token of frame t0 of each clip."""
        return [token.decode() for token in self.index["frame_token"][self.starts + self._to_t0]]

    @property
    def grid(self) -> VoxelGrid | None:
        """The data set's voxel grid."""
        return self.index.grid

    @property
    def num_frames(self) -> int:
        """Frames in a clip."""
        return self.num_history + self.num_future

    @property
    def _to_t0(self) -> int:
        """Frames of the data set from a clip's first to its t0."""
        return (self.num_history - 1) * self.frame_step

    @property
    def scene_names(self) -> list[str]:
        """Scene of each clip."""
        return [self.index["scene_name"][scene].decode() for scene in self.scenes]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, item: int) -> dict[str, SceneClip]:
        """The clip as `dict(clip=SceneClip)`, B = 1."""
        start, scene = int(self.starts[item]), int(self.scenes[item])
        frames = slice(start, start + (self.num_frames - 1) * self.frame_step + 1, self.frame_step)
        numbers, t0 = range(frames.start, frames.stop, frames.step), start + self._to_t0
        route = self._route(scene, t0)
        parts: dict = {}
        if self.load_occupancy or self.load_visible:
            parts["grid"] = self.grid
            parts.update(self._occupancy(frames))
        if self.load_points:
            parts.update(load_points(self.index, numbers, self.num_sweeps))
        if self.load_images:
            parts["cameras"] = self.cameras
            parts |= load_images(self.index, numbers, self.cameras, self.image_size)
        if self.load_boxes:
            parts["boxes"] = self._boxes(frames, t0)
        if self.tokens:
            plain, mirrored = zip(*(cache.of(frames) for cache in self.tokens), strict=True)
            parts["tokens"] = sum(plain, ())
            parts["mirrored_tokens"] = None if None in mirrored else sum(mirrored, ())
        clip = SceneClip(
            num_history=self.num_history,
            timestamp_us=_tensor(self.index["frame_time_us"][frames])[None],
            T_global_ego=_tensor(self.index["frame_T_global_ego"][frames])[None],
            T_ego_lidar=_tensor(self.index["frame_T_ego_lidar"][frames]).float()[None],
            scene=(self.index["scene_name"][scene].decode(),),
            sample_token=(self.index["frame_token"][t0].decode(),),
            route=route,
            command=route.command(),
            **parts,
        )
        return {"clip": clip}

    def _has_occupancy(self, scenes: np.ndarray, wanted: bool | None) -> bool:
        files, starts = self.index["frame_occupancy_file"], self.index["scene_frame_ptr"][scenes]
        ends = self.index["scene_frame_ptr"][scenes + 1]
        without = [int(s) for s, a, b in zip(scenes, starts, ends, strict=True) if a < b and not files[a]]
        if wanted and without:
            name = self.index["scene_name"][without[0]].decode()
            raise DataError(
                self.index.data_root / "gts" / name, "occupancy", "no labels", f"labels.npz for split {self.split}"
            )
        return not without if wanted is None else wanted

    def _open_caches(self, folders: str | Path | Sequence[str | Path] | None) -> tuple[TokenCache, ...]:
        folders = () if folders is None else (folders,) if isinstance(folders, str | Path) else folders
        caches = tuple(TokenCache.open(folder, self.index, self.num_sweeps) for folder in folders)
        seen = set()
        for cache in caches:
            path, modality = cache.folder / "cache.json", cache.inputs.modality
            if modality in seen:
                raise DataError(path, "modality", modality, "a cache of each modality at most")
            seen.add(modality)
            if modality == "camera" and self.load_images:
                for name in ("cameras", "image_size"):
                    found, own = getattr(cache.inputs, name), getattr(self, name)
                    if found != own:
                        raise DataError(path, name, found, f"{own}, as the clips have", "Extract them again")
        return caches

    def _keep(self, sample_tokens: Sequence[str]) -> None:
        """Drop all windows but those of these frames t0."""
        wanted, there = set(sample_tokens), self.sample_tokens
        lacking = sorted(wanted - set(there))
        if lacking:
            raise DataError(
                self.index.folder,
                f"split {self.split}",
                f"no window of {self.num_history} + {self.num_future} keyframes at sample_token {lacking[0]}"
                + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""),
                "one for each that is asked for",
            )
        kept = np.array([token in wanted for token in there])
        self.starts, self.scenes = self.starts[kept], self.scenes[kept]

    def _occupancy(self, frames: slice) -> dict[str, torch.Tensor]:
        semantics, visible = self.index.labels(frames, self.visible_to if self.load_visible else None)
        found = {"occupancy": semantics} if self.load_occupancy else {}
        if self.load_visible:
            found["visible"] = visible
        return {name: torch.from_numpy(array)[None] for name, array in found.items()}

    def _boxes(self, frames: slice, t0: int) -> BoxTracks:
        """One slot a track, the same in all frames of the clip."""
        begin, end = self.index["frame_box_ptr"][:-1][frames], self.index["frame_box_ptr"][1:][frames]
        rows = np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)])
        tracks, slot = np.unique(self.index["box_track"][rows], return_inverse=True)
        frame = np.repeat(np.arange(self.num_frames), end - begin)
        velocity = np.array(self.index["box_velocity"][rows])
        # The centred difference at t0 looks at the frame after t0; a History must not.
        velocity[frame == self.num_history - 1] = self.index["box_velocity_past"][rows][frame == self.num_history - 1]
        boxes = BoxTracks.empty(1, self.num_frames, len(tracks))
        values = {name: self.index[f"box_{name}"][rows] for name in ("center", "size", "yaw", "label")}
        for name, value in (*values.items(), ("velocity", velocity), ("valid", np.ones(len(slot), bool))):
            target = getattr(boxes, name)
            target[0, torch.from_numpy(frame), torch.from_numpy(slot)] = _tensor(value).to(target.dtype)
        boxes.track[0] = torch.from_numpy(tracks)
        return boxes

    def _route(self, scene: int, t0: int) -> Route:
        """The route ahead at t0; nowhere valid where there is none or the ego has left it."""
        start, end = self.index["scene_route_ptr"][scene : scene + 2]
        if end - start < 2:
            return Route.nowhere()
        pose = se3.to_se2(self.index["frame_T_global_ego"][t0])
        lights = slice(*self.index["frame_light_ptr"][t0 : t0 + 2])
        return Route.ahead(self.index["route_xy"][start:end], pose, red_lights=self.index["light_xy"][lights])


def collate(samples: list[dict[str, SceneClip]]) -> dict[str, SceneClip]:
    """One batch of the samples' clips: `dict(clip=SceneClip)`, points and boxes padded to the largest number."""
    return {"clip": SceneClip.cat([sample["clip"] for sample in samples])}


def _tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor of its own memory (the index is mapped read-only)."""
    return torch.from_numpy(np.array(array))

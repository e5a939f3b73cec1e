"""SceneClip and History: a stretch of a scene, and the part of it that a predictor may see.

A predictor takes a `History`; there is no way from it to the future frames, so ground truth cannot leak.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures.boxes import BoxTracks
from drivewm.structures.route import Route
from drivewm.structures.tokens import TokenGrid

# Tensors that may be absent, with their shape behind (B, T); a name stands for a size of the clip's own.
_FRAME_SHAPES: dict[str, tuple] = {
    "points": ("N", 4),
    "points_valid": ("N",),
    "points_time_s": ("N",),
    "T_ego_lidar": (4, 4),
    "ray_directions": ("R", 3),
    "ray_hit": ("R",),
    "images": ("V", 3, "H", "W"),
    "images_valid": ("V",),
    "K": ("V", 3, 3),
    "T_ego_cam": ("V", 4, 4),
}
_PADDED = {"points": 2, "points_valid": 2, "points_time_s": 2, "ray_directions": 2, "ray_hit": 2}  # name: ragged axis
_VIEWS = ("images", "images_valid", "K", "T_ego_cam")
_TOKENS = ("tokens", "mirrored_tokens")


@dataclass(kw_only=True)
class _Frames:
    """T frames of B scenes. Whatever was not recorded or not loaded is None.

    Attributes:
        timestamp_us: `(B, T)` int64 [us].
        T_global_ego: `(B, T, 4, 4)` float64.
        scene: scene name of each of the B clips.
        sample_token: token of each clip's frame t0.
        grid: where the voxels of `occupancy` are, in each frame's own ego frame.
        occupancy: `(B, T, X, Y, Z)` uint8 classes of `OCC3D`.
        visible: `(B, T, X, Y, Z)` bool, voxels that the LiDAR has seen (or the cameras, if those were asked for).
        points: `(B, T, N, 4)` float32 x, y, z [m] in the frame's own ego frame, intensity; padded.
        points_valid: `(B, T, N)` bool, false for padding.
        points_time_s: `(B, T, N)` float32 [s] relative to the frame's stamp: below 0 for older sweeps; above 0 only
            within the frame's own sweep, where that is stamped with its start and has times of points (Argoverse 2).
        T_ego_lidar: `(B, T, 4, 4)` float32 sensor pose.
        ray_directions, ray_hit: `(B, T, R, 3)` unit vectors in the LiDAR frame and `(B, T, R)` bool: every ray sent,
            with or without a return.
        cameras: names of the V views, the same in all clips.
        images, images_valid: `(B, T, V, 3, H, W)` uint8 RGB; `(B, T, V)` bool, false for views that are absent.
        K, T_ego_cam: `(B, T, V, 3, 3)` [px], see `geometry.cameras`, and `(B, T, V, 4, 4)`, which includes the ego's
            motion between the camera's and the frame's stamp; the identity where a view is absent.
        boxes: agents, in each frame's own ego frame.
        tokens: what a tokenizer makes of `occupancy` or `points`, one grid for each of its specs; from a token cache.
        mirrored_tokens: what it makes of the mirrored frames, which is not the same as its tokens mirrored.
        route, command: the route ahead at t0 in the ego frame at t0, `(B,)` int64 `Command` read off it.
    """

    timestamp_us: Tensor
    T_global_ego: Tensor
    scene: tuple[str, ...]
    sample_token: tuple[str, ...]
    grid: VoxelGrid | None = None
    occupancy: Tensor | None = None
    visible: Tensor | None = None
    points: Tensor | None = None
    points_valid: Tensor | None = None
    points_time_s: Tensor | None = None
    T_ego_lidar: Tensor | None = None
    ray_directions: Tensor | None = None
    ray_hit: Tensor | None = None
    cameras: tuple[str, ...] | None = None
    images: Tensor | None = None
    images_valid: Tensor | None = None
    K: Tensor | None = None
    T_ego_cam: Tensor | None = None
    boxes: BoxTracks | None = None
    tokens: tuple[TokenGrid, ...] | None = None
    mirrored_tokens: tuple[TokenGrid, ...] | None = None
    route: Route | None = None
    command: Tensor | None = None

    def __post_init__(self) -> None:
        batch, frames = lead = tuple(self.timestamp_us.shape)
        if tuple(self.T_global_ego.shape) != (*lead, 4, 4):
            raise ValueError(
                f"T_global_ego must have shape {(*lead, 4, 4)}, as timestamp_us says, "
                f"got {tuple(self.T_global_ego.shape)}"
            )
        if self.T_global_ego.dtype != torch.float64:
            raise ValueError(
                f"T_global_ego must be float64 (global coordinates reach kilometres), got {self.T_global_ego.dtype}"
            )
        for name in ("scene", "sample_token"):
            if len(getattr(self, name)) != batch:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for a batch of {batch}")
        if frames > 1 and not (self.timestamp_us[:, 1:] > self.timestamp_us[:, :-1]).all():
            raise ValueError(f"timestamp_us must increase within a clip, got {self.timestamp_us.tolist()}")
        if (self.occupancy is not None or self.visible is not None) and self.grid is None:
            raise ValueError("occupancy or visible is given without the grid that it lives on")
        for name, dtype in (("occupancy", torch.uint8), ("visible", torch.bool)):
            value = getattr(self, name)
            if value is not None and (tuple(value.shape) != (*lead, *self.grid.shape) or value.dtype != dtype):
                raise ValueError(
                    f"{name} must be {dtype} of shape {(*lead, *self.grid.shape)}, "
                    f"got {value.dtype} of shape {tuple(value.shape)}"
                )
        sizes: dict[str, int] = {}
        for name, tail in _FRAME_SHAPES.items():
            value = getattr(self, name)
            if value is None:
                continue
            shape = tuple(value.shape)
            expected = (
                *lead,
                *(
                    sizes.setdefault(n, shape[i + 2]) if isinstance(n, str) and i + 2 < len(shape) else n
                    for i, n in enumerate(tail)
                ),
            )
            if shape != expected:
                raise ValueError(
                    f"{name} must have shape (B, T, {', '.join(map(str, tail))}) = {expected}, got {shape}"
                )
        self._check_views(sizes.get("V"))
        if self.boxes is not None and tuple(self.boxes.valid.shape[:2]) != lead:
            raise ValueError(f"boxes are of {tuple(self.boxes.valid.shape[:2])} clips and frames, expected {lead}")
        for name in _TOKENS:
            for grid in getattr(self, name) or ():
                if tuple(grid.indices.shape[:2]) != lead:
                    raise ValueError(f"{name} are of {tuple(grid.indices.shape[:2])} clips and frames, expected {lead}")
        if self.route is not None and len(self.route.points) != batch:
            raise ValueError(f"route is of {len(self.route.points)} clips, expected {batch}")

    def _check_views(self, views: int | None) -> None:
        if views != (None if self.cameras is None else len(self.cameras)):
            raise ValueError(f"cameras must name each of the {views or 'no'} views, got {self.cameras}")
        if views is not None and any(getattr(self, name) is None for name in _VIEWS):
            raise ValueError(f"a clip with cameras must have all of {', '.join(_VIEWS)}")
        if self.images is not None and self.images.dtype != torch.uint8:
            raise ValueError(f"images must be uint8, got {self.images.dtype}")

    def times_s(self) -> Tensor:
        """`(B, T)` float64 [s] after the first frame."""
        return (self.timestamp_us - self.timestamp_us[:, :1]).double() / 1e6

    def tokens_of(self, modality: str) -> tuple[TokenGrid, ...]:
        """The tokens of one modality that came with the frames; none if there are none."""
        return tuple(grid for grid in self.tokens or () if grid.spec.modality == modality)

    def __len__(self) -> int:
        return len(self.timestamp_us)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.timestamp_us.shape[1]

    def _map(self, function, **others):
        """A copy with each per-frame tensor replaced by `function(tensor)` and other fields by those given."""
        tensors = {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        changed = {name: function(tensor) for name, tensor in tensors.items() if name not in others}
        changed["boxes"] = None if self.boxes is None else self.boxes.map(function)
        for name in _TOKENS:
            grids = getattr(self, name)
            changed[name] = None if grids is None else tuple(grid.map(function) for grid in grids)
        return replace(self, **(changed | others))

    def select(self, rows: Tensor):
        """The clips `rows (B',)` of the batch, in that order; a clip may be taken more than once."""
        return self._map(
            lambda tensor: tensor[rows],
            scene=tuple(self.scene[i] for i in rows.tolist()),
            sample_token=tuple(self.sample_token[i] for i in rows.tolist()),
            route=None if self.route is None else self.route.select(rows),
            command=None if self.command is None else self.command[rows],
        )

    def to(self, device: torch.device | str):
        """The same on another device."""
        return self._map(lambda tensor: tensor.to(device), route=None if self.route is None else self.route.to(device))


@dataclass(kw_only=True)
class History(_Frames):
    """The observed frames, the last of which is t0: all that a predictor accepts. Fields as in `SceneClip`."""

    def poses_in_t0(self) -> Tensor:
        """`T_t0_ego (B, T, 4, 4)` float32: where each observed frame was, seen from t0."""
        return _poses_in(self.T_global_ego, self.T_global_ego[:, -1:])

    def motion(self) -> tuple[Tensor, Tensor, Tensor]:
        """Forward speed [m/s], yaw rate [rad/s] and forward acceleration [m/s^2] at t0, each `(B,)` float32.

        By finite differences of the last poses; all 0 where one frame was observed, the acceleration also where two
        were.
        """
        zero = torch.zeros(len(self), device=self.T_global_ego.device)
        if self.num_frames < 2:
            return zero, zero, zero
        step = torch.linalg.inv(self.T_global_ego[:, :-1]) @ self.T_global_ego[:, 1:]
        dt_s = (self.timestamp_us[:, 1:] - self.timestamp_us[:, :-1]) / 1e6
        speed = step[..., 0, 3] / dt_s
        yaw_rate = torch.atan2(step[..., 1, 0], step[..., 0, 0]) / dt_s
        acceleration = zero
        if self.num_frames > 2:
            acceleration = (speed[:, -1] - speed[:, -2]) / (0.5 * (dt_s[:, -1] + dt_s[:, -2]))
        return speed[:, -1].float(), yaw_rate[:, -1].float(), acceleration.float()


@dataclass(kw_only=True)
class SceneClip(_Frames):
    """History and future keyframes together: training targets and ground truth.

    Attributes:
        num_history: the first `num_history` frames were observed; the last of these is t0.
        (the others as listed in `_Frames`)
    """

    num_history: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_history <= self.num_frames:
            raise ValueError(
                f"num_history must lie in 1..{self.num_frames} (the clip's frames), got {self.num_history}"
            )

    @property
    def num_future(self) -> int:
        """Number of frames after t0."""
        return self.num_frames - self.num_history

    def history(self) -> History:
        """What was observed up to t0."""
        seen = self._map(lambda tensor: tensor[:, : self.num_history], command=self.command)
        return History(**{f.name: getattr(seen, f.name) for f in fields(History)})

    def with_future(self, frames: int) -> SceneClip:
        """The clip without what comes after its first `frames` future frames."""
        if not 0 <= frames <= self.num_future:
            raise ValueError(f"frames must lie in 0..{self.num_future} (the clip's future), got {frames}")
        if frames == self.num_future:
            return self
        return self._map(lambda tensor: tensor[:, : self.num_history + frames], command=self.command)

    def future_poses(self) -> Tensor:
        """`T_t0_ego (B, F, 4, 4)` float32: where the ego goes, seen from t0. Forecasts are asked for this motion."""
        t0 = self.num_history - 1
        return _poses_in(self.T_global_ego[:, t0 + 1 :], self.T_global_ego[:, t0 : t0 + 1])

    def future_times_s(self) -> Tensor:
        """`(B, F)` float32 [s] after t0, from the timestamps."""
        t0 = self.num_history - 1
        return ((self.timestamp_us[:, t0 + 1 :] - self.timestamp_us[:, t0 : t0 + 1]) / 1e6).float()

    @classmethod
    def cat(cls, clips: list[SceneClip]) -> SceneClip:
        """Clips of equal length as one batch; points, rays and boxes are padded to the largest number."""
        for name in ("num_frames", "num_history", "grid", "cameras"):
            values = {getattr(clip, name) for clip in clips}
            if len(values) != 1:
                raise ValueError(f"clips of one batch must agree in {name}, got {values}")
        merged: dict = {name: getattr(clips[0], name) for name in ("num_history", "grid", "cameras")}
        for f in fields(cls):
            values = [getattr(clip, f.name) for clip in clips]
            if f.name in merged:
                continue
            if any(v is None for v in values):
                if not all(v is None for v in values):
                    raise ValueError(f"clips of one batch must all have {f.name} or all lack it")
                merged[f.name] = None
            elif f.name in _TOKENS:
                merged[f.name] = tuple(TokenGrid.cat(grids) for grids in zip(*values, strict=True))
            elif isinstance(values[0], tuple):
                merged[f.name] = tuple(item for value in values for item in value)
            elif isinstance(values[0], BoxTracks):
                names = [g.name for g in fields(BoxTracks)]
                merged[f.name] = BoxTracks(*(_pad_cat([getattr(v, n) for v in values], axis=2) for n in names))
            elif isinstance(values[0], Route):
                merged[f.name] = Route.cat(values)
            else:
                merged[f.name] = _pad_cat(values, _PADDED[f.name]) if f.name in _PADDED else torch.cat(values)
        return cls(**merged)


def _poses_in(T_global_ego: Tensor, T_global_reference: Tensor) -> Tensor:
    return (torch.linalg.inv(T_global_reference) @ T_global_ego).float()


def _pad_cat(tensors: list[Tensor], axis: int) -> Tensor:
    """Concatenate along the batch after zero-padding `axis` to the longest."""
    longest = max(t.shape[axis] for t in tensors)
    return torch.cat([F.pad(t, [0, 0] * (t.ndim - 1 - axis) + [0, longest - t.shape[axis]]) for t in tensors])

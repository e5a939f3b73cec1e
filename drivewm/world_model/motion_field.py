"""MotionField: where the things seen at t0 will be, cell by cell, from how the observed frames differ."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid, se2
from drivewm.geometry.warp import warp_voxels
from drivewm.layers.conv import ResBlock, downsample, upsample
from drivewm.structures import OCC3D, History, SceneClip
from drivewm.tokenizers.context_decoder import VoxelEmbedding
from drivewm.world_model.thing_velocity import thing_velocity

_NOT_COVERED = OCC3D.num_classes
_MARGIN_M = 0.2
_USUAL_STEP_S = 0.5
_MOVES_SHARE = 0.4
_EPSILON = 1e-6  # a distance of zero has no gradient
_SPEED_MPS = 4.0
"""Brings velocities to order one."""


class MotionField(nn.Module):
    """Displacement of each bird's-eye-view cell at t0 over the coming seconds.

    A small U-Net over the observed frames, brought into the ego frame at t0 so that only what moves by itself differs.
    It is trained on tracked boxes and asked for none. What it learns is how far to believe the velocities that things
    were measured to have, and what to add: where a few cells were half a second ago says how fast somebody walks, which
    a network would have to learn from few examples. The last layer starts at zero: at first all go on as they did.

    Args:
        grid: of the frames.
        horizon_s, step_s: displacements are predicted at `step_s`, `2 step_s` ... `horizon_s` and interpolated.
        frames: the newest observed frames that it looks at.
        label_dim: features a voxel.
        channels: width of each level of the U-Net; each but the first halves the resolution.
        stride: resolution of the field, in voxels.
        measured: begin with the measured velocity of each thing (`thing_velocity`); false: at first nothing moves.
    """

    def __init__(
        self,
        grid: VoxelGrid,
        horizon_s: float = 3.0,
        step_s: float = 0.5,
        frames: int = 3,
        label_dim: int = 4,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        stride: int = 1,
        measured: bool = True,
    ) -> None:
        super().__init__()
        self.grid, self.step_s, self.frames, self.stride, self.measured = grid, step_s, frames, stride, measured
        self.knots = round(horizon_s / step_s)
        self.embedding = VoxelEmbedding(OCC3D.num_classes + 1, label_dim)
        self.per_frame = nn.Conv2d(label_dim * grid.shape[2] * stride**2, channels[0], 1)
        self.enter = nn.Sequential(nn.Conv2d(frames * (channels[0] + 1) + 3, channels[0], 1), ResBlock(channels[0]))
        self.down = nn.ModuleList(
            nn.Sequential(downsample(a, b), ResBlock(b), ResBlock(b))
            for a, b in zip(channels[:-1], channels[1:], strict=True)
        )
        self.up = nn.ModuleList(upsample(b, a) for a, b in zip(channels[:-1], channels[1:], strict=True))
        self.merge = nn.ModuleList(nn.Sequential(nn.Conv2d(2 * a, a, 1), ResBlock(a)) for a in channels[:-1])
        self.leave = nn.Sequential(
            nn.GroupNorm(8, channels[0]), nn.SiLU(), nn.Conv2d(channels[0], 3 * self.knots + 3, 1)
        )
        nn.init.zeros_(self.leave[-1].weight)
        nn.init.zeros_(self.leave[-1].bias)

    def forward(self, history: History) -> Tensor:
        """Displacements `(B, K, 2, H, W)` [m, axes of the ego frame at t0] at the K knots."""
        aligned, ages_s = self._align(history)
        lead, squeeze = aligned.shape[:2], self.per_frame
        features = self.embedding.through(aligned.flatten(0, 1), squeeze.weight, squeeze.bias, self.stride)
        features = features.unflatten(0, lead)
        age = (ages_s / _USUAL_STEP_S)[..., None, None, None].expand(*lead, 1, *features.shape[-2:])
        measured = self.measure(aligned, ages_s)
        told = (measured / measured.new_tensor((_SPEED_MPS, _SPEED_MPS, 1.0))[:, None, None]).to(features)
        x = self.enter(torch.cat([torch.cat([features, age.to(features)], dim=2).flatten(1, 2), told], dim=1))
        levels = []
        for down in self.down:
            levels.append(x)
            x = down(_even(x))
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            skip = levels.pop()
            x = merge(torch.cat([up(x)[..., : skip.shape[-2], : skip.shape[-1]], skip], dim=1))
        out = self.leave(x).float().unflatten(1, (1 + self.knots, 3))
        out = out[:, :1] + out[:, 1:]  # at all times, and what changes
        velocity = measured[:, None, :2] * (1 + out[:, :, :1]) + _SPEED_MPS * out[:, :, 1:]
        return self.step_s * velocity.cumsum(1)

    def measure(self, aligned: Tensor, ages_s: Tensor) -> Tensor:
        """`(B, 3, H, W)`, see `thing_velocity`."""
        if not self.measured:
            return aligned.new_zeros((len(aligned), 3, *self._shape()), dtype=torch.float32)
        return thing_velocity(aligned, ages_s, self.grid.voxel_m, self._shape()[0])

    def _align(self, history: History) -> tuple[Tensor, Tensor]:
        """The newest frames in the ego frame at t0 `(B, M, X, Y, Z)`, and how old they are `(B, M)` [s].

        Where fewer were observed, the oldest stands for those before it.
        """
        number = history.num_frames
        chosen = [max(number - self.frames + m, 0) for m in range(self.frames)]
        frames = history.occupancy[:, chosen]
        warped = warp_voxels(
            frames[:, :-1].flatten(0, 1),
            history.poses_in_t0()[:, chosen[:-1]].flatten(0, 1),
            self.grid,
            _NOT_COVERED,
        ).unflatten(0, (len(history), -1))
        times_s = history.times_s()[:, chosen]
        return torch.cat([warped, frames[:, -1:]], dim=1), (times_s[:, -1:] - times_s).float()

    def moves(self, displacement: Tensor) -> Tensor:
        """Which cells `(B, H, W)` ever go further than a part of a voxel: bool."""
        return displacement.square().sum(2).amax(1) > (_MOVES_SHARE * self.grid.voxel_m) ** 2

    def at(self, displacement: Tensor, times_s: Tensor) -> Tensor:
        """The field `(B, K, 2, H, W)` at times `(B, F)` [s] after t0, up to the last knot: `(B, F, 2, H, W)`."""
        padded = F.pad(displacement, (0, 0, 0, 0, 0, 0, 1, 0))  # no displacement at t0
        place = (times_s / self.step_s).clamp(0, self.knots)
        low = place.floor().long().clamp_max(self.knots - 1)
        rows = torch.arange(len(padded), device=padded.device)[:, None]
        share = (place - low).to(padded)[..., None, None, None]
        return torch.lerp(padded[rows, low], padded[rows, low + 1], share)

    def loss(self, displacement: Tensor, clip: SceneClip) -> Tensor:
        """Mean distance [m] between the field and where the boxes of each clip take its cells, a mean over clips.

        Every box of a clip counts alike at each future frame, however many cells it has; what was not tracked so far
        does not count.
        """
        times_s = clip.future_times_s()
        times_s = times_s[:, times_s[0] <= self.step_s * self.knots + 0.1]
        target, weight = self._targets(clip, times_s.shape[1])
        distance = (self.at(displacement, times_s) - target).square().sum(2).add(_EPSILON).sqrt()
        return ((distance * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)).mean()

    @torch.no_grad()
    def _targets(self, clip: SceneClip, future: int) -> tuple[Tensor, Tensor]:
        """Displacements `(B, F, 2, H, W)` by the boxes that hold the cells at t0, and weights `(B, F, H, W)`."""
        now, cells = clip.num_history - 1, self._centers(clip.timestamp_us.device)
        pose = torch.cat([clip.boxes.center[:, now, :, :2], clip.boxes.yaw[:, now, :, None]], dim=-1)
        usable = clip.boxes.valid[:, now] & torch.isin(clip.boxes.label[:, now], cells.new_tensor(OCC3D.movable).long())
        in_box = se2.transform_points(se2.inverse(pose), cells)  # (B, M, H * W, 2)
        inside = (in_box.abs() <= clip.boxes.size[:, now, :, None, :2] / 2 + _MARGIN_M).all(-1) & usable[..., None]
        owner = inside.byte().argmax(1) if inside.shape[1] else inside.new_zeros(len(clip), len(cells)).long()
        owned = inside.any(1)

        goal, tracked = _boxes_in_t0(clip, now, future)  # (B, F, M, 3), (B, F, M)
        rows = torch.arange(len(clip), device=cells.device)[:, None]
        goal, tracked = goal.transpose(1, 2)[rows, owner], tracked.transpose(1, 2)[rows, owner]  # (B, H * W, F, ...)
        local = in_box[rows, owner, torch.arange(len(cells), device=cells.device)]
        target = se2.transform_points(goal, local[:, :, None, None])[..., 0, :] - cells[:, None]
        number = inside.sum(-1).clamp_min(1)  # cells of each box
        weight = (tracked & owned[..., None]) / number[rows, owner][..., None]
        shape = self._shape()
        return target.permute(0, 2, 3, 1).unflatten(-1, shape), weight.transpose(1, 2).unflatten(-1, shape)

    def _shape(self) -> tuple[int, int]:
        return self.grid.shape[0] // self.stride, self.grid.shape[1] // self.stride

    def _centers(self, device: torch.device) -> Tensor:
        """Centres `(H * W, 2)` [m] of the field's cells."""
        axes = [
            self.grid.origin_m[i] + self.grid.voxel_m * self.stride * (torch.arange(n, device=device) + 0.5)
            for i, n in enumerate(self._shape())
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2).float()


def _boxes_in_t0(clip: SceneClip, now: int, future: int) -> tuple[Tensor, Tensor]:
    """Poses `(B, F, M, 3)` of the boxes of the future frames in the ego frame at t0, and which are valid."""
    frames = slice(now + 1, now + 1 + future)
    pose = torch.cat([clip.boxes.center[:, frames, :, :2], clip.boxes.yaw[:, frames, :, None]], dim=-1)
    T_t0_ego = se2.from_matrix(clip.future_poses()[:, :future])[:, :, None]
    return se2.compose(T_t0_ego, pose), clip.boxes.valid[:, frames]


def _even(x: Tensor) -> Tensor:
    """Padded to even height and width, so that it can be halved."""
    return F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))

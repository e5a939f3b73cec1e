"""Mirrored and turned clips, and clips on hills: other scenes, as good as those recorded."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points
from drivewm.geometry.warp import warp_voxels
from drivewm.structures import OCC3D, BoxTracks, Command, SceneClip, TokenGrid

_SIDES = {"LEFT": "RIGHT", "RIGHT": "LEFT", "left": "right", "right": "left"}
_SWAPPED = {Command.LEFT: Command.RIGHT, Command.RIGHT: Command.LEFT}


def mirror(clip: SceneClip, rows: Tensor) -> SceneClip:
    """Some clips with left and right exchanged (y -> -y in every ego frame): people drive on the other side there.

    The global frame is mirrored as well, so poses stay rigid motions, but no longer lie on the map. Tokens become those
    of the mirrored frames, and None if these are not at hand. The view of a camera on the left becomes that of its
    counterpart on the right, by their names.

    Args:
        clip: B clips.
        rows: `(B,)` bool, which of them.

    Raises:
        ValueError: the clip's grid does not reach as far to the right as to the left, or a camera on one side has no
            counterpart on the other.
    """
    if clip.grid is not None and not is_mirrorable(clip.grid):
        raise ValueError(f"only a grid with equal reach to both sides can be mirrored, got y in {clip.grid.range_m}")

    def chosen(changed: Tensor, before: Tensor) -> Tensor:
        return torch.where(rows.view(-1, *[1] * (before.ndim - 1)), changed, before)

    def apply(function, *names: str) -> dict[str, Tensor]:
        present = {name: value for name in names if (value := getattr(clip, name)) is not None}
        return {name: chosen(function(value), value) for name, value in present.items()}

    changed: dict = apply(_mirror_pose, "T_global_ego", "T_ego_lidar")
    changed |= apply(_negate_y, "points", "ray_directions")
    changed |= apply(lambda voxels: voxels.flip(3), "occupancy", "visible")
    changed |= apply(_swap_sides, "command")
    if clip.cameras is not None:
        order, width = mirrored_order(clip.cameras), clip.images.shape[-1]
        changed |= apply(lambda images: images[:, :, order].flip(-1), "images")
        changed |= apply(lambda valid: valid[:, :, order], "images_valid")
        changed |= apply(lambda K: _mirror_intrinsics(K[:, :, order], width), "K")
        changed |= apply(lambda T: _mirror_pose(T[:, :, order], axis=0), "T_ego_cam")
    changed |= {"tokens": None, "mirrored_tokens": None}
    if clip.tokens is not None and clip.mirrored_tokens is not None:
        pairs = list(zip(clip.tokens, clip.mirrored_tokens, strict=True))
        changed["tokens"] = tuple(TokenGrid(chosen(m.indices, t.indices), t.spec) for t, m in pairs)
        changed["mirrored_tokens"] = tuple(TokenGrid(chosen(t.indices, m.indices), t.spec) for t, m in pairs)
    if clip.boxes is not None:
        b = clip.boxes
        mirrored = replace(b, center=_negate_y(b.center), yaw=-b.yaw, velocity=_negate_y(b.velocity))
        changed["boxes"] = BoxTracks(*map(chosen, vars(mirrored).values(), vars(b).values()))
    if clip.route is not None:
        changed["route"] = replace(clip.route, points=chosen(_negate_y(clip.route.points), clip.route.points))
    return replace(clip, **changed)


def turn(clip: SceneClip, yaw: Tensor) -> SceneClip:
    """Clips whose contents stand turned about the ego's vertical axis, in all frames of a clip alike.

    Relative poses turn with them: the ego drives, as it were, askew to its x axis. That is another example to one who
    forecasts occupancy, but not to a planner, who takes its motion to be along x. Multiples of 90 degrees are exact on
    square grids; otherwise voxels are those nearest, and what comes from outside is free and not visible. Tokens are
    dropped: they are of the frames as they were.

    Args:
        clip: B clips.
        yaw: `(B,)` [rad] to the left.
    """
    T_new_old = _yaw_matrix(yaw.double())

    def rotate(vectors: Tensor) -> Tensor:
        """Vectors `(B, ..., D)`, of which x and y turn."""
        R = T_new_old[:, :2, :2].to(vectors.dtype)
        planar = torch.einsum("bij,b...j->b...i", R, vectors[..., :2])
        return torch.cat([planar, vectors[..., 2:]], dim=-1)

    def lead(T_old_sensor: Tensor) -> Tensor:
        return T_new_old.to(T_old_sensor.dtype).view(-1, *[1] * (T_old_sensor.ndim - 3), 4, 4) @ T_old_sensor

    changed: dict = {"tokens": None, "mirrored_tokens": None}
    changed["T_global_ego"] = clip.T_global_ego @ torch.linalg.inv(T_new_old)[:, None]
    for name, function in {"points": rotate, "T_ego_lidar": lead, "T_ego_cam": lead}.items():
        if (value := getattr(clip, name)) is not None:
            changed[name] = function(value)
    for name, outside in {"occupancy": OCC3D.free, "visible": False}.items():
        if (value := getattr(clip, name)) is not None:  # one frame of all clips at a time: resampling takes memory
            frames = [warp_voxels(frame, T_new_old, clip.grid, outside) for frame in value.unbind(1)]
            changed[name] = torch.stack(frames, dim=1)
    if clip.boxes is not None:
        b = clip.boxes
        changed["boxes"] = replace(
            b,
            center=rotate(b.center),
            yaw=b.yaw + yaw.to(b.yaw.dtype)[:, None, None],
            velocity=rotate(b.velocity),
        )
    if clip.route is not None:
        changed["route"] = replace(clip.route, points=rotate(clip.route.points))
    return replace(clip, **changed)


def on_hills(clip: SceneClip, waves: Tensor) -> SceneClip:
    """Clips whose ground, with all that stands on it, rises and falls in waves; the same place alike in all frames.

    The ego is as high above the ground as before, and does not tilt. Tokens are dropped: they are of flat frames.

    Args:
        clip: B clips without occupancy and cameras, whose voxels and pictures would have to be bent too.
        waves: `(B, K, 4)`: height [m], wave vector [rad/m] in x and y of the first ego frame, phase [rad].
    """
    if any(getattr(clip, name) is not None for name in ("occupancy", "images", "ray_directions")):
        raise ValueError(f"voxels, pictures and rays cannot be put on hills (scene {clip.scene[0]})")
    T_first_ego = torch.linalg.inv(clip.T_global_ego[:, :1]) @ clip.T_global_ego

    def height(xy: Tensor) -> Tensor:
        """Of the ground [m] at `xy (B, T, N, 2)` of the first ego frame: `(B, T, N)`."""
        waves_at = waves[:, None, None].to(xy)
        angle = waves_at[..., 1] * xy[..., :1] + waves_at[..., 2] * xy[..., 1:] + waves_at[..., 3]
        return (waves_at[..., 0] * angle.sin()).sum(-1)

    below_ego = height(T_first_ego[:, :, None, :2, 3])

    def raised(points: Tensor) -> Tensor:
        """Points `(B, T, N, 3 + C)` of the ego frames."""
        T = T_first_ego.to(points.dtype)
        rise = height(transform_points(T, points[..., :3])[..., :2]) - below_ego.to(points.dtype)
        up = T[:, :, None, 2, :3]  # of the first ego frame, as seen in each
        return torch.cat([points[..., :3] + rise[..., None] * up, points[..., 3:]], dim=-1)

    lifted = T_first_ego.clone()
    lifted[..., 2, 3] += below_ego[..., 0]
    changed: dict = {"T_global_ego": clip.T_global_ego[:, :1] @ lifted, "tokens": None, "mirrored_tokens": None}
    if clip.points is not None:
        changed["points"] = raised(clip.points)
    if clip.boxes is not None:
        changed["boxes"] = replace(clip.boxes, center=raised(clip.boxes.center))
    return replace(clip, **changed)


def random_waves(uniform: Tensor, height_m: float) -> Tensor:
    """Waves for `on_hills` from numbers in [0, 1), `(B, K, 4)`: in any direction, 30 to 120 m long."""
    height, length, direction, phase = uniform.unbind(-1)
    number = 2 * math.pi / (30 * 4**length)
    direction, phase = 2 * math.pi * direction, 2 * math.pi * phase
    return torch.stack([height_m * height, number * direction.cos(), number * direction.sin(), phase], dim=-1)


def is_mirrorable(grid: VoxelGrid) -> bool:
    """Does the grid reach as far to the right as to the left?"""
    return grid.range_m[1] == -grid.range_m[4]


def _negate_y(vectors: Tensor) -> Tensor:
    """Vectors `(..., D)` with the other sign of y."""
    return torch.cat([vectors[..., :1], -vectors[..., 1:2], vectors[..., 2:]], dim=-1)


def _mirror_pose(T: Tensor, axis: int = 1) -> Tensor:
    """Poses `(..., 4, 4)` between frames of which the first is mirrored along y and the second along its own `axis`."""
    sign, own = T.new_ones(2, 4)
    sign[1], own[axis] = -1, -1
    return sign[:, None] * T * own


def has_both_sides(cameras: Sequence[str]) -> bool:
    """Can a rig be mirrored: has each camera on one side a counterpart on the other?"""
    try:
        mirrored_order(cameras)
    except ValueError:
        return False
    return True


def mirrored_order(cameras: Sequence[str]) -> list[int]:
    """Which of the cameras stands, once mirrored, for each of them: the one of the other side, by its name.

    Raises ValueError where there is none.
    """
    others = [re.sub("|".join(_SIDES), lambda side: _SIDES[side[0]], camera) for camera in cameras]
    for camera, other in zip(cameras, others, strict=True):
        if other not in cameras:
            raise ValueError(f"clips with {camera} but without {other} cannot be mirrored, got {', '.join(cameras)}")
    return [cameras.index(other) for other in others]


def _mirror_intrinsics(K: Tensor, width: int) -> Tensor:
    """`K (..., 3, 3)` of pictures of that width, mirrored with the x axis of their cameras."""
    K = K.clone()
    K[..., 0, 1] = -K[..., 0, 1]
    K[..., 0, 2] = width - K[..., 0, 2]
    return K


def _swap_sides(command: Tensor) -> Tensor:
    swapped = command.clone()
    for side, other in _SWAPPED.items():
        swapped[command == side] = other
    return swapped


def _yaw_matrix(yaw: Tensor) -> Tensor:
    """`T (B, 4, 4)` that turns by yaw `(B,)` about z."""
    T = torch.eye(4, dtype=yaw.dtype, device=yaw.device).repeat(len(yaw), 1, 1)
    T[:, 0, 0] = T[:, 1, 1] = yaw.cos()
    T[:, 1, 0] = yaw.sin()
    T[:, 0, 1] = -yaw.sin()
    return T

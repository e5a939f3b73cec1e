"""Perspective pictures of occupancy, ray traced on the CPU: no display, no GPU and no viewer needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from drivewm.geometry.raycast import cast_rays
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures import OCC3D, LabelSet
from drivewm.visualization.bev import EGO_CENTER_AHEAD_M, EGO_SIZE_M
from drivewm.visualization.canvas import EGO, PLAN, TRUTH

_SUN = np.array([-0.42, 0.50, 0.76]) / np.linalg.norm([-0.42, 0.50, 0.76])
_SKY_TOP, _SKY_LOW, _PLATE = np.array([222.0, 231, 240]), np.array([249.0, 250, 251]), np.array([226.0, 229, 233])
# Light on the faces across x, y and z, for the lower and the upper side of each.
_FACE_LIGHT = np.array([[0.86, 0.70], [0.66, 0.90], [0.50, 1.06]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at `eye_m` that looks at `target_m` (the grid's frame); `fov_deg` is the horizontal opening."""

    eye_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    fov_deg: float = 50.0

    @classmethod
    def behind_ego(cls, grid: VoxelGrid) -> Camera:
        """Behind and above the ego, a little to its left, so that most of the grid is in the picture."""
        reach = grid.range_m[3]
        return cls((-1.25 * reach, 0.40 * reach, 1.10 * reach), (0.08 * reach, -0.02 * reach, 0.0))

    def rays(self, width: int, height: int) -> np.ndarray:
        """Unit directions `(height * width, 3)` through the pixels' centres, row by row."""
        forward = np.subtract(self.target_m, self.eye_m)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        half = np.tan(np.deg2rad(self.fov_deg) / 2)
        u = (2 * (np.arange(width) + 0.5) / width - 1) * half
        v = (1 - 2 * (np.arange(height) + 0.5) / height) * half * height / width
        rays = forward + u[None, :, None] * right + v[:, None, None] * up
        return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3)


def draw_voxels(
    occupancy: np.ndarray,
    grid: VoxelGrid,
    *,
    camera: Camera | None = None,
    size: tuple[int, int] = (640, 400),
    trajectories: dict[str, np.ndarray] | None = None,
    show_ego: bool = True,
    supersampling: int = 2,
    labels: LabelSet = OCC3D,
) -> np.ndarray:
    """A perspective picture of the voxels, with sun, shadows and haze.

    Args:
        occupancy: `(X, Y, Z)` uint8 in the ego frame.
        grid: where the voxels are.
        camera: where to look from; behind the ego by default.
        size: width and height [pixel].
        trajectories: poses `(F, 2 | 3)` [m] by name, painted on the ground; "truth" is dark, others magenta.
        show_ego: put a car where the ego is.
        supersampling: rays a pixel along each axis.

    Returns:
        `(H, W, 3)` uint8.
    """
    if occupancy.shape != grid.shape:
        raise ValueError(f"occupancy has shape {occupancy.shape}, but the grid has {grid.shape} voxels")
    camera = camera or Camera.behind_ego(grid)
    width, height = size[0] * supersampling, size[1] * supersampling
    eye, rays = np.asarray(camera.eye_m, np.float64), camera.rays(width, height)
    occupied = occupancy != labels.free
    depth, index = cast_rays(occupied, grid, eye, rays)

    image = _background(rays)
    depth = _add_plate(image, depth, index, grid, eye, rays)
    hit = np.flatnonzero(index[:, 0] >= 0)
    points = eye + rays[hit] * depth[hit, None]
    colors, face = _shade(occupancy, index[hit], points, rays[hit], depth[hit], grid, labels)
    colors *= _shadow(occupied, grid, points, face, _leaders(index, hit, width, supersampling))[:, None]
    for name, poses in (trajectories or {}).items():
        _paint_path(colors, points, face, np.asarray(poses, np.float64), TRUTH if name == "truth" else PLAN)
    image[hit] = colors
    if show_ego:
        _add_ego(image, depth, eye, rays)
    _haze(image, depth, grid)
    picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8).reshape(height, width, 3))
    return np.array(picture.reduce(supersampling) if supersampling > 1 else picture)


def _background(rays: np.ndarray) -> np.ndarray:
    """Sky: paler towards the horizon."""
    share = np.clip(0.5 + 1.6 * rays[:, 2:], 0.0, 1.0)
    return _SKY_LOW * (1 - share) + _SKY_TOP * share


def _add_plate(image, depth, index, grid, eye, rays) -> np.ndarray:
    """A plate under the grid, so that holes in the ground are seen as holes; returns depths with it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (grid.range_m[2] - eye[2]) / rays[:, 2]
    plate = (distance > 0) & (index[:, 0] < 0)
    for axis in range(2):
        at = eye[axis] + rays[:, axis] * distance
        plate &= (at >= grid.range_m[axis]) & (at < grid.range_m[axis + 3])
    image[plate] = _PLATE
    return np.where(plate, distance, depth)


def _shade(occupancy, index, points, rays, depth, grid, labels) -> tuple[np.ndarray, np.ndarray]:
    """Colours `(R, 3)` of the faces hit, with light, edges and darker inner corners; and their normals `(R, 3)`."""
    local = np.clip((points - grid.origin_m) / grid.voxel_m - index, 0.0, 1.0)
    rows = np.arange(len(index))
    x, y, z = np.where(rays > 0, local, np.where(rays < 0, 1 - local, np.inf)).T
    axis = np.where(x <= y, np.where(x <= z, 0, 2), np.where(y <= z, 1, 2))
    upper = (rays[rows, axis] < 0).astype(np.int64)
    normal = np.zeros((len(index), 3), np.int64)
    normal[rows, axis] = 2 * upper - 1

    colors = labels.palette[occupancy[tuple(index.T)]].astype(np.float64)
    colors *= _FACE_LIGHT[axis, upper][:, None]
    colors *= _corner_light(occupancy != labels.free, index, normal, axis, local)[:, None]

    # Voxel edges: a thin darker line that fades where voxels become smaller than a few pixels.
    along, across = local[rows, (axis + 1) % 3], local[rows, (axis + 2) % 3]
    border = np.minimum(np.minimum(along, 1 - along), np.minimum(across, 1 - across))
    fade = np.clip(1.5 - depth * 0.012 / grid.voxel_m, 0.15, 1.0)
    colors *= (1 - 0.16 * fade * (border < 0.05))[:, None]
    return colors, normal


def _corner_light(occupied, index, normal, axis, local) -> np.ndarray:
    """Ambient light `(R,)`: less of it next to neighbours that stand out of the face."""
    padded = np.pad(occupied, 1)
    strides = np.array(padded.strides) // padded.itemsize
    front = (index + normal + 1) @ strides  # the cell before the face, in the flattened grid
    padded = padded.reshape(-1)
    rows = np.arange(len(index))
    light = np.ones(len(index))
    for turn in (1, 2):
        side = (axis + turn) % 3
        offset, place = strides[side], local[rows, side]
        for neighbour, distance in ((front - offset, place), (front + offset, 1 - place)):
            light -= 0.30 * padded[neighbour] * (1 - distance) ** 2
    return np.clip(light, 0.5, 1.0)


def _leaders(index, hit, width, supersampling) -> np.ndarray:
    """For each hit (its number in `hit`) another one of the same pixel and voxel whose shadow it shares: `(R,)`."""
    number = np.full(len(index), -1)
    number[hit] = np.arange(len(hit))
    row, column = hit // width, hit % width
    first = (row - row % supersampling) * width + column - column % supersampling
    shared = (number[first] >= 0) & (index[first] == index[hit]).all(-1)
    return np.where(shared, number[first], np.arange(len(hit)))


def _shadow(occupied, grid, points, normal, leader) -> np.ndarray:
    """Light `(R,)` left where another voxel stands between a point and the sun."""
    light = np.full(len(points), 0.80)
    lit = np.flatnonzero((normal @ _SUN > 0) & (leader == np.arange(len(leader))))
    origins = points[lit] + normal[lit] * (0.02 * grid.voxel_m)
    depth, _ = cast_rays(occupied, grid, origins, np.broadcast_to(_SUN, origins.shape))
    light[lit] = np.where(np.isfinite(depth), 0.66, 1.0)
    follows = (normal[leader] == normal).all(-1)
    return np.where(follows, light[leader], light)


def _paint_path(colors, points, normal, poses, color) -> None:
    """Colour the ground within 0.35 m of a path."""
    path = np.concatenate([np.zeros((1, 2)), poses[:, :2]])
    low, high = path.min(0) - 1, path.max(0) + 1
    ground = (normal[:, 2] > 0) & (points[:, 2] < 1.0) & (points[:, :2] > low).all(-1) & (points[:, :2] < high).all(-1)
    near = np.flatnonzero(ground)
    distance = np.full(len(near), np.inf)
    for start, end in zip(path[:-1], path[1:], strict=True):
        step = end - start
        share = np.clip((points[near, :2] - start) @ step / max(step @ step, 1e-9), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(start + share[:, None] * step - points[near, :2], axis=-1))
    painted = near[distance < 0.35]
    colors[painted] = 0.25 * colors[painted] + 0.75 * np.array(color, np.float64)


def _add_ego(image, depth, eye, rays) -> None:
    """A car body and a cabin as two boxes at the ego's place, in front of what they cover."""
    length, width, height = EGO_SIZE_M
    shift = np.array([EGO_CENTER_AHEAD_M, 0.0, 0.0])
    toward = shift + (0, 0, height / 2) - eye
    distance = np.linalg.norm(toward)
    near_ego = np.flatnonzero(rays @ (toward / distance) > np.cos(np.arctan2(length, distance)))
    rays = rays[near_ego]
    body = ((-length / 2, -width / 2, 0.25), (length / 2, width / 2, 0.62 * height))
    cabin = ((-0.36 * length, -0.42 * width, 0.62 * height), (0.16 * length, 0.42 * width, height))
    for (low, high), color in ((body, EGO), (cabin, (150, 182, 204))):
        with np.errstate(divide="ignore"):
            a, b = ((np.asarray(corner) + shift - eye) / rays for corner in (low, high))
        near, far = np.minimum(a, b), np.maximum(a, b).min(-1)
        axis, enter = near.argmax(-1), near.max(-1)
        seen = np.flatnonzero((enter < far) & (enter > 0) & (enter < depth[near_ego]))
        light = _FACE_LIGHT[axis[seen], (rays[seen, axis[seen]] < 0).astype(int)]
        image[near_ego[seen]] = np.array(color, np.float64) * (0.55 + 0.75 * light[:, None])
        depth[near_ego[seen]] = enter[seen]


def _haze(image, depth, grid) -> None:
    """Far things are a little paler: the eye reads it as distance."""
    reach = 3.2 * float(np.abs(grid.range_m[3]))
    share = np.where(np.isfinite(depth), 0.42 * np.clip((depth / reach - 0.35) / 0.65, 0.0, 1.0), 0.0)[:, None]
    image += share * (_SKY_LOW - image)

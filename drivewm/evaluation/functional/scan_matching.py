"""Where did the ego go from one occupancy frame to the next? Found from what stands still, and from nothing else.

Seen from above, each column of a frame has a class: of the static structure that stands in it, else of its ground.
Columns with something movable in them, or with nothing at all, say nothing. Two such maps are registered, first as in
correlative scan matching (Olson, 2009), then on smooth maps with Newton's method, as in the normal distributions
transform (Biber and Strasser, 2003):

1. for each of several yaws, the share of columns with different classes under each shift by whole cells, by one
   correlation in the frequency domain;
2. from the best few guesses, Gauss-Newton on the maps smoothed by about a cell, with Geman and McClure's robust weight.

It is told nothing of the motion. Along a street whose sides do not change the way ahead cannot be seen: `margin` says
how much worse the best place elsewhere explains the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from drivewm.evaluation.functional import _scan_kernels
from drivewm.geometry import VoxelGrid, se2
from drivewm.structures import OCC3D, LabelSet

UNKNOWN = 255
"""Code of columns that say nothing."""
REACH_M, REACH_RAD = 9.0, 0.4
"""Largest motion that is looked for: ahead or to the side, and turned."""
_SLACK_M, _SLACK_RAD = 1.0, 0.1
_YAW_STEP, _GUESSES, _ITERATIONS = 0.05, 3, 12
_SMOOTH_CELLS, _SCALE = 1.0, 0.5
"""Edges in the labels jump by whole cells. What that makes must not be taken for outliers, or the pose sticks to whole
cells: the scale is not small against 2, the squared difference of a column of another class."""
_ELSEWHERE_M, _LEAST_OVERLAP = 2.0, 0.3


@dataclass(frozen=True)
class ScanMatch:
    """How one frame was registered to another.

    Attributes:
        T_a_b: `(3,)` x, y [m], yaw [rad]: where the ego of frame b is, seen from that of frame a.
        agreement: share of the columns known in both whose classes agree.
        margin: how much smaller that share is in the best place more than 2 m away, in [0, 1]; NaN without any.
        overlap: share of the columns known in b that are known in a too.
    """

    T_a_b: np.ndarray
    agreement: float
    margin: float
    overlap: float


def column_classes(frame: np.ndarray, labels: LabelSet = OCC3D) -> np.ndarray:
    """Static class of each column, from above.

    Args:
        frame: `(..., X, Y, Z)` uint8 classes.

    Returns:
        `(..., X, Y)` uint8: the class of the highest static structure, of the ground where there is none, `UNKNOWN`
        where something movable hides it or all is free.
    """
    structures = [c for c in labels.occupied if c not in (*labels.movable, *labels.ground)]
    rank = np.zeros(256, np.uint8)
    rank[list(labels.ground)], rank[structures], rank[list(labels.movable)] = 1, 2, 3
    ranks = rank[frame]
    best = ranks.max(-1)
    top = frame.shape[-1] - 1 - (ranks == best[..., None])[..., ::-1].argmax(-1)
    classes = np.take_along_axis(frame, top[..., None], axis=-1)[..., 0]
    return np.where((best == 1) | (best == 2), classes, UNKNOWN).astype(np.uint8)


def match_frames(a: np.ndarray, b: np.ndarray, grid: VoxelGrid, labels: LabelSet = OCC3D) -> ScanMatch:
    """The planar motion from frame a to frame b, both `(X, Y, Z)` uint8 in their own ego frames; see `match_maps`."""
    return match_maps(column_classes(a, labels), column_classes(b, labels), grid)


def match_maps(a: np.ndarray, b: np.ndarray, grid: VoxelGrid) -> ScanMatch:
    """The planar motion between two maps of column classes.

    Args:
        a, b: `(X, Y)` uint8, as from `column_classes`; `UNKNOWN` columns are left out.
        grid: of both.

    Returns:
        the match; NaN where the maps have too little in common, or fit best beyond what is looked for.
    """
    for name, classes in (("a", a), ("b", b)):
        if classes.shape != grid.shape[:2]:
            raise ValueError(f"map {name} has shape {classes.shape}, but the grid has columns {grid.shape[:2]}")
    present = [c for c in np.unique(np.concatenate([a.ravel(), b.ravel()])) if c != UNKNOWN]
    failed = ScanMatch(np.full(3, np.nan), np.nan, np.nan, 0.0)
    if not present or not (a != UNKNOWN).any() or not (b != UNKNOWN).any():
        return failed
    yaws, shifts, differ = _coarse(a, b, present, grid)
    guesses = _best_apart(yaws, shifts, differ, grid)
    if not guesses:
        return failed
    smooth_a, seen_a = _smoothed(a, present)
    smooth_b, seen_b = _smoothed(b, present)
    refined = [_refine(smooth_a, smooth_b, seen_a, seen_b, guess, grid) for guess in guesses]
    best = min(range(len(refined)), key=lambda i: refined[i][1])
    pose = refined[best][0]
    if np.abs(pose[:2]).max() > REACH_M + _SLACK_M or abs(pose[2]) > REACH_RAD + _SLACK_RAD:
        return failed
    agreement, overlap = _agreement(a, b, pose, grid)
    margin = _margin(yaws, shifts, differ, pose)
    return ScanMatch(pose, agreement, margin, overlap)


def match_sequence(maps: np.ndarray, grid: VoxelGrid) -> tuple[np.ndarray, list[ScanMatch]]:
    """The motion along maps `(F + 1, X, Y)`, each registered to the one before.

    Returns:
        poses `(F, 3)` of frames 1 to F in frame 0, NaN from the first step that failed on, and the F matches.
    """
    matches = [match_maps(a, b, grid) for a, b in zip(maps, maps[1:], strict=False)]
    poses, pose = [], np.zeros(3)
    for match in matches:
        pose = se2.compose(pose, match.T_a_b)
        poses.append(pose)
    return np.array(poses).reshape(-1, 3), matches


def _coarse(a, b, present, grid):
    """Share of differing columns `(K, U, V)` for K yaws and shifts by whole cells; and those yaws and shifts [m].

    Where frame b is turned by a yaw and then shifted by s cells of its own, its cell u looks at cell u + s of the map
    a, turned to b's directions. So one turned map serves all shifts.
    """
    reach = int(np.ceil(REACH_M / grid.voxel_m))
    yaws = np.arange(-np.ceil(REACH_RAD / _YAW_STEP), np.ceil(REACH_RAD / _YAW_STEP) + 1) * _YAW_STEP
    x, y = a.shape
    size = tuple(fft.next_fast_len(n + 2 * reach, real=True) for n in (x, y))  # no shift wraps around
    turned = _turned_maps(a, yaws, reach, grid)
    classes = np.array(present, np.uint8)[:, None, None]
    spectrum_b = np.conj(fft.rfft2((b == classes).astype(np.float32), size))
    seen_b = np.conj(fft.rfft2((b != UNKNOWN).astype(np.float32), size))
    spectrum_a = fft.rfft2((turned[:, None] == classes).astype(np.float32), size)
    seen_a = fft.rfft2((turned != UNKNOWN).astype(np.float32), size)
    window = slice(0, 2 * reach + 1)
    same = fft.irfft2((spectrum_a * spectrum_b).sum(1), size)[:, window, window]
    both = fft.irfft2(seen_a * seen_b, size)[:, window, window]
    enough = both >= _LEAST_OVERLAP * max(1, min((a != UNKNOWN).sum(), (b != UNKNOWN).sum()))
    differ = np.where(enough, 1 - same / np.maximum(both, 1), np.inf)
    return yaws, (np.arange(2 * reach + 1) - reach) * grid.voxel_m, differ


@lru_cache(maxsize=8)
def _turned_cells(yaws: tuple, reach: int, grid: VoxelGrid):
    """For each yaw, at which cell of a map each cell of the turned map looks; that is wider by `reach` on each side."""
    x, y, _ = grid.shape
    ahead, left = (grid.origin_m[k] + (np.arange(-reach, n + reach) + 0.5) * grid.voxel_m for k, n in enumerate((x, y)))
    points = np.stack(np.meshgrid(ahead, left, indexing="ij"), -1).reshape(-1, 2)
    poses = np.array([[0.0, 0.0, yaw] for yaw in yaws])
    cells = np.floor((se2.transform_points(poses, points[None]) - grid.origin_m[:2]) / grid.voxel_m + 1e-6).astype(int)
    inside = ((cells >= 0) & (cells < (x, y))).all(-1)
    flat = np.where(inside, cells[..., 0] * y + cells[..., 1], x * y)
    return flat.reshape(len(yaws), x + 2 * reach, y + 2 * reach)


def _turned_maps(a, yaws, reach, grid):
    return np.append(a.ravel(), np.uint8(UNKNOWN))[_turned_cells(tuple(yaws), reach, grid)]


def _best_apart(yaws, shifts, differ, grid):
    """The best guesses `(3,)` that lie apart from each other, the best first."""
    differ, guesses = differ.copy(), []
    while len(guesses) < _GUESSES:
        k, u, v = np.unravel_index(differ.argmin(), differ.shape)
        if not np.isfinite(differ[k, u, v]):
            break
        guesses.append(_pose_of(yaws[k], shifts[u], shifts[v]))
        near_u, near_v = np.abs(shifts - shifts[u]) < _ELSEWHERE_M, np.abs(shifts - shifts[v]) < _ELSEWHERE_M
        differ[:, near_u[:, None] & near_v] = np.inf
    return guesses


def _pose_of(yaw, along, across):
    """Pose of a frame that is turned by a yaw and shifted in its own directions [m]."""
    return se2.compose(np.array([0.0, 0.0, yaw]), np.array([along, across, 0.0]))


def _smoothed(classes, present):
    """One smooth map a class `(C, X, Y)`, as if unknown columns were like those around, and where columns are known."""
    known = (classes != UNKNOWN).astype(np.float64)
    weight = gaussian_filter(known, _SMOOTH_CELLS, mode="constant")
    one_hot = (classes == np.array(present, np.uint8)[:, None, None]).astype(np.float64)
    smooth = gaussian_filter(one_hot, (0, _SMOOTH_CELLS, _SMOOTH_CELLS), mode="constant")
    return smooth / np.maximum(weight, 1e-6), known


def _refine(source, target, seen_a, seen_b, guess, grid):
    """Gauss-Newton from a guess `(3,)`: the pose and the mean robust cost."""
    ahead, left = ((grid.origin_m[k] / grid.voxel_m + np.arange(n) + 0.5) for k, n in enumerate(grid.shape[:2]))
    turn = float(np.hypot(np.abs(ahead).max(), np.abs(left).max()) / 2)
    pose = np.array([guess[0] / grid.voxel_m, guess[1] / grid.voxel_m, guess[2]])
    last = (np.inf, pose)
    for _ in range(_ITERATIONS):
        system, vector, cost, total = _scan_kernels.normal_equations(
            source, target, seen_a, ahead, left, seen_b, pose, turn, _SCALE
        )
        if total <= 0:
            break
        last = min(last, (cost / total, pose), key=lambda found: found[0])
        system = system + 1e-3 * np.trace(system) * np.eye(3) / 3 + 1e-9 * np.eye(3)
        step = -np.linalg.solve(system, vector)
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        pose = pose + np.array([step[0], step[1], step[2] / turn])
        if np.abs(step).max() < 1e-3:
            break
    pose = last[1]
    return np.array([pose[0] * grid.voxel_m, pose[1] * grid.voxel_m, se2.wrap_angle(pose[2])]), last[0]


def normal_equations_reference(source, target, seen, ahead, left, weight, pose, turn, scale):
    """The readable twin of `_scan_kernels.normal_equations`, in array arithmetic.

    Args:
        source, target: smooth maps `(C, X, Y)` of frames a and b.
        seen, weight: `(X, Y)`, where a and b are known.
        ahead, left: `(X,)` and `(Y,)` centres of the columns, in cells from the ego.
        pose: `(3,)` x, y in cells, yaw [rad].
        turn: so many cells of motion far out make one unit of yaw in the system.
        scale: s of Geman and McClure's cost e^2 / (s + e^2).

    Returns:
        system `(3, 3)`, vector `(3,)`, the summed cost and over how many columns.
    """
    x, y = (part.ravel() for part in np.meshgrid(ahead, left, indexing="ij"))
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    at = np.stack([pose[0] + cos * x - sin * y - ahead[0], pose[1] + sin * x + cos * y - left[0]])
    a, b = np.floor(at).astype(int)
    inside = (weight.ravel() > 0) & (a >= 0) & (b >= 0) & (a + 1 < len(ahead)) & (b + 1 < len(left))
    x, y, a, b, (p, q) = x[inside], y[inside], a[inside], b[inside], (at - np.floor(at))[:, inside]
    corners = [(a, b), (a, b + 1), (a + 1, b), (a + 1, b + 1)]
    s00, s01, s10, s11 = (source[:, i, j] for i, j in corners)
    known = weight.ravel()[inside] * np.min([seen[i, j] for i, j in corners], axis=0)
    value = (1 - p) * ((1 - q) * s00 + q * s01) + p * ((1 - q) * s10 + q * s11)
    error = value - target.reshape(len(target), -1)[:, inside]
    along = (1 - q) * (s10 - s00) + q * (s11 - s01)
    across = (1 - p) * (s01 - s00) + p * (s11 - s10)
    turned = along * (-sin * x - cos * y) / turn + across * (cos * x - sin * y) / turn
    jacobian = np.stack([along, across, turned])
    square = (error**2).sum(0)
    w = known * (scale / (scale + square)) ** 2
    system = np.einsum("icn,jcn,n->ij", jacobian, jacobian, w)
    vector = np.einsum("icn,cn,n->i", jacobian, error, w)
    return system, vector, float((known * square / (scale + square)).sum()), float(known.sum())


def _agreement(a, b, pose, grid):
    x, y = b.shape
    centers = grid.centers()[:, :, 0, :2].reshape(-1, 2)
    cells = np.floor((se2.transform_points(pose, centers) - grid.origin_m[:2]) / grid.voxel_m).astype(int)
    inside = ((cells >= 0) & (cells < (x, y))).all(-1)
    cells = np.where(inside[:, None], cells, 0)
    found = np.where(inside, a[cells[:, 0], cells[:, 1]], UNKNOWN).reshape(x, y)
    both = (found != UNKNOWN) & (b != UNKNOWN)
    return float((found == b)[both].mean()) if both.any() else np.nan, float(both.sum() / max(1, (b != UNKNOWN).sum()))


def _margin(yaws, shifts, differ, pose):
    """How much more columns differ, at best, in a place more than `_ELSEWHERE_M` from the pose than near it."""
    own = se2.transform_points(np.array([0.0, 0.0, -1.0]) * pose[2], pose[None, :2])[0]
    away = np.hypot(shifts[:, None] - own[0], shifts - own[1])
    there = differ[:, away > _ELSEWHERE_M].min()
    here = differ[:, away <= _ELSEWHERE_M]
    here = here.min() if here.size else np.inf
    return float(there - here) if np.isfinite(there) and np.isfinite(here) else np.nan

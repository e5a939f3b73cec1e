"""Where a spinning LiDAR sits in the frame that its points are published in, from the points alone.

Each laser has one elevation. Seen from the optical centre, along the spin axis, elevations therefore fall into sharp
rings; from anywhere else the rings wave and blur. So the centre is where the histogram of elevations is sharpest.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from drivewm.geometry import se3

_BIN, _BLUR = np.radians(0.05), np.radians(0.7)
_LIMIT = np.radians(45.0)
_STARTS_M = (1.0, 1.4, 1.8, 2.2)
_STEPS = np.array([0.2, 0.2, 0.1, 0.01, 0.01])
_MAX_POINTS = 40_000
MIN_SHARPNESS = 0.1
"""Below it there are no rings: unordered points have about 0.01."""


def elevations(points: np.ndarray, origins: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Elevation `(N,)` [rad] of points `(N, 3)` seen from `origins` (3,) or (N, 3), in axes turned by `rotation`."""
    local = (points - origins) @ rotation.T
    return np.arctan2(local[:, 2], np.hypot(local[:, 0], local[:, 1]))


def sharpness(elevation: np.ndarray) -> float:
    """Relative entropy [nat] of the histogram of elevations against itself blurred: 0 without rings.

    Unlike the entropy, it does not fall when all elevations are squeezed together.
    """
    edges = np.arange(-_LIMIT, _LIMIT + _BIN, _BIN)
    count = np.histogram(elevation, edges)[0] / max(len(elevation), 1)
    fine = gaussian_filter1d(count, 1.0, mode="constant")
    coarse = gaussian_filter1d(count, _BLUR / _BIN, mode="constant")
    there = fine > 0
    return float((fine[there] * np.log(fine[there] / coarse[there])).sum())


def estimate_T_pose_lidar(sweeps: list[np.ndarray], motion: np.ndarray) -> tuple[np.ndarray, float]:
    """The sensor's frame in the frame that points are published in.

    Args:
        sweeps: arrays `(N_k, 3)` [m] in the order of firing, each in the pose frame of the middle of its sweep.
        motion: `(K, 3)` how far the sensor moves during each sweep [m, pose frame].

    Returns:
        `T_pose_lidar (4, 4)`: the optical centre, z along the spin axis, no yaw; and the `sharpness` there.
    """
    origins = [np.linspace(-0.5, 0.5, len(points))[:, None] * m for points, m in zip(sweeps, motion, strict=True)]
    strides = [len(points) // _MAX_POINTS + 1 for points in sweeps]
    thin = [(p[::n], o[::n]) for p, o, n in zip(sweeps, origins, strides, strict=True)]
    starts = [_search(thin[:1], np.array([0.0, 0.0, height, 0.0, 0.0])) for height in _STARTS_M]
    x, best = _search(thin, max(starts, key=lambda found: found[1])[0])
    return se3.from_rt(_axes(x).T, x[:3]), best


def _axes(x: np.ndarray) -> np.ndarray:
    return Rotation.from_euler("xy", x[3:]).as_matrix()


def _search(sweeps: list[tuple[np.ndarray, np.ndarray]], start: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and tilt x, y, z [m], about x, about y [rad] with the sharpest rings near `start`, and how sharp they are.

    Args:
        sweeps: points `(N, 3)` and how far the sensor was from the centre when it took them, `(N, 3)`.
    """

    def loss(x: np.ndarray) -> float:
        return -float(np.mean([sharpness(elevations(p, x[:3] + o, _axes(x))) for p, o in sweeps]))

    options = dict(initial_simplex=np.vstack([start, start + np.diag(_STEPS)]), xatol=5e-4, fatol=1e-5, maxiter=400)
    found = minimize(loss, start, method="Nelder-Mead", options=options)
    return found.x, -float(found.fun)

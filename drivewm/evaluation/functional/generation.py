"""Generated LiDAR clouds against recorded ones as sets, where no single truth exists.

After LiDARGen (Zyrianov et al., 2022) and UltraLiDAR (Xiong et al., 2023), as their code computes it.
"""

from __future__ import annotations

import numpy as np

FIELD_M = 160.0
"""Edge of the square around the sensor that histograms cover [m]."""
BINS = 100
"""Along each edge."""
QUANTILES = (5, 25, 50, 75, 95)
"""Of the range, in percent."""


def bev_histogram(points: np.ndarray, field_m: float = FIELD_M, bins: int = BINS) -> np.ndarray:
    """Points `(N, 3)` [m, LiDAR frame] counted on a square grid seen from above: float64 `(bins, bins)` over x and y.

    Points outside are left out; the last bin along an axis includes its upper border, as in `numpy.histogram2d`.
    """
    reach = [[-field_m / 2, field_m / 2]] * 2
    return np.histogram2d(points[:, 0], points[:, 1], bins=bins, range=reach)[0]


def jensen_shannon(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The published "JSD" of two sets of histograms `(N, ...)` and `(M, ...)`: each set's sum as one distribution.

    It is the *distance*, the root of the Jensen-Shannon divergence with natural logarithms: 0 for equal sums, root of
    ln 2 = 0.833 for disjoint ones. NaN if a set has no points.
    """
    p, q = (histograms.sum(0).ravel().astype(np.float64) for histograms in (ours, theirs))
    if p.sum() == 0 or q.sum() == 0:
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))
    return float(np.sqrt(max(divergence, 0.0)))


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def maximum_mean_discrepancy(ours: np.ndarray, theirs: np.ndarray, sigma: float = 0.5) -> float:
    """The published "MMD" of two sets of histograms `(N, ...)` and `(M, ...)`.

    Each histogram is divided by its sum, then compared by a Gaussian kernel k(a, b) = exp(-|a - b|^2 / (2 sigma^2)).
    The value is the *squared* discrepancy mean k(ours, ours) + mean k(theirs, theirs) - 2 mean k(ours, theirs) over all
    pairs, each with itself included (the biased estimate). 0 for equal sets. ValueError if a set or a histogram is
    empty.
    """
    a, b = (_distributions(histograms) for histograms in (ours, theirs))
    similar = [np.exp(-_squared_distances(x, y) / (2 * sigma**2)).mean() for x, y in ((a, a), (b, b), (a, b))]
    return float(similar[0] + similar[1] - 2 * similar[2])


def _distributions(histograms: np.ndarray) -> np.ndarray:
    flat = histograms.reshape(len(histograms), int(np.prod(histograms.shape[1:]))).astype(np.float64)
    if len(flat) == 0 or (flat.sum(1) == 0).any():
        raise ValueError(f"{len(flat)} histograms, {int((flat.sum(1) == 0).sum())} of them empty: expected some, full")
    return flat / flat.sum(1, keepdims=True)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(squared, 0.0)


def range_quantiles(points: np.ndarray) -> np.ndarray:
    """`QUANTILES` of the distance of points `(N, 3)` [m, LiDAR frame] from the sensor: `(5,)` [m]; NaN of no points."""
    if len(points) == 0:
        return np.full(len(QUANTILES), np.nan)
    return np.percentile(np.linalg.norm(np.asarray(points, np.float64)[:, :3], axis=-1), QUANTILES)

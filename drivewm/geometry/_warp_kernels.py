"""numba kernel behind `warp.warp_voxels` and `warp.warp_newest`. Its readable twin is `warp.warp_newest_reference`."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def newest(sources, along_x, along_y, along_z, bits, fill, out):
    """One frame `out (X, Y, Z)`, filled with `fill` before, from `sources (S, X, Y, Z)`, the first that covers it.

    `along_x (S, 3, X)`, `along_y (S, 3, Y)` and `along_z (S, 3, Z)` are the parts of the position in source s, in units
    of `2 ** -bits` voxels; their sum is where the centre of a voxel of `out` lies.

    An ego that drives on the ground hardly tilts: most columns of voxels come from one column and are moved as a whole.
    Casts to unsigned spare the test for negative indices.
    """
    size_x, size_y, size_z = out.shape
    top, one = size_z - 1, np.int64(1) << bits
    for s in range(len(sources)):
        source = sources[s]
        upright = True  # a step up in `out` is a step up of at most one voxel in the source
        for k in range(top):
            step = along_z[s, 2, k + 1] - along_z[s, 2, k]
            upright = upright and 0 <= step <= one
        for i in range(size_x):
            for j in range(size_y):
                column = out[i, j]
                u = along_x[s, 0, i] + along_y[s, 0, j]
                v = along_x[s, 1, i] + along_y[s, 1, j]
                w = along_x[s, 2, i] + along_y[s, 2, j]
                x, y = (u + along_z[s, 0, 0]) >> bits, (v + along_z[s, 1, 0]) >> bits
                low, high = (w + along_z[s, 2, 0]) >> bits, (w + along_z[s, 2, top]) >> bits
                straight = x == (u + along_z[s, 0, top]) >> bits and y == (v + along_z[s, 1, top]) >> bits
                if straight and upright and high - low == top:
                    if np.uint64(x) < np.uint64(size_x) and np.uint64(y) < np.uint64(size_y):
                        for k in range(max(0, -low), min(size_z, size_z - low)):
                            if column[k] == fill:
                                column[k] = source[x, y, k + low]
                    continue
                for k in range(size_z):
                    if column[k] == fill:
                        x = np.uint64((u + along_z[s, 0, k]) >> bits)
                        y = np.uint64((v + along_z[s, 1, k]) >> bits)
                        z = np.uint64((w + along_z[s, 2, k]) >> bits)
                        if x < np.uint64(size_x) and y < np.uint64(size_y) and z < np.uint64(size_z):
                            column[k] = source[x, y, z]

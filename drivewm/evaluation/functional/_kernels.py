"""numba kernels behind `occupancy.confusion_counts` and `moving.moved_voxels`. Readable twins: `*_reference` there."""

from __future__ import annotations

import numba
import numpy as np

_TABLES = 4


@numba.njit(cache=True, inline="always")
def _add_words(tables, size, prediction_word, truth_word, times):
    """Adds `times` for each of the eight pairs of bytes, to the tables in turn.

    One counter that is hit again and again would wait for its own last addition.
    """
    stride, byte = np.uint64(np.sqrt(size)), np.uint64(0xFF)
    for i in range(8):
        shift = np.uint64(8 * i)
        pair = ((truth_word >> shift) & byte) * stride + ((prediction_word >> shift) & byte)
        tables[np.uint64(i % _TABLES) * np.uint64(size) + pair] += times


@numba.njit(cache=True)
def count_pairs(prediction, truth, prediction_words, truth_words, counts):
    """Adds to `counts[truth, prediction]` (flattened, stride C); arrays are flat uint8, words the same bytes as uint64.

    Scenes repeat themselves: neighbouring columns of 16 voxels, two words each, are mostly alike in both arrays. So
    runs of equal words are counted first, at even and at odd positions apart, and their voxels once a run.
    """
    tables = np.zeros(_TABLES * counts.size, np.int64)
    words = prediction_words.size // 2 * 2
    even_p = even_t = odd_p = odd_t = np.uint64(0)
    even_run = odd_run = 0
    for word in range(0, words, 2):
        p, t = prediction_words[word], truth_words[word]
        if p == even_p and t == even_t:
            even_run += 1
        else:
            _add_words(tables, counts.size, even_p, even_t, even_run)
            even_p, even_t, even_run = p, t, 1
        p, t = prediction_words[word + 1], truth_words[word + 1]
        if p == odd_p and t == odd_t:
            odd_run += 1
        else:
            _add_words(tables, counts.size, odd_p, odd_t, odd_run)
            odd_p, odd_t, odd_run = p, t, 1
    _add_words(tables, counts.size, even_p, even_t, even_run)
    _add_words(tables, counts.size, odd_p, odd_t, odd_run)
    for table in range(_TABLES):
        counts += tables[table * counts.size : (table + 1) * counts.size]
    stride = np.uint64(np.sqrt(counts.size))
    for i in range(8 * words, prediction.size):
        counts[np.uint64(truth[i]) * stride + np.uint64(prediction[i])] += 1


@numba.njit(cache=True)
def count_masked_pairs(prediction, truth, mask, mask_words, counts):
    """As `count_pairs`, for the voxels where the flat uint8 `mask` is 1 (words: the same bytes as uint64)."""
    stride = np.int64(np.sqrt(counts.size))
    for word in range(mask_words.size):
        if mask_words[word] != np.uint64(0):
            for i in range(8 * word, 8 * word + 8):
                counts[np.int64(truth[i]) * stride + prediction[i]] += mask[i]
    for i in range(8 * mask_words.size, mask.size):
        counts[np.int64(truth[i]) * stride + prediction[i]] += mask[i]


@numba.njit(cache=True)
def mark_moved(here, there, movable, moved):
    """Sets `moved` where `here (X, Y, Z)` has a movable class that none of the 3 x 3 x 3 voxels `there` has."""
    size_x, size_y, size_z = here.shape
    for x in range(size_x):
        for y in range(size_y):
            for z in range(size_z):
                label = here[x, y, z]
                if not movable[label] or there[x, y, z] == label:
                    continue
                near = False
                for i in range(max(x - 1, 0), min(x + 2, size_x)):
                    for j in range(max(y - 1, 0), min(y + 2, size_y)):
                        for k in range(max(z - 1, 0), min(z + 2, size_z)):
                            near = near or there[i, j, k] == label
                moved[x, y, z] = moved[x, y, z] or not near

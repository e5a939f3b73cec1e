"""numba kernels behind `occupancy.confusion_counts`. The readable twin is `occupancy.confusion_counts_reference`."""

from __future__ import annotations

import numba
import numpy as np

_ONES = np.uint64(0x0101010101010101)
_TABLES = 4


@numba.njit(cache=True)
def count_pairs(prediction, truth, prediction_words, truth_words, counts):
    """Adds to `counts[truth, prediction]` (flattened, stride C); arrays are flat uint8, words the same bytes as uint64.

    Most of a scene is eight times the same label in both arrays, which costs one comparison of two words. The others
    are counted into four tables in turn: one counter hit again and again would wait for its own last addition.
    """
    stride = np.uint64(np.sqrt(counts.size))
    size, byte = np.uint64(counts.size), np.uint64(0xFF)
    tables = np.zeros(_TABLES * counts.size, np.int64)
    for word in range(prediction_words.size):
        p, t = prediction_words[word], truth_words[word]
        if p == t and p == (p & byte) * _ONES:
            tables[(p & byte) * stride + (p & byte)] += 8
        else:
            for i in range(8):
                shift = np.uint64(8 * i)
                pair = ((t >> shift) & byte) * stride + ((p >> shift) & byte)
                tables[np.uint64(i % _TABLES) * size + pair] += 1
    for table in range(_TABLES):
        counts += tables[table * counts.size : (table + 1) * counts.size]
    for i in range(8 * prediction_words.size, prediction.size):
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

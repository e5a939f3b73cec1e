"""numba kernels behind `occupancy.confusion_counts`. The readable twin is `occupancy.confusion_counts_reference`."""

from __future__ import annotations

import numba
import numpy as np

_ONES = np.uint64(0x0101010101010101)


@numba.njit(cache=True)
def count_pairs(prediction, truth, prediction_words, truth_words, counts):
    """Adds to `counts[truth, prediction]` (flattened, stride C); arrays are flat uint8, words the same bytes as uint64.

    Most of a scene is eight times the same label in both arrays, which costs one comparison of two words.
    """
    stride = np.int64(np.sqrt(counts.size))
    for word in range(prediction_words.size):
        p, t = prediction_words[word], truth_words[word]
        if p == t and p == (p & np.uint64(0xFF)) * _ONES:
            label = np.int64(p & np.uint64(0xFF))
            counts[label * stride + label] += 8
        else:
            for i in range(8 * word, 8 * word + 8):
                counts[np.int64(truth[i]) * stride + prediction[i]] += 1
    for i in range(8 * prediction_words.size, prediction.size):
        counts[np.int64(truth[i]) * stride + prediction[i]] += 1


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

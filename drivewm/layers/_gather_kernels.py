"""numba kernels behind `gathered_attention`: rows of the table are read where they lie, and none is copied."""

from __future__ import annotations

import math

import numba
import numpy as np

# Sums over channels may be reordered, so that they use vector instructions; infinities keep their meaning.
_SUMS = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, fastmath=_SUMS)
def attend(q, keys, values, index, bias, weights, out):
    """Writes the attention weights `(B, N, H, M)` and what is heard `(B, N, H, D)`, both zero at first."""
    batch, rows, heads, channels = q.shape
    scale = 1 / math.sqrt(channels)
    for b in range(batch):
        for n in range(rows):
            for h in range(heads):
                own, best = weights[b, n, h], -np.inf
                for m in range(index.shape[2]):
                    own[m] = bias[b, n, h, m]
                    if own[m] > -np.inf:
                        dot, key = q.dtype.type(0), keys[b, index[b, n, m], h]
                        for d in range(channels):
                            dot += q[b, n, h, d] * key[d]
                        own[m] += dot * scale
                        best = max(best, own[m])
                total = 0.0
                for m in range(index.shape[2]):
                    own[m] = math.exp(own[m] - best)
                    total += own[m]
                for m in range(index.shape[2]):
                    own[m] /= total
                    if own[m] > 0:
                        value = values[b, index[b, n, m], h]
                        for d in range(channels):
                            out[b, n, h, d] += own[m] * value[d]


@numba.njit(cache=True, fastmath=_SUMS)
def attend_backward(q, keys, values, index, weights, out, grad, grad_q, grad_keys, grad_values, grad_bias):
    """Adds the gradients of all inputs of `attend`, zero at first, given that of what is heard."""
    batch, rows, heads, channels = q.shape
    scale = 1 / math.sqrt(channels)
    for b in range(batch):
        for n in range(rows):
            for h in range(heads):
                # The softmax's gradient is that of each weight less their mean, which is this product.
                mean = q.dtype.type(0)
                for d in range(channels):
                    mean += grad[b, n, h, d] * out[b, n, h, d]
                for m in range(index.shape[2]):
                    weight = weights[b, n, h, m]
                    if weight == 0:
                        continue
                    row = index[b, n, m]
                    key, value = keys[b, row, h], values[b, row, h]
                    grad_key, grad_value = grad_keys[b, row, h], grad_values[b, row, h]
                    dot = q.dtype.type(0)
                    for d in range(channels):
                        dot += grad[b, n, h, d] * value[d]
                        grad_value[d] += weight * grad[b, n, h, d]
                    grad_bias[b, n, h, m] = weight * (dot - mean)
                    step = grad_bias[b, n, h, m] * scale
                    for d in range(channels):
                        grad_q[b, n, h, d] += step * key[d]
                        grad_key[d] += step * q[b, n, h, d]

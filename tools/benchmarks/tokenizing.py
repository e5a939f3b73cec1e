"""Tokenizing and decoding a frame of 200 x 200 x 16 voxels: our tokenizer against OccWorld's."""

from __future__ import annotations

import torch

from benchmarks.full_size import drive, occworld, our_tokenizer, precision
from benchmarks.measure import Row, compare
from drivewm.tokenizers import DecoderContext

GOALS = {"fp32": 3.0, "bf16": 7.0}


def against_occworld(kind: str, dtype: str) -> Row:
    """Encode, quantize and decode to logits. Our decoder runs its part for an earlier frame, which is blank."""
    frame = drive().occupancy[:, :1]
    ours, theirs = our_tokenizer(kind), occworld().tokenizer

    def both_ways(tokenizer) -> torch.Tensor:
        with torch.no_grad(), precision(dtype):
            return tokenizer.decode(tokenizer.encode(frame), DecoderContext())

    return compare(lambda: both_ways(ours), lambda: both_ways(theirs), check_shapes, GOALS[dtype], rounds=5)


def check_shapes(a: torch.Tensor, b: torch.Tensor) -> None:
    """Random weights give random results: of equal shape, and finite."""
    if a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
        raise AssertionError(f"results have shapes {tuple(a.shape)} and {tuple(b.shape)}, or are not finite")

"""Forecasting six frames of 200 x 200 x 16 voxels from five: ours against OccWorld, in seconds and in FLOPs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.full_size import (
    FUTURE,
    OBSERVED,
    drive,
    occworld,
    our_forecast,
    our_world_model,
    precision,
)
from benchmarks.measure import Row, compare, scaling
from benchmarks.peers.occworld import step_as_shipped
from drivewm.tokenizers import DecoderContext

GOALS = {"fp32": 8.0, "bf16": 15.0}
DOME_GFLOP = 81 + 1663 + 20 * 2713
"""DOME (Gu et al., 2024) at its published size: encoding, decoding six frames, 20 denoising steps."""

_TIMED_FRAMES = 8


def rollout(dtype: str) -> Row:
    """Our *whole* forecast, encoding and decoding included, against OccWorld's rollout alone, as shipped."""
    return _against_shipped(dtype, with_tokenizer=False, goal=GOALS[dtype])


def whole_forecast(dtype: str) -> Row:
    """Encode five frames, predict six, decode six."""
    return _against_shipped(dtype, with_tokenizer=True, goal=8.0)


def rollout_cached() -> Row:
    """Our whole forecast against OccWorld's rollout alone with an exact cache, which its code does not have."""
    model, clip, theirs = our_world_model(), drive(), occworld()
    codes = theirs.codes(clip.occupancy[:, :OBSERVED])
    return compare(
        lambda: our_forecast(model, clip),
        lambda: theirs.rollout(codes, FUTURE, cached=True),
        _check_frames,
        goal=None,
        rounds=2,
    )


def _check_frames(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise AssertionError(f"{a.shape[1]} and {b.shape[1]} frames")


def _against_shipped(dtype: str, with_tokenizer: bool, goal: float, rounds: int = 3) -> Row:
    """By FLOPs, a step of OccWorld's costs the same for each frame of its growing history; a rollout takes a minute. So
    the step that sees `_TIMED_FRAMES` frames is timed and stands for all."""
    model, clip, theirs = our_world_model(), drive(), occworld()
    past = clip.occupancy[:, :OBSERVED]
    codes = theirs.codes(past)
    codes = codes.repeat(1, 2, 1, 1, 1)[:, :_TIMED_FRAMES]
    poses = torch.zeros(codes.shape[:3])
    steps = sum(range(OBSERVED, OBSERVED + FUTURE)) / _TIMED_FRAMES
    tokens = torch.zeros(1, 1, *theirs.tokenizer.specs[0].shape, dtype=torch.int64)
    pairs = []
    for round_number in range(rounds + 1):  # the first is not counted
        with torch.no_grad(), precision(dtype):
            ours = _seconds(lambda: our_forecast(model, clip))
            other = steps * _seconds(lambda: step_as_shipped(theirs.transformer, codes, poses))
            if with_tokenizer:
                other += OBSERVED * _seconds(lambda: theirs.codes(past[:, :1]))
                other += FUTURE * _seconds(lambda: theirs.labels(tokens))
        if round_number:
            pairs.append((ours, other))
    note = f"of OccWorld's rollout one step was timed, and taken {steps:.2f} times"
    medians = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Row(*medians, tuple(other / own for own, other in pairs), goal, note=note)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def flops_occworld() -> Row:
    """FLOPs of the whole forecast, counted: two for a multiplication with addition."""
    return _flops(occworld_gflop(), goal=None)


def flops_dome() -> Row:
    """The same against DOME's, as counted on its own code."""
    return _flops(DOME_GFLOP, goal=40.0)


def _flops(against: float, goal: float | None) -> Row:
    model, clip = our_world_model(), drive()
    ours = gflop(lambda: our_forecast(model, clip))
    return Row(ours, against, (against / ours,), goal, unit="GFLOP")


def gflop(function: Callable[[], object]) -> float:
    """What torch counts: products of matrices and convolutions."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def occworld_gflop() -> float:
    """A whole forecast of OccWorld as shipped. Tensors without contents: only the shapes are computed."""
    with torch.device("meta"):
        theirs = occworld()
        tokenizer = theirs.tokenizer
        frame = torch.empty(1, 1, *tokenizer.grid.shape, dtype=torch.uint8)
        codes = torch.empty(1, 1, tokenizer.quantizer.dim, *tokenizer.specs[0].shape)
        past = codes.expand(-1, OBSERVED, -1, -1, -1)
        encode = gflop(lambda: tokenizer.encoder(frame[0]))
        decode = gflop(lambda: tokenizer.decode_latents(codes, DecoderContext()))
        return OBSERVED * encode + gflop(lambda: theirs.rollout(past, FUTURE, cached=False)) + FUTURE * decode


def frames_scaling() -> Row:
    """Seconds of our forecast against the frames that it predicts, less what the past costs."""
    model, clip = our_world_model(), drive()
    return scaling((1, 2, 4, 6), lambda frames: our_forecast(model, clip, int(frames)), goal=0.9)


def grid_scaling() -> Row:
    """Seconds of our forecast of one frame against the columns of the grid: 100, 200 and 400 voxels wide."""
    clips = {n * n: drive((n, n), future=1) for n in (104, 200, 400)}
    models = {columns: our_world_model(clip.grid) for columns, clip in clips.items()}
    return scaling(list(clips), lambda columns: our_forecast(models[columns], clips[columns], 1), goal=0.9, rounds=1)


def steps_scaling() -> Row:
    """Seconds of one imagined frame against its denoising steps; encoding and decoding are paid once."""
    model, clip = our_world_model(), drive(future=1)
    history, poses, times_s = clip.history(), clip.future_poses(), clip.future_times_s()

    def imagine(steps: float) -> None:
        model.stream.memo.clear()
        model.imagine_steps = int(steps)
        model.imagine(history, poses, times_s, torch.Generator().manual_seed(0))

    return scaling((1, 2, 4, 8), imagine, goal=1.0)

"""TokenMemo: the tokens of a frozen tokenizer, remembered."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from drivewm.tokenizers import OccupancyTokenizer

_FRAMES_AT_ONCE = 32


class TokenMemo:
    """Encodes each frame once: a frozen tokenizer gives the same tokens in every epoch and for every window.

    Frames are told apart by what is in them, so that one scene driven twice is no confusion. Tokens are kept as int16;
    those of nuScenes' 28,000 training keyframes take 35 MB at 25 x 25 tokens.
    """

    def __init__(self) -> None:
        self._tokens: dict[bytes, Tensor] = {}

    def clear(self) -> None:
        """Forget everything, e.g. because the tokenizer has changed."""
        self._tokens.clear()

    @torch.no_grad()
    def encode(self, tokenizer: OccupancyTokenizer, frames: Tensor) -> Tensor:
        """Occupancy `(B, T, X, Y, Z)` uint8 -> tokens of all scales in a row, `(B, T, N)` int64."""
        flat = frames.flatten(0, 1)
        keys = [hashlib.blake2b(frame, digest_size=16).digest() for frame in flat.contiguous().cpu().numpy()]
        new = list({key: i for i, key in enumerate(keys) if key not in self._tokens}.values())
        for start in range(0, len(new), _FRAMES_AT_ONCE):
            chunk = new[start : start + _FRAMES_AT_ONCE]
            grids = tokenizer.encode(flat[chunk][:, None])
            indices = torch.cat([grid.indices[:, 0].flatten(1) for grid in grids], 1).to("cpu", torch.int16)
            self._tokens.update((keys[i], tokens) for i, tokens in zip(chunk, indices, strict=True))
        return (
            torch.stack([self._tokens[key] for key in keys])
            .to(frames.device, torch.int64)
            .unflatten(0, frames.shape[:2])
        )

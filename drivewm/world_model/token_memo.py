"""TokenMemo: the tokens of a frozen tokenizer, remembered."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.structures import History, SceneClip
from drivewm.tokenizers import OccupancyTokenizer


class TokenMemo:
    """Encodes each keyframe once: a frozen tokenizer gives the same tokens in every epoch.

    Kept in memory as int16, keyed by scene and time; nuScenes' 28,000 training keyframes at 25 x 25 tokens take 35 MB.
    """

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, int], Tensor] = {}

    def clear(self) -> None:
        """Forget everything, e.g. because the tokenizer has changed."""
        self._tokens.clear()

    @torch.no_grad()
    def encode(self, tokenizer: OccupancyTokenizer, clip: SceneClip | History) -> Tensor:
        """Tokens `(B, T, H, W)` int64 of a clip's occupancy."""
        stamps = clip.timestamp_us.tolist()
        keys = [[(scene, stamp) for stamp in row] for scene, row in zip(clip.scene, stamps, strict=True)]
        for b, row in enumerate(keys):
            missing = [t for t, key in enumerate(row) if key not in self._tokens]
            if missing:
                indices = tokenizer.encode(clip.occupancy[b : b + 1, missing])[0].indices[0]
                self._tokens.update(
                    {row[t]: tokens.to("cpu", torch.int16) for t, tokens in zip(missing, indices, strict=True)}
                )
        flat = torch.stack([self._tokens[key] for row in keys for key in row])
        return flat.to(clip.occupancy.device, torch.int64).unflatten(0, clip.timestamp_us.shape)

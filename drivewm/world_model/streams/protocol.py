"""What a world model asks of a modality."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid
from drivewm.structures import History, SceneClip
from drivewm.world_model.evidence import Evidence
from drivewm.world_model.predictions import Answer
from drivewm.world_model.scales import Scales


class Stream(Protocol):
    """One modality: its tokens, what of the past can be carried into a future frame, and how tokens become content.

    "Seen" is what was observed, brought into frames to predict; a tensor or a `PointCloud` that is indexed and
    flattened along `(B, F)` as a tensor is. "Content" is what the soft decoder makes of tokens. "Beside" is what other
    streams tell of the same frames, for their decoders to read: see `Besides`; 0 where there are none.

    Attributes:
        tokenizer: frozen.
        scales: how the tokens of a frame lie in a row.
        soft_decoder: a copy of the tokenizer's decoder that learns to read averages of codes, beside all that is known.
        grid: of bird's-eye views; else None.
    """

    tokenizer: torch.nn.Module
    scales: Scales
    soft_decoder: torch.nn.Module
    grid: VoxelGrid | None

    def is_in(self, frames: SceneClip | History) -> bool:
        """Do the frames have the modality at all? A history that lacks it is one of an absent stream."""

    def without(self, history: History) -> History:
        """The history of one who does not have this sensor."""

    def check(self, frames: SceneClip | History) -> None:
        """ValueError if the frames lack what the stream needs."""

    def tokens(self, frames: SceneClip | History) -> Tensor:
        """Tokens `(B, T, N)` of frames, each encoded once."""

    def displacement(self, history: History) -> Tensor | None:
        """How the things seen at t0 will move, without gradient; None where the stream does not know."""

    def motion_losses(self, clip: SceneClip) -> tuple[dict[str, Tensor], Tensor | None]:
        """What teaches that, and the displacement itself."""

    def see(self, history: History, displacement: Tensor | None, T_t0_ego: Tensor, times_s: Tensor) -> Any:
        """What was observed, in the ego frames `T_t0_ego (B, F, 4, 4)` at `times_s (B, F)` after t0."""

    def unseen(self, history: History, frames: int) -> Any:
        """What `see` would give of a history that lacks the stream, for so many frames."""

    def hide(self, seen: Any, hidden: Tensor) -> Any:
        """What was seen, and nothing in the clips `hidden (B,)` bool."""

    def view(self, seen: Any) -> tuple:
        """What the tokenizer makes of what was seen in J frames: `Sources.view`, `covered` and, of cameras, `rig`."""

    def solid(self, shown: Any) -> Evidence:
        """Of bird's-eye views: where there is something in J frames, by what was seen or, of voxels, decoded."""

    def decode_soft(self, logits: Tensor, seen: Any, beside: Tensor | float = 0.0) -> Tensor:
        """Token logits `(J, N, V)` and what was seen -> content of J frames."""

    def forecast(self, content: Tensor) -> Any:
        """Content `(B, F, ...)` as the modality's forecast."""

    def as_history(self, forecast: Any, history: History, T_t0_ego: Tensor) -> dict[str, Tensor]:
        """A forecast as fields of a `History` of the forecast's frames, `(B, F, ...)`, to be predicted from."""

    def first_frame(self, history: History) -> Tensor | None:
        """What precedes the first imagined frame: `decode_drawn` takes it as `previous`. Also of an absent stream."""

    def decode_drawn(
        self, tokens: Tensor, previous: Tensor | None, T_ego_previous: Tensor, seen: Any, beside: Tensor | float = 0.0
    ) -> Tensor:
        """Drawn tokens `(B, N)` -> the imagined frame `(B, 1, ...)`.

        Args:
            tokens: of one frame.
            previous: the imagined frame before it.
            T_ego_previous: `(B, 4, 4)` [m] the motion in between.
            seen: what was observed, `(B, 1, ...)`.
        """

    def losses(
        self,
        logits: Tensor,
        seen: Any,
        clip: SceneClip,
        target: Tensor,
        chosen: Tensor,
        generator: torch.Generator | None = None,
        beside: Tensor | float = 0.0,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Losses of the soft decoder, means over all clips, and the content of the chosen ones, None where none are.

        Args:
            logits: `(B, N, V)` of one frame a clip.
            seen: of these frames.
            clip: the truth.
            target: `(B,)` which frame that is.
            chosen: `(J,)` clips whose frame was asked for as forecasts are; the others count nothing.
            generator: of what is drawn, equally often in every process.
            beside: of the chosen ones.
        """

    def samples(self, answer: Answer) -> list[dict]:
        """What a test run scores of the stream's forecast, one dict a clip."""

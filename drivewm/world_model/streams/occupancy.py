"""OccupancyStream: semantic voxels, in which things are moved on by a motion field."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.evaluation.forecast.record import CEILING, OWN_PRESENT
from drivewm.structures import OCC3D, History, OccupancyForecast, SceneClip, most_likely
from drivewm.tokenizers import OccupancyTokenizer
from drivewm.world_model.baselines import newly_seen, warp_history, warped_frame
from drivewm.world_model.evidence import SolidVoxels
from drivewm.world_model.motion_field import MotionField
from drivewm.world_model.moved_history import moved_history
from drivewm.world_model.predictions import Answer, beside_baselines
from drivewm.world_model.scales import Scales
from drivewm.world_model.things import as_wholes
from drivewm.world_model.token_memo import TokenMemo


class OccupancyStream(nn.Module):
    """See `Stream`; what was seen are labels `(B, F, X, Y, Z)` uint8, content is class logits `(..., C, X, Y, Z)`.

    Args:
        tokenizer: will be frozen.
        motion, ego_aligned, decoder_context: as for `WorldModel`.
    """

    def __init__(
        self, tokenizer: OccupancyTokenizer, motion: dict | None, ego_aligned: bool, decoder_context: bool
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        self.scales, self.grid = Scales(tokenizer.specs), tokenizer.grid
        self.soft_decoder = copy.deepcopy(tokenizer.decoder).requires_grad_(True)
        self.motion_field = None if motion is None else MotionField(self.grid, **motion)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.ego_aligned, self.decoder_context = ego_aligned, decoder_context
        self.memo = TokenMemo()

    def is_in(self, frames: SceneClip | History) -> bool:
        """See `Stream`."""
        return frames.occupancy is not None

    def without(self, history: History) -> History:
        """See `Stream`; what is visible goes with the labels."""
        return replace(history, occupancy=None, visible=None)

    def check(self, frames: SceneClip | History) -> None:
        """ValueError for frames without occupancy or on another grid."""
        if frames.grid != self.grid:
            raise ValueError(f"the world model is made for the grid {self.grid}, but the clip's is {frames.grid}")
        if frames.occupancy is None:
            raise ValueError(
                f"the world model needs occupancy, but the clip of scene {frames.scene[0]} was loaded without"
            )

    @property
    def log_class_weight(self) -> Tensor:
        """`(C,)` by how much the decoder's logits favour rare classes, since the loss does."""
        return self.tokenizer.class_weight.log()

    def tokens(self, frames: SceneClip | History) -> Tensor:
        """Those that come with the frames, else each frame is encoded once."""
        if own := frames.tokens_of("occupancy"):
            return self.scales.row_of(own)
        flat = frames.occupancy.flatten(0, 1)
        rows = self.memo.encode(flat, lambda chosen: self.encode(flat[chosen][:, None])[:, 0])
        return rows.to(flat.device).unflatten(0, frames.occupancy.shape[:2])

    @torch.no_grad()
    def encode(self, occupancy: Tensor) -> Tensor:
        """Frames `(B, T, X, Y, Z)` -> tokens `(B, T, N)`, encoded anew."""
        return self.scales.row_of(self.tokenizer.encode(occupancy))

    def displacement(self, history: History) -> Tensor | None:
        """See `MotionField`; None without such a field."""
        if self.motion_field is None:
            return None
        with torch.no_grad():
            return as_wholes(self.motion_field(history), history)

    def motion_losses(self, clip: SceneClip) -> tuple[dict[str, Tensor], Tensor | None]:
        """ "loss_motion" where there is a motion field and the clip has boxes; and how things will move."""
        if self.motion_field is None:
            return {}, None
        field = self.motion_field(clip.history())
        losses = {} if clip.boxes is None else {"loss_motion": self.motion_field.loss(field, clip)}
        return losses, as_wholes(field.detach(), clip.history())

    @torch.no_grad()
    def see(self, history: History, displacement: Tensor | None, T_t0_ego: Tensor, times_s: Tensor) -> Tensor:
        """See `moved_history`."""
        if not self.ego_aligned:
            T_t0_ego = torch.eye(4, device=T_t0_ego.device).expand_as(T_t0_ego)
        if displacement is None:
            return warp_history(history, T_t0_ego)
        field = self.motion_field
        return moved_history(history, T_t0_ego, field.at(displacement, times_s), field.moves(displacement))

    def unseen(self, history: History, frames: int) -> Tensor:
        """No voxel is covered."""
        shape, device = (len(history), frames, *self.grid.shape), history.timestamp_us.device
        return torch.full(shape, OCC3D.num_classes, dtype=torch.uint8, device=device)

    def hide(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """See `Stream`."""
        return seen.masked_fill(hidden[:, None, None, None, None], OCC3D.num_classes)

    @torch.no_grad()
    def view(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Of a moved history `(J, X, Y, Z)`.

        Moved before it is encoded, content keeps its place to the voxel; no token has to be moved by parts of itself.
        """
        unseen = newly_seen(seen)
        latents = self.tokenizer.encoder(seen.masked_fill(unseen, OCC3D.free)).float()
        covered = (~unseen).float().mean(-1)[:, None]
        covered = F.adaptive_avg_pool2d(covered, self.scales.shape)
        return self.scales.join(self.tokenizer.quantizer.inputs(latents)), self.scales.join(self.scales.shrink(covered))

    def solid(self, shown: Tensor) -> SolidVoxels:
        """By labels `(J, X, Y, Z)`."""
        return SolidVoxels(shown, self.grid)

    def decode_soft(self, logits: Tensor, seen: Tensor, beside: Tensor | float = 0.0) -> Tensor:
        """`(J, C, X, Y, Z)`."""
        return self._decode(self.scales.soft_latents(logits, self.tokenizer.quantizer), seen, beside)

    def forecast(self, content: Tensor) -> OccupancyForecast:
        """Calibrated by the temperature."""
        return OccupancyForecast(content, self.log_class_weight, self.log_temperature.exp())

    def as_history(self, forecast: OccupancyForecast, history: History, T_t0_ego: Tensor) -> dict[str, Tensor]:
        """The most likely classes."""
        return {"occupancy": forecast.labels}

    def first_frame(self, history: History) -> Tensor:
        """The frame at t0, `(B, 1, X, Y, Z)`."""
        if not self.is_in(history):
            return self.unseen(history, 1)
        return history.occupancy[:, -1:]

    def decode_drawn(
        self, tokens: Tensor, previous: Tensor, T_ego_previous: Tensor, seen: Tensor, beside: Tensor | float = 0.0
    ) -> Tensor:
        """The decoder sees what was observed, and elsewhere the imagined frame before: `(B, 1, X, Y, Z)` uint8."""
        before = self.tokenizer.warp_context(previous, T_ego_previous[:, None]).previous
        known = torch.where(newly_seen(seen), before, seen)[:, 0]
        latents = self.scales.hard_latents(tokens, self.tokenizer.quantizer)
        return most_likely(self._decode(latents, known, beside), 1)[:, None]

    @torch.no_grad()
    def decode_true(self, clip: SceneClip, seen: Tensor) -> Tensor:
        """Classes `(B, F, X, Y, Z)` uint8 of the true future frames that went through the tokens, beside what was
        seen `(B, F, X, Y, Z)` in the first F of them."""
        tokens = self.encode(clip.occupancy[:, clip.num_history :][:, : seen.shape[1]]).flatten(0, 1)
        voxels = self._decode(self.scales.hard_latents(tokens, self.tokenizer.quantizer), seen.flatten(0, 1))
        return most_likely(voxels, 1).unflatten(0, seen.shape[:2])

    def losses(
        self,
        logits: Tensor,
        seen: Tensor,
        clip: SceneClip,
        target: Tensor,
        chosen: Tensor,
        generator: torch.Generator | None = None,
        beside: Tensor | float = 0.0,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """ "loss_decode" of the voxels, and "loss_temperature" that calibrates them."""
        drawn = self.tokenizer.draw_voxels(len(clip), generator)[:, 0]
        if len(chosen) == 0:
            return {"loss_decode": logits.sum() * 0, "loss_temperature": self.log_temperature * 0}, None
        voxels = self.decode_soft(logits[chosen], seen[chosen], beside)
        truth = clip.occupancy[chosen, target[chosen]]
        decode = sum(self.tokenizer.voxel_losses(voxels, truth, drawn[chosen]).values())
        # The temperature is fitted to what is predicted; it must not change it.
        scaled = (voxels.detach().float() - self.log_class_weight[:, None, None, None]) / self.log_temperature.exp()
        temperature = F.cross_entropy(scaled, truth.long())
        share = len(chosen) / len(clip)
        return {"loss_decode": share * decode, "loss_temperature": share * temperature}, voxels

    def samples(self, answer: Answer) -> list[dict]:
        """As `OccupancyForecastMetric` takes them.

        Beside the forecast stand the baselines and the ceiling: the true future frames, encoded, and decoded as the
        forecast's tokens are, beside no other stream. No forecast in these tokens alone can be expected to do better.
        Where the labels of the past were withheld, what the model makes of t0 stands there too, moved as the copy is.
        Probabilities are there where one forecast reaches far enough; further frames are rolled out.
        """
        labels = torch.cat([forecast.labels for forecast in answer.forecasts], dim=1)
        forecasts = {"model": labels, CEILING: self.decode_true(answer.clip, answer.seen)}
        if answer.imagined is not None:
            forecasts["imagined"] = answer.imagined
        if answer.present is not None:
            forecasts[OWN_PRESENT] = warped_frame(answer.present.labels, answer.T_t0_ego, self.grid)
        samples = beside_baselines(answer.clip, forecasts, answer.T_t0_ego)
        probabilities = answer.forecasts[0].probabilities() if len(answer.forecasts) == 1 else None
        for b, sample in enumerate(samples):
            sample.update(ego_pose=answer.ego_pose, seconds=answer.seconds)
            if probabilities is not None:
                sample["probabilities"] = {"model": probabilities[b]}
        return samples

    def _decode(self, latents: Tensor, seen: Tensor, beside: Tensor | float = 0.0) -> Tensor:
        """Latents `(J, D, H, W)` and what was seen `(J, X, Y, Z)` -> voxel logits `(J, C, X, Y, Z)`."""
        if not self.decoder_context:
            seen = torch.full_like(seen, OCC3D.num_classes)
        return self.soft_decoder(latents, seen, beside)

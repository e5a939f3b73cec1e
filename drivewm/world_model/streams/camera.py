"""CameraStream: the views of several cameras."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from drivewm.evaluation.forecast.record import CEILING
from drivewm.evaluation.functional.images import to_uint8, to_unit
from drivewm.structures import History, SceneClip
from drivewm.tokenizers import CameraTokenizer
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.tokenizers.picture_losses import picture_losses
from drivewm.world_model.predictions import Answer
from drivewm.world_model.scales import Scales
from drivewm.world_model.token_memo import TokenMemo


@dataclass
class CameraForecast:
    """What the cameras will see.

    Attributes:
        pictures: `(B, F, V, 3, H, W)` of F future frames, values 0..1.
    """

    pictures: Tensor


@dataclass
class SeenViews:
    """What cameras saw last, and where they will be.

    Attributes:
        rig: `(B, F)` frames of V views, without images.
        tokens: `(B, F, N)` of the newest observed views; the mask where there is none.
    """

    rig: CameraViews
    tokens: Tensor

    def __getitem__(self, frames) -> SeenViews:
        """Some of the frames, as a tensor of that shape is indexed."""
        return SeenViews(self.rig[frames], self.tokens[frames])

    def flatten(self, first: int = 0, last: int = 1) -> SeenViews:
        """`(B, F)` frames as B * F."""
        return SeenViews(self.rig.flatten(first, last), self.tokens.flatten(first, last))


class CameraStream(nn.Module):
    """See `Stream`; what was seen are `SeenViews`, content is pictures `(..., V, 3, H, W)`.

    A view that is absent from a frame has the tokens `mask_id`: it is not remembered, and nothing is learned of it. The
    cameras stay where they were at t0 in the frames to come.

    Args:
        tokenizer: will be frozen.
    """

    grid = None
    """It sees no voxels."""

    def __init__(self, tokenizer: CameraTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        self.scales = Scales(tokenizer.specs)
        self.soft_decoder = copy.deepcopy(tokenizer.decoder).requires_grad_(True)
        self.memo = TokenMemo()

    def is_in(self, frames: SceneClip | History) -> bool:
        """Is there any image?"""
        return frames.images is not None and bool(frames.images_valid.any())

    def without(self, history: History) -> History:
        """See `Stream`; where the cameras are stays known."""
        if history.images is None:
            return history
        return replace(history, images_valid=torch.zeros_like(history.images_valid))

    def check(self, frames: SceneClip | History) -> None:
        """ValueError for frames without cameras, or with others than the tokenizer's."""
        scene, (width, height) = frames.scene[0], self.tokenizer.image_size
        if frames.images is None:
            raise ValueError(f"the world model needs images, but the clip of scene {scene} was loaded without")
        expected = (self.tokenizer.views, 3, height, width)
        if (found := tuple(frames.images.shape[2:])) != expected:
            raise ValueError(f"the world model is made for images (V, 3, H, W) = {expected}, but got {found}")

    @torch.no_grad()
    def tokens(self, frames: SceneClip | History) -> Tensor:
        """Those that come with the frames, else each frame is encoded once; the mask's where a view is absent."""
        if own := frames.tokens_of("camera"):
            return self.scales.row_of(own)
        views = CameraViews.of(frames).flatten()

        def encode(rows: list[int]) -> Tensor:
            return self.scales.row_of(self.tokenizer.encode(views[rows][:, None]))[:, 0]

        keys = views.images * views.valid[..., None, None, None]
        return self.memo.encode(keys, encode).to(keys.device).unflatten(0, frames.timestamp_us.shape)

    def displacement(self, history: History) -> None:
        """Pictures know no displacement."""

    def motion_losses(self, clip: SceneClip) -> tuple[dict[str, Tensor], None]:
        """None."""
        return {}, None

    @torch.no_grad()
    def see(self, history: History, displacement: None, T_t0_ego: Tensor, times_s: Tensor) -> SeenViews:
        """The newest views, and their cameras."""
        return self._seen(history, self.tokens(history)[:, -1], T_t0_ego.shape[1])

    def unseen(self, history: History, frames: int) -> SeenViews:
        """Where the cameras are, and nothing of what they saw. ValueError if it is not known where they are."""
        if history.K is None:
            raise ValueError(
                f"to predict views, K and T_ego_cam must be known, but the history of scene {history.scene[0]} has none"
            )
        spec, device = self.scales.row, history.K.device
        nothing = torch.full((len(history), spec.num_tokens), spec.mask_id, dtype=torch.int64, device=device)
        return self._seen(history, nothing, frames)

    def _seen(self, history: History, tokens: Tensor, frames: int) -> SeenViews:
        def repeated(part: Tensor) -> Tensor:
            return part[:, None].expand(-1, frames, *(-1,) * (part.ndim - 1))

        valid = history.images_valid[:, -1]
        # Where no view is there at all, all are asked for.
        valid = valid | ~valid.any(1, keepdim=True)
        rig = CameraViews(*(repeated(part) for part in (history.K[:, -1], history.T_ego_cam[:, -1], valid)))
        return SeenViews(rig, repeated(tokens))

    def hide(self, seen: SeenViews, hidden: Tensor) -> SeenViews:
        """See `Stream`."""
        return SeenViews(seen.rig, seen.tokens.masked_fill(hidden[:, None, None], self.scales.row.mask_id))

    @torch.no_grad()
    def view(self, seen: SeenViews) -> tuple[Tensor, Tensor, CameraViews]:
        """The codes of the newest views, and the cameras of the frames to predict."""
        (quantizer,), mask_id = self.tokenizer.quantizer.scales, self.scales.row.mask_id
        known = (seen.tokens != mask_id)[..., None]
        return quantizer.lookup(seen.tokens.clamp_max(mask_id - 1)) * known, known.float(), seen.rig

    def decode_soft(self, logits: Tensor, seen: SeenViews, beside: float = 0.0) -> Tensor:
        """Pictures `(J, V, 3, H, W)`."""
        (quantizer,), (views, *cells) = self.tokenizer.quantizer.scales, self.scales.shape
        shares = logits.float().softmax(-1) @ quantizer.codebook
        latents = shares.view(-1, *cells, shares.shape[-1]).movedim(-1, 1)
        return self.soft_decoder(latents, seen.rig.flatten()).unflatten(0, (-1, views))

    def forecast(self, content: Tensor) -> CameraForecast:
        """Views of each frame."""
        return CameraForecast(content.clamp(0, 1))

    def as_history(self, forecast: CameraForecast, history: History, T_t0_ego: Tensor) -> dict[str, Tensor]:
        """What the cameras would see, from where they are at t0."""
        pictures = to_uint8(forecast.pictures)
        rig = self._seen(history, history.timestamp_us[:, :1], pictures.shape[1]).rig
        return {"images": pictures, "images_valid": rig.valid, "K": rig.K, "T_ego_cam": rig.T_ego_cam}

    def first_frame(self, history: History) -> None:
        """Imagined frames reach the next ones as tokens alone."""

    def decode_drawn(
        self, tokens: Tensor, previous: None, T_ego_previous: Tensor, seen: SeenViews, beside: float = 0.0
    ) -> Tensor:
        """Pictures `(B, 1, V, 3, H, W)` with values 0..1, by the tokenizer's decoder: there is no past to read beside,
        and it reads single codes best."""
        return self.tokenizer.decode(self.scales.grids(tokens[:, None]), seen.rig)

    def losses(
        self,
        logits: Tensor,
        seen: SeenViews,
        clip: SceneClip,
        target: Tensor,
        chosen: Tensor,
        generator: torch.Generator | None = None,
        beside: float = 0.0,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Those of the tokenizer's pictures."""
        if len(chosen) == 0:
            return {"loss_l1": logits.sum() * 0, "loss_ssim": logits.sum() * 0}, None
        views = self.decode_soft(logits[chosen], seen[chosen])
        truth, valid = clip.images[chosen, target[chosen]], clip.images_valid[chosen, target[chosen]]
        weight = self.tokenizer.ssim_weight
        losses = picture_losses(views.flatten(0, 1), to_unit(truth.flatten(0, 1)), valid.flatten(), weight)
        return {name: len(chosen) / len(clip) * value for name, value in losses.items()}, views

    def samples(self, answer: Answer) -> list[dict]:
        """As `CameraForecastMetric` takes them: beside the forecast, the last views again and, as ceiling, what the
        true future views give that went through the tokens."""
        clip, future = answer.clip, slice(answer.clip.num_history, None)
        pictures = torch.cat([forecast.pictures for forecast in answer.forecasts], dim=1)
        true = CameraViews.of(clip)[:, future]
        forecasts = {
            "model": pictures,
            "copy_last": to_unit(clip.images[:, clip.num_history - 1, None]).expand_as(pictures),
            CEILING: self.tokenizer.decode(self.tokenizer.encode(true), true),
        }
        if answer.imagined is not None:
            forecasts["imagined"] = answer.imagined
        forecasts = {name: to_uint8(frames) for name, frames in forecasts.items()}
        return [
            {
                "camera": {
                    "forecasts": {name: frames[b] for name, frames in forecasts.items()},
                    "truth": true.images[b],
                    "valid": true.valid[b],
                    "times_s": clip.future_times_s()[b],
                    "scene": clip.scene[b],
                }
            }
            for b in range(len(clip))
        ]

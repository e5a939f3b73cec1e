"""WorldModel: predicts the coming frames from the past and the ego's motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from drivewm.structures import History, OccupancyForecast, SceneClip, TokenSpec
from drivewm.world_model.denoiser import Denoiser, Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.sampler import guide, sample, unsmoothed
from drivewm.world_model.scales import Scales
from drivewm.world_model.streams import LidarForecast, OccupancyStream, build_tokenizer, stream_of
from drivewm.world_model.tasks import TaskMix, motion_of, sources_of


@dataclass
class Outlook:
    """F frames to come, before they are decoded.

    Attributes:
        hidden: `(B, F, P, C)` last state of the denoiser.
        logits: `(B, F, N, V)` of their tokens.
        seen: `(B, F, ...)` what was observed, in these frames; see `Stream`.
    """

    hidden: Tensor
    logits: Tensor
    seen: Any


class WorldModel(BaseModel):
    """Discrete diffusion over the tokens of a modality, conditioned on the ego's motion and an ego-aligned memory.

    `forecast` answers "what is where, how likely" for all future frames at once: from nothing but masks, one pass
    gives the marginal distribution of each token, and a decoder trained on such soft tokens turns them into voxels.
    `imagine` draws one coherent future, frame after frame.

    What was observed reaches a future frame in three ways, all in that frame's own coordinates: as features that the
    denoiser attends to (`FrameMemory`), as its first guess of the tokens, and as voxels that the decoder may copy. The
    latter two know how things move (`MotionField`).

    Args:
        tokenizer: keyword arguments of the tokenizer, `type` its class (`OccupancyTokenizer` where there is none). Its
            modality is that of the model; its weights are frozen and come from its own training.
        dim, depth, heads, patch: size of the denoiser.
        memory: keyword arguments of `FrameMemory`.
        motion: keyword arguments of `MotionField`; None for a world in which only the ego moves.
        mix: keyword arguments of `TaskMix`.
        horizon: future frames that forecasts are trained for; planners may need longer clips.
        predicted_frames: future frames that are tested; more than the horizon are rolled out. None: the horizon.
        targets_per_clip: future frames that are trained on in each clip of a batch.
        label_smoothing: of the token cross-entropy.
        decode_weight, motion_weight: of the voxel losses of soft tokens and of the motion field's loss.
        imagine_steps: denoising steps per imagined frame.
        imagine_temperature: of the draws; below 1, likely tokens are drawn more often than they are predicted.
        guidance: weight w of classifier-free guidance when imagining.
        drop_motion: the unconditional branch does not see the ego's motion either.
        ego_aligned: false leaves what was observed where it was in its own frame, to measure what aligning brings.
        decoder_context: false keeps the decoder from seeing what was observed, to measure what that brings.
        motion_only: train the motion field alone: that is cheap, and what is rare and fast needs many examples.
        score_imagined: also score one imagined future of each clip, as forecast "imagined"; of LiDAR as generated
            clouds, see `LidarGenerationMetric`.
        points_per_frame: of LiDAR, how many points of each observed frame are carried into future ones; None: all.
        things_move: of LiDAR, move on what moved from sweep to sweep (`thing_motion.py`); false: only the ego moves.
        data_preprocessor: moves clips to the model's device.
    """

    ego_pose = "given"

    def __init__(
        self,
        tokenizer: dict,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        patch: int = 1,
        memory: dict | None = None,
        motion: dict | None = None,
        mix: dict | None = None,
        horizon: int = 6,
        predicted_frames: int | None = None,
        targets_per_clip: int = 2,
        label_smoothing: float = 0.1,
        decode_weight: float = 1.0,
        motion_weight: float = 0.5,
        imagine_steps: int = 8,
        imagine_temperature: float = 0.5,
        guidance: float = 0.5,
        drop_motion: bool = False,
        ego_aligned: bool = True,
        decoder_context: bool = True,
        motion_only: bool = False,
        score_imagined: bool = False,
        points_per_frame: int | None = None,
        things_move: bool = True,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        tokenizer = build_tokenizer(tokenizer)
        self.scales, self.grid = Scales(tokenizer.specs), tokenizer.grid
        self.spec = self.scales.row
        self.denoiser = Denoiser(self.scales, tokenizer.quantizer.dim, self.grid, dim, depth, heads, patch, memory)
        self.stream = stream_of(tokenizer, motion, ego_aligned, decoder_context, points_per_frame, things_move)
        self.mix = TaskMix(**(mix or {}))
        if self.mix.elsewhere and not isinstance(self.stream, OccupancyStream):
            kind = type(tokenizer).__name__
            raise ValueError(f"mix.elsewhere is of occupancy, got {self.mix.elsewhere} for a {kind}")
        self.horizon, self.predicted_frames = horizon, predicted_frames or horizon
        self.targets_per_clip, self.label_smoothing = targets_per_clip, label_smoothing
        self.decode_weight, self.motion_weight = decode_weight, motion_weight
        self.imagine_steps, self.imagine_temperature = imagine_steps, imagine_temperature
        self.guidance, self.drop_motion = guidance, drop_motion
        self.score_imagined, self.motion_only = score_imagined, motion_only
        if motion_only:
            if motion is None:
                raise ValueError("motion_only trains the motion field, but the model has none: motion is None")
            self.requires_grad_(False)
            self.stream.motion_field.requires_grad_(True)
        self.denoiser.memory.warp = ego_aligned

    @property
    def specs(self) -> tuple[TokenSpec, ...]:
        """Those of the tokenizer."""
        return self.scales.specs

    @property
    def tokenizer(self) -> nn.Module:
        """The frozen tokenizer."""
        return self.stream.tokenizer

    def train(self, mode: bool = True) -> WorldModel:
        """As usual, but the frozen tokenizer stays in evaluation mode: its codebook must not move."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def adopt_tokenizer(self, state_dict: dict[str, Tensor]) -> None:
        """Take over a trained tokenizer; the decoder of soft tokens starts as a copy of its decoder."""
        self.tokenizer.load_state_dict(state_dict)
        self.stream.soft_decoder.load_state_dict(self.tokenizer.decoder.state_dict())
        self.denoiser.adopt_codebooks([q.codebook for q in self.tokenizer.quantizer.scales])
        self.stream.memo.clear()

    def outlook(self, history: History, T_t0_ego: Tensor, times_s: Tensor, told: bool = True) -> Outlook:
        """What comes, in the model's own terms, in each future frame; one pass from nothing but masks.

        A gradient reaches the trunk and, through the motion that the denoiser is told, `T_t0_ego`; what was observed is
        moved into the frames without one.

        Args:
            history: the observed frames.
            T_t0_ego: `(B, F, 4, 4)` float32, from where the frames are seen.
            times_s: `(B, F)` [s] after t0.
            told: is the model told that the ego will be there?
        """
        self.stream.check(history)
        seen = self.stream.see(history, self.stream.displacement(history), T_t0_ego.detach(), times_s)
        memory, motion = self._observe(history, T_t0_ego, times_s, seen)
        motion.given &= told
        masks = self.all_masks(len(motion.time_s))
        hidden, lead = self.denoiser.hidden(masks, memory, motion), T_t0_ego.shape[:2]
        logits = self.denoiser.logits(hidden, masks, memory)
        return Outlook(hidden.unflatten(0, lead), logits.unflatten(0, lead), seen)

    def action_free(self, history: History, times_s: Tensor) -> Outlook:
        """What comes whatever the ego does, in its frame at t0, at `times_s (F,)` [s] after t0: see `outlook`."""
        batch, number = len(history), len(times_s)
        stay = torch.eye(4, device=times_s.device).expand(batch, number, 4, 4)
        return self.outlook(history, stay, times_s.expand(batch, -1), told=False)

    def expect(self, outlook: Outlook) -> OccupancyForecast | LidarForecast:
        """What is where in each frame of an outlook, and how likely."""
        content = self.stream.decode_soft(outlook.logits.flatten(0, 1), outlook.seen.flatten(0, 1))
        return self.stream.forecast(content.unflatten(0, outlook.logits.shape[:2]))

    @torch.no_grad()
    def forecast(self, history: History, T_t0_ego: Tensor, times_s: Tensor) -> OccupancyForecast | LidarForecast:
        """What is where in each future frame, and how likely, without sampling.

        Arguments as for `outlook`, under the ego motion `T_t0_ego`.

        Returns:
            the modality's forecast of F frames, each in its own ego frame.
        """
        return self.expect(self.outlook(history, T_t0_ego, times_s))

    @torch.no_grad()
    def imagine(self, history: History, T_t0_ego: Tensor, times_s: Tensor, generator: torch.Generator) -> Tensor:
        """One possible future: each frame is sampled given the observed ones and the imagined one before it.

        Arguments as in `forecast`; the same generator state gives the same future: classes `(B, F, X, Y, Z)` uint8, of
        LiDAR the field.
        """
        self.stream.check(history)
        observed = history.num_frames
        features = self.denoiser.memory.encode(self.stream.tokens(history))
        T_t0_frame = torch.cat([history.poses_in_t0(), T_t0_ego.float()], dim=1)
        stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
        seen = self.stream.see(history, self.stream.displacement(history), T_t0_ego, times_s)
        frames, previous = [], self.stream.first_frame(history)
        for f in range(T_t0_ego.shape[1]):
            target = torch.full((len(history), 1), observed + f, device=features.device)
            # The observed frames, and the imagined one just before (none before the first).
            source = torch.arange(observed + (f > 0), device=features.device)
            source = torch.where(source < observed, source, observed + f - 1).expand(len(history), 1, -1)
            known, view = torch.ones_like(source, dtype=torch.bool), self.stream.view(seen[:, f])
            sources = sources_of(T_t0_frame.double(), stamps, target, source, known, *view)
            motion = motion_of(T_t0_ego[:, f], times_s[:, f])
            memory = self.denoiser.memory.gather(features, sources)
            tokens = self._sample(memory, motion, generator)
            T_ego_previous = torch.linalg.inv(T_t0_frame[:, observed + f]) @ T_t0_frame[:, observed + f - 1]
            previous = self.stream.decode_drawn(tokens, previous, T_ego_previous, seen[:, f : f + 1])
            frames.append(previous)
            features = torch.cat([features[:, :observed], self.denoiser.memory.encode(tokens[:, None])], dim=1)
        return torch.cat(frames, dim=1)

    def all_masks(self, batch: int) -> Tensor:
        """Tokens `(B, N)` of which nothing is known."""
        device = self.denoiser.position.device
        return torch.full((batch, self.spec.num_tokens), self.spec.mask_id, dtype=torch.int64, device=device)

    def _observe(self, history: History, T_t0_ego: Tensor, times_s: Tensor, seen) -> tuple[Memory, Motion]:
        """Memory of the observed frames and motion condition for B * F frames to predict."""
        batch, future = T_t0_ego.shape[:2]
        features = self.denoiser.memory.encode(self.stream.tokens(history))[:, None].expand(-1, future, *(-1,) * 4)
        T_t0_frame = torch.cat([history.poses_in_t0().double(), T_t0_ego.double()], dim=1)
        stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
        target = history.num_frames + torch.arange(future, device=features.device).expand(batch, -1)
        source = torch.arange(history.num_frames, device=features.device).expand(batch, future, -1)
        known = torch.ones_like(source, dtype=torch.bool)
        sources = sources_of(T_t0_frame.detach(), stamps, target, source, known, *self.stream.view(seen.flatten(0, 1)))
        memory = self.denoiser.memory.gather(features.flatten(0, 1), sources)
        return memory, motion_of(T_t0_ego.flatten(0, 1), times_s.flatten())

    def _sample(self, memory: Memory, motion: Motion, generator: torch.Generator) -> Tensor:
        """Tokens `(J, N)` of one frame, with guidance; both branches run in one batch."""
        batch = len(motion.time_s)
        if self.guidance:
            memory = memory.with_blind_twin()
            given = torch.cat([motion.given, motion.given & (not self.drop_motion)])
            motion = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), given)

        def tokens_to_logits(tokens: Tensor) -> Tensor:
            if self.guidance:
                logits = guide(*self.denoiser(tokens.repeat(2, 1), memory, motion).chunk(2), self.guidance)
            else:
                logits = self.denoiser(tokens, memory, motion)
            return unsmoothed(logits, self.label_smoothing)

        return sample(tokens_to_logits, self.spec, batch, self.imagine_steps, generator, self.imagine_temperature)

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: `mode` is "loss", "predict" (see `losses`, `predictions`) or "tensor" (the forecast
        alone)."""
        self.stream.check(clip)
        if mode == "loss":
            return self.losses(clip)
        if mode == "predict":
            return self.predictions(clip)
        return self.forecast(clip.history(), clip.future_poses(), clip.future_times_s())

    def losses(self, clip: SceneClip) -> dict[str, Tensor]:
        """Training losses; the entries whose name holds "loss" are summed."""
        if self.motion_only:
            return self.stream.motion_losses(clip)[0]
        return world_model_losses(self, clip)

    def predictions(self, clip: SceneClip) -> list[dict]:
        """What a test run scores, one dict a clip."""
        return self.stream.predictions(self, clip)

    def ego_motion(self, clip: SceneClip) -> Tensor:
        """The motion `(B, F, 4, 4)` that predictions are made under: `ego_pose` says whose."""
        return clip.future_poses()

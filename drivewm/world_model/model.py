"""WorldModel: predicts the occupancy of the coming frames from the past and the ego's motion."""

from __future__ import annotations

import copy

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.structures import OCC3D, History, OccupancyForecast, SceneClip, TokenSpec, most_likely
from drivewm.tokenizers import DecoderContext, OccupancyTokenizer
from drivewm.world_model.baselines import newly_seen, warp_history
from drivewm.world_model.denoiser import Denoiser, Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.motion_field import MotionField
from drivewm.world_model.moved_history import moved_history
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.predictions import predict
from drivewm.world_model.sampler import guide, sample, unsmoothed
from drivewm.world_model.scales import Scales
from drivewm.world_model.tasks import TaskMix, motion_of, sources_of
from drivewm.world_model.things import as_wholes
from drivewm.world_model.token_memo import TokenMemo


class WorldModel(BaseModel):
    """Discrete diffusion over occupancy tokens, conditioned on the ego's motion and an ego-aligned memory.

    `forecast` answers "what is where, how likely" for all future frames at once: from nothing but masks, one pass
    gives the marginal distribution of each token, and a decoder trained on such soft tokens turns them into voxels.
    `imagine` draws one coherent future, frame after frame.

    What was observed reaches a future frame in three ways, all in that frame's own coordinates: as features that the
    denoiser attends to (`FrameMemory`), as its first guess of the tokens, and as voxels that the decoder may copy. The
    latter two know how things move (`MotionField`).

    Args:
        tokenizer: keyword arguments of `OccupancyTokenizer`; its weights are frozen and come from its own training.
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
        score_imagined: also score one imagined future of each clip, as forecast "imagined".
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
        score_imagined: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.tokenizer = OccupancyTokenizer(**tokenizer).requires_grad_(False).eval()
        self.scales, self.grid = Scales(self.tokenizer.specs), self.tokenizer.grid
        self.spec = self.scales.row
        code_dim = self.tokenizer.quantizer.dim
        self.denoiser = Denoiser(self.scales, code_dim, self.grid, dim, depth, heads, patch, memory)
        self.soft_decoder = copy.deepcopy(self.tokenizer.decoder).requires_grad_(True)
        self.motion_field = None if motion is None else MotionField(self.grid, **motion)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.mix = TaskMix(**(mix or {}))
        self.horizon, self.predicted_frames = horizon, predicted_frames or horizon
        self.targets_per_clip, self.label_smoothing = targets_per_clip, label_smoothing
        self.decode_weight, self.motion_weight = decode_weight, motion_weight
        self.imagine_steps, self.imagine_temperature = imagine_steps, imagine_temperature
        self.guidance, self.drop_motion = guidance, drop_motion
        self.ego_aligned, self.decoder_context, self.score_imagined = ego_aligned, decoder_context, score_imagined
        self.denoiser.memory.warp = ego_aligned
        self.memo = TokenMemo()

    @property
    def specs(self) -> tuple[TokenSpec, ...]:
        """Those of the tokenizer."""
        return self.scales.specs

    @property
    def log_class_weight(self) -> Tensor:
        """`(C,)` by how much the decoder's logits favour rare classes, since the loss does."""
        return self.tokenizer.class_weight.log()

    def train(self, mode: bool = True) -> WorldModel:
        """As usual, but the frozen tokenizer stays in evaluation mode: its codebook must not move."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def adopt_tokenizer(self, state_dict: dict[str, Tensor]) -> None:
        """Take over a trained tokenizer; the decoder of soft tokens starts as a copy of its decoder."""
        self.tokenizer.load_state_dict(state_dict)
        self.soft_decoder.load_state_dict(self.tokenizer.decoder.state_dict())
        self.denoiser.adopt_codebooks([q.codebook for q in self.tokenizer.quantizer.scales])
        self.memo.clear()

    @torch.no_grad()
    def forecast(self, history: History, T_t0_ego: Tensor, times_s: Tensor) -> OccupancyForecast:
        """How likely each class is in each voxel of each future frame, without sampling.

        Args:
            history: the observed frames, with occupancy.
            T_t0_ego: `(B, F, 4, 4)` float32, the ego motion to forecast under.
            times_s: `(B, F)` [s] after t0.

        Returns:
            logits of F frames, each in its own ego frame.
        """
        self._check(history)
        seen = self.see(history, self.displacement(history), T_t0_ego, times_s)
        memory, motion = self._observe(history, T_t0_ego, times_s, seen)
        logits = self.denoiser(self.all_masks(len(motion.time_s)), memory, motion)
        voxels = self.decode_soft(logits[:, None], seen.flatten(0, 1)[:, None])[:, 0]
        return OccupancyForecast(
            voxels.unflatten(0, T_t0_ego.shape[:2]), self.log_class_weight, self.log_temperature.exp()
        )

    @torch.no_grad()
    def imagine(self, history: History, T_t0_ego: Tensor, times_s: Tensor, generator: torch.Generator) -> Tensor:
        """One possible future: each frame is sampled given the observed ones and the imagined one before it.

        Arguments as in `forecast`; the same generator state gives the same future: `(B, F, X, Y, Z)` uint8.
        """
        self._check(history)
        observed = history.num_frames
        features = self.denoiser.memory.encode(self.encode(history))
        T_t0_frame = torch.cat([history.poses_in_t0(), T_t0_ego.float()], dim=1)
        stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
        seen = self.see(history, self.displacement(history), T_t0_ego, times_s)
        frames, previous = [], history.occupancy[:, -1:]
        for f in range(T_t0_ego.shape[1]):
            target = torch.full((len(history), 1), observed + f, device=features.device)
            # The observed frames, and the imagined one just before (none before the first).
            source = torch.arange(observed + (f > 0), device=features.device)
            source = torch.where(source < observed, source, observed + f - 1).expand(len(history), 1, -1)
            known, view = torch.ones_like(source, dtype=torch.bool), self.view(seen[:, f])
            sources = sources_of(T_t0_frame.double(), stamps, target, source, known, *view)
            motion = motion_of(T_t0_ego[:, f], times_s[:, f])
            memory = self.denoiser.memory.gather(features, sources)
            tokens = self._sample(memory, motion, generator)[:, None]
            T_ego_previous = torch.linalg.inv(T_t0_frame[:, observed + f]) @ T_t0_frame[:, observed + f - 1]
            context = self._context(previous, T_ego_previous[:, None], seen[:, f : f + 1])
            voxels = self.tokenizer.decode(self.scales.grids(tokens), context)
            previous = most_likely(voxels, 2)
            frames.append(previous)
            features = torch.cat([features[:, :observed], self.denoiser.memory.encode(tokens)], dim=1)
        return torch.cat(frames, dim=1)

    def planner_state(self, history: History, time_s: float = 2.0) -> Tensor:
        """The model's idea of an action-free future, as a map in the ego frame at t0: `(B, C, H, W)`, differentiable.

        The denoiser is asked for the frame `time_s` after t0 without being told where the ego goes.
        """
        self._check(history)
        stay = torch.eye(4, device=history.T_global_ego.device).expand(len(history), 1, 4, 4)
        times_s = torch.full((len(history), 1), time_s, device=stay.device)
        seen = self.see(history, self.displacement(history), stay, times_s)
        memory, motion = self._observe(history, stay, times_s, seen)
        motion.given = torch.zeros_like(motion.given)
        hidden = self.denoiser.hidden(self.all_masks(len(history)), memory, motion)
        return hidden.transpose(1, 2).unflatten(2, self.denoiser.shape)

    def encode(self, frames: SceneClip | History) -> Tensor:
        """Tokens `(B, T, N)` of the occupancy: those that come with the frames, else each frame is encoded once."""
        if frames.tokens is not None:
            return self.scales.row_of(frames.tokens)
        return self.memo.encode(self.tokenizer, frames.occupancy)

    def all_masks(self, batch: int) -> Tensor:
        """Tokens `(B, N)` of which nothing is known."""
        device = self.denoiser.position.device
        return torch.full((batch, self.spec.num_tokens), self.spec.mask_id, dtype=torch.int64, device=device)

    def displacement(self, history: History) -> Tensor | None:
        """How the things seen at t0 will move, without gradient: see `MotionField`. None without such a field."""
        if self.motion_field is None:
            return None
        with torch.no_grad():
            return as_wholes(self.motion_field(history), history)

    @torch.no_grad()
    def see(self, history: History, displacement: Tensor | None, T_t0_ego: Tensor, times_s: Tensor) -> Tensor:
        """What was observed, in the ego frames `T_t0_ego (B, F, 4, 4)` at `times_s (B, F)`: see `moved_history`."""
        if not self.ego_aligned:
            T_t0_ego = torch.eye(4, device=T_t0_ego.device).expand_as(T_t0_ego)
        if displacement is None:
            return warp_history(history, T_t0_ego)
        field = self.motion_field
        return moved_history(history, T_t0_ego, field.at(displacement, times_s), field.moves(displacement))

    @torch.no_grad()
    def decode_true_tokens(self, clip: SceneClip, T_t0_ego: Tensor, times_s: Tensor) -> Tensor:
        """Classes `(B, F, X, Y, Z)` uint8 of F true future frames that went through the tokens."""
        history, future = clip.history(), slice(clip.num_history, clip.num_history + T_t0_ego.shape[1])
        seen = self.see(history, self.displacement(history), T_t0_ego, times_s).flatten(0, 1)
        grids = self.tokenizer.encode(clip.occupancy[:, future])
        codes = self.tokenizer.quantizer.lookup(tuple(grid.indices.flatten(0, 1) for grid in grids))
        voxels = self._decode(self.tokenizer.quantizer.decode(codes), seen)
        return most_likely(voxels, 1).unflatten(0, T_t0_ego.shape[:2])

    def decode_soft(self, logits: Tensor, seen: Tensor) -> Tensor:
        """Token logits `(B, T, N, V)` and what was seen `(B, T, X, Y, Z)` -> voxel logits `(B, T, C, X, Y, Z)`."""
        quantizer = self.tokenizer.quantizer
        shares = self.scales.split(logits.flatten(0, 1).float().softmax(-1))
        latents = quantizer.decode(tuple(p @ q.codebook for p, q in zip(shares, quantizer.scales, strict=True)))
        return self._decode(latents, seen.flatten(0, 1)).unflatten(0, logits.shape[:2])

    def _decode(self, latents: Tensor, seen: Tensor) -> Tensor:
        """Latents `(J, D, H, W)` and what was seen `(J, X, Y, Z)` -> voxel logits `(J, C, X, Y, Z)`."""
        if not self.decoder_context:
            seen = torch.full_like(seen, OCC3D.num_classes)
        return self.soft_decoder(latents, seen)

    @torch.no_grad()
    def view(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What the tokenizer makes of a moved history `(J, X, Y, Z)`: see `Sources.view` and `covered`.

        Moved before it is encoded, content keeps its place to the voxel; no token has to be moved by parts of itself.
        """
        unseen = newly_seen(seen)
        latents = self.tokenizer.encoder(seen.masked_fill(unseen, OCC3D.free)).float()
        covered = (~unseen).float().mean(-1)[:, None]
        covered = F.adaptive_avg_pool2d(covered, self.scales.shape)
        return self.scales.join(self.tokenizer.quantizer.inputs(latents)), self.scales.join(self.scales.shrink(covered))

    def _context(self, previous: Tensor, T_ego_previous: Tensor, seen: Tensor) -> DecoderContext:
        """What the decoder of an imagined frame sees: what was observed, elsewhere the imagined frame before it."""
        if not self.decoder_context:
            return DecoderContext()
        context = self.tokenizer.warp_context(previous, T_ego_previous)
        return DecoderContext(torch.where(newly_seen(seen), context.previous, seen))

    def _observe(self, history: History, T_t0_ego: Tensor, times_s: Tensor, seen: Tensor) -> tuple[Memory, Motion]:
        """Memory of the observed frames and motion condition for B * F frames to predict."""
        batch, future = T_t0_ego.shape[:2]
        features = self.denoiser.memory.encode(self.encode(history))[:, None].expand(-1, future, *(-1,) * 4)
        T_t0_frame = torch.cat([history.poses_in_t0().double(), T_t0_ego.double()], dim=1)
        stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
        target = history.num_frames + torch.arange(future, device=features.device).expand(batch, -1)
        source = torch.arange(history.num_frames, device=features.device).expand(batch, future, -1)
        known = torch.ones_like(source, dtype=torch.bool)
        sources = sources_of(T_t0_frame, stamps, target, source, known, *self.view(seen.flatten(0, 1)))
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
        self._check(clip)
        if mode == "loss":
            return self.losses(clip)
        if mode == "predict":
            return self.predictions(clip)
        return self.forecast(clip.history(), clip.future_poses(), clip.future_times_s())

    def losses(self, clip: SceneClip) -> dict[str, Tensor]:
        """Training losses; the entries whose name holds "loss" are summed."""
        return world_model_losses(self, clip)

    def predictions(self, clip: SceneClip) -> list[dict]:
        """What a test run scores, one dict a clip: see `predict`."""
        return predict(self, clip)

    def ego_motion(self, clip: SceneClip) -> Tensor:
        """The motion `(B, F, 4, 4)` that predictions are made under: `ego_pose` says whose."""
        return clip.future_poses()

    def _check(self, frames: SceneClip | History) -> None:
        if frames.grid != self.grid:
            raise ValueError(f"the world model is made for the grid {self.grid}, but the clip's is {frames.grid}")
        if frames.occupancy is None:
            raise ValueError(
                f"the world model needs occupancy, but the clip of scene {frames.scene[0]} was loaded without"
            )

"""WorldModel: predicts the occupancy of the coming frames from the past and the ego's motion."""

from __future__ import annotations

import copy
import time

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from drivewm.structures import OCC3D, History, OccupancyForecast, SceneClip, TokenGrid
from drivewm.tokenizers import OccupancyTokenizer
from drivewm.world_model.baselines import beside_baselines, newly_seen, warp_history
from drivewm.world_model.denoiser import Denoiser, Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.sampler import guide, sample
from drivewm.world_model.tasks import TaskMix, motion_of, sources_of
from drivewm.world_model.token_memo import TokenMemo


class WorldModel(BaseModel):
    """Discrete diffusion over occupancy tokens, conditioned on the ego's motion and an ego-aligned memory.

    `forecast` answers "what is where, most likely" for all future frames at once: from nothing but masks, one pass
    gives the marginal distribution of each token, and a decoder trained on such soft tokens turns them into voxels.
    `imagine` draws one coherent future, frame after frame.

    Args:
        tokenizer: keyword arguments of `OccupancyTokenizer`; its weights are frozen and come from its own training.
        dim, depth, heads: size of the denoiser.
        memory: keyword arguments of `FrameMemory`.
        mix: keyword arguments of `TaskMix`.
        horizon: future frames that forecasts are trained for and tested on; planners may need longer clips.
        targets_per_clip: future frames that are trained on in each clip of a batch.
        label_smoothing: of the token cross-entropy.
        decoded_targets: how many of a batch's targets also train the decoder of soft tokens.
        decode_weight: of that loss.
        imagine_steps: denoising steps per imagined frame.
        guidance: weight w of classifier-free guidance when imagining.
        drop_motion: the unconditional branch does not see the ego's motion either.
        data_preprocessor: moves clips to the model's device.
    """

    ego_pose = "given"

    def __init__(
        self,
        tokenizer: dict,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        memory: dict | None = None,
        mix: dict | None = None,
        horizon: int = 6,
        targets_per_clip: int = 2,
        label_smoothing: float = 0.1,
        decoded_targets: int = 4,
        decode_weight: float = 1.0,
        imagine_steps: int = 8,
        guidance: float = 0.5,
        drop_motion: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.tokenizer = OccupancyTokenizer(**tokenizer).requires_grad_(False).eval()
        self.spec, self.grid = self.tokenizer.specs[0], self.tokenizer.grid
        self.denoiser = Denoiser(self.spec, self.tokenizer.quantizer.dim, self.grid, dim, depth, heads, memory or {})
        self.soft_decoder = copy.deepcopy(self.tokenizer.decoder).requires_grad_(True)
        self.mix = TaskMix(**(mix or {}))
        self.horizon, self.targets_per_clip, self.label_smoothing = horizon, targets_per_clip, label_smoothing
        self.decoded_targets, self.decode_weight = decoded_targets, decode_weight
        self.imagine_steps, self.guidance, self.drop_motion = imagine_steps, guidance, drop_motion
        self.memo = TokenMemo()
        self.register_buffer("temperature", torch.ones(()))

    def train(self, mode: bool = True) -> WorldModel:
        """As usual, but the frozen tokenizer stays in evaluation mode: its codebook must not move."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def adopt_tokenizer(self, state_dict: dict[str, Tensor]) -> None:
        """Take over a trained tokenizer; the decoder of soft tokens starts as a copy of its decoder."""
        self.tokenizer.load_state_dict(state_dict)
        self.soft_decoder.load_state_dict(self.tokenizer.decoder.state_dict())
        self.denoiser.adopt_codebook(self.tokenizer.quantizer.codebook)
        self.memo.clear()

    @torch.no_grad()
    def forecast(
        self, history: History, T_t0_ego: Tensor, times_s: Tensor, seen: Tensor | None = None
    ) -> OccupancyForecast:
        """How likely each class is in each voxel of each future frame, without sampling.

        Args:
            history: the observed frames, with occupancy.
            T_t0_ego: `(B, F, 4, 4)` float32, the ego motion to forecast under.
            times_s: `(B, F)` [s] after t0.
            seen: the history warped into these frames (`baselines.warp_history`), if it is at hand.

        Returns:
            logits of F frames, each in its own ego frame.
        """
        self._check(history)
        seen = warp_history(history, T_t0_ego) if seen is None else seen
        memory, motion = self._observe(history, T_t0_ego, times_s, seen)
        logits = self.denoiser(self.all_masks(len(motion.time_s)), memory, motion)
        voxels = self.decode_soft(logits[:, None], seen.flatten(0, 1)[:, None])
        return OccupancyForecast(voxels[:, 0].unflatten(0, T_t0_ego.shape[:2]), self.temperature)

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
        frames, previous, seen = [], history.occupancy[:, -1:], warp_history(history, T_t0_ego)
        for f in range(T_t0_ego.shape[1]):
            target = torch.full((len(history), 1), observed + f, device=features.device)
            # The observed frames, and the imagined one just before (none before the first).
            source = torch.arange(observed + (f > 0), device=features.device)
            source = torch.where(source < observed, source, observed + f - 1).expand(len(history), 1, -1)
            known, view = torch.ones_like(source, dtype=torch.bool), self.align(seen[:, f])
            sources = sources_of(T_t0_frame.double(), stamps, target, source, known, *view)
            motion = motion_of(T_t0_ego[:, f], times_s[:, f])
            memory = self.denoiser.memory.gather(features, sources)
            tokens = self._sample(memory, motion, generator)
            T_ego_previous = torch.linalg.inv(T_t0_frame[:, observed + f]) @ T_t0_frame[:, observed + f - 1]
            context = self.tokenizer.warp_context(previous, T_ego_previous[:, None])
            voxels = self.tokenizer.decode((TokenGrid(tokens[:, None], self.spec),), context)
            previous = voxels.argmax(2).to(torch.uint8)
            frames.append(previous)
            features = torch.cat([features[:, :observed], self.denoiser.memory.encode(tokens[:, None])], dim=1)
        return torch.cat(frames, dim=1)

    def planner_state(self, history: History, time_s: float = 2.0) -> Tensor:
        """The model's idea of an action-free future, as a map in the ego frame at t0: `(B, C, H, W)`, differentiable.

        The denoiser is asked for the frame `time_s` after t0 without being told where the ego goes.
        """
        self._check(history)
        stay = torch.eye(4, device=history.T_global_ego.device).expand(len(history), 1, 4, 4)
        times_s = torch.full((len(history), 1), time_s, device=stay.device)
        memory, motion = self._observe(history, stay, times_s, warp_history(history, stay))
        motion.given = torch.zeros_like(motion.given)
        hidden = self.denoiser.hidden(self.all_masks(len(history)), memory, motion)
        return hidden.transpose(1, 2).unflatten(2, self.spec.shape)

    def encode(self, frames: SceneClip | History) -> Tensor:
        """Tokens `(B, T, H, W)` of the occupancy, each frame encoded once."""
        return self.memo.encode(self.tokenizer, frames.occupancy)

    def all_masks(self, batch: int) -> Tensor:
        """Tokens `(B, N)` of which nothing is known."""
        device = self.denoiser.position.device
        return torch.full((batch, self.spec.num_tokens), self.spec.mask_id, dtype=torch.int64, device=device)

    def decode_soft(self, logits: Tensor, seen: Tensor) -> Tensor:
        """Token logits `(B, T, N, V)` and the warped history `(B, T, X, Y, Z)` -> voxel logits `(B, T, C, X, Y, Z)`."""
        codes = (logits.float().softmax(-1) @ self.tokenizer.quantizer.codebook).unflatten(2, self.spec.shape)
        voxels = self.soft_decoder(codes.flatten(0, 1).movedim(-1, 1), seen.flatten(0, 1))
        return voxels.unflatten(0, logits.shape[:2])

    @torch.no_grad()
    def align(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What the tokenizer makes of a warped history `(J, X, Y, Z)`: latents `(J, H, W, D)`, coverage `(J, H, W)`.

        Warped before it is encoded, content keeps its place to the voxel; no token has to be moved by parts of itself.
        """
        unseen = newly_seen(seen)
        latents = self.tokenizer.encoder(seen.masked_fill(unseen, OCC3D.free)).float().movedim(1, -1)
        covered = F.adaptive_avg_pool2d((~unseen).float().mean(-1)[:, None], self.spec.shape)[:, 0]
        return latents, covered

    def _observe(self, history: History, T_t0_ego: Tensor, times_s: Tensor, seen: Tensor) -> tuple[Memory, Motion]:
        """Memory of the observed frames and motion condition for B * F frames to predict."""
        batch, future = T_t0_ego.shape[:2]
        features = self.denoiser.memory.encode(self.encode(history))[:, None].expand(-1, future, *(-1,) * 4)
        T_t0_frame = torch.cat([history.poses_in_t0().double(), T_t0_ego.double()], dim=1)
        stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
        target = history.num_frames + torch.arange(future, device=features.device).expand(batch, -1)
        source = torch.arange(history.num_frames, device=features.device).expand(batch, future, -1)
        known = torch.ones_like(source, dtype=torch.bool)
        sources = sources_of(T_t0_frame, stamps, target, source, known, *self.align(seen.flatten(0, 1)))
        memory = self.denoiser.memory.gather(features.flatten(0, 1), sources)
        return memory, motion_of(T_t0_ego.flatten(0, 1), times_s.flatten())

    def _sample(self, memory: Memory, motion: Motion, generator: torch.Generator) -> Tensor:
        """Tokens `(J, H, W)` of one frame, with guidance; both branches run in one batch."""
        batch = len(motion.time_s)
        if self.guidance:
            memory = memory.with_blind_twin()
            given = torch.cat([motion.given, motion.given & (not self.drop_motion)])
            motion = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), given)

        def tokens_to_logits(tokens: Tensor) -> Tensor:
            if not self.guidance:
                return self.denoiser(tokens, memory, motion)
            return guide(*self.denoiser(tokens.repeat(2, 1), memory, motion).chunk(2), self.guidance)

        return sample(tokens_to_logits, self.spec, batch, self.imagine_steps, generator)

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
        """One dict a clip, as `OccupancyForecastMetric` takes it: frames within the horizon, beside the baselines'."""
        history, times_s = clip.history(), clip.future_times_s()[:, : self.horizon]
        T_t0_ego = self.ego_motion(clip)[:, : self.horizon]
        start = _now(T_t0_ego.device)
        forecast = self.forecast(history, T_t0_ego, times_s)
        labels = forecast.labels
        seconds = (_now(T_t0_ego.device) - start) / len(clip)
        samples, probabilities = beside_baselines(clip, {"model": labels}, T_t0_ego), forecast.probabilities()
        for own, of_classes in zip(samples, probabilities, strict=True):
            own.update(probabilities={"model": of_classes}, ego_pose=self.ego_pose, seconds=seconds)
        return samples

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


def _now(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

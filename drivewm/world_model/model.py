"""WorldModel: predicts the coming frames from the past and the ego's motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from drivewm.geometry import VoxelGrid
from drivewm.structures import History, OccupancyForecast, SceneClip, TokenSpec
from drivewm.world_model.beside import Besides, evidence_of, evidence_of_views, voxels_first
from drivewm.world_model.denoiser import Denoiser
from drivewm.world_model.evidence import Evidence
from drivewm.world_model.imagination import imagine
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.observation import observe, present_streams
from drivewm.world_model.predictions import predict
from drivewm.world_model.streams import LidarForecast, Stream, listed_streams
from drivewm.world_model.tasks import TaskMix
from drivewm.world_model.trunk import Trunk


@dataclass
class Outlook:
    """F frames of a stream to come, before they are decoded.

    Attributes:
        stream: whose they are.
        hidden: `(B, F, P, C)` last state of the stream's denoiser.
        logits: `(B, F, N, V)` of their tokens.
        seen: `(B, F, ...)` what was observed, in these frames; see `Stream`.
        evidence: what streams saw of the B * F frames, for the decoder to read.
    """

    stream: str
    hidden: Tensor
    logits: Tensor
    seen: Any
    evidence: dict[str, Evidence]


class WorldModel(BaseModel):
    """Discrete diffusion over the tokens of one or more modalities, conditioned on the ego's motion and their past.

    `forecast` answers "what is where, how likely" for all future frames at once: from nothing but masks, one pass
    gives the marginal distribution of each token, and a decoder trained on such soft tokens turns them into voxels.
    `imagine` draws one coherent future, frame after frame. Both are of the leading stream, that of occupancy where
    there is one, else the first; `forecasts` and `imagined` are of any streams, from one pass for all.

    What was observed reaches a future frame in three ways, all in that frame's own coordinates: as features that the
    denoiser attends to (`FrameMemory`), as its first guess of the tokens, and as voxels that the decoder may copy. The
    latter two know how things move (`MotionField`). Streams learn of each other in the `Trunk`, and their decoders of
    what others tell of the same frame (`Besides`). A stream that a history lacks is absent: nothing of it is
    remembered, and what is predicted of it comes from the others.

    Args:
        tokenizer, patch, memory, motion, ego_aligned, decoder_context, points_per_frame, things_move: of the stream, if
            there is but one; see `StreamOptions`.
        streams: of several, by modality what replaces or is added to these; `tokenizer` is then None.
        dim, depth, heads: size of the denoisers.
        exchange: how streams learn of each other; see `Trunk`.
        mix: keyword arguments of `TaskMix`.
        horizon: future frames that forecasts are trained for; planners may need longer clips.
        predicted_frames: future frames that are tested; more than the horizon are rolled out. None: all of a clip.
        targets_per_clip: future frames that are trained on in each clip of a batch.
        label_smoothing: of the token cross-entropy.
        decode_weight, motion_weight: of the voxel losses of soft tokens and of the motion field's loss.
        imagine_steps: denoising steps per imagined frame.
        imagine_temperature: of the draws; below 1, likely tokens are drawn more often than they are predicted.
        guidance: weight w of classifier-free guidance when imagining.
        drop_motion: the unconditional branch does not see the ego's motion either.
        motion_only: train the motion field alone: that is cheap, and what is rare and fast needs many examples.
        score_imagined: also score one imagined future of each clip, as forecast "imagined"; of LiDAR as generated
            clouds, see `LidarGenerationMetric`.
        inputs, outputs: streams whose history a test shows to the model, and streams that it scores; None: all.
        data_preprocessor: moves clips to the model's device.
    """

    ego_pose = "given"

    def __init__(
        self,
        tokenizer: dict | None = None,
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
        streams: dict[str, dict] | None = None,
        exchange: dict | None = None,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        common = dict(patch=patch, memory=memory, motion=motion, ego_aligned=ego_aligned)
        common |= dict(decoder_context=decoder_context, points_per_frame=points_per_frame, things_move=things_move)
        parts = listed_streams(tokenizer, streams, common)
        denoisers = {name: own.build_denoiser(built, dim, depth, heads) for name, (own, built) in parts.items()}
        self.trunk = Trunk(denoisers, exchange or dict(type="geometric"))
        self.streams = nn.ModuleDict({name: own.build_stream(built) for name, (own, built) in parts.items()})
        self.beside = Besides(self.streams)
        self.weights = {name: own.weight for name, (own, _) in parts.items()}
        self.inputs, self.outputs = self.named(inputs), self.named(outputs)
        self.mix = TaskMix(**(mix or {}))
        others = [type(stream.tokenizer).__name__ for name, stream in self.streams.items() if name != "occupancy"]
        if self.mix.elsewhere and others:
            raise ValueError(f"mix.elsewhere is of occupancy, got {self.mix.elsewhere} for a {', '.join(others)}")
        self.horizon, self.predicted_frames = horizon, predicted_frames
        self.targets_per_clip, self.label_smoothing = targets_per_clip, label_smoothing
        self.decode_weight, self.motion_weight = decode_weight, motion_weight
        self.imagine_steps, self.imagine_temperature = imagine_steps, imagine_temperature
        self.guidance, self.drop_motion = guidance, drop_motion
        self.score_imagined, self.motion_only = score_imagined, motion_only
        if motion_only:
            if getattr(self.stream, "motion_field", None) is None:
                raise ValueError("motion_only trains the motion field, but the model has none: motion is None")
            self.requires_grad_(False)
            self.stream.motion_field.requires_grad_(True)
        self.register_load_state_dict_pre_hook(_name_the_only_stream)

    @property
    def leading(self) -> str:
        """Name of the stream that planners and dreams ask for: occupancy, or where there is none the first."""
        return "occupancy" if "occupancy" in self.streams else next(iter(self.streams))

    @property
    def stream(self) -> Stream:
        """The leading stream."""
        return self.streams[self.leading]

    @property
    def denoiser(self) -> Denoiser:
        """That of the leading stream."""
        return self.trunk.denoisers[self.leading]

    @property
    def tokenizer(self) -> nn.Module:
        """The frozen tokenizer of the leading stream."""
        return self.stream.tokenizer

    @property
    def grid(self) -> VoxelGrid:
        """That of the leading stream."""
        return self.stream.grid

    @property
    def specs(self) -> tuple[TokenSpec, ...]:
        """Those of all tokenizers."""
        return tuple(spec for stream in self.streams.values() for spec in stream.scales.specs)

    def train(self, mode: bool = True) -> WorldModel:
        """As usual, but the frozen tokenizers stay in evaluation mode: their codebooks must not move."""
        super().train(mode)
        for stream in self.streams.values():
            stream.tokenizer.eval()
        return self

    def adopt_tokenizer(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Take over a stream's trained tokenizer; the decoder of soft tokens starts as a copy of its decoder."""
        stream = self.streams[name]
        stream.tokenizer.load_state_dict(state_dict)
        stream.soft_decoder.load_state_dict(stream.tokenizer.decoder.state_dict())
        self.trunk.denoisers[name].adopt_codebooks([q.codebook for q in stream.tokenizer.quantizer.scales])
        stream.memo.clear()

    def outlooks(
        self,
        history: History,
        T_t0_ego: Tensor,
        times_s: Tensor,
        outputs: Sequence[str] | None = None,
        told: bool = True,
    ) -> dict[str, Outlook]:
        """What comes, in the model's own terms, in each future frame; one pass of all streams from nothing but masks.

        A gradient reaches the trunk and, through the motion that the denoiser is told, `T_t0_ego`; what was observed is
        moved into the frames without one.

        Args:
            history: the observed frames; any of the model's streams may be absent, but not all.
            T_t0_ego: `(B, F, 4, 4)` float32, from where the frames are seen.
            times_s: `(B, F)` [s] after t0.
            outputs: streams to predict; None: all. Others take part, or are looked up, as far as they were observed.
            told: is the model told that the ego will be there?

        Raises:
            ValueError: there is no such stream, none was observed, or one is not as the model needs it.
        """
        present, outputs = present_streams(self, history), self.named(outputs)
        remembered = tuple(name for name in self.streams if name in present or name in outputs)
        found = observe(self, history, T_t0_ego, times_s, remembered)
        found.motion.given &= told
        running = self.trunk.taking_part(remembered, outputs)
        masks = {name: self.all_masks(len(found.motion.time_s), name) for name in running}
        hidden, lead = self.trunk.hidden(masks, found.memory, found.motion), T_t0_ego.shape[:2]
        outlooks, told = {}, evidence_of(self.streams, {name: seen.flatten(0, 1) for name, seen in found.seen.items()})
        for name in outputs:
            logits = self.trunk.denoisers[name].logits(hidden[name], masks[name], found.memory[name])
            states = hidden[name].unflatten(0, lead), logits.unflatten(0, lead)
            evidence = told | evidence_of_views(found.memory[name].lifted)
            outlooks[name] = Outlook(name, *states, found.seen[name], evidence)
        return outlooks

    def outlook(self, history: History, T_t0_ego: Tensor, times_s: Tensor, told: bool = True) -> Outlook:
        """That of the leading stream: see `outlooks`."""
        return self.outlooks(history, T_t0_ego, times_s, (self.leading,), told)[self.leading]

    def action_free(self, history: History, times_s: Tensor) -> Outlook:
        """What comes whatever the ego does, in its frame at t0, at `times_s (F,)` [s] after t0: see `outlook`."""
        batch, number = len(history), len(times_s)
        stay = torch.eye(4, device=times_s.device).expand(batch, number, 4, 4)
        return self.outlook(history, stay, times_s.expand(batch, -1), told=False)

    def expect(self, outlook: Outlook) -> OccupancyForecast | LidarForecast:
        """What is where in each frame of an outlook, and how likely."""
        stream = self.streams[outlook.stream]
        beside = self.beside(outlook.stream, outlook.evidence)
        content = stream.decode_soft(outlook.logits.flatten(0, 1), outlook.seen.flatten(0, 1), beside)
        return stream.forecast(content.unflatten(0, outlook.logits.shape[:2]))

    @torch.no_grad()
    def forecasts(
        self, history: History, T_t0_ego: Tensor, times_s: Tensor, outputs: Sequence[str] | None = None
    ) -> dict[str, OccupancyForecast | LidarForecast]:
        """What is where in each future frame, and how likely, without sampling: of each stream that is asked for.

        Arguments and errors as for `outlooks`, under the ego motion `T_t0_ego`.

        Returns:
            forecasts of F frames, each in its own ego frame.
        """
        found, said, forecasts = self.outlooks(history, T_t0_ego, times_s, outputs), {}, {}
        for name in voxels_first(found):
            forecasts[name] = self.expect(replace(found[name], evidence=found[name].evidence | said))
            if name == "occupancy":
                said = evidence_of(self.streams, {name: forecasts[name].labels.flatten(0, 1)})
        return {name: forecasts[name] for name in found}

    def forecast(self, history: History, T_t0_ego: Tensor, times_s: Tensor) -> OccupancyForecast | LidarForecast:
        """That of the leading stream: see `forecasts`."""
        return self.forecasts(history, T_t0_ego, times_s, (self.leading,))[self.leading]

    @torch.no_grad()
    def imagined(
        self,
        history: History,
        T_t0_ego: Tensor,
        times_s: Tensor,
        generator: torch.Generator,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """One possible future: each frame is sampled given the observed ones and the imagined one before it.

        The tokens of all streams of a frame are drawn together. Arguments and errors as for `forecasts`; the same
        generator state gives the same future.

        Returns:
            of occupancy classes `(B, F, X, Y, Z)` uint8, of LiDAR the volume.
        """
        return imagine(self, history, T_t0_ego, times_s, generator, self.named(outputs))

    def imagine(self, history: History, T_t0_ego: Tensor, times_s: Tensor, generator: torch.Generator) -> Tensor:
        """That of the leading stream: see `imagined`."""
        return self.imagined(history, T_t0_ego, times_s, generator, (self.leading,))[self.leading]

    def all_masks(self, batch: int, name: str) -> Tensor:
        """Tokens `(B, N)` of a stream of which nothing is known."""
        spec, device = self.streams[name].scales.row, self.denoiser.null_motion.device
        return torch.full((batch, spec.num_tokens), spec.mask_id, dtype=torch.int64, device=device)

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: `mode` is "loss", "predict" (see `losses`, `predictions`) or "tensor" (the forecast of the
        leading stream alone)."""
        needed = {"loss": self.streams, "predict": {*self.inputs, *self.outputs}}.get(mode, ())
        for name in needed:
            self.streams[name].check(clip)
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
        return predict(self, clip)

    def ego_motion(self, clip: SceneClip) -> Tensor:
        """The motion `(B, F, 4, 4)` that predictions are made under: `ego_pose` says whose."""
        return clip.future_poses()

    def named(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Names of streams in the order of the model; None: all of them. ValueError where there is no such stream."""
        if names is None:
            return tuple(self.streams)
        if not names or set(names) - set(self.streams):
            raise ValueError(f"streams must be some of {', '.join(self.streams)}, got {tuple(names)}")
        return tuple(name for name in self.streams if name in names)


def _name_the_only_stream(model: WorldModel, state_dict: dict[str, Tensor], prefix: str, *_) -> None:
    """Checkpoints of one stream that were written before streams had names."""
    new = {"denoiser.": f"trunk.denoisers.{model.leading}.", "stream.": f"streams.{model.leading}."}
    for key in list(state_dict):
        for old, name in new.items():
            if key.startswith(prefix + old):
                state_dict[prefix + name + key[len(prefix + old) :]] = state_dict.pop(key)

"""LidarStream: points, of which nothing is known but where they were met and from where. No labels, no boxes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.evaluation.forecast.record import CEILING
from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points
from drivewm.structures import History, RayRaster, Rays, SceneClip
from drivewm.tokenizers import LidarTokenizer
from drivewm.tokenizers.lidar_volume import field_of, returns_towards, silent_cells
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.rendering import Depths, render_depths
from drivewm.world_model.evidence import SolidPoints
from drivewm.world_model.lidar_predictions import add_silence, lidar_beside_baselines
from drivewm.world_model.predictions import Answer
from drivewm.world_model.scales import Scales
from drivewm.world_model.thing_motion import moving_things
from drivewm.world_model.token_memo import TokenMemo

_LOOKED_AT = 4
"""Newest sweeps in which things are looked for."""
ENDS = {"model": False, "model_drawn": True}
"""Forecasts that are scored: each ray at its median depth, or the rays spread over where they may end."""


@dataclass
class LidarForecast:
    """Where rays will end, and what comes back.

    Attributes:
        volume: `(B, F, 3, X, Y, Z)` of F future frames, each in its own ego frame; see `tokenizers.lidar_volume`.
        grid: of the volume.
    """

    volume: Tensor
    grid: VoxelGrid

    def cast(self, rays: Rays) -> Depths:
        """Depths `(B * F, R)` of rays in the frames, clip after clip. Any sensor at any pose."""
        return render_depths(field_of(self.volume.flatten(0, 1)), rays, self.grid, self.grid.voxel_m)

    def returns_towards(
        self, points: Tensor, valid: Tensor, T_ego_lidar: Tensor, drawn: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `lidar_volume.returns_towards`, of B * F frames, clip after clip."""
        return returns_towards(self.volume.flatten(0, 1), points, valid, T_ego_lidar, self.grid, drawn)

    def silent_cells(self, raster: RayRaster, T_ego_lidar: Tensor) -> Tensor:
        """See `lidar_volume.silent_cells`, of B * F frames, clip after clip."""
        return silent_cells(self.volume.flatten(0, 1), raster, T_ego_lidar, self.grid)


class LidarStream(nn.Module):
    """See `Stream`; what was seen is a `PointCloud` of `(B, F)` frames, content the volume `(..., 3, X, Y, Z)`.

    Args:
        tokenizer: will be frozen.
        ego_aligned, decoder_context, points_per_frame, things_move: as for `WorldModel`.
    """

    def __init__(
        self,
        tokenizer: LidarTokenizer,
        ego_aligned: bool,
        decoder_context: bool,
        points_per_frame: int | None = None,
        things_move: bool = True,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        self.scales, self.grid = Scales(tokenizer.specs), tokenizer.grid
        self.soft_decoder = copy.deepcopy(tokenizer.decoder).requires_grad_(True)
        self.ego_aligned, self.decoder_context = ego_aligned, decoder_context
        self.points_per_frame, self.things_move = points_per_frame, things_move
        self.memo = TokenMemo()

    def is_in(self, frames: SceneClip | History) -> bool:
        """See `Stream`."""
        return frames.points is not None

    def without(self, history: History) -> History:
        """See `Stream`; where the sensor was stays known."""
        return replace(history, points=None, points_valid=None, points_time_s=None)

    def check(self, frames: SceneClip | History) -> None:
        """ValueError for frames without points or without the sensor's pose."""
        for name in ("points", "points_valid", "T_ego_lidar"):
            if getattr(frames, name) is None:
                raise ValueError(f"the world model needs {name}, but the clip of scene {frames.scene[0]} has none")

    @torch.no_grad()
    def tokens(self, frames: SceneClip | History) -> Tensor:
        """Those that come with the frames, else each sweep is encoded once."""
        if own := frames.tokens_of("lidar"):
            return self.scales.row_of(own)
        cloud = PointCloud.of(frames).flatten()

        def encode(rows: list[int]) -> Tensor:
            return self.scales.row_of(self.tokenizer.encode(cloud[rows][:, None]))[:, 0]

        # Padding differs from batch to batch: what is not valid must not tell frames apart.
        keys = [frame[valid] for frame, valid in zip(cloud.points, cloud.valid, strict=True)]
        return self.memo.encode(keys, encode).to(cloud.points.device).unflatten(0, frames.timestamp_us.shape)

    @torch.no_grad()
    def displacement(self, history: History) -> Tensor | None:
        """Velocity `(B, T, N, 2)` [m/s, axes of the ego frame at t0] of each observed point; 0 for what stands."""
        if not self.things_move or history.num_frames < 2:
            return None
        points, valid = self._in_t0(history).cpu().numpy(), history.points_valid.cpu().numpy()
        ages_s = (history.times_s()[:, -1:] - history.times_s()).cpu().numpy()
        velocity = np.zeros((*valid.shape, 2), np.float32)
        for b in range(len(history)):
            sweeps = [points[b, t][valid[b, t]] for t in range(history.num_frames)]
            newest = slice(None, -_LOOKED_AT - 1, -1)
            things = moving_things(sweeps[newest], ages_s[b, newest])
            for t, sweep in enumerate(sweeps):
                velocity[b, t, valid[b, t]] = things.velocity[things.of_points(sweep, ages_s[b, t])]
        return torch.from_numpy(velocity).to(history.points.device)

    def motion_losses(self, clip: SceneClip) -> tuple[dict[str, Tensor], Tensor | None]:
        """How things move is not learned."""
        return {}, self.displacement(clip.history())

    @torch.no_grad()
    def see(self, history: History, displacement: Tensor | None, T_t0_ego: Tensor, times_s: Tensor) -> PointCloud:
        """All observed points where they are by then, and how long ago each was seen."""
        if not self.ego_aligned:
            T_t0_ego = torch.eye(4, device=T_t0_ego.device).expand_as(T_t0_ego)
        observed_s = (history.times_s() - history.times_s()[:, -1:]).float()
        points = torch.cat([self._in_t0(history), history.points[..., 3:]], dim=-1)
        velocity = torch.zeros_like(points[..., :2]) if displacement is None else displacement
        cloud = PointCloud(torch.cat([points, velocity], dim=-1), history.points_valid, history.points_time_s)
        if self.points_per_frame is not None:
            cloud = cloud.thinned(self.points_per_frame)
        points, velocity = cloud.points.split([4, 2], dim=-1)
        T_ego_t0 = torch.linalg.inv(T_t0_ego.double()).float()
        every = torch.ones_like(observed_s, dtype=torch.bool)
        moved = []
        for f in range(T_t0_ego.shape[1]):
            age_s = times_s[:, f, None] - observed_s
            by_then = replace(cloud, points=points + F.pad(velocity * age_s[..., None, None], (0, 2)))
            moved.append(by_then.moved(T_ego_t0[:, f, None].expand(-1, history.num_frames, -1, -1), age_s, every))
        return PointCloud.stack(moved)

    def unseen(self, history: History, frames: int) -> PointCloud:
        """Frames without points."""
        empty = PointCloud.empty(len(history) * frames, history.timestamp_us.device)
        return PointCloud(*(part.unflatten(0, (len(history), frames)) for part in (empty.points, empty.valid)))

    def hide(self, seen: PointCloud, hidden: Tensor) -> PointCloud:
        """See `Stream`."""
        return replace(seen, valid=seen.valid & ~hidden[:, None, None])

    def _in_t0(self, history: History) -> Tensor:
        """Points `(B, T, N, 3)` float32 [m] in the ego frame at t0."""
        T_t0_source = history.poses_in_t0()
        return transform_points(T_t0_source, history.points[..., :3])

    @torch.no_grad()
    def view(self, seen: PointCloud) -> tuple[Tensor, Tensor]:
        """Of J frames: what the tokenizer would make of all points as if they were of one sweep."""
        latents = self.tokenizer.encoder(PointCloud(seen.points, seen.valid)).float()
        occupied = self._cells_with_points(seen)
        inputs = self.tokenizer.quantizer.inputs(latents)
        return self.scales.join(inputs), self.scales.join(self.scales.shrink(occupied))

    def _cells_with_points(self, seen: PointCloud) -> Tensor:
        """`(J, 1, H, W)`: 1 where any point lies in the cell of a token."""
        low, extent = (
            torch.as_tensor(v[:2], device=seen.points.device) for v in (self.grid.origin_m, self.grid.extent_m)
        )
        size = extent / torch.tensor(self.scales.shape, device=extent.device)
        return seen.met_in(low.float(), size.float(), self.scales.shape)[:, None]

    def solid(self, shown: PointCloud) -> SolidPoints:
        """By points of J frames."""
        return SolidPoints(shown)

    def decode_soft(self, logits: Tensor, seen: PointCloud, beside: Tensor | float = 0.0) -> Tensor:
        """The volume `(J, 3, X, Y, Z)`."""
        return self._decode(self.scales.soft_latents(logits, self.tokenizer.quantizer), seen, beside)

    def _decode(self, latents: Tensor, seen: PointCloud, beside: Tensor | float = 0.0) -> Tensor:
        context = seen if self.decoder_context else PointCloud.empty(len(latents), latents.device)
        return self.soft_decoder(latents, context, beside)

    def forecast(self, content: Tensor) -> LidarForecast:
        """A volume of each frame."""
        return LidarForecast(content, self.grid)

    def as_history(self, forecast: LidarForecast, history: History, T_t0_ego: Tensor) -> dict[str, Tensor]:
        """What the sensor would see: the rays that came back last, cast into the forecast from where it will be.

        Nothing where none ever came back: an absent stream stays absent.
        """
        if not self.is_in(history):
            return {}
        frames = forecast.volume.shape[1]
        T_ego_lidar = history.T_ego_lidar[:, -1:].expand(-1, frames, -1, -1)
        last, valid = (part[:, -1].repeat_interleave(frames, 0) for part in (history.points, history.points_valid))
        points, met = forecast.returns_towards(last[..., :3], valid, T_ego_lidar.flatten(0, 1))
        lead = (len(history), frames)
        return {"points": points.unflatten(0, lead), "points_valid": met.unflatten(0, lead), "T_ego_lidar": T_ego_lidar}

    def first_frame(self, history: History) -> None:
        """The decoder sees the observed points; imagined frames reach the next ones as tokens alone."""

    def decode_drawn(
        self, tokens: Tensor, previous: None, T_ego_previous: Tensor, seen: PointCloud, beside: Tensor | float = 0.0
    ) -> Tensor:
        """The volume `(B, 1, 3, X, Y, Z)`."""
        latents = self.scales.hard_latents(tokens, self.tokenizer.quantizer)
        return self._decode(latents, seen.flatten(), beside)[:, None]

    def losses(
        self,
        logits: Tensor,
        seen: PointCloud,
        clip: SceneClip,
        target: Tensor,
        chosen: Tensor,
        generator: torch.Generator | None = None,
        beside: Tensor | float = 0.0,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Those of the tokenizer's `RayObjective`, on rays of the true frames."""
        objective = self.tokenizer.objective
        drawn = objective.draw(len(clip), logits.device, generator)
        if len(chosen) == 0:
            return {"loss_surface": logits.sum() * 0}, None
        volume = self.decode_soft(logits[chosen], seen[chosen], beside)
        frames = PointCloud.of(clip)[chosen, target[chosen]]
        losses = objective.losses(volume, frames, clip.T_ego_lidar[chosen, target[chosen]], drawn[chosen])
        return {name: len(chosen) / len(clip) * value for name, value in losses.items()}, volume

    def samples(self, answer: Answer) -> list[dict]:
        """As `LidarForecastMetric` takes them: clouds of the model beside baselines, along the true rays.

        In "model" each ray is at its median depth, the best guess of that ray; in "model_drawn" the rays spread over
        where they may end, which makes the better cloud. The ceiling is what the true future frames give that went
        through the tokens, beside no other stream. Beside them, where imagined futures are asked for and the history
        has sweeps, clouds as `LidarGenerationMetric` takes them, along the rays of the last sweep.
        """
        clip, T_t0_ego = answer.clip, answer.T_t0_ego
        forecast = LidarForecast(torch.cat([f.volume for f in answer.forecasts], dim=1), self.grid)
        clouds = {name: self._along_true_rays(forecast, clip, drawn) for name, drawn in ENDS.items()}
        clouds[CEILING] = self._along_true_rays(self.forecast(self._true_volumes(clip, answer.seen)), clip)
        samples = lidar_beside_baselines(clip, clouds)
        if self.tokenizer.raster is not None:
            T_ego_lidar = clip.T_ego_lidar[:, clip.num_history :].flatten(0, 1)
            silent = forecast.silent_cells(self.tokenizer.raster, T_ego_lidar).unflatten(0, T_t0_ego.shape[:2])
            add_silence(samples, {"model": silent}, self.tokenizer.raster)
        for sample in samples:
            sample["lidar"]["seconds"] = answer.seconds
        if answer.imagined is not None and self.is_in(answer.history):
            generated = {"imagined": LidarForecast(answer.imagined, self.grid), "model": forecast}
            generated = {name: self._along_last_rays(f, answer.history, T_t0_ego) for name, f in generated.items()}
            for b, sample in enumerate(samples):
                sample["lidar"]["generated"] = {name: frames[b] for name, frames in generated.items()}
        return samples

    def _along_last_rays(self, forecast: LidarForecast, history: History, T_t0_ego: Tensor) -> list[list[np.ndarray]]:
        """See `as_history`: for each clip and future frame `(N, 3)` float32 [m, its ego frame]."""
        frames = self.as_history(forecast, history, T_t0_ego)
        points, met = frames["points"][..., :3].cpu().numpy(), frames["points_valid"].cpu().numpy()
        return [[points[b, f, met[b, f]] for f in range(met.shape[1])] for b in range(len(met))]

    def _along_true_rays(self, forecast: LidarForecast, clip: SceneClip, drawn: bool = False) -> list[list[np.ndarray]]:
        """For each clip and future frame the ends `(N, 4)` of its rays: x, y, z [m, its ego frame], intensity."""
        future = slice(clip.num_history, None)
        points, valid = clip.points[:, future, :, :3].flatten(0, 1), clip.points_valid[:, future].flatten(0, 1)
        ends, met = forecast.returns_towards(points, valid, clip.T_ego_lidar[:, future].flatten(0, 1), drawn)
        flat = [end[hit].cpu().numpy() for end, hit in zip(ends, met, strict=True)]
        return [flat[b * clip.num_future : (b + 1) * clip.num_future] for b in range(len(clip))]

    @torch.no_grad()
    def _true_volumes(self, clip: SceneClip, seen: PointCloud) -> Tensor:
        """Volumes `(B, F, 3, X, Y, Z)` of the true future frames that went through the tokens, beside what was seen."""
        tokens = self.scales.row_of(self.tokenizer.encode(PointCloud.of(clip)[:, clip.num_history :])).flatten(0, 1)
        latents = self.scales.hard_latents(tokens, self.tokenizer.quantizer)
        return self._decode(latents, seen.flatten()).unflatten(0, seen.lead)

"""LiDAR sweeps: encoded to tokens, rendered from a field, and the FLOPs of a forecast of them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import Row, compare
from benchmarks.rollouts import gflop
from benchmarks.scenes import lidar_rays, street
from drivewm.engine.config import load_config
from drivewm.geometry import OCC3D_GRID
from drivewm.layers.sparse import SparseVoxels
from drivewm.simulation import Town, TownSimulator, make_scenarios
from drivewm.structures import OCC3D, Rays, SceneClip
from drivewm.tokenizers import LidarTokenizer
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.point_network import PatchStem
from drivewm.tokenizers.rendering import Depths, render, render_depths
from drivewm.world_model import WorldModel

OPENDWM_ENCODE_GFLOP, OPENDWM_DECODE_GFLOP, OPENDWM_STEP_GFLOP = 523, 654, 12133
"""OpenDWM's LiDAR VQ and its MaskGIT at their published sizes: a frame, and a frame and step."""
OPENDWM_STEPS = 50

_CONFIGS = Path(__file__).parents[2] / "configs" / "world_models"


def encode() -> Row:
    """A sweep of the town to 30 x 30 tokens, against the same network that convolves a dense volume at first."""
    ours, cloud = _world_model("lidar_forecast_twin.py").tokenizer, PointCloud.of(_clip(1, 1))
    dense = copy.deepcopy(ours)
    dense.encoder.stem = _DenseStem(ours.encoder.stem)

    @torch.no_grad()
    def tokens(tokenizer: LidarTokenizer) -> Tensor:
        return tokenizer.encode(cloud)[0].indices

    return compare(lambda: tokens(ours), lambda: tokens(dense), _check_tokens, goal=None)


class _DenseStem(nn.Module):
    """`PatchStem` as a convolution of all voxels, height folded into channels."""

    def __init__(self, stem: PatchStem) -> None:
        super().__init__()
        self.patch, self.bias = stem.patch, stem.bias
        dim, out = stem.weight.shape[1:]
        weight = stem.weight.detach().view(stem.patch, stem.patch, stem.height, dim, out)
        self.weight = nn.Parameter(weight.permute(4, 3, 2, 0, 1).flatten(1, 2).contiguous())

    def forward(self, voxels: SparseVoxels) -> Tensor:
        dense = voxels.features.new_zeros(voxels.frames, *voxels.shape, voxels.features.shape[1])
        dense[voxels.index.unbind(1)] = voxels.features
        return F.conv2d(dense.permute(0, 4, 3, 1, 2).flatten(1, 2), self.weight, self.bias, stride=self.patch)


def _check_tokens(a: Tensor, b: Tensor) -> None:
    """Sums in another order may choose the other of two codes that are equally near."""
    differing = (a != b).float().mean().item()
    if differing > 0.01:
        raise AssertionError(f"{differing:.2%} of the tokens differ")


def rendered() -> Row:
    """34,688 rays through a field of 200 x 200 x 16 voxels, against the differentiable way in torch."""
    field, rays = _field(), _rays()

    def in_torch() -> Depths:
        rendering = render(field, rays, OCC3D_GRID, OCC3D_GRID.voxel_m)
        return Depths(rendering.expected_depth(), rendering.quantile_depth(), rendering.log_escape)

    return compare(lambda: _depths(field, rays, skip=True), in_torch, _check_depths, goal=None)


def rendered_without_skipping() -> Row:
    """The same kernel, against itself when it looks at every sample."""
    field, rays = _field(), _rays()
    return compare(
        lambda: _depths(field, rays, skip=True), lambda: _depths(field, rays, skip=False), _check_depths, goal=None
    )


def _depths(field: Tensor, rays: Rays, skip: bool) -> Depths:
    return render_depths(field, rays, OCC3D_GRID, OCC3D_GRID.voxel_m, skip=skip)


def _field() -> Tensor:
    """A field `(1, X, Y, Z)` that falls by 5 a voxel towards things: 10 in free space, -10 inside of things."""
    occupied = street() != OCC3D.free
    signed = distance_transform_edt(~occupied) - distance_transform_edt(occupied)
    return torch.from_numpy(np.clip(5.0 * signed, -10.0, 10.0)).float()[None]


def _rays() -> Rays:
    origin, directions = (torch.from_numpy(array).float() for array in lidar_rays())
    return Rays(origin.expand_as(directions)[None], directions[None])


def _check_depths(a: Depths, b: Depths) -> None:
    for name in ("expected_m", "quantile_m"):
        found, other = getattr(a, name), getattr(b, name)
        agree = ((found == other) | ((found - other).abs() < 0.05)).float().mean()
        if agree < 0.999:
            raise AssertionError(f"only {agree:.2%} of {name} agree within 5 cm")


def flops_opendwm() -> Row:
    """Two keyframes from two at paper size, against OpenDWM's 50 steps a frame, as counted on its own code.

    Torch counts products of matrices and convolutions, so that casting rays is left out on both sides. Takes minutes.
    """
    model = _world_model("lidar_forecast_nuscenes_1s.py")
    frames = model.horizon
    clip = _clip(2 * frames, frames)
    ours = gflop(lambda: model.forecast(clip.history(), clip.future_poses(), clip.future_times_s()))
    per_frame = OPENDWM_ENCODE_GFLOP + OPENDWM_STEPS * OPENDWM_STEP_GFLOP + OPENDWM_DECODE_GFLOP
    return Row(ours, frames * per_frame, (frames * per_frame / ours,), goal=20.0, unit="GFLOP")


def _world_model(config: str) -> WorldModel:
    torch.manual_seed(0)
    model = MODELS.build(load_config(_CONFIGS / config).model).eval()
    for scale in model.tokenizer.quantizer.scales:
        scale.codebook.normal_()
    return model


def _clip(frames: int, observed: int) -> SceneClip:
    """Sweeps of the town, half a second apart, of an ego that drives in traffic."""
    town = Town.generate(0, "benchmark-town")
    simulator, rng = TownSimulator(town), np.random.default_rng(0)
    simulator.reset(make_scenarios(town, 1, 0, 20.0)[0])
    sweeps, poses = [], []
    for _ in range(frames):
        sweep = simulator.lidar(rng)
        intensity = np.zeros((len(sweep.points), 1))
        sweeps.append(torch.from_numpy(np.concatenate([sweep.points_ego()[:, :3], intensity], axis=1)).float())
        poses.append(simulator.T_global_ego())
        for _ in range(5):
            simulator.step(simulator.expert_control())
    points = torch.nn.utils.rnn.pad_sequence(sweeps, batch_first=True)
    count = torch.tensor([len(cloud) for cloud in sweeps])
    return SceneClip(
        timestamp_us=500_000 * torch.arange(frames)[None],
        T_global_ego=torch.from_numpy(np.stack(poses))[None],
        scene=("town",),
        sample_token=("town",),
        points=points[None],
        points_valid=(torch.arange(points.shape[1]) < count[:, None])[None],
        T_ego_lidar=torch.from_numpy(sweep.T_ego_lidar).float().expand(1, frames, 4, 4),
        num_history=observed,
    )

"""The LiDAR tokenizer: what its parts stand for, that it learns, what it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from drivewm.evaluation.metrics import LidarReconstructionMetric
from drivewm.geometry import VoxelGrid
from drivewm.layers.sparse import HAS_SPCONV
from drivewm.layers.swin import SwinBlocks
from drivewm.structures import RayRaster, Rays, SceneClip
from drivewm.tokenizers import LidarTokenizer
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.point_network import PatchStem, PointNet
from drivewm.tokenizers.ray_objective import RayObjective
from drivewm.tokenizers.rendering import render_depths
from drivewm.tokenizers.trunk import TRUNKS

RANGE = dict(range_m=(-8.0, -8.0, -1.0, 8.0, 8.0, 3.0), voxel_m=1.0)
GRID = VoxelGrid(**RANGE)
SIZE = dict(grid=RANGE, point_dim=8, channels=(16, 32), code_dim=8, vocab_size=32)
OBJECTIVE = dict(rays=256, silent_rays=64, samples=16, near_samples=8)
RASTER = dict(rows=8, columns=24, lowest_deg=-34.0, highest_deg=20.0)
MOUNT_M = 1.6


def make_clip(frames: int = 3, wall_x: float = 5.0, number: int = 600) -> SceneClip:
    """Two clips of an ego that drives towards a wall over flat ground, 1 m a frame; the LiDAR is above its origin."""
    generator = torch.Generator().manual_seed(0)
    points = torch.zeros(2, frames, number, 4)
    pose = torch.eye(4, dtype=torch.float64).repeat(2, frames, 1, 1)
    for b in range(2):
        for t in range(frames):
            azimuth = 2 * math.pi * torch.rand(number, generator=generator)
            elevation = -0.6 + 0.7 * torch.rand(number, generator=generator)
            flat = elevation.cos()
            direction = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)
            ground = torch.where(direction[:, 2] < 0, MOUNT_M / -direction[:, 2], torch.inf)
            wall = torch.where(direction[:, 0] > 0, (wall_x + b - t) / direction[:, 0], torch.inf)
            depth = torch.minimum(ground, wall).clamp_max(30)
            points[b, t, :, :3] = depth[:, None] * direction + torch.tensor([0, 0, MOUNT_M])
            pose[b, t, 0, 3] = t
    T_ego_lidar = torch.eye(4).repeat(2, frames, 1, 1)
    T_ego_lidar[..., 2, 3] = MOUNT_M
    return SceneClip(
        num_history=frames,
        timestamp_us=(500_000 * torch.arange(frames)).expand(2, -1),
        T_global_ego=pose,
        scene=("a", "b"),
        sample_token=("a", "b"),
        points=points,
        points_valid=torch.ones(2, frames, number, dtype=torch.bool),
        T_ego_lidar=T_ego_lidar,
    )


def make_tokenizer(**options) -> LidarTokenizer:
    torch.manual_seed(0)
    tokenizer = LidarTokenizer(**(SIZE | dict(objective=OBJECTIVE, raster=RASTER) | options))
    tokenizer.quantizer.scales[0].codebook.normal_(generator=torch.Generator().manual_seed(0))
    return tokenizer


def random_cloud(frames: int = 2, number: int = 300) -> PointCloud:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(frames, number, 4, generator=generator) * torch.tensor([20, 20, 6, 255])
    return PointCloud(points - torch.tensor([10, 10, 2, 0]), torch.rand(frames, number, generator=generator) < 0.9)


def test_points_do_their_part_in_their_own_voxel_only():
    cloud, net = random_cloud(), PointNet(GRID, 8)
    voxels = net(cloud.points, cloud.valid)
    index, inside = GRID.to_index(cloud.points.numpy())
    kept = torch.from_numpy(inside) & cloud.valid
    expected = {(j, *index[j, n].tolist()) for j, n in kept.nonzero().tolist()}
    assert {tuple(i) for i in voxels.index.tolist()} == expected and len(voxels.index) == len(expected)
    one = voxels.index[7]
    alone = kept & torch.from_numpy((index == one[1:].numpy()).all(-1)) & (torch.arange(2) == one[0])[:, None]
    assert torch.allclose(net(cloud.points, alone).features[0], voxels.features[7], atol=1e-6)


def test_the_order_of_points_does_not_matter():
    cloud, net = random_cloud(), PointNet(GRID, 8)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    shuffled = net(cloud.points[:, order], cloud.valid[:, order])
    assert torch.allclose(shuffled.features, net(cloud.points, cloud.valid).features, atol=1e-6)


def test_the_stem_is_a_strided_convolution_of_folded_columns():
    cloud = random_cloud()
    voxels = PointNet(GRID, 8)(cloud.points, cloud.valid)
    stem = PatchStem(8, GRID.shape[2], 12, patch=2)
    stem.bias.data.normal_()
    dense = torch.zeros(2, *GRID.shape, 8)
    dense[voxels.index.unbind(1)] = voxels.features
    folded = dense.permute(0, 4, 3, 1, 2).flatten(1, 2)  # features, then height
    weight = stem.weight.view(2, 2, GRID.shape[2], 8, 12).permute(4, 3, 2, 0, 1).flatten(1, 2)
    assert torch.allclose(stem(voxels), F.conv2d(folded, weight, stem.bias, stride=2), atol=1e-5)


@pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed")
@pytest.mark.parametrize("trunk", TRUNKS)
def test_sparse_and_dense_paths_give_the_same_tokens(trunk):
    """The same weights, by spconv and by torch."""
    tokenizer, clip = make_tokenizer(sparse_blocks=2, trunk=trunk).eval(), make_clip()
    generator = torch.Generator().manual_seed(5)
    latents = []
    for parameter in tokenizer.encoder.sparse.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    for backend in ("torch", "spconv"):
        for block in tokenizer.encoder.sparse:
            for conv in block.convs:
                conv.backend = backend
        latents.append(tokenizer.encoder(PointCloud.of(clip).flatten()))
    assert torch.allclose(*latents, atol=1e-4)
    assert (
        tokenizer.quantizer.encode(latents[0])[0] == tokenizer.quantizer.encode(latents[1])[0]
    ).float().mean() > 0.99


def test_an_empty_sweep_is_a_valid_observation():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    clip.points_valid[0, 1] = False
    (tokens,) = tokenizer.encode(PointCloud.of(clip))
    assert tokens.indices.shape == (2, 3, 4, 4) and tokens.spec == tokenizer.specs[0]
    assert tokenizer.decode((tokens,)).isfinite().all()
    for number in (600, 0):  # 0: no sweep of the batch has a point, so that there is no padding either
        empty = replace(clip, points=clip.points[:, :, :number], points_valid=clip.points_valid[:, :, :number] & False)
        losses = make_tokenizer().train()(empty, "loss")
        assert all(value == 0 for name, value in losses.items() if name != "loss_commitment" and "loss" in name)
        metric = LidarReconstructionMetric()
        metric.process(None, tokenizer(empty, "predict"))
        assert {name.split("/")[0] for name in metric.compute_metrics(metric.results)} == {"perplexity", "unused_codes"}


def test_points_that_are_not_valid_change_nothing():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    clip.points_valid[:, :, 400:] = False
    before = tokenizer(clip)
    clip.points[:, :, 400:] = 3.0
    assert torch.equal(tokenizer(clip), before)


def test_a_field_that_is_right_has_no_loss_and_one_that_is_wrong_has():
    clip = make_clip(1)
    frames = PointCloud.of(clip).flatten()
    objective = RayObjective(GRID, **OBJECTIVE)
    drawn = objective.draw(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    x, _, z = torch.from_numpy(GRID.centers()).float().unbind(-1)

    def losses(wall: float) -> dict:
        fields = torch.stack([torch.minimum(z, wall + b - x) for b in range(2)])
        volume = torch.stack([100 * fields, torch.zeros_like(fields), torch.zeros_like(fields)], dim=1)
        return objective.losses(volume, frames, clip.T_ego_lidar[:, 0], drawn)

    right, wrong = losses(5.0), losses(4.0)
    # What is left is the corner where wall and ground meet, which samples half a metre apart cut.
    assert right["loss_surface"] < 0.3 and right["loss_depth"] < 0.01
    assert wrong["loss_surface"] > 3 and wrong["loss_depth"] > 0.02


def test_what_comes_back_and_how_bright_is_asked_for():
    """Everything behind x = 0 is dark and half of its rays are lost: the losses are least where the volume says so."""
    clip = make_clip(1)
    ahead = clip.points[..., 0] > 0
    clip.points[..., 3] = torch.where(ahead, 200.0, 20.0)
    # Rays downwards and backwards never come back.
    clip.points_valid &= ahead | (clip.points[..., 2] > 0.5)
    frames = PointCloud.of(clip).flatten()
    raster = RayRaster(**(RASTER | {"highest_deg": 4.0}))  # there are no points higher up
    objective = RayObjective(GRID, raster, **(OBJECTIVE | {"silent_rays": 256}))
    drawn = objective.draw(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    x, _, z = torch.from_numpy(GRID.centers()).float().unbind(-1)
    field = torch.stack([100 * torch.minimum(z, 5.0 + b - x) for b in range(2)])

    def losses(comes: torch.Tensor, bright: torch.Tensor) -> dict:
        volume = torch.stack([field, comes.expand_as(field), bright.expand_as(field)], dim=1)
        return objective.losses(volume, frames, clip.T_ego_lidar[:, 0], drawn)

    share = torch.where(x > 0, 200 / 255, 20 / 255)
    right = losses(torch.where((x > 0) | (z > 0.5), 9.0, -9.0), share.logit())
    deaf, dark = losses(torch.full_like(x, -9.0), share.logit()), losses(torch.full_like(x, 9.0), -share.logit())
    assert right["loss_light"] < 0.1 * deaf["loss_light"] and right["loss_light"] < 0.2 * dark["loss_light"]
    assert right["loss_silent"] < 0.3 * dark["loss_silent"]  # where all that is met comes back


def test_earlier_points_are_brought_to_where_they_are_seen_from_the_target():
    """The wall of the first clip stands at x = 5 in the first frame, at x = 3 in the third."""
    clip = make_clip()
    T = torch.linalg.inv(clip.T_global_ego[:, 2])[:, None] @ clip.T_global_ego
    ages = torch.tensor([[1.0, 0.5, 0.0]]).expand(2, -1)
    moved = PointCloud.of(clip).moved(T.float(), ages, torch.tensor([[True, True, False]]).expand(2, -1))
    assert moved.valid.sum() == 2 * 2 * 600
    high = moved.valid[0] & (moved.points[0, :, 2] > 0.1) & (moved.points[0, :, 0] > 0)
    near = moved.points[0, high].norm(dim=-1) < 15
    assert torch.allclose(moved.points[0, high][near][:, 0], torch.tensor(3.0), atol=1e-4)
    assert set(moved.time_s[0].tolist()) == {-1.0, -0.5, 0.0}


@pytest.mark.long
def test_it_learns_where_things_are():
    tokenizer, clip = make_tokenizer(context_dropout=1.0).train(), make_clip()
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=5e-3)
    torch.manual_seed(0)
    for _ in range(80):
        losses = tokenizer(clip, "loss")
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if "loss" in name).backward()
        optimizer.step()
    field = tokenizer.eval()(clip)[:, 1, 0].detach()
    rays, truth = Rays.towards(clip.points[:, 1, :, :3], clip.T_ego_lidar[:, 1])
    inside = torch.from_numpy(GRID.to_index(clip.points[:, 1].numpy())[1])
    error = (render_depths(field, rays, GRID, 0.5).expected_m - truth).abs()[inside]
    assert error.median() < 0.4


def stirred(tokenizer: LidarTokenizer) -> LidarTokenizer:
    """With residual blocks that are no longer the identity."""
    generator = torch.Generator().manual_seed(3)
    for parameter in tokenizer.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return tokenizer


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_trunk_has_its_shapes_and_every_weight_a_gradient(trunk):
    tokenizer = stirred(make_tokenizer(trunk=trunk, blocks=(1, 2), window=2, context_dropout=0.0)).train()
    torch.manual_seed(0)
    losses = tokenizer(make_clip(), "loss")
    sum(value for name, value in losses.items() if "loss" in name).backward()
    without = [name for name, p in tokenizer.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without
    tokens = tokenizer.eval().encode(PointCloud.of(make_clip()))
    assert tokens[0].indices.shape == (2, 3, 4, 4) and tokenizer.decode(tokens).shape == (2, 3, 3, *GRID.shape)


def test_attention_is_in_all_stages_but_the_first_of_encoder_and_decoder():
    def found(module) -> list[tuple[int, int]]:
        blocks = [m for m in module.modules() if isinstance(m, SwinBlocks)]
        return [(len(b.blocks), b.blocks[0].input_resolution[0]) for b in blocks]

    tokenizer = make_tokenizer(trunk="swin", channels=(16, 16, 16), blocks=(1, 2, 3), window=2)
    assert found(tokenizer.encoder) == [(2, 4), (3, 2)] and found(tokenizer.decoder) == [(3, 2), (2, 4)]
    assert not found(make_tokenizer())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(trunk="swim"), "trunk must be one of conv, swin, got 'swim'"),
        (dict(trunk="swin", window=3), "windows of 3 x 3 cells do not tile a map of 4 x 4"),
        (dict(blocks=(1, 2, 3)), r"one for each of the 2 stages, got \(1, 2, 3\)"),
    ],
)
def test_a_trunk_that_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_tokenizer(**options)


def test_a_clip_without_points_is_refused():
    with pytest.raises(ValueError, match="needs points, but the clip of scene a has none"):
        make_tokenizer()(replace(make_clip(), points=None, points_valid=None), "loss")

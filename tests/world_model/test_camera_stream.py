"""Cameras as one more stream: rays, projections, absent views, and images in, anything out."""

import math
from dataclasses import replace

import pytest
import torch

from drivewm.evaluation.metrics import CameraForecastMetric
from drivewm.tokenizers import CameraTokenizer
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.world_model import WorldModel
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.exchange import EXCHANGES, Before, Cells, Sightlines, links_between
from drivewm.world_model.exchange.sightlines import DISTANCES_M
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.observation import observe
from tests.world_model import tiny, tiny_joint
from tests.world_model.tiny_joint import SIZE, STREAMS, ask, randomized, shown

CAMERA = dict(
    type=CameraTokenizer, image_size=(64, 32), views=2, channels=(8, 8, 8, 8), blocks=1, code_dim=8, vocab_size=16
)
ALL = STREAMS | dict(camera=dict(tokenizer=CAMERA))


def rig(lead):
    """One camera that looks ahead and one to the left, 1.5 m above the ground, 90 degrees wide."""
    ahead = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    left = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    K = torch.tensor([[32.0, 0, 32], [0, 32, 16], [0, 0, 1]])
    return K.expand(*lead, 2, 3, 3).clone(), torch.stack([ahead, left]).expand(*lead, 2, 4, 4).clone()


def make_clip():
    clip = tiny_joint.make_clip()
    K, T_ego_cam = rig((2, 5))
    images = torch.randint(256, (2, 5, 2, 3, 32, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    valid = torch.ones(2, 5, 2, dtype=torch.bool)
    return replace(clip, cameras=("ahead", "left"), images=images, images_valid=valid, K=K, T_ego_cam=T_ego_cam)


@pytest.fixture(scope="module", params=EXCHANGES)
def model(request):
    torch.manual_seed(0)
    return randomized(WorldModel(streams=ALL, exchange=dict(type=request.param), **SIZE))


def test_a_token_finds_itself_along_its_own_ray():
    K, T_ego_cam = rig((1,))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.ones(1, 2, dtype=torch.bool)), (64, 32), (2, 4))
    points = lines.points(True, torch.device("cpu"))
    index, there = lines.at(points)
    assert points.shape == (1, 16, 8, 3) and there.all()
    assert torch.equal(index, torch.arange(16)[None, :, None].expand_as(index))


def test_a_cell_finds_the_token_that_sees_it_and_the_other_way_round():
    """7 m ahead, 0.2 m above the ground: u = 32, v = 16 + 32 * 1.3 / 7, the lower right middle of 2 x 4 tokens."""
    K, T_ego_cam = rig((1,))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.ones(1, 2, dtype=torch.bool)), (64, 32), (2, 4))
    cells = Cells(tiny.GRID, (16, 16))
    index, there = links_between({"a": cells, "b": lines}, torch.device("cpu"))["a", "b"]
    ahead = 15 * 16 + 7  # the farthest row of cells, just right of the middle
    assert there[0, ahead].all() and index[0, ahead].tolist() == [6, 6, 2, 2]
    assert not there[0, 0].any()  # behind, to the right
    index, there = links_between({"a": cells, "b": lines}, torch.device("cpu"))["b", "a"]
    assert there[0, :, 0].any() and not there[0, :, -1].any()  # 40 m away is beyond the grid


def test_a_cell_finds_where_it_was_seen_before():
    """After a drive of 2.4 m what is near was seen three cells farther; after a left turn, what is right was ahead."""
    K, T_ego_cam = (part.expand(2, -1, -1, -1) for part in rig((2,)))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.ones(2, 2, dtype=torch.bool)), (64, 32), (2, 4))
    driven, turned = torch.eye(4), torch.eye(4)
    driven[0, 3] = 2.4
    turned[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    cells = Cells(tiny.GRID, (16, 16))
    before = Before(lines, torch.stack([driven, turned]))
    index, there = before.at(cells.points(False, torch.device("cpu")))
    now, _ = links_between({"a": cells, "b": lines}, torch.device("cpu"))["a", "b"]
    assert index.shape == there.shape == (2, 256, 4)
    for x in range(9, 13):
        assert there[0, 16 * x + 7].all() and torch.equal(index[0, 16 * x + 7], now[0, 16 * (x + 3) + 7])
    assert torch.equal(index[1, 16 * 7], now[0, 16 * 15 + 7])


def test_a_token_looks_along_its_epipolar_line():
    """The ego has driven 2 m straight ahead: what it sees was nearer to the middle; what is near, most."""
    K, T_ego_cam = rig((1,))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.tensor([[True, False]])), (64, 32), (16, 32))
    driven = torch.eye(4)[None]
    driven[0, 0, 3] = 2.0
    index, there = links_between({"b": lines}, torch.device("cpu"), {"past_b": Before(lines, driven)})["b", "past_b"]
    right, down = 31 / 32, 15 / 32  # tangents of the last token's ray
    depth = torch.tensor(DISTANCES_M) / math.hypot(1, right, down)
    shrunk = depth / (depth + 2)
    rows, columns = ((16 * side + 16 * shrunk * tangent).floor() for side, tangent in ((0.5, down), (1, right)))
    token = 15 * 32 + 31
    assert there[0, token].all() and torch.equal(index[0, token], (32 * rows + columns).long())
    assert columns.diff().min() >= 0


def test_absent_views_see_nothing():
    K, T_ego_cam = rig((1,))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.tensor([[False, True]])), (64, 32), (2, 4))
    _, there = lines.at(torch.tensor([[[[5.0, 0.0, 1.0]], [[0.0, 5.0, 1.0]]]]))
    assert there.flatten().tolist() == [False, True]


@pytest.mark.parametrize("inputs", [("camera",), ("occupancy", "lidar"), tuple(ALL)], ids="+".join)
def test_images_in_anything_out_and_the_other_way_round(model, inputs):
    history, poses, times_s = ask(make_clip())
    history = shown(model, history, inputs)
    forecasts = model.forecasts(history, poses, times_s)
    frames = model.imagined(history, poses, times_s, torch.Generator().manual_seed(0))
    assert forecasts["camera"].pictures.shape == frames["camera"].shape == (2, 2, 2, 3, 32, 64)
    assert forecasts["occupancy"].logits.isfinite().all() and forecasts["camera"].pictures.isfinite().all()


def test_views_inform_the_other_streams_and_are_informed(model):
    clip = make_clip()
    usual = model.forecasts(*ask(clip))
    other = model.forecasts(*ask(replace(clip, images=255 - clip.images)))
    assert not torch.allclose(usual["occupancy"].logits, other["occupancy"].logits)
    other = model.forecasts(*ask(replace(clip, points=clip.points.flip(3))))
    assert not torch.allclose(usual["camera"].pictures, other["camera"].pictures)


def test_decoders_read_what_views_showed(model):
    """With the same tokens: columns the other way round, and none at all, which is what absent views leave."""
    clip = make_clip()
    outlook = model.outlooks(*ask(clip), ("occupancy",))["occupancy"]
    usual, views = model.expect(outlook).logits, outlook.evidence["views"]
    turned = replace(outlook, evidence=outlook.evidence | dict(views=replace(views, columns=views.columns.flip(-1))))
    assert not torch.equal(model.expect(turned).logits, usual)
    history, *asked = ask(clip)
    blind = model.outlooks(shown(model, history, ("occupancy", "lidar")), *asked)["occupancy"]
    unread = replace(blind, evidence={name: own for name, own in blind.evidence.items() if name != "views"})
    assert torch.equal(model.expect(blind).logits, model.expect(unread).logits)


def test_losses_are_finite_with_views_that_are_absent(model):
    clip = make_clip()
    clip.images_valid[0] = False
    clip.images_valid[1, :, 1] = False
    predicted = []
    for seed in range(6):
        losses = world_model_losses(model, clip, torch.Generator().manual_seed(seed))
        assert all(value.isfinite() for value in losses.values()) and "occupancy/loss_tokens" in losses
        predicted.append("camera/loss_tokens" in losses)
    assert any(predicted) and not all(predicted)


def test_views_that_are_not_asked_for_are_looked_up_alone(monkeypatch):
    """Their tokens are not denoised, in training neither, yet what they showed is learned from, and heard."""
    torch.manual_seed(0)
    model, clip = randomized(WorldModel(streams=ALL, mix=dict(absent=0.0, unasked=1.0), **SIZE)), make_clip()
    monkeypatch.setattr(model.trunk.denoisers["camera"], "embed", None)
    losses = world_model_losses(model, clip, torch.Generator().manual_seed(0))
    assert "lidar/loss_tokens" in losses and not any(name.startswith("camera") for name in losses)
    losses["occupancy/loss_tokens"].backward()
    assert model.trunk.denoisers["camera"].memory.fold.weight.grad.abs().sum() > 0
    forecasts = []
    for images in (clip.images, 255 - clip.images):
        history, poses, times_s = ask(replace(clip, images=images))
        asked = shown(model, history, ("camera",)), poses, times_s
        frames = model.imagined(*asked, torch.Generator().manual_seed(0), ("occupancy",))
        assert set(frames) == {"occupancy"}
        forecasts.append(model.forecasts(*asked, ("occupancy",))["occupancy"].logits)
    assert not torch.allclose(*forecasts)


def test_other_cameras_are_refused(model):
    history, poses, times_s = ask(make_clip())
    fewer = replace(
        history,
        cameras=("ahead",),
        images=history.images[:, :, :1],
        images_valid=history.images_valid[..., :1],
        K=history.K[:, :, :1],
        T_ego_cam=history.T_ego_cam[:, :, :1],
    )
    with pytest.raises(ValueError, match=r"made for images .* = \(2, 3, 32, 64\), but got \(1, 3, 32, 64\)"):
        model.forecasts(fewer, poses, times_s)
    none = replace(history, cameras=None, images=None, images_valid=None, K=None, T_ego_cam=None)
    with pytest.raises(ValueError, match="K and T_ego_cam must be known"):
        model.forecasts(none, poses, times_s)
    assert set(model.forecasts(none, poses, times_s, ("occupancy",))) == {"occupancy"}


def test_one_test_run_scores_views_too():
    torch.manual_seed(0)
    model = randomized(WorldModel(streams=ALL, inputs=("occupancy",), outputs=("camera",), score_imagined=True, **SIZE))
    metric = CameraForecastMetric(horizons_s=(0.5, 1.0))
    metric.process(None, model(make_clip(), "predict"))
    figures = metric.compute_metrics(metric.results)
    assert {name.split("/")[0] for name in figures} == {"model", "copy_last", "true_tokens", "imagined"}
    assert all(0 < value < 60 for name, value in figures.items() if "/psnr/" in name)


def test_what_views_showed_long_ago_is_not_seen_by_the_unconditional_branch(model):
    clip, logits = make_clip(), []
    for images in (clip.images, 255 - clip.images):
        found = observe(model, *ask(replace(clip, images=images)), tuple(ALL))
        twins = {name: memory.with_blind_twin() for name, memory in found.memory.items()}
        motion = found.motion
        both = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), motion.given.repeat(2))
        masks = {name: model.all_masks(len(both.time_s), name) for name in ALL}
        logits.append(model.trunk(masks, twins, both))
    for name in ALL:
        (seen_a, blind_a), (seen_b, blind_b) = (own[name].chunk(2) for own in logits)
        assert torch.equal(blind_a, blind_b) and not torch.allclose(seen_a, seen_b)


def test_cost_grows_with_the_number_of_views_not_with_its_square():
    """Of attention within views and of the exchange alike: entries that positions look at, counted."""
    cells = Cells(tiny.GRID, (8, 8))
    counts = []
    for views in (1, 3, 6):
        K, T_ego_cam = (part[:, :1].expand(-1, views, -1, -1) for part in rig((1,)))
        lines = Sightlines(CameraViews(K, T_ego_cam, torch.ones(1, views, dtype=torch.bool)), (64, 32), (2, 4))
        links = links_between({"cells": cells, "views": lines}, torch.device("cpu"))
        counts.append(sum(index.numel() for index, _ in links.values()) - links["cells", "views"][0].numel())
    assert counts[1] == 3 * counts[0] and counts[2] == 6 * counts[0]

"""The world model on LiDAR: what it may see, what it gives, and that it trains."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.evaluation.metrics import LidarForecastMetric, LidarGenerationMetric
from drivewm.structures import Rays
from drivewm.tokenizers import LidarTokenizer
from drivewm.world_model import WorldModel
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.observation import observe
from drivewm.world_model.rollout import roll_out
from tests.tokenizers import test_lidar
from tests.world_model import tiny


def make_clip(history: int = 3, future: int = 2):
    return replace(test_lidar.make_clip(history + future), num_history=history)


def make_model(**options) -> WorldModel:
    torch.manual_seed(0)
    size = dict(dim=16, depth=2, heads=2, memory=dict(frame_dim=16, fine_dim=2), imagine_steps=2, horizon=2)
    model = WorldModel(
        dict(type=LidarTokenizer, **test_lidar.SIZE, objective=test_lidar.OBJECTIVE, raster=test_lidar.RASTER),
        **(size | options),
    )
    generator = torch.Generator().manual_seed(1)
    (scale,) = model.tokenizer.quantizer.scales
    for tensor in (*model.parameters(), scale.codebook):
        tensor.data.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    model.denoiser.adopt_codebooks([scale.codebook])
    return model.eval()


def ask(clip):
    return clip.history(), clip.future_poses(), clip.future_times_s()


def test_a_forecast_is_a_volume_of_each_frame_and_any_ray_can_be_cast_into_it():
    clip, forecast = make_clip(), make_model().forecast(*ask(make_clip()))
    assert forecast.volume.shape == (2, 2, 3, *test_lidar.GRID.shape)
    rays, _ = Rays.towards(clip.points[:, 3:, :100, :3].flatten(0, 1), clip.T_ego_lidar[:, 3:].flatten(0, 1))
    assert forecast.cast(rays).expected_m.shape == (4, 100)


def test_what_was_seen_stands_where_it_is_seen_from_the_future():
    """The wall of the first clip is at x = 5 in the first frame, and the ego drives a metre a frame."""
    clip, stream = make_clip(), make_model().stream
    history, poses, times = ask(clip)
    seen = stream.see(history, None, poses, times)
    for f, wall_x in enumerate((2.0, 1.0)):
        points = seen[0, f].points[seen[0, f].valid]
        high = points[(points[:, 2] > 0.1) & (points[:, 0] > 0)]
        assert high[high.norm(dim=-1) < 15][:, 0].median().item() == pytest.approx(wall_x, abs=1e-3)
    assert sorted(set(seen.time_s[0, 0].tolist())) == [-1.5, -1.0, -0.5]


def test_points_stay_where_they_are_in_mixed_precision():
    """bfloat16 has 8 bits: a point 25 m away would be moved by up to 6 cm."""
    clip, stream = make_clip(), make_model().stream
    exact = stream.see(clip.history(), None, *ask(clip)[1:])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(stream.see(clip.history(), None, *ask(clip)[1:]).points, exact.points)
        frames, context, _ = stream.tokenizer._training_frames(clip, torch.Generator().manual_seed(0))
    plain, context_plain, _ = stream.tokenizer._training_frames(clip, torch.Generator().manual_seed(0))
    assert torch.equal(frames.points, plain.points) and torch.equal(context.points, context_plain.points)


def test_a_frame_is_encoded_once_and_its_padding_does_not_matter():
    clip, stream = make_clip(), make_model().stream
    tokens = stream.tokens(clip)
    padded = replace(
        clip,
        points=torch.nn.functional.pad(clip.points, (0, 0, 0, 50), value=1.0),
        points_valid=torch.nn.functional.pad(clip.points_valid, (0, 50)),
    )
    known = len(stream.memo._tokens)
    assert torch.equal(stream.tokens(padded), tokens) and len(stream.memo._tokens) == known
    (direct,) = stream.tokenizer.encode(test_lidar.PointCloud.of(clip))
    assert torch.equal(tokens, direct.indices.flatten(2))


def test_the_same_seed_imagines_the_same_future():
    model, clip = make_model(), make_clip()
    a, b, c = (model.imagine(*ask(clip), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_the_unconditional_branch_sees_no_points():
    """With guidance infinite weights lie on the difference; here the blind branch alone is asked."""
    model, clip = make_model(), make_clip()
    history, poses, times = ask(clip)
    blind = []
    for points in (clip.points, clip.points.flip(3)):
        other = replace(clip, points=points).history()
        found = observe(model, other, poses, times, ("lidar",))
        motion = found.motion
        logits = model.trunk(
            {"lidar": model.all_masks(2 * len(motion.time_s), "lidar")},
            {"lidar": found.memory["lidar"].with_blind_twin()},
            replace(
                motion,
                pose=motion.pose.repeat(2, 1),
                time_s=motion.time_s.repeat(2),
                given=motion.given.repeat(2),
            ),
        )
        blind.append(logits["lidar"].chunk(2)[1])
    assert torch.equal(*blind)


def test_long_rollouts_feed_on_rendered_sweeps():
    model, clip = make_model(horizon=2), make_clip(future=3)
    first, second = (stretch["lidar"] for stretch in roll_out(model, *ask(clip)))
    assert first.volume.shape[1] == 2 and second.volume.shape[1] == 1 and second.volume.isfinite().all()


def test_it_learns():
    """A step on the same draws lowers the loss; the frozen tokenizer stays as it is."""
    model, clip = make_model().train(), make_clip()
    frozen = {name: value.clone() for name, value in model.tokenizer.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    totals = []
    for _ in range(6):
        losses = world_model_losses(model, clip, torch.Generator().manual_seed(0))
        assert {"loss_tokens", "loss_depth", "loss_surface", "loss_light", "loss_silent"} <= set(losses)
        total = sum(value for name, value in losses.items() if "loss" in name)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]
    assert all(torch.equal(value, frozen[name]) for name, value in model.tokenizer.state_dict().items())


def test_predictions_are_what_the_metric_takes():
    metric = LidarForecastMetric(horizons_s=(0.5, 1.0))
    metric.process(None, make_model(horizon=1)(make_clip(), "predict"))
    figures = metric.compute_metrics(metric.results)
    assert {name.split("/")[0] for name in figures} == {
        "model",
        "model_drawn",
        "true_tokens",
        "copy_last",
        "ego_warped_copy",
        "raycast_history",
    }
    silent = {row["predictor"]: row["scores"]["silent"]["1s"] for row in metric.report["rows"]}
    assert (
        0 <= silent["model"] <= 100 and silent["ego_warped_copy"] > 50 and silent["raycast_history"] != silent["model"]
    )
    # Walls and ground stand still: the past that is moved says all.
    assert figures["ego_warped_copy/cd_in/1s"] < figures["copy_last/cd_in/1s"]


def test_generated_clouds_know_nothing_of_the_true_rays():
    """They go along the rays of the last sweep: another future changes no point of them."""
    model, clip = make_model(score_imagined=True), make_clip()
    for decoder in (model.tokenizer.decoder, model.stream.soft_decoder):
        decoder.head[-1].bias.data.sub_(5.0)  # so that rays end somewhere
    other = clip.points.clone()
    other[:, 3:, :, :3] += torch.rand(other[:, 3:, :, :3].shape, generator=torch.Generator().manual_seed(0))
    found, again = (model(c, "predict") for c in (clip, replace(clip, points=other)))
    moved = 0
    for a, b in zip(found, again, strict=True):
        assert set(a["lidar"]["generated"]) == {"imagined", "model"}
        for name, frames in a["lidar"]["generated"].items():
            assert len(frames) == 2 and all(len(cloud) <= clip.points.shape[2] for cloud in frames)
            assert all(map(np.array_equal, frames, b["lidar"]["generated"][name]))
            moved += sum(map(len, frames))
    assert moved
    metric = LidarGenerationMetric(at_s=1.0)
    metric.process(None, found)
    assert metric.compute_metrics(metric.results)["imagined/points_mean"] > 0


def without_points(kind: str, frames):
    """A clip whose first part has nothing in these frames: no points, or none within the grid."""
    clip = make_clip()
    for t in frames:
        if kind == "empty":
            clip.points_valid[0, t] = False
        else:
            clip.points[0, t, :, :2] += 500.0
    return clip


@pytest.mark.parametrize("kind", ["empty", "beyond the grid"])
@pytest.mark.parametrize("frames", [(2,), (3,), (0, 1, 2, 3, 4)], ids=["t0", "a future frame", "all frames"])
def test_sweeps_that_hold_nothing_are_observations(kind, frames):
    """Losses are finite and so are gradients; what cannot be scored is left out, and the other clip is as ever."""
    clip = without_points(kind, frames)
    model = make_model(score_imagined=True).train()
    for seed in range(4):  # of these some ask for the frames in question
        losses = world_model_losses(model, clip, torch.Generator().manual_seed(seed))
        assert all(value.isfinite() for value in losses.values())
        sum(value for name, value in losses.items() if "loss" in name).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert all(value.isfinite() for value in model(clip, "loss").values())

    samples, usual = model.eval()(clip, "predict"), model(make_clip(), "predict")
    for name, cloud in samples[1]["lidar"]["clouds"].items():
        assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(cloud, usual[1]["lidar"]["clouds"][name], strict=True))
    metric = LidarForecastMetric(horizons_s=(0.5, 1.0))
    metric.process(None, samples)
    metric.compute_metrics(metric.results)
    scored = {row["predictor"]: row["frames"]["cd_all"] for row in metric.report["rows"]}
    lost = [t in frames or 2 in frames for t in (3, 4)] if kind == "empty" else [False, False]
    assert [scored["copy_last"][step] for step in ("0.5s", "1s")] == [2 - gone for gone in lost]


def test_what_lies_beyond_the_grid_has_the_tokens_of_an_empty_sweep():
    stream = make_model().stream
    nothing, beyond = (stream.tokens(without_points(kind, (0, 2))) for kind in ("empty", "beyond the grid"))
    assert torch.equal(nothing, beyond) and torch.equal(nothing[0, 0], nothing[0, 2])


def test_a_batch_without_any_point():
    """There is not even padding."""
    clip, model = without_points("empty", range(5)), make_model(points_per_frame=50)
    clip = replace(clip, points=clip.points[:, :, :0], points_valid=clip.points_valid[:, :, :0])
    for seed in range(3):
        assert all(v.isfinite() for v in world_model_losses(model, clip, torch.Generator().manual_seed(seed)).values())
    (sample, _) = model(clip, "predict")
    assert all(len(cloud) == 0 for frames in sample["lidar"]["clouds"].values() for cloud in frames)


def test_a_motion_field_is_refused():
    with pytest.raises(ValueError, match="a LiDAR stream has no motion field"):
        make_model(motion=dict())


def test_points_are_no_option_of_occupancy():
    with pytest.raises(ValueError, match="points_per_frame is of LiDAR; an occupancy stream carries no points, got 10"):
        tiny.make_model(points_per_frame=10)


def test_a_clip_without_points_is_refused():
    with pytest.raises(ValueError, match="needs points, but the clip of scene a has none"):
        make_model().forecast(*ask(replace(make_clip(), points=None)))

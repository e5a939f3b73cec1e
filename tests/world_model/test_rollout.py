"""Rollouts: nothing is cached that matters, stretches join, and the model's own frames become its history."""

import torch

from drivewm.world_model.imagination import draw_frame
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.predictions import predict
from drivewm.world_model.rollout import extended, roll_out
from drivewm.world_model.tasks import motion_of, sources_of
from tests.world_model.tiny import make_clip, make_model


def ask(clip):
    return clip.history(), clip.future_poses(), clip.future_times_s()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def imagine_without_cache(model, clip, generator):
    """As published rollouts do it: every frame encodes all frames before it again, and nothing is kept but tokens."""
    history, T_t0_ego, times_s = ask(clip)
    observed = history.num_frames
    T_t0_frame = torch.cat([history.poses_in_t0(), T_t0_ego], dim=1)
    stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
    drawn, frames = [], [history.occupancy[:, -1:]]
    for f in range(T_t0_ego.shape[1]):
        tokens = torch.cat([model.stream.scales.row_of(model.tokenizer.encode(history.occupancy)), *drawn[-1:]], dim=1)
        features = model.denoiser.memory.encode(tokens)
        source = torch.tensor([*range(observed), *([observed + f - 1] if f else [])]).expand(len(clip), 1, -1)
        seen = model.stream.see(history, model.stream.displacement(history), T_t0_ego, times_s)[:, f]
        target, known = torch.full((len(clip), 1), observed + f), torch.ones_like(source, dtype=torch.bool)
        sources = sources_of(T_t0_frame.double(), stamps, target, source, known, *model.stream.view(seen))
        memory = model.denoiser.memory.gather(features, sources)
        motion = motion_of(T_t0_ego[:, f], times_s[:, f])
        frame = draw_frame(model, {"occupancy": memory}, motion, generator, ("occupancy",))
        drawn.append(frame["occupancy"][:, None])
        T_ego_previous = torch.linalg.inv(T_t0_frame[:, observed + f]) @ T_t0_frame[:, observed + f - 1]
        frames.append(model.stream.decode_drawn(drawn[-1][:, 0], frames[-1], T_ego_previous, seen[:, None]))
    return torch.cat(frames[1:], dim=1)


def test_a_cached_rollout_draws_the_same_as_one_without_cache(model, clip):
    assert torch.equal(model.imagine(*ask(clip), rng(3)), imagine_without_cache(model, clip, rng(3)))


def test_a_short_rollout_is_a_forecast(model, clip, monkeypatch):
    expected = model.forecast(*ask(clip)).logits
    monkeypatch.setattr(model.stream, "as_history", None)  # nothing comes after it
    (only,) = roll_out(model, *ask(clip))
    assert torch.equal(only["occupancy"].logits, expected)


def test_a_long_rollout_feeds_on_its_own_frames():
    model, clip = make_model(horizon=2), make_clip(future=5)
    history, poses, times = ask(clip)
    whole = torch.cat([stretch["occupancy"].labels for stretch in roll_out(model, history, poses, times)], dim=1)
    first = model.forecast(history, poses[:, :2], times[:, :2]).labels
    then = extended(history, {"occupancy": first}, poses[:, :2], times[:, :2])
    T_2_ego = torch.linalg.inv(poses[:, 1:2]) @ poses[:, 2:4]
    second = model.forecast(then, T_2_ego, times[:, 2:4] - times[:, 1:2]).labels
    assert torch.equal(whole[:, :4], torch.cat([first, second], dim=1))
    assert whole.shape[1] == 5


def test_an_extended_history_is_what_would_have_been_observed():
    """With the true frames in place of predicted ones, it is the history of a later clip."""
    clip = make_clip(history=3, future=4)
    history, poses, times = ask(clip)
    later = extended(history, {"occupancy": clip.occupancy[:, 3:5]}, poses[:, :2], times[:, :2])
    assert torch.equal(later.occupancy, clip.occupancy[:, 2:5]) and later.num_frames == 3
    assert torch.equal(later.timestamp_us, clip.timestamp_us[:, 2:5])
    assert torch.allclose(later.T_global_ego, clip.T_global_ego[:, 2:5], atol=1e-5)


def test_predictions_hold_what_the_metric_asks_for():
    model, clip = make_model(horizon=2, predicted_frames=4), make_clip()
    (first, _), (short, _) = predict(model, clip), predict(make_model(horizon=4, score_imagined=True), clip)
    assert set(first["forecasts"]) == {"model", "copy_last", "ego_warped_copy", "true_tokens"}
    assert set(short["forecasts"]) == {*first["forecasts"], "imagined"}
    assert all(frames.shape == first["truth"].shape for frames in first["forecasts"].values())
    assert "probabilities" not in first and first["seconds"] > 0 and first["ego_pose"] == "given"
    total = short["probabilities"]["model"].float().sum(1)
    assert torch.allclose(total, torch.ones_like(total), atol=5e-3)


def test_true_tokens_look_at_the_future_and_forecasts_do_not(model, clip):
    other = make_clip(seed=5)
    other.occupancy[:, : clip.num_history] = clip.occupancy[:, : clip.num_history]
    a, b = predict(model, clip)[0]["forecasts"], predict(model, other)[0]["forecasts"]
    assert torch.equal(a["model"], b["model"]) and not torch.equal(a["true_tokens"], b["true_tokens"])


def test_training_on_its_own_history_starts_where_the_forecast_ends():
    model, clip = make_model(mix=dict(own_history=1.0), horizon=4).train(), make_clip(history=2, future=4)
    losses = world_model_losses(model, clip, rng())
    plain = world_model_losses(make_model(horizon=4).train(), clip, rng())
    assert losses["loss_tokens"].isfinite() and losses["loss_tokens"] != plain["loss_tokens"]

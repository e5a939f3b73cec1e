"""One stream of several as if it were alone: listed or not, it computes what it did before there were others."""

from collections import OrderedDict

import pytest
import torch

from drivewm.world_model import WorldModel
from drivewm.world_model.corruption import corrupt
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.tasks import draw_tasks, motion_of, sources_of
from tests.world_model import tiny
from tests.world_model.tiny_joint import SIZE, make_clip


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clip():
    return make_clip()


def test_one_stream_is_the_same_listed_or_not():
    clip, found = tiny.make_clip(), []
    for options in (
        dict(tokenizer=tiny.TOKENIZER, patch=2),
        dict(streams=dict(occupancy=dict(tokenizer=tiny.TOKENIZER, patch=2))),
    ):
        torch.manual_seed(0)
        model = WorldModel(**options, **SIZE)
        found.append((model.state_dict(), world_model_losses(model, clip, rng())))
    (weights, losses), (same_weights, same_losses) = found
    assert weights.keys() == same_weights.keys()
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert losses == same_losses


def losses_of_one_stream(model, clip, generator):
    """The objective written out for one stream, knowing nothing of others. No frame is the model's own draw."""
    stream, denoiser, mix = model.stream, model.denoiser, model.mix
    spec, observed = stream.scales.row, clip.num_history

    def uniform(*shape):
        return torch.rand(len(clip), *shape, generator=generator)

    def corrupted(tokens, u, noise):
        draws = [torch.rand(len(clip), *tokens.shape[1:], generator=generator) for _ in range(2)]
        flat = tokens.flatten(0, 1)
        noisy = corrupt(flat, spec, u.flatten(), noise.flatten(), mix.eta, lambda n: draws.pop(0).flatten(0, 1))
        return noisy.view_as(tokens)

    losses, displacement = stream.motion_losses(clip)
    tokens, tasks = stream.tokens(clip), draw_tasks(clip, model.horizon, model.targets_per_clip, mix, uniform)
    rows, future = torch.arange(len(clip))[:, None], tasks.target - observed
    where, when = clip.future_poses()[rows, future], clip.future_times_s()[rows, future]
    seen = stream.see(clip.history(), displacement, where, when)
    uniform(2), uniform(2, spec.num_tokens)  # which frames would be own draws, and these
    past = torch.cat([tokens[:, :observed], tokens[rows, tasks.target - 1]], dim=1)
    u, noise = uniform(2, past.shape[1]).unbind(1)
    past = torch.where(tasks.noisy_past[:, None, None], corrupted(past, 0.5 + 0.5 * u, noise), past)
    frame = torch.cat([torch.arange(observed).expand(len(clip), 2, -1), tasks.target[..., None] - 1], dim=2)
    slot = torch.cat([frame[..., :-1], observed + torch.arange(2).expand(len(clip), -1)[..., None]], dim=2)
    known = torch.cat([torch.ones_like(frame[..., :-1]).bool(), tasks.has_recent[..., None]], dim=2)
    view, covered = stream.view(seen.flatten(0, 1))
    covered = covered * tasks.forecast.repeat_interleave(2)[:, None, None]
    known = known & ~tasks.alone[:, None, None]
    sources = sources_of(clip.T_global_ego, clip.times_s(), tasks.target, frame, known, view, covered)
    features = denoiser.memory.encode(past)[rows[..., None], slot]
    memory = denoiser.memory.gather(features.flatten(0, 1), sources)
    clean = tokens[rows, tasks.target]
    u, noise = uniform(2, 2).unbind(1)
    noisy = corrupted(clean, u.masked_fill(tasks.from_masks, 0.0), noise).flatten(0, 1)
    x = denoiser.embed(noisy, memory)
    condition = denoiser.condition(motion_of(where.flatten(0, 1), when.flatten()))
    for block in denoiser.blocks:
        x = block(x, condition, memory.keys, memory.values, memory.visible)
    logits = denoiser.logits(denoiser.norm(x), noisy, memory)
    losses["loss_tokens"] = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), clean.flatten(), label_smoothing=model.label_smoothing
    )
    first = logits.unflatten(0, (len(clip), 2))[:, 0]
    decoded, _ = stream.losses(first, seen[:, 0], clip, tasks.target[:, 0], tasks.forecast.nonzero()[:, 0], generator)
    return losses | decoded


def test_one_stream_computes_what_it_would_without_the_others_in_mind():
    mix = dict(predict=0.5, denoise=0.3, recent=0.8, self_generated=0.0)
    model, clip = tiny.make_model(mix=mix).train(), tiny.make_clip(history=2)
    for seed in range(4):
        found, expected = world_model_losses(model, clip, rng(seed)), losses_of_one_stream(model, clip, rng(seed))
        assert found.keys() - {"token_accuracy"} == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_checkpoints_from_before_streams_had_names_are_read():
    model, other = tiny.make_model(), tiny.make_model()
    new = {"trunk.denoisers.occupancy.": "denoiser.", "streams.occupancy.": "stream."}
    old = OrderedDict()
    for key, value in model.state_dict().items():
        prefix = next(prefix for prefix in new if key.startswith(prefix))
        old[new[prefix] + key.removeprefix(prefix)] = value
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(old)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())

"""Samplers, tested with callables in place of a network: they are pure functions of `tokens_to_logits`."""

import pytest
import torch

from drivewm.structures import TokenSpec
from drivewm.world_model.sampler import METHODS, guide, sample, unsmoothed
from drivewm.world_model.schedule import keep_count

SPEC = TokenSpec("occupancy", (6, 5), 11)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(tokens_to_logits, spec, *args, **options) -> torch.Tensor:
    """Of one stream alone."""
    return sample(lambda t: {"own": tokens_to_logits(t["own"])}, {"own": spec}, *args, **options)["own"]


class Recorder:
    """Answers with the given logits and remembers what it was asked."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits, self.asked = logits, []

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        self.asked.append(tokens.clone())
        return self.logits


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 2, 8])
def test_an_oracle_gets_its_grid_back(method, steps):
    grid = torch.randint(SPEC.vocab_size, (3, SPEC.num_tokens), generator=rng())
    oracle = torch.nn.functional.one_hot(grid, SPEC.vocab_size) * 1e4
    drawn = draw(lambda _: oracle, SPEC, 3, steps, rng(1), method=method)
    assert torch.equal(drawn, grid.view(3, *SPEC.shape))


@pytest.mark.parametrize("method", METHODS)
def test_masks_fall_by_the_schedule_and_return_to_the_mask_id(method):
    network = Recorder(torch.randn(4, SPEC.num_tokens, SPEC.vocab_size, generator=rng()))
    drawn = draw(network, SPEC, 4, 8, rng(1), method=method)
    masked = torch.stack([(tokens == SPEC.mask_id).sum(1) for tokens in network.asked])
    expected = [SPEC.num_tokens] + [SPEC.num_tokens - keep_count(k, 8, SPEC.num_tokens) for k in range(7, 0, -1)]
    assert (masked == torch.tensor(expected)[:, None]).all()
    assert (masked.diff(dim=0) <= 0).all()
    assert drawn.max() < SPEC.mask_id


def test_known_tokens_stay_known_and_can_be_revised():
    network = Recorder(torch.zeros(8, SPEC.num_tokens, SPEC.vocab_size))  # all codes equally likely
    draw(network, SPEC, 8, 8, rng(), method="copilot4d")
    revised = 0
    for before, after in zip(network.asked, network.asked[1:], strict=False):
        known = before != SPEC.mask_id
        assert (after[known] != SPEC.mask_id).all()
        revised += int((after != before)[known].sum())
    assert revised > 0


def test_maskgit_never_revises():
    network = Recorder(torch.zeros(8, SPEC.num_tokens, SPEC.vocab_size))
    drawn = draw(network, SPEC, 8, 8, rng(), method="maskgit").flatten(1)
    for before in network.asked:
        known = before != SPEC.mask_id
        assert torch.equal(drawn[known], before[known])


def test_samples_follow_the_distribution():
    logits = torch.tensor([2.0, 1.0, 0.0] + [-100.0] * 8).expand(400, SPEC.num_tokens, -1)
    drawn = draw(lambda _: logits, SPEC, 400, 1, rng(3))
    share = torch.bincount(drawn.flatten(), minlength=11)[:3] / drawn.numel()
    assert torch.allclose(share, torch.tensor([2.0, 1.0, 0.0]).softmax(0), atol=0.02)


def test_temperature_zero_takes_the_most_likely():
    logits = torch.randn(2, SPEC.num_tokens, SPEC.vocab_size, generator=rng())
    drawn = draw(lambda _: logits, SPEC, 2, 4, rng(1), temperature=0.0)
    assert torch.equal(drawn.flatten(1), logits.argmax(-1))


def test_the_generator_is_the_only_randomness():
    def network(tokens):
        return torch.nn.functional.one_hot(tokens % 7, SPEC.vocab_size).float()

    torch.manual_seed(0)
    first = draw(network, SPEC, 2, 6, rng(4))
    torch.manual_seed(1)
    assert torch.equal(first, draw(network, SPEC, 2, 6, rng(4)))
    assert not torch.equal(first, draw(network, SPEC, 2, 6, rng(5)))


def literal_copilot4d(tokens_to_logits, spec, steps, generator):
    """Algorithm 2 written out for one frame, token by token, drawing noise in the same order as `sample`."""
    tokens = [spec.mask_id] * spec.num_tokens
    for k in range(steps - 1, -1, -1):
        log_p = tokens_to_logits(torch.tensor([tokens]))[0].float().log_softmax(-1)
        noise = [
            -torch.log(-torch.log(torch.rand(s, generator=generator).clamp(1e-20, 1 - 1e-7)))
            for s in ((1, *log_p.shape), (1, spec.num_tokens))
        ]
        score, drawn = [], []
        for i in range(spec.num_tokens):
            drawn.append(int((log_p[i] + noise[0][0, i]).argmax()))
            score.append(float(log_p[i, drawn[i]] + noise[1][0, i] * k / steps))
            if tokens[i] != spec.mask_id:
                score[i] = float("inf")
        best = sorted(range(spec.num_tokens), key=lambda i: -score[i])[: keep_count(k, steps, spec.num_tokens)]
        tokens = [drawn[i] if i in best else spec.mask_id for i in range(spec.num_tokens)]
    return torch.tensor([tokens]).view(1, *spec.shape)


def test_equal_to_the_literal_algorithm():
    weight = torch.randn(SPEC.vocab_size + 1, SPEC.vocab_size, generator=rng(8))

    def network(tokens):
        context = weight[tokens].mean(1, keepdim=True)
        return weight[tokens] + context

    for seed in range(5):
        expected = literal_copilot4d(network, SPEC, 7, rng(seed))
        assert torch.equal(draw(network, SPEC, 1, 7, rng(seed)), expected)


def test_streams_that_do_not_look_at_each_other_are_drawn_as_if_alone():
    """The noise apart: here there is none."""
    other = TokenSpec("lidar", (4,), 7)
    logits = {"a": torch.randn(2, 30, 11, generator=rng()), "b": torch.randn(2, 4, 7, generator=rng(1))}
    drawn = sample(lambda _: logits, {"a": SPEC, "b": other}, 2, 4, rng(2), temperature=0.0)
    assert {name: tokens.shape for name, tokens in drawn.items()} == {"a": (2, 6, 5), "b": (2, 4)}
    assert all(torch.equal(drawn[name].flatten(1), logits[name].argmax(-1)) for name in drawn)


def test_a_stream_sees_what_was_drawn_of_another():
    """The second follows the first, whose tokens it learns in the steps before the last."""
    follower = TokenSpec("lidar", SPEC.shape, SPEC.vocab_size)

    def network(tokens):
        known = (tokens["a"] != SPEC.mask_id)[..., None]
        copied = torch.nn.functional.one_hot(tokens["a"], SPEC.vocab_size + 1)[..., :-1] * 1e4
        return {"a": torch.zeros(copied.shape), "b": torch.where(known, copied, 0.0)}

    drawn = sample(network, {"a": SPEC, "b": follower}, 8, 8, rng(), method="maskgit")
    assert (drawn["a"] == drawn["b"]).float().mean() > 0.4  # by chance a tenth would be


def test_guidance_of_weight_zero_or_equal_branches_is_the_conditional():
    c, u = torch.randn(2, 3, 4, 5, generator=rng())
    assert torch.equal(guide(c, u, 0.0), c)
    assert torch.equal(guide(c, c, 3.0), c)
    assert torch.allclose(guide(c, u, 1.5), 2.5 * c - 1.5 * u)


def test_what_label_smoothing_added_is_taken_off():
    p = torch.rand(3, 7, 50, generator=rng()).double() ** 4
    p = p / p.sum(-1, keepdim=True)
    smoothed = (0.9 * p + 0.1 / 50).log() + 3.0  # logits are free up to a constant
    assert torch.allclose(unsmoothed(smoothed, 0.1).softmax(-1).double(), p, atol=1e-4)
    assert torch.equal(unsmoothed(smoothed, 0.0), smoothed)
    assert unsmoothed(torch.tensor([[50.0, 0.0, 0.0]]), 0.1).isfinite().all()


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="copilot4d, maskgit"):
        draw(lambda t: t, SPEC, 1, 4, rng(), method="ddim")
    with pytest.raises(ValueError, match="got 0"):
        draw(lambda t: t, SPEC, 1, 0, rng())

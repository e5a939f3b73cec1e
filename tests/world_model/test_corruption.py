"""The forward process: how many tokens become masks and noise, and that nothing else changes."""

import torch

from drivewm.structures import TokenSpec
from drivewm.world_model.corruption import corrupt
from drivewm.world_model.schedule import mask_count

SPEC = TokenSpec("occupancy", (16, 16), 512)


def draws(generator, frames):
    return lambda number: torch.rand(frames, number, generator=generator)


def test_mask_count_is_exact_for_each_frame():
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(512, (40, 16, 16), generator=generator)
    u = torch.rand(40, generator=generator)
    noisy = corrupt(clean, SPEC, u, torch.rand(40, generator=generator), 0.2, draws(generator, 40))
    assert ((noisy == SPEC.mask_id).flatten(1).sum(1) == mask_count(u, 256)).all()


def test_the_share_of_noise_matches_the_formula():
    generator = torch.Generator().manual_seed(1)
    frames, eta = 4000, 0.2
    clean = torch.randint(512, (frames, 16, 16), generator=generator)
    u, noise = torch.rand(2, frames, generator=generator)
    noisy = corrupt(clean, SPEC, u, noise, eta, draws(generator, frames))
    left = 256 - mask_count(u, 256)
    # A random code equals the clean one in 1 of 512 cases.
    expected = (noise * eta * left).sum() * (1 - 1 / 512)
    changed = ((noisy != clean) & (noisy != SPEC.mask_id)).sum()
    assert abs(changed / expected - 1) < 0.01


def test_no_noise_leaves_the_rest_as_it_was():
    clean = torch.randint(512, (8, 16, 16), generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    noisy = corrupt(clean, SPEC, torch.full((8,), 0.6), torch.zeros(8), 0.2, draws(generator, 8))
    assert torch.equal(noisy[noisy != SPEC.mask_id], clean[noisy != SPEC.mask_id])


def test_the_same_generator_state_gives_the_same_corruption():
    clean = torch.zeros(4, 16, 16, dtype=torch.int64)
    arguments = (clean, SPEC, torch.full((4,), 0.5), torch.full((4,), 0.5), 0.2)
    first, again, other = (corrupt(*arguments, draws(torch.Generator().manual_seed(s), 4)) for s in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)

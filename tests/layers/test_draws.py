"""Draws for a batch that several processes share."""

import torch

from drivewm.engine.loops import ResumableSampler
from drivewm.layers import draws
from drivewm.layers.draws import rows_of_global_batch


def test_a_sample_gets_the_same_draw_in_one_process_and_in_three(monkeypatch):
    """Three steps of batches of 6 samples, dealt out by the sampler."""

    def drawn(rank, processes):
        monkeypatch.setattr(draws, "get_dist_info", lambda: (rank, processes))
        generator = torch.Generator().manual_seed(7)
        sampler = ResumableSampler(range(18), seed=3)
        sampler.rank, sampler.world_size = rank, processes
        samples, found, batch = iter(sampler), {}, 6 // processes
        for _ in range(3):
            rows = rows_of_global_batch(lambda n: torch.rand(n, 2, generator=generator), batch)
            assert rows.shape == (batch, 2)
            found |= {next(samples): row.tolist() for row in rows}
        return found

    whole = drawn(0, 1)
    assert len(whole) == 18
    assert {k: v for rank in range(3) for k, v in drawn(rank, 3).items()} == whole

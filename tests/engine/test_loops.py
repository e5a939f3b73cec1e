"""The sampler: fair, endless, resumable, split between processes."""

from itertools import islice

from drivewm.engine.loops import ResumableSampler


def take(number, **options):
    return list(islice(ResumableSampler(range(10), seed=1, **options), number))


def test_each_pass_visits_everything_once_in_another_order():
    drawn = take(30)
    passes = [drawn[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(p) == list(range(10)) for p in passes)
    assert passes[0] != passes[1] != passes[2]


def test_it_goes_on_where_it_was():
    assert take(30)[13:] == take(17, start=13)


def test_processes_share_the_samples():
    samplers = [ResumableSampler(range(10), seed=1) for _ in range(3)]
    for rank, sampler in enumerate(samplers):
        sampler.rank, sampler.world_size = rank, 3
    shares = [list(islice(sampler, 10)) for sampler in samplers]
    assert [shares[i % 3][i // 3] for i in range(30)] == take(30)

"""Kendall's tau-b against scipy, and what of a ranking transfers."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from drivewm.evaluation.functional.bootstrap import clustered_mean_interval, paired_difference_interval
from drivewm.evaluation.functional.ranking import kendall_tau_b, rank_transfer


def runs(quality, rng, scenarios=12, variants=2, noise=0.05):
    """Scores of planners that are as good as `quality` says, in scenarios of their own difficulty."""
    hard = rng.normal(0, 0.5, scenarios)
    return {
        planner: {
            (f"s{s}", v): mean + hard[s] + noise * rng.normal() for s in range(scenarios) for v in range(variants)
        }
        for planner, mean in quality.items()
    }


@pytest.mark.parametrize("levels", [3, 1000])
def test_tau_b_is_scipys_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    for _ in range(30):
        first, second = rng.integers(0, levels, (2, 9))
        expected = kendalltau(first, second).statistic
        assert kendall_tau_b(first, second) == pytest.approx(expected, nan_ok=True)


def test_tau_b_of_a_tied_list_is_not_a_number_and_of_nonsense_an_error():
    assert np.isnan(kendall_tau_b([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="two lists of the same"):
        kendall_tau_b([1.0], [1.0])
    with pytest.raises(ValueError, match="NaN has no rank"):
        kendall_tau_b([1.0, np.nan], [1.0, 2.0])


def test_the_same_order_transfers_whatever_the_scale():
    quality = {"a": 0.9, "b": 0.6, "c": 0.3, "d": 0.1}
    sim = runs(quality, np.random.default_rng(0))
    dream = {p: {e: 0.2 * s - 5 for e, s in episodes.items()} for p, episodes in sim.items()}
    found = rank_transfer(sim, dream, np.random.default_rng(1))
    assert found.planners == ("a", "b", "c", "d")
    assert found.all_pairs == found.separated_pairs == (1.0, 1.0, 1.0)
    assert all(pair.separated and pair.agrees for pair in found.pairs) and len(found.pairs) == 6
    upside_down = {p: {e: -s for e, s in episodes.items()} for p, episodes in sim.items()}
    assert rank_transfer(sim, upside_down, np.random.default_rng(1)).all_pairs.value == -1.0


def test_all_pairs_are_scipys_and_intervals_are_those_of_the_bootstrap():
    rng = np.random.default_rng(2)
    sim = runs({"a": 0.9, "b": 0.88, "c": 0.3, "d": 0.1}, rng)
    dream = runs({"a": 0.1, "b": 0.5, "c": 0.5, "d": 0.0}, rng, noise=0.2)
    found = rank_transfer(sim, dream, np.random.default_rng(3))
    means = [[np.mean(list(env[p].values())) for p in found.planners] for env in (sim, dream)]
    assert found.all_pairs.value == pytest.approx(kendalltau(*means).statistic)
    assert found.all_pairs.low <= found.all_pairs.value <= found.all_pairs.high
    episodes = sorted(sim["a"])
    names = [scenario for scenario, _ in episodes]
    first = [sim[found.planners[0]][e] for e in episodes]
    assert found.reference[0] == pytest.approx(clustered_mean_interval(first, names, np.random.default_rng(3)))
    for pair in found.pairs:
        for env, own in ((sim, pair.reference), (dream, pair.other)):
            values = ([env[planner][e] for e in episodes] for planner in (pair.first, pair.second))
            assert own == pytest.approx(paired_difference_interval(*values, names, np.random.default_rng(3)))


def test_only_separated_pairs_count_in_the_second_tau():
    """Two planners are the same but for noise: their order in the dream says nothing."""
    rng = np.random.default_rng(4)
    sim = runs({"good": 0.9, "bad": 0.1}, rng)
    sim["twin"] = {e: s + (0.01 if int(e[0][1:]) % 2 else -0.0101) for e, s in sim["good"].items()}
    dream = runs({"good": 0.4, "bad": 0.1, "twin": 0.8}, rng)
    found = rank_transfer(sim, dream, np.random.default_rng(5))
    separated = {frozenset((p.first, p.second)): p.separated for p in found.pairs}
    assert separated == {
        frozenset(("good", "twin")): False,
        frozenset(("good", "bad")): True,
        frozenset(("twin", "bad")): True,
    }
    assert found.all_pairs.value == pytest.approx(1 / 3) and found.separated_pairs.value == 1.0


def test_a_tie_elsewhere_lowers_tau_as_in_tau_b():
    sim = runs({"a": 0.9, "b": 0.5, "c": 0.1}, np.random.default_rng(6))
    dream = {"a": sim["a"], "b": dict(sim["a"]), "c": sim["c"]}
    found = rank_transfer(sim, dream, np.random.default_rng(7))
    assert found.separated_pairs.value == pytest.approx(2 / np.sqrt(3 * 2))
    assert not next(p for p in found.pairs if {p.first, p.second} == {"a", "b"}).agrees


def test_only_episodes_that_all_have_count_and_the_order_of_planners_does_not():
    sim = runs({"a": 0.9, "b": 0.5}, np.random.default_rng(8))
    dream = {p: dict(reversed(episodes.items())) for p, episodes in reversed(sim.items())}
    del dream["b"][("s0", 1)]
    sim["a"][("elsewhere", 0)] = 0.0
    found = rank_transfer(sim, dream, np.random.default_rng(9))
    assert (found.episodes, found.scenarios, found.left_out) == (23, 12, 2)
    expected = np.mean([s for e, s in sim["a"].items() if e not in (("s0", 1), ("elsewhere", 0))])
    assert found.reference[0].value == pytest.approx(expected)


def test_what_cannot_be_compared_is_an_error():
    rng = np.random.default_rng(10)
    sim = runs({"a": 0.9, "b": 0.5}, rng)
    with pytest.raises(ValueError, match=r"at least two planners in both environments, got \['a'\]"):
        rank_transfer(sim, {"a": sim["a"], "c": sim["b"]}, rng)
    with pytest.raises(ValueError, match="at least two scenarios"):
        rank_transfer(sim, {p: {("s0", 0): 1.0} for p in sim}, rng)
    with pytest.raises(ValueError, match="separates none of the 1 pairs"):
        rank_transfer({"a": sim["a"], "b": sim["a"]}, sim, rng)

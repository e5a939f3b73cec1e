"""From episode records to figures: for each planner, by all, straight and each family's episodes, intervals by scene.

An adversarial episode counts only if an ego that keeps its velocity crashes in it and the environment's own driver does
not: otherwise it tells nothing. Those that do not are left out for all planners, and counted. So are episodes in
recorded drives that cannot be believed (`LogValidity`) and dreams that were lost, for the planner that drove them.

A score that lacks a term has another name (`EpisodeScore.score_name`), and each name has its own column.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drivewm.closed_loop.episodes import REFERENCE
from drivewm.evaluation.functional.aggregate import EPDMS, PDMS
from drivewm.evaluation.functional.bootstrap import clustered_mean_interval, paired_difference_interval
from drivewm.evaluation.functional.closed_loop import ncap_score
from drivewm.simulation import ADVERSARIAL

BASELINE = "constant_velocity"
OVER_BASELINE = f"score_over_{BASELINE}"
SUBSETS = ("all", "straight")
NCAP = "ncap_score"
SCORES = {PDMS.name: "score", EPDMS.name: "extended"}
_RATES = {
    "collision_rate": lambda score: float(score["collided"]),
    "at_fault_rate": lambda score: float(score["at_fault"]),
    "off_road_rate": lambda score: None if score["dac"] is None else 1.0 - score["dac"],
    "progress": lambda score: score["progress"],
    "direction": lambda score: score["ddc"],
    "lights": lambda score: score["tlc"],
    "lane_keeping": lambda score: score["lk"],
    "ttc": lambda score: score["ttc"],
    "comfort": lambda score: score["comfort"],
    "history_comfort": lambda score: score["hc"],
    "extended_comfort": lambda score: score["ec"],
}


def summarize(records: Iterable[dict], seed: int = 0) -> dict[str, dict[str, dict]]:
    """`{planner: {subset: {rate: {"value", "low", "high"}, "episodes", "failed", "discarded", "invalid",
    "privileged"}}}`.

    "score" is the mean `episode_pdms` and "extended" the mean `episode_epdms`, of the episodes whose scores have these
    names. Episodes in which a term does not exist have their score under its own name, such as
    `episode_epdms_without_ec`. Other rates, too, are over the episodes in which they exist.

    Subsets are "all", "straight" and, where there are several, each family. Rates lie in [0, 1],
    but for `ncap_score` of adversarial families in 0 to 5. Intervals are 95 % bootstrap intervals over scenarios.
    Episodes in which the planner failed are counted, not scored. Beside the baseline's rows,
    `score_over_constant_velocity` is the paired difference on the scenarios that both finished.
    """
    records = sorted(records, key=lambda record: (record["planner"], *_episode(record)))
    useless, families = discarded(records), sorted({record["family"] for record in records})
    subsets = SUBSETS if len(families) == 1 else (*SUBSETS, *families)
    table: dict[str, dict[str, dict]] = {}
    for planner in dict.fromkeys(record["planner"] for record in records):
        table[planner] = {}
        for subset in subsets:
            chosen = [r for r in records if r["planner"] == planner and _belongs(r, subset)]
            useful = [r for r in chosen if r["scenario"] not in useless]
            left = [r for r in useful if is_valid(r)]
            done = {_episode(r): r["score"] for r in left if r["status"] == "ok"}
            row: dict = {
                "episodes": len(left),
                "failed": len(left) - len(done),
                "discarded": len(chosen) - len(useful),
                "invalid": len(useful) - len(left),
                "privileged": any(r["privileged"] for r in chosen),
            }
            for name in dict.fromkeys([*SCORES, *sorted({n for score in done.values() for n in _scores(score)})]):
                values = [_scores(score).get(name) for score in done.values()]
                row[SCORES.get(name, name)] = _interval(values, list(done), seed)
            for rate, read in _RATES.items():
                row[rate] = _interval([read(score) for score in done.values()], list(done), seed)
            table[planner][subset] = row
    kept = [record for record in records if record["scenario"] not in useless and is_valid(record)]
    if BASELINE in table:
        _compare(table, kept, seed)
        _add_ncap(table, kept, seed)
    return table


def discarded(records: Iterable[dict]) -> set[str]:
    """Adversarial scenarios that tell nothing: in some variant the baseline drives through unharmed, or the reference
    driver crashes."""
    useless = set()
    for record in records:
        if record["family"] in ADVERSARIAL and record["status"] == "ok":
            expected = {BASELINE: True, REFERENCE: False}.get(record["planner"])
            if expected is not None and record["score"]["collided"] != expected:
                useless.add(record["scenario"])
    return useless


def is_valid(record: dict) -> bool:
    """Can an episode be believed? In the town always; in a recorded drive or in a dream its validity says."""
    return record["notes"].get("validity", {}).get("valid", True)


def _episode(record: dict) -> tuple[str, int]:
    return record["scenario"], record["variant"]


def _belongs(record: dict, subset: str) -> bool:
    return subset == "all" or record["family"] == subset or (subset == "straight" and record["straight"])


def _compare(table: dict, records: list[dict], seed: int) -> None:
    """Beside each other planner, the paired difference of its score to the baseline's."""
    for planner in table:
        for subset in table[planner]:
            pairs = {
                episode: pair
                for episode, pair in _paired(records, planner, subset).items()
                if all(score["score_name"] == PDMS.name for score in pair)
            }
            if planner != BASELINE and pairs:
                ours, theirs = (np.array([pair[k]["score"] for pair in pairs.values()]) for k in (0, 1))
                found = paired_difference_interval(
                    ours, theirs, [name for name, _ in pairs], np.random.default_rng(seed)
                )
                table[planner][subset][OVER_BASELINE] = found._asdict()


def _add_ncap(table: dict, records: list[dict], seed: int) -> None:
    """NeuroNCAP's score in adversarial families, against the speed at which the baseline crashes there."""
    for planner, subsets in table.items():
        for subset in set(subsets).intersection(ADVERSARIAL):
            pairs = _paired(records, planner, subset)
            values = [ncap_score(own["impact_speed"], other["impact_speed"]) for own, other in pairs.values()]
            subsets[subset][NCAP] = _interval(values, list(pairs), seed)


def _paired(records: list[dict], planner: str, subset: str) -> dict[tuple[str, int], tuple[dict, dict]]:
    """Scores of a planner and of the baseline, by episode, where both have finished."""
    done = [r for r in records if r["status"] == "ok" and _belongs(r, subset)]
    ours, theirs = ({_episode(r): r["score"] for r in done if r["planner"] == p} for p in (planner, BASELINE))
    return {episode: (score, theirs[episode]) for episode, score in ours.items() if episode in theirs}


def _scores(score: dict) -> dict[str, float]:
    """Both scores of an episode by their names."""
    return {score["score_name"]: score["score"], score["extended_name"]: score["extended_score"]}


def _interval(values: list[float | None], episodes: list[tuple[str, int]], seed: int) -> dict[str, float | None]:
    """Of the values that exist; all None if there are none."""
    known = [(value, name) for value, (name, _) in zip(values, episodes, strict=True) if value is not None]
    if not known:
        return {"value": None, "low": None, "high": None}
    numbers, names = zip(*known, strict=True)
    return clustered_mean_interval(np.array(numbers), names, np.random.default_rng(seed))._asdict()

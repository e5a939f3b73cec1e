"""Does the order of planners in the dream hold in the simulator? From the records of both closed-loop runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from drivewm.closed_loop.episodes import REFERENCE
from drivewm.closed_loop.records import EpisodeLog
from drivewm.closed_loop.summary import discarded, is_valid
from drivewm.closed_loop.tables import SummaryTable
from drivewm.evaluation.functional.bootstrap import Interval
from drivewm.evaluation.functional.ranking import RankTransfer, rank_transfer
from drivewm.evaluation.tables import interval_cell


def read_records(folder: str | Path) -> list[dict]:
    """Those of a closed-loop run. FileNotFoundError if the folder holds none."""
    path = Path(folder) / "episodes.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}, expected the output folder of a closed-loop run")
    return list(EpisodeLog(path).records.values())


def transfer(sim: Iterable[dict], dream: Iterable[dict], score: str = "score", seed: int = 0) -> RankTransfer:
    """`rank_transfer` of the planners of two runs; the environments' own driver is no planner.

    Episodes count that the planner finished and that can be believed. Adversarial scenarios that tell nothing in the
    simulator are left out of both.

    Args:
        sim, dream: records.
        score: "score" or "extended_score".
        seed: of the intervals.

    Raises:
        ValueError: see `rank_transfer`.
    """
    sim, dream = list(sim), list(dream)
    useless = discarded(sim)
    runs = [_scores([r for r in run if r["scenario"] not in useless], score) for run in (sim, dream)]
    return rank_transfer(*runs, np.random.default_rng(seed))


def _scores(records: list[dict], score: str) -> dict[str, dict[tuple[str, int], float]]:
    runs: dict[str, dict[tuple[str, int], float]] = {}
    for record in _done(records):
        runs.setdefault(record["planner"], {})[record["scenario"], record["variant"]] = record["score"][score]
    return runs


def score_name(records: Iterable[dict], score: str = "score") -> str:
    """What a score is called in a run: terms that do not exist there are in its name.

    Raises:
        ValueError: it has not the same name in all episodes, or there are none.
    """
    key = {"score": "score_name", "extended_score": "extended_name"}[score]
    names = {r["score"][key] for r in _done(records)}
    if len(names) != 1:
        raise ValueError(f"expected one score in all episodes of a run, got {sorted(names)}")
    return names.pop()


def _done(records: Iterable[dict]) -> list[dict]:
    return [r for r in records if r["status"] == "ok" and r["planner"] != REFERENCE and is_valid(r)]


def transfer_tables(found: RankTransfer, names: tuple[str, str]) -> list[SummaryTable]:
    """Both scores of each planner, which are called so in sim and dream, and the rank correlation."""
    counts = f"{found.episodes} episodes of {found.scenarios} scenarios ({found.left_out} left out)"
    rows = [
        [planner, interval_cell(sim), interval_cell(dream)]
        for planner, sim, dream in zip(found.planners, found.reference, found.other, strict=True)
    ]
    separated = [pair for pair in found.pairs if pair.separated]
    taus = [
        ["all", len(found.pairs), sum(pair.agrees for pair in found.pairs), interval_cell(found.all_pairs)],
        ["separated in sim", len(separated), sum(p.agrees for p in separated), interval_cell(found.separated_pairs)],
    ]
    pairs = [
        [
            pair.first,
            pair.second,
            interval_cell(pair.reference),
            interval_cell(pair.other),
            "yes" if pair.agrees else "no",
        ]
        for pair in separated
    ]
    return [
        SummaryTable(
            f"Mean score, {counts}",
            ["planner", *(f"{name}, {env}" for name, env in zip(names, ("sim", "dream"), strict=True))],
            rows,
        ),
        SummaryTable("Kendall's tau-b of the planners' order", ["pairs", "number", "same order", "tau-b"], taus),
        SummaryTable("Pairs that the simulator separates", ["first", "second", "sim", "dream", "same order"], pairs),
    ]


def transfer_dict(found: RankTransfer) -> dict:
    """Plain values for JSON, None where a tau is not defined; pairs say whether they are separated and agree."""
    flags = [{"separated": pair.separated, "agrees": pair.agrees} for pair in found.pairs]
    plain = asdict(found)
    plain["pairs"] = [pair | flag for pair, flag in zip(plain["pairs"], flags, strict=True)]
    return _plain(plain)


def _plain(value: object) -> object:
    if isinstance(value, Interval):
        return {name: bound if np.isfinite(bound) else None for name, bound in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

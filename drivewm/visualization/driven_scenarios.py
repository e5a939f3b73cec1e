"""Scenarios of a closed-loop run again, from its records: those in which a planner did worst, or best."""

from __future__ import annotations

import json
from pathlib import Path

from drivewm.closed_loop.episodes import PlannerSpec, identity
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.simulation import Scenario
from drivewm.visualization.driving_report import worst_episodes

SETTING = "sim, agents reactive"


def driven_scenarios(
    path: str | Path, spec: PlannerSpec, seed: int, scored_s: float, worst: int = 0, best: int = 0
) -> list[Scenario]:
    """The scenarios of a planner's worst and best episodes in the town, the worst first, each once.

    Args:
        path: `episodes.jsonl` of the run, which may still be going on.
        spec: of the planner.
        seed, scored_s: of the run: its records do not tell them.
        worst, best: how many.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no scored episode of this planner, or none that was driven with this seed, duration and
            checkpoint, and with agents that react.
    """
    text = Path(path).read_text(encoding="utf-8")
    records = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    ranked = worst_episodes(records, spec.name, len(records))
    if not ranked:
        known = sorted({record["planner"] for record in records})
        raise ValueError(f"{path}: no scored episode of {spec.name}, only of {', '.join(known) or 'nobody'}")
    chosen = {(r["scenario"], r["variant"]): r for r in [*ranked[:worst], *ranked[::-1][:best]]}
    scenarios = {}
    for family in {record["family"] for record in chosen.values()}:
        own = [record for record in records if record["family"] == family]
        count, variants = len({r["scenario"] for r in own}), 1 + max(r["variant"] for r in own)
        scenarios |= {(s.name, s.variant): s for s in held_out_scenarios(count, seed, scored_s, family, variants)}
    for key, record in chosen.items():
        found = scenarios.get(key)
        if found is None or identity(spec, found, SETTING) != record["identity"]:
            raise ValueError(
                f"{path}: {spec.name} drove {key[0]}, variant {key[1]}, under other settings than seed {seed}, "
                f"{scored_s:g} s scored, {SETTING!r} and this checkpoint; its setting was {record['setting']!r}"
            )
    return [scenarios[key] for key in chosen]

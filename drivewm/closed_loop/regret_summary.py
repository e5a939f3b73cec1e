"""From judged moments to figures: regret, exploitation, rank correlation, and what a search brings for its compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import numpy as np

from drivewm.closed_loop.choosers import Chooser
from drivewm.closed_loop.moments import BEST, HEAD, IMAGINED_TERMS, RANDOM
from drivewm.evaluation.functional.bootstrap import clustered_mean_interval
from drivewm.evaluation.functional.ranking import kendall_tau_b

COPY_LAST = "copy_last/rank"
REAL_TERMS = ("nc", "dac", "tlc", "ep", "ttc", "comfort", "progress")
_SAME = 1e-9


def summarize_regret(records: Iterable[dict], score: str = "score", seed: int = 0) -> dict[str, dict]:
    """`{subset: figures}` of "all" moments and, where there are several, of each family's.

    Means over moments; intervals `{"value", "low", "high"}` are 95 % bootstrap intervals over scenarios, None where
    nothing is known. The figures of a subset:

    - "moments", "scenarios": how many; "decided": share of moments in which candidates differ in their real score.
    - "expert": real score of the expert's own next 4 s.
    - "choosers": `{name: figures}`. "real" score of the plan taken; "regret", the best candidate's minus that (negative
      where a search finds a plan better than all candidates); "took_best", share of moments without regret; "hit", 1 -
      NC; "imagined" score; "gap", imagined minus real; "gap_of_average", the same of an average candidate in the same
      world: what the gap would be if choosing exploited nothing; "forwards" and "search_forwards", plans scored;
      "terms", means of the real score's.
    - "worlds": `{world, or "head": figures}`. "tau", Kendall's tau-b within a moment between what is imagined (of the
      head: logits) and real scores; "ranked", moments that have one: where all candidates are worth the same there is
      none. "terms": `{term: [imagined, real]}`, means over all candidates.
    - "comparisons": paired differences of real scores, `[{"ours", "theirs", "difference"}]`: each world's ranking over
      random, head and copy-last, and each search over the ranking that it begins with.
    - "searches": each gradient against each CEM in the same world, `[{"gradient", "cem", "difference", "share",
      "search_share"}]`: paired difference of real scores, and the share of CEM's forwards that the gradient needs, with
      and without the ranking of the proposals that both begin with.

    Args:
        records: of `measure_regret`, all of the same choosers.
        score: "score" (`episode_pdms`) or "extended_score" (`episode_epdms_without_ec`).
        seed: of the intervals.

    Raises:
        ValueError: there are no moments, or records of other choosers among them.
    """
    moments = [m | {"scenario": r["scenario"], "family": r["family"]} for r in records for m in r["moments"]]
    kinds = {tuple(moment["choosers"]) for moment in moments}
    if len(kinds) != 1:
        raise ValueError(f"expected moments of the same choosers, got {sorted(kinds)}")
    families = sorted({moment["family"] for moment in moments})
    subsets = {"all": moments}
    if len(families) > 1:
        subsets |= {f: [m for m in moments if m["family"] == f] for f in families}
    return {name: _Subset(chosen, score, seed).figures() for name, chosen in subsets.items()}


class _Subset:
    """The figures of some moments."""

    def __init__(self, moments: list[dict], score: str, seed: int) -> None:
        self.moments, self.score, self.seed = moments, score, seed
        self.scenarios = [moment["scenario"] for moment in moments]
        self.names = list(moments[0]["choosers"])
        self.searching = [Chooser.parse(name) for name in self.names if name not in (HEAD, RANDOM, BEST)]

    def figures(self) -> dict:
        return {
            "moments": len(self.moments),
            "scenarios": len(set(self.scenarios)),
            "decided": self._mean(lambda m: float(np.ptp(self._reals(m)) > _SAME)),
            "expert": self._mean(lambda m: m["expert"][self.score]),
            "choosers": {name: self._chooser(name) for name in self.names},
            "worlds": self._worlds(),
            "comparisons": self._comparisons(),
            "searches": self._searches(),
        }

    def _chooser(self, name: str) -> dict:
        world = name.split("/")[0]

        def regret(moment: dict) -> float:
            return self._best(moment) - self._real(moment, name)

        def gap(moment: dict) -> float | None:
            imagined = moment["choosers"][name]["imagined"]
            return None if imagined is None else imagined - self._real(moment, name)

        return {
            "real": self._mean(lambda m: self._real(m, name)),
            "regret": self._mean(regret),
            "took_best": self._mean(lambda m: float(regret(m) < _SAME)),
            "hit": self._mean(lambda m: 1.0 - m["choosers"][name]["real"]["nc"]),
            "imagined": self._mean(lambda m: m["choosers"][name]["imagined"]),
            "gap": self._mean(gap),
            "gap_of_average": self._mean(lambda m: self._average_gap(m, world)),
            "forwards": float(np.mean([m["choosers"][name]["forwards"] for m in self.moments])),
            "search_forwards": float(np.mean([m["choosers"][name]["search_forwards"] for m in self.moments])),
            "terms": {
                term: self._mean(lambda m, t=term: m["choosers"][name]["real"][t])["value"] for term in REAL_TERMS
            },
        }

    def _worlds(self) -> dict[str, dict]:
        def tau(said: Callable[[dict], Sequence[float]]) -> dict:
            values = [kendall_tau_b(np.array(said(m)), self._reals(m)) for m in self.moments]
            return {"tau": self._interval(values), "ranked": int(np.isfinite(values).sum())}

        found = {HEAD: tau(lambda m: m["preference"])}
        for world in self.moments[0]["imagined"]:
            found[world] = tau(lambda m, world=world: m["imagined"][world]["total"]) | {"terms": self._terms(world)}
        return found

    def _terms(self, world: str) -> dict[str, list[float]]:
        terms = [
            term for term in IMAGINED_TERMS if all(c.get(term) is not None for m in self.moments for c in m["real"])
        ]
        return {
            term: [
                float(np.mean([m["imagined"][world][term] for m in self.moments])),
                float(np.mean([c[term] for m in self.moments for c in m["real"]])),
            ]
            for term in terms
        }

    def _comparisons(self) -> list[dict]:
        pairs = []
        for chooser in self.searching:
            if chooser.method != "rank":
                pairs.append((chooser.name, chooser.rank))
            elif chooser.name != COPY_LAST:
                pairs += [(chooser.name, other) for other in (RANDOM, HEAD, COPY_LAST)]
        return [
            {"ours": ours, "theirs": theirs, "difference": self._difference(ours, theirs)}
            for ours, theirs in pairs
            if theirs in self.names
        ]

    def _searches(self) -> list[dict]:
        gradients, cems = ([c for c in self.searching if c.method == method] for method in ("gradient", "cem"))
        return [
            {
                "gradient": ours.name,
                "cem": theirs.name,
                "difference": self._difference(ours.name, theirs.name),
                "share": self._share(ours.name, theirs.name, "forwards"),
                "search_share": self._share(ours.name, theirs.name, "search_forwards"),
            }
            for ours, theirs in product(gradients, cems)
            if ours.world == theirs.world
        ]

    def _share(self, ours: str, theirs: str, forwards: str) -> float:
        return sum(m["choosers"][ours][forwards] for m in self.moments) / sum(
            m["choosers"][theirs][forwards] for m in self.moments
        )

    def _difference(self, ours: str, theirs: str) -> dict:
        return self._mean(lambda m: self._real(m, ours) - self._real(m, theirs))

    def _average_gap(self, moment: dict, world: str) -> float | None:
        imagined = moment["imagined"].get(world)
        return None if imagined is None else float(np.mean(imagined["total"]) - self._reals(moment).mean())

    def _real(self, moment: dict, name: str) -> float:
        return self._best(moment) if name == BEST else moment["choosers"][name]["real"][self.score]

    def _best(self, moment: dict) -> float:
        return float(self._reals(moment).max())

    def _reals(self, moment: dict) -> np.ndarray:
        return np.array([candidate[self.score] for candidate in moment["real"]])

    def _mean(self, value: Callable[[dict], float | None]) -> dict:
        values = [value(moment) for moment in self.moments]
        return self._interval([np.nan if v is None else v for v in values])

    def _interval(self, values: Sequence[float]) -> dict[str, float | None]:
        found = clustered_mean_interval(np.array(values), self.scenarios, np.random.default_rng(self.seed))
        return {name: value if np.isfinite(value) else None for name, value in found._asdict().items()}

"""The tables of judged moments."""

from __future__ import annotations

from drivewm.closed_loop.regret_summary import REAL_TERMS
from drivewm.closed_loop.tables import SummaryTable
from drivewm.evaluation.tables import interval_cell

_CHOOSERS = {
    "real": "real score",
    "regret": "regret",
    "took_best": "took the best",
    "hit": "hit",
    "imagined": "imagined",
    "gap": "imagined - real",
    "gap_of_average": "the same, average candidate",
}


def regret_tables(summary: dict[str, dict], score_name: str) -> list[SummaryTable]:
    """What `summarize_regret` found, of the score that is called so."""
    every = summary["all"]
    counts = f"{every['moments']} moments of {every['scenarios']} scenarios"
    tables = [
        SummaryTable(
            f"What each choice is worth: `{score_name}` of 4 s, {counts}. Candidates differ in "
            f"{interval_cell(every['decided'])} of the moments; the expert scores {interval_cell(every['expert'])}",
            ["chooser", *_CHOOSERS.values(), "forwards", "of these to search"],
            [
                [name, *(interval_cell(row[key]) for key in _CHOOSERS), row["forwards"], row["search_forwards"]]
                for name, row in every["choosers"].items()
            ],
        )
    ]
    rows = [[name, *row["terms"].values()] for name, row in every["choosers"].items()]
    tables.append(SummaryTable("Terms of the plan taken, as driven", ["chooser", *REAL_TERMS], rows))
    if len(summary) > 1:
        headers = ["chooser", *(subset.replace("_", " ") for subset in summary)]
        rows = [
            [name, *(interval_cell(s["choosers"][name]["regret"]) for s in summary.values())]
            for name in every["choosers"]
        ]
        rows.append(["moments", *(s["moments"] for s in summary.values())])
        tables.append(SummaryTable("Regret by family", headers, rows))
    worlds = [[name, interval_cell(row["tau"]), row["ranked"]] for name, row in every["worlds"].items()]
    tables.append(
        SummaryTable(
            "Kendall's tau-b within a moment, said against real",
            ["who says it", "tau-b", "moments that have one"],
            worlds,
        )
    )
    terms = [
        [world, term, imagined, real]
        for world, row in every["worlds"].items()
        for term, (imagined, real) in row.get("terms", {}).items()
    ]
    tables.append(SummaryTable("Terms of an average candidate", ["world", "term", "imagined", "real"], terms))
    comparisons = [[c["ours"], c["theirs"], interval_cell(c["difference"], 3)] for c in every["comparisons"]]
    tables.append(SummaryTable("Real score, paired", ["chooser", "over", "difference"], comparisons))
    if every["searches"]:
        searches = [
            [
                s["gradient"],
                s["cem"],
                interval_cell(s["difference"], 3),
                _percent(s["share"]),
                _percent(s["search_share"]),
            ]
            for s in every["searches"]
        ]
        headers = ["gradient", "over CEM", "difference in real score", "share of its forwards", "of those to search"]
        tables.append(SummaryTable("What a search costs: a differentiated forward counts 3", headers, searches))
    return tables


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

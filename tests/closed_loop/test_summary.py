"""Tables of records whose scores lack terms: names are never mixed."""

import json

import pytest

from drivewm.closed_loop.summary import summarize
from drivewm.closed_loop.tables import summary_tables


def _record(planner, scenario, score=1.0, name="episode_pdms", extended=1.0, extended_name="episode_epdms", **terms):
    known = dict.fromkeys(("dac", "ddc", "tlc", "lk", "ttc", "comfort", "hc", "ec", "progress"), 1.0)
    scores = dict(score=score, score_name=name, extended_score=extended, extended_name=extended_name)
    return {
        "planner": planner,
        "scenario": scenario,
        "variant": 0,
        "straight": False,
        "family": "nominal",
        "privileged": planner == "expert",
        "status": "ok",
        "notes": {},
        "score": scores | {"collided": False, "at_fault": False, "impact_speed": None} | known | terms,
    }


def test_each_name_has_a_mean_of_its_own():
    without = dict(name="episode_pdms_without_dac", extended_name="episode_epdms_without_dac", dac=None, ddc=None)
    records = [
        _record("idm", "a", 0.8, extended=0.6),
        _record("idm", "b", 0.4, extended=0.2),
        _record("idm", "c", 0.1, extended=0.1, **without),
        _record("expert", "a", 1.0, extended=0.9, extended_name="episode_epdms_without_ec", ec=None),
    ]
    summary = summarize(records)
    idm, expert = summary["idm"]["all"], summary["expert"]["all"]
    assert idm["score"]["value"] == pytest.approx(0.6) and idm["extended"]["value"] == pytest.approx(0.4)
    assert idm["episode_pdms_without_dac"]["value"] == idm["episode_epdms_without_dac"]["value"] == pytest.approx(0.1)
    assert expert["extended"]["value"] is None and expert["episode_epdms_without_ec"]["value"] == pytest.approx(0.9)
    assert idm["off_road_rate"]["value"] == 0.0 and expert["extended_comfort"]["value"] is None
    json.dumps(summary, allow_nan=False)


def test_the_table_has_a_column_a_name():
    records = [
        _record("idm", "a", 0.8, extended=0.6),
        _record("expert", "a", 1.0, extended=0.9, extended_name="episode_epdms_without_ec"),
    ]
    table = summary_tables(summarize(records))[0]
    cells = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    expert = cells["expert (privileged)"]
    assert cells["idm"]["episode_pdms"].startswith("0.80") and expert["episode_pdms"].startswith("1.00")
    assert cells["idm"]["episode_epdms"].startswith("0.60") and expert["episode_epdms"] == "-"
    assert expert["episode_epdms_without_ec"].startswith("0.90")
    assert cells["idm"]["episode_epdms_without_ec"] == "-"


def test_rates_are_of_the_episodes_in_which_they_exist():
    records = [
        _record("idm", "a", ddc=1.0, tlc=None),
        _record("idm", "b", ddc=0.5, tlc=None),
        _record("idm", "c", ddc=None, tlc=0.0),
        _record("idm", "d", ddc=None, tlc=None, lk=0.0, ec=0.25),
    ]
    row = summarize(records)["idm"]["all"]
    assert row["direction"]["value"] == pytest.approx(0.75) and row["lights"]["value"] == 0.0
    assert row["lane_keeping"]["value"] == 0.75 and row["extended_comfort"]["value"] == pytest.approx(3.25 / 4)


def test_differences_are_between_scores_of_one_name():
    short = dict(name="episode_pdms_without_dac")
    records = [
        _record("idm", "a", 0.9),
        _record("idm", "b", 1.0, **short),
        _record("constant_velocity", "a", 0.4),
        _record("constant_velocity", "b", 0.0, **short),
    ]
    assert summarize(records)["idm"]["all"]["score_over_constant_velocity"]["value"] == pytest.approx(0.5)


def test_episodes_that_cannot_be_believed_are_counted_and_left_out():
    records = [_record("idm", "a", 0.9), _record("idm", "b", 0.1)]
    records[1]["notes"] = {"validity": {"valid": False, "faults": ["drift"]}}
    row = summarize(records)["idm"]["all"]
    assert (row["episodes"], row["invalid"]) == (1, 1) and row["score"]["value"] == pytest.approx(0.9)

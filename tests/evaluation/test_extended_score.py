"""The extended score: comfort between plans and with history, the aggregates, what is missing, the human filter."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.evaluation.functional.aggregate import EPDMS, PDMS, second_stage_weights
from drivewm.evaluation.functional.closed_loop import score_episode
from drivewm.evaluation.functional.comfort import comfortable_with_history
from drivewm.evaluation.functional.extended_comfort import extended_comfort
from tests.evaluation.drives import CAR, DT_S, LANE_END_M, STEPS, crossroads, drive, lights

TIMES_S = 0.5 * np.arange(9)
KEEP, BRAKE, LEFT = (0.0, 0.0), (-2.0, 0.0), (0.0, 0.1)


def _plan(pose, speed, acceleration, curvature) -> np.ndarray:
    """Poses `(9, 3)` every 0.5 s: constant acceleration until it stands, on an arc."""
    until = TIMES_S if acceleration >= 0 else np.minimum(TIMES_S, -speed / acceleration)
    length = speed * until + acceleration * until**2 / 2
    turned = pose[2] + curvature * length
    if curvature:
        way = np.stack([np.sin(turned) - np.sin(pose[2]), np.cos(pose[2]) - np.cos(turned)], axis=-1) / curvature
    else:
        way = length[:, None] * np.array([np.cos(pose[2]), np.sin(pose[2])])
    return np.column_stack([pose[:2] + way, turned])


def _planned(*kinds, every=5, speed=8.0, **options):
    """Steady motion along x during which a plan of each kind was made, every so many steps."""
    rollout = drive(speed=speed, road_map=crossroads(), **options)
    steps = every * np.arange(len(kinds))
    plans = np.array([_plan(rollout.poses[step], speed, *kind) for step, kind in zip(steps, kinds, strict=True)])
    return replace(rollout, plans=plans.reshape(-1, 9, 3), plan_step=steps)


WARM_UP = np.column_stack([np.zeros((20, 3)), np.full(20, 8.0), np.zeros(20)])
COMPLETE = dict(lights=lights(ahead=(0, 0)), warm_up=WARM_UP)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((KEEP, KEEP, KEEP), 1.0),
        ((KEEP, BRAKE), 0.0),
        ((BRAKE, KEEP), 0.0),
        ((KEEP, LEFT), 0.0),
        ((KEEP, KEEP, KEEP, LEFT), 2 / 3),
        ((KEEP, KEEP, BRAKE, KEEP, KEEP), 2 / 4),
    ],
)
def test_extended_comfort_is_the_share_of_plans_that_agree(kinds, expected):
    assert extended_comfort(_planned(*kinds)) == pytest.approx(expected)


@pytest.mark.parametrize(("change", "expected"), [(0.2, 1.0), (-0.2, 1.0), (1.2, 0.0), (-1.2, 0.0)])
def test_small_changes_of_a_plan_are_comfortable(change, expected):
    """The bound on the acceleration is 0.7 m/s^2."""
    assert extended_comfort(_planned(KEEP, (change, 0.0))) == expected


@pytest.mark.parametrize(("curvature", "expected"), [(0.002, 1.0), (-0.002, 1.0), (0.03, 0.0), (-0.03, 0.0)])
def test_the_bound_on_the_yaw_rate_is_a_tenth(curvature, expected):
    """At 8 m/s: 0.016 and 0.24 rad/s."""
    assert extended_comfort(_planned(KEEP, (0.0, curvature))) == expected


def test_only_plans_half_a_second_apart_are_compared():
    assert extended_comfort(_planned(KEEP, BRAKE, every=4)) is None
    assert extended_comfort(_planned(KEEP)) is None and extended_comfort(_planned()) is None
    # Every 0.1 s: 0 and 5 agree, 1 and 6 do not.
    assert extended_comfort(_planned(*[KEEP] * 6, BRAKE, every=1)) == 0.5
    steps_of_a_quarter = replace(_planned(KEEP, KEEP, every=2), dt_s=0.25)
    assert extended_comfort(steps_of_a_quarter) is not None


def test_a_steady_arc_agrees_with_itself():
    """The steer at each plan is recovered from the yaw: without it each new plan would begin with a jerk."""
    speed, radius = 5.0, 10.0
    angle = speed / radius * DT_S * np.arange(STEPS)
    poses = np.column_stack([radius * np.sin(angle), radius * (1 - np.cos(angle)), angle])
    steps = 5 * np.arange(8)
    plans = np.array([_plan(poses[step], speed, 0.0, 1 / radius) for step in steps])
    rollout = replace(drive(speed=speed), poses=poses, plans=plans, plan_step=steps)
    assert extended_comfort(rollout) == 1.0


def test_plans_of_no_length_are_tracked_and_scored():
    standing = replace(_planned(*[KEEP] * 11, speed=0.0, start=(LANE_END_M - 10, -1.75)), **COMPLETE)
    assert np.ptp(standing.plans, axis=1).max() == 0
    score = score_episode(standing, reference_progress_m=20.0)
    assert score.ec == 1 and score.extended_name == "episode_epdms"
    assert score.extended_score == pytest.approx(11 / 16) and score.score == pytest.approx(7 / 12)
    stopping = replace(_planned(*[KEEP] * 11), plans=standing.plans)  # plans to stand at once, at 8 m/s
    assert np.isfinite(score_episode(stopping, 20.0).extended_score)


def test_history_shows_the_jerk_of_the_handover():
    braking = replace(drive(), acceleration=np.full(STEPS, -4.0), warm_up=WARM_UP)
    before = replace(braking, warm_up=WARM_UP + [0, 0, 0, 0, -4.0])
    after_speeding_up = replace(braking, warm_up=WARM_UP + [0, 0, 0, 0, 2.3])
    assert comfortable_with_history(before).all()
    assert not comfortable_with_history(after_speeding_up).all()
    for rollout, expected in ((before, 1.0), (after_speeding_up, 0.0)):
        score = score_episode(rollout, 20.0)
        assert (score.comfort, score.hc) == (1.0, expected)
    # The history itself is not judged: it ends long before the first step.
    early = WARM_UP + [0, 0, 0, 0, -4.0]
    early[:4, 4] = -9.0
    assert comfortable_with_history(replace(braking, warm_up=early)).all()


def test_a_complete_episode():
    made = 8.0 * (STEPS - 1) * DT_S
    score = score_episode(replace(_planned(*[KEEP] * 11), **COMPLETE), made)
    assert (score.score_name, score.extended_name) == ("episode_pdms", "episode_epdms")
    assert score.score == pytest.approx(1.0) and score.extended_score == pytest.approx(1.0)
    assert {score.dac, score.ddc, score.tlc, score.lk, score.hc, score.ec} == {1.0}
    assert score.excused == ()


def test_aggregates_by_hand():
    terms = dict(nc=0.5, dac=1.0, ddc=0.5, tlc=1.0, ep=0.8, extended_ep=0.6, ttc=1.0, lk=0.0, comfort=0.0, hc=1.0)
    assert PDMS.score(terms) == pytest.approx(0.5 * (5 * 0.8 + 5) / 12)
    assert EPDMS.score(terms | {"ec": 0.5}) == pytest.approx(0.25 * (5 * 0.6 + 5 + 2 + 2 * 0.5) / 16)
    without = terms | {"ec": None, "ddc": None}
    assert EPDMS.score(without) == pytest.approx(0.5 * (5 * 0.6 + 5 + 2) / 14)
    assert EPDMS.score_name(without) == "episode_epdms_without_ddc_ec"
    assert PDMS.score_name(without) == "episode_pdms"


@pytest.mark.parametrize(
    ("lost", "pdms_name", "epdms_name"),
    [
        (dict(road_map=None), "episode_pdms_without_dac", "episode_epdms_without_dac_ddc_tlc_lk"),
        (dict(lights=None), "episode_pdms", "episode_epdms_without_tlc"),
        (dict(plans=np.zeros((0, 9, 3)), plan_step=np.zeros(0, int)), "episode_pdms", "episode_epdms_without_ec"),
        (dict(warm_up=np.zeros((0, 5))), "episode_pdms", "episode_epdms_without_hc"),
    ],
)
def test_a_score_without_a_term_has_another_name(lost, pdms_name, epdms_name):
    whole = replace(_planned(*[KEEP] * 11), **COMPLETE)
    score = score_episode(replace(whole, **lost), 80.0)
    assert (score.score_name, score.extended_name) == (pdms_name, epdms_name)
    # All other terms are 1 but for half the progress.
    ep = pytest.approx(47.2 / 80)
    assert score.ep == ep and score.score == pytest.approx((5 * score.ep + 7) / 12)
    weight = 16 - 2 * sum(term in epdms_name for term in ("_lk", "_hc", "_ec"))
    assert score.extended_score == pytest.approx((5 * score.ep + weight - 5) / weight)


def test_without_a_map_nothing_excuses_a_lateral_collision():
    keeping = drive(agents=[((0.5, 0.3), 8.0, CAR)])
    boxes = keeping.agents.boxes.copy()
    boxes[:, 0, 1] -= 0.8 * np.arange(STEPS) * DT_S
    keeping = replace(keeping, agents=replace(keeping.agents, boxes=boxes))
    assert score_episode(keeping, 40.0).nc == 1
    assert score_episode(replace(keeping, road_map=None), 40.0).nc == 0


def test_half_a_wrong_way_halves_the_progress_too():
    """As in NAVSIM, progress counts times the multipliers: those of each score."""
    # 3 m/s in the oncoming lane: DDC is 0.5.
    score = score_episode(drive(speed=3.0, start=(-40.0, 1.75), road_map=crossroads()), 17.7)
    assert score.ddc == 0.5 and score.ep == pytest.approx(1.0) and score.extended_ep == pytest.approx(0.5)


def test_what_the_human_fails_is_no_fault_of_the_planner():
    crash = drive(agents=[((30.0, -1.75), 0.0, CAR)])
    alone, human = score_episode(crash, 47.2), score_episode(drive(lateral_speed=-0.5), 47.2)
    assert alone.nc == 0 and human.nc == 1 and human.dac == 0 and human.lk == 0
    assert score_episode(crash, 47.2, human=human).score == 0  # the human did not collide
    crashed = score_episode(crash, 47.2, human=alone)
    # Both lose NC and TTC. The planner's terms stay as measured, but its progress counts again.
    assert crashed.nc == 0 and crashed.ttc == 0
    assert set(crashed.excused) == {"nc", "ttc"} and crashed.ep == pytest.approx(1.0)
    assert crashed.score == pytest.approx(1.0) and crashed.extended_score == pytest.approx(1.0)
    # Excused before anything is aggregated: the rest still counts.
    slow = score_episode(drive(speed=4.0, agents=[((20.0, -1.75), 0.0, CAR)]), 47.2, human=alone)
    assert slow.score == pytest.approx((5 * slow.ep + 7) / 12) and slow.ep == pytest.approx(0.5)
    # A term that does not exist stays so.
    no_map = score_episode(replace(crash, road_map=None), 47.2, human=human)
    assert no_map.dac is None and no_map.score_name == "episode_pdms_without_dac"


def test_a_human_who_stands_excuses_the_progress():
    human = score_episode(drive(speed=0.0), 47.2)
    slow = score_episode(drive(speed=4.0), 47.2)
    assert human.ep == 0 and slow.score < 1
    excused = score_episode(drive(speed=4.0), 47.2, human=human)
    assert (
        excused.score == pytest.approx(1.0) and excused.ep == slow.ep and set(excused.excused) == {"ep", "extended_ep"}
    )


def test_second_stage_weights():
    weights = second_stage_weights(np.array([0.1, 0.5, 3.0]))
    raw = np.exp(-np.array([0.01, 0.25, 9.0]) / 0.2)
    np.testing.assert_allclose(weights, raw / raw.sum())
    np.testing.assert_allclose(second_stage_weights(np.array([100.0, 100.0])), 0.5)


@pytest.mark.parametrize("field", ["warm_up", "acceleration"])
def test_motion_that_is_not_finite_is_no_score(field):
    rollout = replace(_planned(KEEP, KEEP), **COMPLETE)
    with pytest.raises(ValueError, match="finite"):
        score_episode(replace(rollout, **{field: np.full_like(getattr(rollout, field), np.nan)}), 40.0)

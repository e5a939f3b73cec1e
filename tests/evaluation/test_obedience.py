"""Obedience: who does as told scores all, who does not scores nothing, and who ignores it is at chance, exactly."""

import json

import numpy as np
import pytest

from drivewm.evaluation.functional.column_classes import UNKNOWN, column_classes
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES, STEPS, command
from drivewm.evaluation.obedience import (
    CONTINUED,
    RECORDED,
    SHUFFLED,
    ObedienceSample,
    obedience_report,
    obedience_text,
    record_obedience,
)
from drivewm.evaluation.obedience.record import told_steps
from drivewm.geometry import se2
from tests.evaluation.streets import GRID, PAVEMENT, draw

TOLD = (RECORDED, SHUFFLED, *MANOEUVRES)
START, DRIVEN, OTHERS = np.array([0.5, 0.3, 0.05]), 5.0, 8.0


def look(poses) -> np.ndarray:
    """Maps `(F, X, Y)` of the street from poses `(F, 3)` relative to `START`."""
    return np.stack([column_classes(draw(se2.compose(START, pose))) for pose in poses])


def make_sample(scene: str = "a", predictors=("obedient", "ignorant")) -> ObedienceSample:
    """The ego drives straight on; what is more than 30 m ahead of it at t0 was not observed."""
    poses = np.stack(
        [
            command("straight_constant_low_speed", 4.5),
            command("straight_constant_high_speed", OTHERS),
            *(command(name, DRIVEN) for name in MANOEUVRES),
        ]
    )
    world = np.stack([look(path) for path in poses])
    observed = column_classes(draw(START))
    centers = GRID.centers()[:, :, 0, :2].reshape(-1, 2)
    ahead = se2.transform_points(poses, centers[None, None])[..., 0].reshape(*poses.shape[:2], *GRID.shape[:2])
    everything = {
        "obedient": world,
        "ignorant": np.broadcast_to(world[0], world.shape),
        "still": np.broadcast_to(observed, world.shape),
        "empty": np.full_like(world, UNKNOWN),
        "mirrored": np.stack([look(path * [1, -1, -1]) for path in poses]),
    }
    return ObedienceSample(
        told=TOLD,
        poses=poses,
        observed=observed,
        truth=world[0],
        predicted={name: everything[name] for name in predictors},
        world=world,
        newly_seen=ahead > 30,
        grid=GRID,
        speed_mps=DRIVEN,
        scene=scene,
        sample_token=f"token-{scene}",
    )


ALL = ("obedient", "ignorant", "still", "empty", "mirrored")


@pytest.fixture(scope="module")
def sample():
    return make_sample(predictors=ALL)


@pytest.fixture(scope="module")
def record(sample):
    return record_obedience(sample)


@pytest.fixture(scope="module")
def report(record):
    return obedience_report([record, {**record, "scene": "b"}])


def test_who_obeys_scores_all(report):
    found = report["predictors"]["obedient"]
    assert found["accuracy"] == found["accuracy_reachable"] == [1, 1, 1]
    assert found["direction"]["all"] == [1, 1, 1] and found["not_measured"] == 0
    assert found["ade_m"][0] < 0.2 and found["fde_m"][0] < 0.4
    assert found["told_apart"]["everything"]["right"] == found["told_apart"]["newly_seen"]["right"] == [1, 1, 1]
    assert found["told_apart"]["everything"]["shown"] == 1
    assert found["new_steps"]["within_half_voxel"] > 0.95 and found["new_steps"]["direction"][0] > 0.95
    assert found["counterfactuals"]["stopped"]["to_told_m"] < 0.01
    assert (
        found["counterfactuals"]["shuffled"]["to_told_m"] < 0.2 < found["counterfactuals"]["shuffled"]["to_recorded_m"]
    )


@pytest.mark.parametrize("name", ["ignorant", "still"])
def test_who_takes_no_notice_is_at_chance(report, name):
    found = report["predictors"][name]
    assert found["accuracy"][0] == pytest.approx(1 / 9)  # the one manoeuvre that it always shows
    assert found["direction"]["all"] == [0, 0, 0]
    assert found["told_apart"]["everything"]["right"] == found["told_apart"]["newly_seen"]["right"] == [0.5, 0.5, 0.5]
    assert all(values["changed"] == 0 for values in found["counterfactuals"].values())


def test_left_for_right_is_found_out(report):
    found = report["predictors"]["mirrored"]
    assert found["direction"]["left"][0] == 0 and found["direction"]["ahead"][0] == 1
    assert found["confusion"]["curving_to_left"]["curving_to_right"] == 2
    assert found["accuracy"][0] == pytest.approx(7 / 9)


def test_who_shows_nothing_was_not_measured(report):
    found = report["predictors"]["empty"]
    assert found["not_measured"] == 2 * 9 and found["accuracy"][0] == 0 and np.isnan(found["ade_m"][0])
    assert found["direction"]["all"][0] == 0 and found["told_apart"]["everything"]["shown"] == 0
    assert found["new_steps"]["measured"] == 0


def test_the_measurement_has_its_own_error(report):
    odometry = report["odometry"]
    assert odometry["moving_clips"] == 2 and odometry["same_class"] == 1
    assert 0 < odometry["ade_m"] < 0.2 and odometry["not_measured"] == 0
    assert report["least_m"]["ahead"] >= GRID.voxel_m / 2


def test_pairs_are_counted_or_left_out(report):
    direction = report["predictors"]["obedient"]["direction"]
    left_out = direction["ahead_left_out"] + direction["left_left_out"]
    assert direction["cases"] + left_out == 2 * 2 * 36  # clips, axes, pairs of nine
    # To the left only the two curves differ from anything.
    assert direction["left_left_out"] == 2 * (36 - 15)


def test_told_apart_by_brute_force():
    """Column by column, on a corner of the maps, with a predictor that is neither right nor wrong in places."""
    sample = make_sample(predictors=("obedient",))
    keep = np.array([0, 3, 6])
    rng = np.random.default_rng(0)
    predicted = sample.predicted["obedient"].copy()
    predicted[rng.random(predicted.shape) < 0.3] = PAVEMENT
    small = ObedienceSample(
        told=tuple(TOLD[k] for k in keep),
        poses=sample.poses[keep],
        observed=sample.observed,
        truth=sample.truth,
        predicted={"model": predicted[keep]},
        world=np.where(rng.random(sample.world.shape) < 0.1, UNKNOWN, sample.world).astype(np.uint8)[keep],
        newly_seen=sample.newly_seen[keep],
        grid=GRID,
        speed_mps=DRIVEN,
        scene="a",
        sample_token="t",
    )
    right = wrong = neither = 0
    for i, j in ((i, j) for i in range(3) for j in range(3) if i != j):
        for at in zip(*np.nonzero(small.newly_seen[i] & small.newly_seen[j]), strict=True):
            own, other, shown = small.world[i][at], small.world[j][at], small.predicted["model"][i][at]
            if UNKNOWN in (own, other) or own == other:
                continue
            right, wrong = right + (shown == own), wrong + (shown == other)
            neither += shown not in (own, other)
    found = record_obedience(small)["predictors"]["model"]["told_apart"]["newly_seen"]
    assert found == [right, wrong, neither] and min(found) > 0


def test_the_lead_over_the_continued_copy_is_paired(record):
    """The same counts give no lead, whatever the scenes; the obedient one leads by what the other lacks."""
    predictors = {"obedient": record["predictors"]["obedient"], CONTINUED: record["predictors"]["ignorant"]}
    report = obedience_report(
        [{**record, "predictors": predictors}, {**record, "predictors": predictors, "scene": "b"}]
    )
    found = {name: values["told_apart"]["newly_seen"] for name, values in report["predictors"].items()}
    assert found["obedient"]["net"][0] == 1 and found[CONTINUED]["net"][0] == 0
    assert found["obedient"]["lead"] == [1, 1, 1] and found[CONTINUED]["lead"] == [0, 0, 0]


def test_steps_compose_to_the_path():
    poses = np.stack([command(name, DRIVEN) for name in MANOEUVRES])
    pose = np.zeros((len(poses), 3))
    for f in range(STEPS):
        pose = se2.compose(pose, told_steps(poses)[:, f])
        np.testing.assert_allclose(pose, poses[:, f], atol=1e-12)


def test_records_survive_a_file(record, report):
    """JSON has no NaN: null comes back as what was not measured."""
    text = json.dumps(record).replace("NaN", "null")
    again = obedience_report([json.loads(text), {**json.loads(text), "scene": "b"}])
    np.testing.assert_equal(again, report)


def test_the_tables_name_everybody(report):
    text = obedience_text(report, "mirrored")
    assert all(text.count(f"| {name} ") >= 4 for name in ALL) and "recorded frames" in text
    assert "| left   |    0 |     2 |" in text


def test_what_does_not_fit_is_refused(record):
    with pytest.raises(ValueError, match="no records"):
        obedience_report([])
    with pytest.raises(ValueError, match="same told motions"):
        obedience_report([record, {**record, "told": record["told"][::-1]}])
    sample = make_sample()
    with pytest.raises(ValueError, match=r"truth must have shape"):
        ObedienceSample(**{**vars(sample), "truth": sample.truth[:, :-1]})
    with pytest.raises(ValueError, match="recorded"):
        ObedienceSample(**{**vars(sample), "told": ("drifting", *TOLD[1:])})

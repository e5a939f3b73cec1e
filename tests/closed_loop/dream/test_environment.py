"""The dream as an environment: what it shows, where it comes from, that it repeats, and when it is over."""

import json
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch

from drivewm.closed_loop.dream.dreamer import Dreamer, WorldSpec
from drivewm.closed_loop.dream.environment import DreamEnvironment, check_planner, dream_environment, observed_town
from drivewm.closed_loop.episodes import REFERENCE_SPEC, PlannerSpec
from drivewm.closed_loop.lockstep import drive
from drivewm.closed_loop.records import OtherRunError
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.summary import summarize
from drivewm.closed_loop.town import town_environment
from drivewm.evaluation.functional.closed_loop import made_progress_m
from drivewm.geometry import VoxelGrid
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.log_replay import LogReplayPlanner
from drivewm.simulation import AgentBoxes, TownSimulator
from drivewm.structures import OCC3D
from tests.closed_loop.dream.conftest import GRID, build_model

IDM = PlannerSpec("idm", IDMPlanner, num_history=2)
SEES = PlannerSpec("sees", ConstantVelocityPlanner, grid=GRID, num_history=3)


class Stub:
    """In the place of a `Dreamer`: always the same frame, or none."""

    def __init__(self, spec, frame):
        self.spec, self.frame = spec, frame

    def next_frames(self, frames, T_global_ego, timestamp_us, generators):
        return [self.frame for _ in frames]


def free():
    return np.full(GRID.shape, OCC3D.free, np.uint8)


def plan(environment):
    return ConstantVelocityPlanner().plan(environment.observe())


def seen(environment) -> list:
    """All that a planner is shown, as arrays."""
    inputs = environment.observe()
    history, route = inputs.history, inputs.route
    boxes = [getattr(history.boxes, f.name) for f in fields(history.boxes)]
    shown = [history.occupancy, history.T_global_ego, history.timestamp_us, *boxes, route.points, route.stop_m]
    return [part.numpy() for part in (*shown, inputs.ego_state.speed, inputs.ego_state.acceleration)]


@pytest.mark.parametrize("mode", ["forecast", "imagine"])
def test_after_the_start_the_towns_traffic_does_not_matter(world, scenarios, mode):
    """The twin's people drive on, are drawn anew and made to stop; and it never knew who was in its keyframes."""
    dreamer = Dreamer(replace(world, mode=mode))
    towns = [observed_town(scenarios[0], world) for _ in range(2)]
    nobody = AgentBoxes(np.zeros((0, 7)), np.zeros((0, 2)), *[np.zeros(0, np.int64)] * 2, (), np.zeros(0, bool))
    towns[1]._keyframes = [replace(frame, agents=nobody) for frame in towns[1].keyframes]
    dreams = [DreamEnvironment(town, dreamer, SEES) for town in towns]
    simulator = towns[1].simulator
    simulator.redraw(7)
    simulator.traffic.speed[:] = 0.0
    for _ in range(10):
        simulator.step(simulator.expert_control())
    shown = 0
    while not dreams[0].done:
        for one, other in zip(*map(seen, dreams), strict=True):
            np.testing.assert_array_equal(one, other)
        shown += int(dreams[0].observe().history.boxes.valid.sum())
        for dream in dreams:
            dream.step(plan(dream))
    assert shown > 0 and dreams[1].done
    first, second = (dream.rollout() for dream in dreams)
    np.testing.assert_array_equal(first.poses, second.poses)
    np.testing.assert_array_equal(first.agents.boxes, second.agents.boxes)
    np.testing.assert_array_equal(first.lights.red, second.lights.red)


def test_the_town_is_looked_at_once(world, scenarios, monkeypatch):
    """Not one of the simulator's ways to look at others is used once the dream has begun."""
    dream = DreamEnvironment(observed_town(scenarios[0], world), Dreamer(world), SEES)
    for name in ("boxes", "occupancy", "lidar", "step", "moment", "_bodies"):
        monkeypatch.setattr(TownSimulator, name, None)
    assert drive(ConstantVelocityPlanner(), [dream]) == [None]


def test_it_begins_with_what_the_town_showed_and_goes_on_in_the_model(world, scenarios):
    town, dreamer = observed_town(scenarios[0], world), Dreamer(world)
    dream = DreamEnvironment(town, dreamer, SEES)
    start = town.observe().history
    shown = dream.observe().history
    assert torch.equal(shown.occupancy, start.occupancy[:, -3:])
    assert torch.equal(shown.T_global_ego, start.T_global_ego[:, -3:])
    before = dream.keyframes
    dream.step(plan(dream))
    after = dream.keyframes
    assert after[-1].timestamp_us - before[-1].timestamp_us == 500_000
    assert [frame.timestamp_us for frame in after[:-1]] == [frame.timestamp_us for frame in before[1:]]
    generator = torch.Generator()
    T, stamp = after[-1].T_global_ego[None], [after[-1].timestamp_us]
    np.testing.assert_array_equal(after[-1].occupancy, dreamer.next_frames([before], T, stamp, [generator])[0])
    # Whoever comes before the newest frames that the model was trained with does not matter.
    np.testing.assert_array_equal(after[-1].occupancy, dreamer.next_frames([before[-3:]], T, stamp, [generator])[0])


def test_the_ego_map_route_and_lights_are_the_towns(world, scenarios):
    town = town_environment(scenarios[0], IDM)
    dream = dream_environment(scenarios[0], IDM, world)
    assert dream.road_map is town.road_map
    while not dream.done:
        ours, theirs = dream.observe(), town.observe()
        assert torch.equal(ours.route.points, theirs.route.points) and torch.equal(
            ours.route.stop_m, theirs.route.stop_m
        )
        assert ours.history.occupancy is None and ours.history.num_frames == 2
        straight = plan(town)
        dream.step(straight)
        town.step(straight)
    assert town.done
    ours, theirs = dream.rollout(), town.rollout()
    for name in ("poses", "speed", "acceleration", "warm_up", "plans", "plan_step", "route"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(ours.lights.red, theirs.lights.red)


def test_the_same_seed_dreams_the_same_and_another_variant_something_else(world, scenarios):
    imagined = replace(world, mode="imagine")
    frames = []
    for scenario in (scenarios[0], scenarios[0], replace(scenarios[0], variant=1)):
        dream = dream_environment(scenario, SEES, imagined)
        dream.step(plan(dream))
        frames.append(dream.keyframes[-1].occupancy)
    np.testing.assert_array_equal(frames[0], frames[1])
    assert (frames[0] != frames[2]).any()


@pytest.mark.parametrize("mode", ["forecast", "imagine"])
def test_together_is_as_one_by_one(world, scenarios, mode):
    dreamer = Dreamer(replace(world, mode=mode))
    towns = [[observed_town(scenario, world) for scenario in scenarios] for _ in range(2)]
    alone, together = ([DreamEnvironment(town, dreamer, SEES) for town in some] for some in towns)
    for _ in range(2):
        plans = [plan(dream) for dream in alone]
        for dream, own in zip(alone, plans, strict=True):
            dream.step(own)
        DreamEnvironment.step_together(together, plans)
    for one, other in zip(alone, together, strict=True):
        assert (one.keyframes[-1].occupancy != other.keyframes[-1].occupancy).mean() < 1e-3  # sums in another order
        np.testing.assert_array_equal(one.rollout().poses, other.rollout().poses)
    with pytest.raises(ValueError, match="share one Dreamer"):
        other = DreamEnvironment(towns[0][0], Dreamer(world), SEES)
        DreamEnvironment.step_together([alone[0], other], plans)


def test_a_run_goes_on_where_it_stopped_and_another_dream_needs_another_folder(world, scenarios, tmp_path):
    environment = partial(dream_environment, world=world)
    records = run([IDM], scenarios, environment, tmp_path, setting=world.setting)
    written = (tmp_path / "episodes.jsonl").read_bytes()
    assert run([IDM], scenarios, environment, tmp_path, setting=world.setting) == records
    assert (tmp_path / "episodes.jsonl").read_bytes() == written
    driven = [record for record in records if record["planner"] == "idm"]
    assert all(record["status"] == "ok" and record["notes"]["dream"]["level"] == "L4" for record in driven)
    assert all(json.loads(json.dumps(record)) == record for record in driven)
    town = run([IDM], scenarios, town_environment, tmp_path / "town")
    names = [[(r["planner"], r["scenario"], r["variant"]) for r in some] for some in (records, town)]
    assert names[0] == names[1]
    expert = [[r["score"] for r in some if r["planner"] == "expert"] for some in (records, town)]
    assert expert[0] == expert[1]
    for other in (replace(world, mode="imagine"), replace(world, identity="of another checkpoint")):
        with pytest.raises(OtherRunError):
            run([IDM], scenarios, partial(dream_environment, world=other), tmp_path, setting=other.setting)


def test_the_reference_drives_in_the_town(world, scenarios):
    town, dream = town_environment(scenarios[0], REFERENCE_SPEC), dream_environment(scenarios[0], SEES, world)
    while not dream.done:
        dream.step_reference()
        town.step_reference()
    assert town.done and dream.notes() == {}
    assert made_progress_m(dream.rollout()) == made_progress_m(town.rollout())
    begun = dream_environment(scenarios[0], SEES, world)
    begun.step(plan(begun))
    with pytest.raises(ValueError, match="cannot take over later"):
        begun.step_reference()


def test_who_cannot_be_driven_in_a_dream_is_refused(world, scenarios):
    privileged = PlannerSpec("log_replay", LogReplayPlanner, privileged=True)
    with pytest.raises(ValueError, match="log_replay is privileged"):
        check_planner(privileged, world)
    with pytest.raises(ValueError, match="log_replay is privileged"):
        dream_environment(scenarios[0], privileged, world)
    with pytest.raises(ValueError, match="in a dream there is none"):
        dream_environment(scenarios[0], SEES, world).oracle()
    other = VoxelGrid.centered((16, 16, 8), 0.8)
    with pytest.raises(ValueError) as error:
        check_planner(replace(SEES, grid=other), world)
    assert str(other) in str(error.value) and str(GRID) in str(error.value)
    with pytest.raises(ValueError, match="asks for LiDAR"):
        check_planner(replace(IDM, lidar=True), world)
    with pytest.raises(ValueError, match="a dream begins with 3 keyframes"):
        DreamEnvironment(town_environment(scenarios[0], IDM), Dreamer(world), SEES)


def test_models_that_do_not_fit_are_refused(world):
    with pytest.raises(ValueError, match="one of forecast, imagine, got 'hope'"):
        replace(world, mode="hope")
    with pytest.raises(ValueError, match="has the grid"):
        Dreamer(WorldSpec(build_model, VoxelGrid.centered((16, 16, 8), 0.8), 3))

    def broken():
        model = build_model()
        model.denoiser.position.data[:] = torch.nan
        return model

    with pytest.raises(ValueError, match="weights that are not finite: .*position"):
        Dreamer(replace(world, build=broken))


@pytest.mark.parametrize(
    ("frame", "reason"), [(free(), "nothing is known around the ego"), (None, "NaN or infinity")], ids=["free", "nan"]
)
def test_a_dream_that_is_lost_ends_and_says_so(world, scenarios, tmp_path, frame, reason):
    def environment(scenario, spec):
        if spec.build is None:
            return town_environment(scenario, spec)
        return DreamEnvironment(observed_town(scenario, world), stub, spec)

    stub = Stub(world, frame)
    records = run([IDM], scenarios[:1], environment, tmp_path)
    notes = records[-1]["notes"]
    assert reason in notes["dream"]["lost"] and notes["validity"] == {"valid": False}
    assert notes["dream"]["seconds"] == 0.5
    row = summarize(records)["idm"]["all"]
    assert (row["episodes"], row["invalid"]) == (0, 1)


def test_who_keeps_the_road_in_sight_is_not_lost(world, scenarios):
    frame = free()
    frame[:, :, 1] = OCC3D.index("driveable_surface")
    frame[-10:] = OCC3D.free
    dream = DreamEnvironment(observed_town(scenarios[0], world), Stub(world, frame), SEES)
    assert drive(ConstantVelocityPlanner(), [dream]) == [None]
    told = dream.notes()["dream"]
    assert told["lost"] is None and told["seconds"] == 2.0
    assert told["least_known_around_ego"] == 1.0
    assert told["least_known"] == pytest.approx(1 - 10 / GRID.shape[0], abs=1e-4)


def test_a_model_that_gives_nan_is_found_out(world, scenarios):
    dream = dream_environment(scenarios[0], SEES, world)
    decoder = next(dream.dreamer.model.stream.soft_decoder.parameters())
    whole = decoder.data.clone()
    decoder.data[:] = torch.nan
    try:
        dream.step(plan(dream))
    finally:
        decoder.data[:] = whole
    assert dream.done and "NaN" in dream.notes()["dream"]["lost"]
    assert len(dream.rollout().poses) == 6

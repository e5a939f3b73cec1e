"""What must not matter to either score: where an episode is, which side is left, the order of agents. And what must."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from drivewm.evaluation.functional.closed_loop import EpisodeScore, score_episode
from drivewm.structures import AgentTracks, LightStates, RoadMap, Rollout
from tests.evaluation.drives import CAR, CONE, DT_S, STEPS, crossroads, drive, lights

SEEDS = (0, 1, 4, 6, 7)


def episode(seed: int) -> Rollout:
    """A drive over the crossroads that weaves, among agents, with lights, a warm-up and plans."""
    rng = np.random.default_rng(seed)
    speed, weave = rng.uniform(5, 9), rng.uniform(0, 1 + 2 * (seed % 4))
    agents = [((rng.uniform(0, 60), rng.uniform(-8, 5)), rng.uniform(-8, 8), CAR) for _ in range(1 + seed // 2)]
    agents.append(((rng.uniform(20, 80), rng.uniform(-6, 3)), 0.0, CONE))
    red = lights(ahead=(rng.integers(10, 60), 60), beside=(0, 60), right=(0, 30), across=(0, 60))
    rollout = drive(speed, agents, start=(rng.uniform(10, 30), -1.75), road_map=crossroads(), lights=red)
    t = np.arange(-20, STEPS) * DT_S
    phase = rng.uniform(0, np.pi)
    y = -1.75 + weave * np.sin(0.8 * t + phase)
    yaw = np.arctan2(0.8 * weave * np.cos(0.8 * t + phase), speed)
    path = np.column_stack([rollout.poses[0, 0] + speed * t, y, yaw])
    plan_step = np.arange(0, STEPS, 5)
    # Plans go straight on, each with a turn and a change of speed of its own.
    ahead = speed * rng.uniform(0.7, 1.1, (len(plan_step), 1)) * 0.5 * np.arange(9)
    turn = rng.normal(0, 0.01, (len(plan_step), 1)) * np.arange(9)
    begin = path[20 + plan_step]
    heading = begin[:, 2:] + turn
    plans = np.stack(
        [begin[:, :1] + ahead * np.cos(heading), begin[:, 1:2] + ahead * np.sin(heading), heading], axis=-1
    )
    acceleration = rng.normal(0, 0.5) * np.sin(t)
    return replace(
        rollout,
        poses=path[20:],
        acceleration=acceleration[20:],
        warm_up=np.column_stack([path[:20], np.full(20, speed), acceleration[:20]]),
        plans=plans,
        plan_step=plan_step,
    )


def score(rollout: Rollout) -> EpisodeScore:
    return score_episode(rollout, 60.0)


def assert_same(found: EpisodeScore, expected: EpisodeScore) -> None:
    for name, value in expected.to_dict().items():
        assert found.to_dict()[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def moved(rollout: Rollout, move, turn, road_map) -> Rollout:
    """All points moved by `move((..., 2))`, all yaws by `turn`, velocities as the difference of points."""

    def pose(poses):
        return np.concatenate([move(poses[..., :2]), turn(poses[..., 2:3]), poses[..., 3:]], axis=-1)

    boxes = rollout.agents.boxes.copy()
    boxes[..., :2], boxes[..., 6] = move(boxes[..., :2]), turn(boxes[..., 6])
    velocity = move(rollout.agents.velocity) - move(np.zeros(2))
    lanes = {i: replace(lane, centerline=move(lane.centerline)) for i, lane in rollout.road_map.lanes.items()}
    return replace(
        rollout,
        poses=pose(rollout.poses),
        agents=replace(rollout.agents, boxes=boxes, velocity=velocity),
        route=move(rollout.route),
        road_map=replace(road_map, lanes=lanes),
        warm_up=pose(rollout.warm_up),
        plans=pose(rollout.plans),
    )


def test_the_episodes_are_worth_comparing():
    scores = [score(episode(seed)) for seed in SEEDS]
    for term in ("nc", "dac", "ddc", "tlc", "lk", "ttc", "ec"):
        assert len({getattr(one, term) for one in scores}) > 1, term
    assert {one.extended_name for one in scores} == {"episode_epdms"}
    assert sum(one.extended_score > 0 for one in scores) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_mirroring(seed):
    rollout = episode(seed)
    road = rollout.road_map
    high = road.origin_m[1] + road.drivable.shape[1] * road.resolution_m
    mirrored_road = replace(road, drivable=road.drivable[:, ::-1], origin_m=(road.origin_m[0], -high))
    mirrored = moved(rollout, lambda points: points * [1.0, -1.0], lambda yaw: -yaw, mirrored_road)
    assert_same(score(mirrored), score(rollout))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quarter_turn_and_a_shift(seed):
    rollout = episode(seed)
    road = rollout.road_map
    width = road.drivable.shape[1] * road.resolution_m
    turned_road = replace(
        road,
        drivable=np.rot90(road.drivable, 1),
        origin_m=(12.0 - (road.origin_m[1] + width), road.origin_m[0] - 30.0),
    )

    def move(points):
        return np.stack([12.0 - points[..., 1], points[..., 0] - 30.0], axis=-1)

    assert_same(score(moved(rollout, move, lambda yaw: yaw + np.pi / 2, turned_road)), score(rollout))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_rigid_motion_on_an_open_ground(seed):
    """The raster of the drivable area cannot be turned; where all is drivable it need not be."""
    rng = np.random.default_rng([seed, 1])
    angle, shift = rng.uniform(-np.pi, np.pi), rng.uniform(-100, 100, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    ground = RoadMap({}, np.ones((100, 100), bool), (-500.0, -500.0), 10.0)
    rollout = episode(seed)
    rollout = replace(rollout, road_map=replace(ground, lanes=rollout.road_map.lanes))
    turned = moved(
        rollout,
        lambda points: points @ rotation.T + shift,
        lambda yaw: (yaw + angle + np.pi) % (2 * np.pi) - np.pi,
        ground,
    )
    assert_same(score(turned), score(rollout))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_agents_and_lights(seed):
    rollout, rng = episode(seed), np.random.default_rng([seed, 2])
    order, other = rng.permutation(len(rollout.agents.label)), rng.permutation(4)
    agents = rollout.agents
    shuffled = AgentTracks(
        agents.boxes[:, order], agents.velocity[:, order], agents.label[order], agents.track[order], agents.valid
    )
    red = LightStates(rollout.lights.lane[other], rollout.lights.red[:, other])
    assert score(replace(rollout, agents=shuffled, lights=red)) == score(rollout)


@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_are_left_as_they_are(seed):
    rollout, human = episode(seed), score(episode(seed + 1))
    before = deepcopy(rollout)
    first = score_episode(rollout, 60.0, human=human)
    assert score_episode(rollout, 60.0, human=human) == first

    def arrays(value, path=""):
        if isinstance(value, np.ndarray):
            yield path, value
        elif isinstance(value, dict):
            for key, part in value.items():
                yield from arrays(part, f"{path}.{key}")
        elif hasattr(value, "__dataclass_fields__"):
            yield from arrays(vars(value), path)

    pairs = list(zip(arrays(before), arrays(rollout), strict=True))
    assert len(pairs) > 20
    for (path, old), (_, new) in pairs:
        np.testing.assert_array_equal(old, new, err_msg=path)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_ego_never_collides_less_nor_keeps_to_the_road_better(seed):
    rollout = episode(seed)
    sizes = [score(replace(rollout, length_m=4.6 + grow, width_m=1.9 + grow)) for grow in (0.0, 0.3, 1.0)]
    assert sizes[0].collided <= sizes[1].collided <= sizes[2].collided
    hits = [len(one.collision_kinds) for one in sizes]
    assert hits == sorted(hits)
    off_road = [one.off_road_share for one in sizes]
    assert off_road == sorted(off_road)

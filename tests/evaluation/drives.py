"""Constructed drives: a straight road, and a road with a crossroads and lights, along x."""

from __future__ import annotations

import numpy as np

from drivewm.structures import OCC3D, AgentTracks, Lane, LightStates, RoadMap, Rollout

DT_S, STEPS = 0.1, 60
CAR, CONE = OCC3D.index("car"), OCC3D.index("traffic_cone")
ROUTE = np.array([[-50.0, -1.75], [150.0, -1.75]])
# The crossroads: where the ego's lane ends, and its connectors.
LANE_END_M = 40.0
AHEAD, BESIDE, RIGHT, ACROSS, ONCOMING = 10, 11, 12, 13, 14


def straight_road() -> RoadMap:
    """200 m long: two lanes towards +x, y in [-3.5, 3.5]."""
    drivable = np.zeros((440, 40), bool)
    drivable[20:420, 13:27] = True
    lanes = {i: Lane(i, np.array([[-50.0, y], [50.0, y], [150.0, y]]), 3.5, ()) for i, y in enumerate((-1.75, 1.75))}
    return RoadMap(lanes, drivable, (-60.0, -10.0), 0.5)


def crossroads() -> RoadMap:
    """Two lanes towards +x at y = -1.75 and -5.25, one back at y = 1.75, all interrupted from x = 40 to 60."""

    def line(*points):
        return np.array(points, np.float64)

    quarter = np.linspace(0, np.pi / 2, 8)
    bend = np.stack([40 + 8 * np.sin(quarter), -9.75 + 8 * np.cos(quarter)], axis=-1)
    lanes = [
        Lane(0, line((-50, -1.75), (40, -1.75)), 3.5, (AHEAD, RIGHT)),
        Lane(1, line((60, -1.75), (150, -1.75)), 3.5, ()),
        Lane(2, line((-50, -5.25), (40, -5.25)), 3.5, (BESIDE,)),
        Lane(3, line((60, -5.25), (150, -5.25)), 3.5, ()),
        Lane(4, line((150, 1.75), (60, 1.75)), 3.5, (ONCOMING,)),
        Lane(5, line((40, 1.75), (-50, 1.75)), 3.5, ()),
        Lane(AHEAD, line((40, -1.75), (50, -1.75), (60, -1.75)), 3.5, (1,), intersection=0),
        Lane(BESIDE, line((40, -5.25), (60, -5.25)), 3.5, (3,), intersection=0),
        Lane(RIGHT, bend, 3.5, (), intersection=0),
        Lane(ACROSS, line((50, 20), (50, -20)), 3.5, (), intersection=0),
        Lane(ONCOMING, line((60, 1.75), (40, 1.75)), 3.5, (5,), intersection=0),
    ]
    drivable = np.zeros((420, 84), bool)
    drivable[:, 28:49] = drivable[200:240] = True
    return RoadMap({lane.lane_id: lane for lane in lanes}, drivable, (-60.0, -21.0), 0.5)


def lights(**red) -> LightStates:
    """Lights of the crossroads' connectors, `ahead=(20, 60)`: red from step 20 until before step 60, else green."""
    lane = np.array([globals()[name.upper()] for name in red], np.int64)
    steps = np.arange(STEPS)[:, None]
    begin, end = np.array(list(red.values())).reshape(-1, 2).T
    return LightStates(lane, (steps >= begin) & (steps < end))


def moving(start, speed, lateral_speed=0.0, yaw=0.0) -> np.ndarray:
    """Poses `(T, 3)` of steady motion."""
    t = np.arange(STEPS) * DT_S
    return np.stack([start[0] + speed * t, start[1] + lateral_speed * t, np.full(STEPS, yaw)], axis=-1)


def make_agents(*agents) -> AgentTracks:
    """Each agent: (start x y, speed along x, label)."""
    count = len(agents)
    boxes, velocity = np.zeros((STEPS, count, 7)), np.zeros((STEPS, count, 2))
    for n, (start, speed, _) in enumerate(agents):
        boxes[:, n, :2] = moving(start, speed)[:, :2]
        boxes[:, n, 2:] = 0.75, 4.0, 1.8, 1.5, 0.0
        velocity[:, n, 0] = speed
    labels = np.array([a[2] for a in agents], np.int64)
    return AgentTracks(boxes, velocity, labels, np.arange(count), np.ones((STEPS, count), bool))


def make_rollout(poses, speed, agents=(), road_map=None, **more) -> Rollout:
    """A drive at one speed, 60 steps at 10 Hz; the front bumper is 3.7 m ahead of the pose."""
    return Rollout(
        dt_s=DT_S,
        poses=poses,
        speed=np.full(STEPS, float(speed)),
        acceleration=np.zeros(STEPS),
        length_m=4.6,
        width_m=1.9,
        rear_axle_to_center_m=1.4,
        agents=make_agents(*agents),
        road_map=road_map or straight_road(),
        route=ROUTE,
        **more,
    )


def drive(speed=8.0, agents=(), start=(0.0, -1.75), lateral_speed=0.0, road_map=None, **more) -> Rollout:
    """Steady motion with the heading along x."""
    return make_rollout(moving(start, speed, lateral_speed), speed, agents, road_map, **more)

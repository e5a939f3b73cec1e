"""A toy environment: an endless straight road with a parked car, on which plans come true exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from drivewm.geometry import se3
from drivewm.structures import (
    OCC3D,
    AgentTracks,
    BoxTracks,
    EgoState,
    History,
    Lane,
    PlanningInput,
    RoadMap,
    Rollout,
    Route,
)

CAR = (4.6, 1.9, 1.6)
ROUTE = np.stack([np.linspace(-20.0, 300.0, 641), np.zeros(641)], axis=-1)
ROAD = RoadMap({0: Lane(0, ROUTE, 3.5, ())}, np.ones((400, 40), bool), (-50.0, -20.0), 1.0)


@dataclass(frozen=True)
class ToyScenario:
    """A car is parked `parked_m` ahead, `left_m` beside the route."""

    name: str
    parked_m: float = 30.0
    left_m: float = 0.0
    straight: bool = True
    family: str = "nominal"
    duration_s: float = 8.0
    variant: int = 0


class ToyEnvironment:
    def __init__(self, scenario, spec, speed=8.0):
        self.scenario, self.speed = scenario, speed
        self.poses, self.speeds = [np.zeros(3)], [speed]
        self.reference_speed = 2.0

    @property
    def done(self):
        return len(self.poses) > round(self.scenario.duration_s / 0.1)

    def observe(self):
        back = self.speeds[-1] * 0.5 * np.arange(-2, 1)
        pose = self.poses[-1]
        poses = np.stack([pose[0] + back, np.full(3, pose[1]), np.full(3, pose[2])], axis=-1)
        boxes = BoxTracks.empty(1, 3, 1)
        boxes.center[..., 0] = float(self.scenario.parked_m - pose[0])
        boxes.center[..., 1] = float(self.scenario.left_m - pose[1])
        boxes.size[:] = torch.tensor(CAR)
        boxes.valid[:] = True
        boxes.label[:] = OCC3D.index("car")
        route = Route.ahead(ROUTE, pose)
        history = History(
            timestamp_us=torch.tensor([[0, 500_000, 1_000_000]]),
            T_global_ego=torch.from_numpy(se3.from_se2(poses))[None],
            scene=(self.scenario.name,),
            sample_token=("",),
            boxes=boxes,
            route=route,
            command=route.command(),
        )
        ego = EgoState(torch.tensor([float(self.speeds[-1])]), torch.zeros(1), torch.zeros(1))
        return PlanningInput(history, ego, (ROAD,), route)

    def step(self, plan):
        forward = float(plan.poses[0, 0, 0])
        self._advance(forward / 0.5)

    def step_reference(self):
        self._advance(self.reference_speed)

    def _advance(self, speed):
        for _ in range(5):
            self.poses.append(self.poses[-1] + [0.1 * speed, 0.0, 0.0])
            self.speeds.append(speed)

    def notes(self):
        return {}

    def rollout(self):
        steps = len(self.poses)
        box = [self.scenario.parked_m, self.scenario.left_m, 0.8, *CAR, 0.0]
        agents = AgentTracks(
            np.tile(np.array(box), (steps, 1, 1)),
            np.zeros((steps, 1, 2)),
            np.array([OCC3D.index("car")]),
            np.array([0]),
            np.ones((steps, 1), bool),
        )
        motion = (np.array(self.poses), np.array(self.speeds), np.zeros(steps))
        return Rollout(0.1, *motion, 5.176, 2.297, 1.461, agents, ROAD, ROUTE)


@pytest.fixture
def toy():
    """(scenario class, environment factory)."""
    return ToyScenario, ToyEnvironment

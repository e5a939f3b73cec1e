"""The dream as an environment: after the warm-up in the town, a world model says what comes.

What happens in it is what a world model believes, and no measure of driving: it is compared with the town, from the
same state under the same controls (`comparison.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from drivewm.closed_loop.dream.dreamer import Dreamer, WorldSpec
from drivewm.closed_loop.dream.knowledge import Knowledge
from drivewm.closed_loop.dream.tracking import OccupancyTracker, between
from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.observation import Keyframe, to_history, to_input
from drivewm.closed_loop.town import TRACKER, TownEnvironment, town_environment
from drivewm.dynamics.bicycle import BicycleState, Control, step_bicycle
from drivewm.dynamics.lqr import LQRParameters, LQRTracker
from drivewm.geometry import se3
from drivewm.simulation import AgentBoxes, Scenario
from drivewm.simulation.simulator import DT_S
from drivewm.structures.labels import OCC3D
from drivewm.structures.planning import Oracle, PlanningInput
from drivewm.structures.rollout import Rollout
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

_STEPS = round(REPLAN_S / DT_S)
_OBSERVED = 5
"""Frames of the town that come before a dream, at least: others must have been seen for a while to be tracked."""


class DreamEnvironment:
    """One episode that goes on in a world model from where a town's environment is now.

    The ego is the town's bicycle with its tracker. Map, route and lights are known, as they depend on no one's
    behaviour. Of others there is only what the frames show, the town's own ones at first: boxes are those that
    `OccupancyTracker` finds in them, in the frames that were observed too. Nothing of the town's traffic is looked at
    after construction.

    Args:
        town: its keyframes, with occupancy on the world model's grid, are the history to begin with.
        dreamer: gives the frames.
        spec: of the planner, which says what it is shown.
        tracker: weights of the LQR that carries plans out.

    Raises:
        ValueError: the planner cannot be driven in a dream, or the town has too few keyframes or another grid.
    """

    def __init__(
        self, town: TownEnvironment, dreamer: Dreamer, spec: PlannerSpec, tracker: LQRParameters = TRACKER
    ) -> None:
        world, simulator = dreamer.spec, town.simulator
        check_planner(spec, world)
        observed, needed = town.keyframes, max(world.num_history, spec.num_history)
        if town.spec.grid != world.grid or len(observed) < needed:
            raise ValueError(
                f"a dream begins with {needed} keyframes on the grid {world.grid}, "
                f"but the town's environment has {len(observed)} on {town.spec.grid}"
            )
        self.dreamer, self.spec, self.scenario, self.road_map = dreamer, spec, town.scenario, town.road_map
        self.vehicle, self.ego, self._lights = simulator.vehicle, simulator.ego, simulator.lights
        self.tracker = LQRTracker(self.vehicle, tracker)
        self.knowledge = Knowledge(world.grid, self.vehicle)
        self._town, self._refers = town, False  # for `step_reference` alone
        self._route = simulator.route_points()
        self._begin_us, self._begin_s, self._step = simulator.timestamp_us, simulator.time_s, 0
        self._generator = torch.Generator().manual_seed(_seed(town.scenario))
        self._others = OccupancyTracker(world.grid)
        self._keyframes: deque[Keyframe] = deque(maxlen=max(needed, _OBSERVED))
        for frame in observed:
            self._see(frame.occupancy, frame.T_global_ego, frame.timestamp_us)
        self.recorder = town.recorder.before()
        self._record(self._keyframes[-1].agents)

    @property
    def done(self) -> bool:
        """Is the scenario's time over, or the dream lost?"""
        if self._refers:
            return self._town.done
        return self.knowledge.lost is not None or self.time_s >= self.scenario.duration_s - 1e-6

    @property
    def time_s(self) -> float:
        """The dream's clock, which goes on from the town's [s]."""
        return round(self._begin_s + self._step * DT_S, 6)

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """The newest ones, whose agents are those that were found in them."""
        return tuple(self._keyframes)

    def observe(self) -> PlanningInput:
        """History, ego state, map and route at this keyframe, B = 1."""
        red = self._lights.closed(self.ego.pose, self._light_time_s)
        route = Route.ahead(self._route, self.ego.pose, red_lights=red)
        frames = list(self._keyframes)[-self.spec.num_history :]
        if self.spec.grid is None:
            frames = [replace(frame, occupancy=None) for frame in frames]
        history = to_history(frames, self.spec.grid, route, self.scenario.name)
        return to_input(history, self.ego, self.vehicle, self.road_map)

    def step(self, plan: Trajectory) -> None:
        """Track the plan for `REPLAN_S` at 10 Hz, and dream what is seen at its end."""
        self.step_together([self], [plan])

    @classmethod
    def step_together(cls, environments: Sequence[DreamEnvironment], plans: Sequence[Trajectory]) -> None:
        """Each environment's `step` along its plan, with one call of the world model, which they share."""
        _dream(environments, [own._track(plan) for own, plan in zip(environments, plans, strict=True)])

    def step_controls(self, controls: Sequence[Control]) -> None:
        """Drive `REPLAN_S` by one control a physics step, whatever a tracker would do."""
        if len(controls) != _STEPS:
            raise ValueError(f"expected {_STEPS} controls, one for each {DT_S} s, got {len(controls)}")
        egos = [self.ego]
        for control in controls:
            egos.append(step_bicycle(egos[-1], control, DT_S, self.vehicle))
        _dream([self], [egos[1:]])

    def step_reference(self) -> None:
        """The town's expert drives on in the town: the reference is the same there and here."""
        if self._step:
            raise ValueError("the reference drives in the town, from where the dream began: it cannot take over later")
        self._refers = True
        self._town.step_reference()

    def oracle(self) -> Oracle:
        """ValueError: a dream has no truth that could be told."""
        raise ValueError(f"{self.spec.name} asks for the truth, but in a dream there is none")

    def rollout(self) -> Rollout:
        """The scored steps so far; others are as they were found in the frames."""
        return self._town.rollout() if self._refers else self.recorder.rollout()

    def notes(self) -> dict:
        """How much was known around the ego. A dream that was lost is not valid."""
        if self._refers:
            return {}
        dream = {"level": "L4", "mode": self.dreamer.spec.mode, "seconds": round(self._step * DT_S, 1)}
        return {"dream": dream | self.knowledge.to_dict(), "validity": {"valid": self.knowledge.lost is None}}

    @property
    def _light_time_s(self) -> float:
        return self.time_s + self.scenario.lights_s

    def _track(self, plan: Trajectory) -> list[BicycleState]:
        """The ego at each physics step until the next keyframe."""
        reference = self.tracker.reference(self.recorder.add_plan(self.ego.pose, plan), plan.dt_s)
        egos = [self.ego]
        for step in range(_STEPS):
            control = self.tracker.control(egos[-1], reference, step * DT_S)
            egos.append(step_bicycle(egos[-1], control, DT_S, self.vehicle))
        return egos[1:]

    def _arrive(self, egos: Sequence[BicycleState], occupancy: np.ndarray | None) -> None:
        """Take over the ego's physics steps and the frame that is seen at the last; others go evenly in between."""
        before = self._keyframes[-1].agents
        self.knowledge.add(occupancy)
        if occupancy is None:  # who was there goes on until the episode ends here
            occupancy = np.full(self.dreamer.spec.grid.shape, OCC3D.free, np.uint8)
        stamp = self._begin_us + round((self._step + _STEPS) * DT_S * 1e6)
        after = self._see(occupancy, se3.from_se2(egos[-1].pose), stamp)
        for number, self.ego in enumerate(egos, start=1):
            self._step += 1
            self._record(after if number == len(egos) else between(before, after, number / len(egos)))

    def _see(self, occupancy: np.ndarray, T_global_ego: np.ndarray, timestamp_us: int) -> AgentBoxes:
        agents = self._others.update(occupancy, T_global_ego, timestamp_us)
        self._keyframes.append(Keyframe(timestamp_us, T_global_ego, agents, occupancy))
        return agents

    def _record(self, agents: AgentBoxes) -> None:
        self.recorder.add(self.ego, agents, self._lights.states(self._light_time_s)[1])


def _dream(environments: Sequence[DreamEnvironment], egos: Sequence[Sequence[BicycleState]]) -> None:
    """Ask the world model that the environments share for what each ego sees at the end of its steps."""
    dreamer = environments[0].dreamer
    if any(own.dreamer is not dreamer for own in environments):
        raise ValueError("episodes that are stepped together must share one Dreamer")
    frames = dreamer.next_frames(
        [own.keyframes for own in environments],
        se3.from_se2(np.stack([steps[-1].pose for steps in egos])),
        [own.keyframes[-1].timestamp_us + round(REPLAN_S * 1e6) for own in environments],
        [own._generator for own in environments],
    )
    for own, steps, frame in zip(environments, egos, frames, strict=True):
        own._arrive(steps, frame)


def _seed(scenario: Scenario) -> int:
    """Of what is drawn in an episode, by scenario and variant."""
    return int(np.random.default_rng([scenario.seed, scenario.variant]).integers(2**62))


def check_planner(spec: PlannerSpec, world: WorldSpec) -> None:
    """Raises a ValueError if a planner cannot be driven in a world model's dream."""
    if spec.privileged:
        raise ValueError(f"{spec.name} is privileged: it asks for the truth, and in a dream there is none")
    if spec.lidar:
        raise ValueError(f"{spec.name} asks for LiDAR, but the dream is of occupancy")
    if spec.grid is not None and spec.grid != world.grid:
        raise ValueError(
            f"{spec.name} sees occupancy on the grid {spec.grid}, but the world model dreams on {world.grid}"
        )


def dream_environment(scenario: Scenario, spec: PlannerSpec, world: WorldSpec) -> DreamEnvironment | TownEnvironment:
    """An episode of a scenario, dreamed after its warm-up; the reference driver has the town, with its own rules."""
    if spec.build is None:
        return town_environment(scenario, spec)
    return DreamEnvironment(observed_town(scenario, world, spec.num_history), _dreamer(world), spec)


def observed_town(scenario: Scenario, world: WorldSpec, num_history: int = 0) -> TownEnvironment:
    """The town at the end of its warm-up, seen as a world model needs it."""
    shown = max(world.num_history, num_history, _OBSERVED)
    seen = PlannerSpec("observed", TownEnvironment, grid=world.grid, num_history=shown)
    return town_environment(scenario, seen)


@lru_cache(maxsize=2)
def _dreamer(world: WorldSpec) -> Dreamer:
    """One for all episodes of a task, which are stepped together."""
    return Dreamer(world)

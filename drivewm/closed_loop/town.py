"""The town as an environment: LQR and bicycle carry out the plans, sensors and agents are simulated anew."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import numpy as np

from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.observation import Keyframe, ShownSweep, to_history, to_input
from drivewm.closed_loop.recorder import RolloutRecorder
from drivewm.dynamics.lqr import LQRParameters, LQRTracker
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.simulation import Scenario, Town, TownSimulator
from drivewm.simulation.simulator import DT_S
from drivewm.structures.planning import PlanningInput
from drivewm.structures.road_map import RoadMap
from drivewm.structures.rollout import Rollout
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

WARM_UP_S = 2.0
TRACKER = LQRParameters(q_lateral=(5.0, 10.0, 0.0))
"""nuPlan's, but five times the weight on the lateral error: in the town's bends (radius 8 m and more) nuPlan's own
leaves the path by up to 0.9 m, more than lies between the vehicle and the edge of its lane."""
AGENT_RADIUS_M = 60.0
_STEPS = round(REPLAN_S / DT_S)


class TownEnvironment:
    """One episode of a scenario. The expert drives the first `WARM_UP_S` (longer if the history needs it).

    The scored part lasts until the scenario's `duration_s`, the warm-up included.

    Args:
        simulator: of the scenario's town; not to be shared with an episode that is still going on.
        road_map: of that town.
        scenario: to drive.
        spec: of the planner, which says what it is shown: keyframes are `REPLAN_S` apart.
        tracker: weights of the LQR that carries plans out.
        reactive: do the others react to the ego, or repeat what they do while the expert drives?
    """

    def __init__(
        self,
        simulator: TownSimulator,
        road_map: RoadMap,
        scenario: Scenario,
        spec: PlannerSpec,
        tracker: LQRParameters = TRACKER,
        reactive: bool = True,
    ):
        warm_up_s = max(WARM_UP_S, (spec.num_history - 1) * REPLAN_S)
        if scenario.duration_s <= warm_up_s:
            raise ValueError(
                f"scenario {scenario.name} lasts {scenario.duration_s} s, expected more than {warm_up_s} s of warm-up"
            )
        self.simulator, self.road_map, self.scenario, self.spec = simulator, road_map, scenario, spec
        self.tracker = LQRTracker(simulator.vehicle, tracker)
        simulator.reset(scenario, reactive=reactive)
        self.recorder = self._new_recorder()
        self._keyframes: deque[Keyframe] = deque(maxlen=spec.num_history)
        self._sense()
        for _ in range(round(warm_up_s / REPLAN_S)):
            self._drive_expert(record=False)
        self._record()

    @property
    def done(self) -> bool:
        """Is the scenario's time over?"""
        return self.simulator.done

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """Those that are observed now, the newest last."""
        return tuple(self._keyframes)

    def observe(self) -> PlanningInput:
        """History, ego state, map and route at this keyframe, B = 1."""
        ego = self.simulator.ego
        route = Route.ahead(self.simulator.route_points(), ego.pose, red_lights=self.simulator.red_lights())
        history = to_history(self._keyframes, self.spec.grid, route, self.scenario.name)
        return to_input(history, ego, self.simulator.vehicle, self.road_map)

    def step(self, plan: Trajectory) -> None:
        """Track the plan for `REPLAN_S` at the simulator's 10 Hz."""
        reference = self.tracker.reference(self.recorder.add_plan(self.simulator.ego.pose, plan), plan.dt_s)
        for step in range(_STEPS):
            self.simulator.step(self.tracker.control(self.simulator.ego, reference, step * DT_S))
            self._record()
        self._sense()

    def step_reference(self) -> None:
        """The expert drives for `REPLAN_S`."""
        self._drive_expert(record=True)

    def oracle(self) -> TownOracle:
        """What comes if the expert takes over."""
        return TownOracle(self)

    def rollout(self) -> Rollout:
        """The scored steps so far."""
        return self.recorder.rollout()

    def notes(self) -> dict:
        """Nothing: the town is what it is wherever the ego goes."""
        return {}

    def _drive_expert(self, record: bool) -> None:
        for _ in range(_STEPS):
            if not record:
                self.recorder.add_warm_up(self.simulator.ego)
            self.simulator.step(self.simulator.expert_control())
            if record:
                self._record()
        self._sense()

    def _new_recorder(self) -> RolloutRecorder:
        simulator = self.simulator
        light_lane, _ = simulator.light_states()
        return RolloutRecorder(DT_S, simulator.vehicle, self.road_map, simulator.route_points(), light_lane)

    def _record(self) -> None:
        _record(self.recorder, self.simulator)

    def _sense(self) -> None:
        sim, grid = self.simulator, self.spec.grid
        occupancy = None if grid is None else sim.occupancy(grid)
        sweep = None
        if self.spec.lidar:
            seen = sim.lidar(np.random.default_rng([self.scenario.seed, sim.timestamp_us]))
            sweep = ShownSweep(seen.points_ego()[:, :4], seen.ray_directions, seen.ray_hit, seen.T_ego_lidar)
        agents = sim.boxes(AGENT_RADIUS_M)
        self._keyframes.append(Keyframe(sim.timestamp_us, sim.T_global_ego(), agents, occupancy, sweep=sweep))


class TownOracle:
    """Looks ahead in a copy of the episode's simulator."""

    def __init__(self, environment: TownEnvironment) -> None:
        self._environment = environment

    def future(self) -> Rollout:
        """The coming 4 s if the expert drives them."""
        recorder, twin = self._environment._new_recorder(), self._environment.simulator.fork()
        _record(recorder, twin)
        for _ in range(round(PLAN_STEPS * PLAN_DT_S / DT_S)):
            twin.step(twin.expert_control())
            _record(recorder, twin)
        return recorder.rollout()


def _record(recorder: RolloutRecorder, simulator: TownSimulator) -> None:
    recorder.add(simulator.ego, simulator.boxes(AGENT_RADIUS_M), simulator.light_states()[1])


def town_environment(scenario: Scenario, spec: PlannerSpec, reactive: bool = True) -> TownEnvironment:
    """An episode in the scenario's town; each process generates a town once."""
    town, road_map = _town(scenario.town_seed, scenario.town)
    return TownEnvironment(TownSimulator(town), road_map, scenario, spec, reactive=reactive)


@lru_cache(maxsize=8)
def _town(seed: int, location: str) -> tuple[Town, RoadMap]:
    town = Town.generate(seed, location)
    return town, town.road_map()

"""A recorded drive as an environment: the ego leaves its recording, the others replay theirs or react."""

from __future__ import annotations

from collections import deque

import numpy as np

from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.log.agents import LogAgents
from drivewm.closed_loop.log.gate import CheckedLidar
from drivewm.closed_loop.log.occupancy import UNKNOWN
from drivewm.closed_loop.log.scene import LogScene, move_boxes
from drivewm.closed_loop.log.validity import LogValidity
from drivewm.closed_loop.observation import Keyframe, ShownSweep, to_history, to_input
from drivewm.closed_loop.recorder import RolloutRecorder
from drivewm.closed_loop.town import TRACKER, WARM_UP_S
from drivewm.dynamics.bicycle import PACIFICA, VehicleParameters, step_bicycle
from drivewm.dynamics.idm import IDMParameters
from drivewm.dynamics.lqr import LQRParameters, LQRTracker
from drivewm.geometry import se2, se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.simulation import AgentBoxes
from drivewm.simulation.occupancy import paint_boxes
from drivewm.simulation.simulator import DT_S
from drivewm.structures.labels import OCC3D
from drivewm.structures.planning import PlanningInput
from drivewm.structures.road_map import RoadMap
from drivewm.structures.rollout import AgentTracks, Rollout
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

_STEPS = round(REPLAN_S / DT_S)
_EGO_HEIGHT_M = 1.5


class LogEnvironment:
    """One episode in a recorded scene. The ego follows the recording until `start_s`, then the plans.

    The unscored part lasts `WARM_UP_S`, longer if the history needs it, and shorter where the recording begins later.
    Where the scene has no route, planners get none, and progress is measured along what was driven.

    Args:
        scene: the recording.
        start_s: when scoring begins, after the first keyframe [s]; a multiple of `REPLAN_S`.
        duration_s: length of the scored part [s]; a multiple of `REPLAN_S`.
        grid: of the occupancy in the history; None renders none.
        num_history: observed keyframes, `REPLAN_S` apart.
        lidar: gives the LiDAR points in the history; None gives none.
        road_map: of the scene's location, if there is one.
        vehicle: that the plans are carried out by.
        idm: of the others that react to the ego; None: all repeat what they did.
        tracker: weights of the LQR that carries plans out.

    Raises:
        ValueError: the recording does not hold the history, or ends before the episode; or a time is not a multiple.
    """

    def __init__(
        self,
        scene: LogScene,
        start_s: float,
        duration_s: float,
        grid: VoxelGrid | None = None,
        num_history: int = 5,
        lidar: CheckedLidar | None = None,
        road_map: RoadMap | None = None,
        vehicle: VehicleParameters = PACIFICA,
        idm: IDMParameters | None = None,
        tracker: LQRParameters = TRACKER,
    ):
        start, scored = (_whole(name, value) for name, value in (("start_s", start_s), ("duration_s", duration_s)))
        if start < num_history - 1 or scored < 1 or (start + scored) * _STEPS >= len(scene):
            raise ValueError(
                f"scene {scene.name} is recorded for {(len(scene) - 1) * DT_S:.1f} s; an episode from {start_s} s for "
                f"{duration_s} s with {num_history} keyframes of history needs "
                f"start_s >= {(num_history - 1) * REPLAN_S}, duration_s >= {REPLAN_S} and an end within the recording"
            )
        self.scene, self.grid, self.lidar, self.road_map, self.vehicle = scene, grid, lidar, road_map, vehicle
        self.tracker = LQRTracker(vehicle, tracker)
        self.agents = LogAgents(scene.tracks, scene.category, DT_S, idm)
        warm_up = min(start, max(round(WARM_UP_S / REPLAN_S), num_history - 1))
        self._start, self._end = start * _STEPS, (start + scored) * _STEPS
        self._step = self._start - warm_up * _STEPS
        self.agents.reset(self._step)
        self.ego = scene.state(self._step, vehicle)
        route = scene.ego[:, :2] if scene.route is None else scene.route
        self.recorder = RolloutRecorder(DT_S, vehicle, road_map, route)
        self._keyframes: deque[Keyframe] = deque(maxlen=num_history)
        self._drift_m = 0.0
        self._visible: list[tuple[float, float]] = []
        self._sense()
        for _ in range(warm_up):
            self._follow(record=False)
        self._record()

    @property
    def done(self) -> bool:
        """Is the episode's time over?"""
        return self._step >= self._end

    def observe(self) -> PlanningInput:
        """History, ego state, map and route at this keyframe, B = 1."""
        pose = self.ego.pose
        route = Route.nowhere()
        if self.scene.route is not None:
            route = Route.ahead(self.scene.route, pose, red_lights=self.scene.red_lights(self._step))
        history = to_history(self._keyframes, self.grid, route, self.scene.name)
        return to_input(history, self.ego, self.vehicle, self.road_map)

    def step(self, plan: Trajectory) -> None:
        """Track the plan for `REPLAN_S` at 10 Hz."""
        reference = self.tracker.reference(self.recorder.add_plan(self.ego.pose, plan), plan.dt_s)
        for step in range(_STEPS):
            control = self.tracker.control(self.ego, reference, step * DT_S)
            self.agents.step(self._ego_box(), self.ego.speed)
            self.ego = step_bicycle(self.ego, control, DT_S, self.vehicle)
            self._step += 1
            self._record()
        self._sense()

    def step_reference(self) -> None:
        """The ego does what was recorded for `REPLAN_S`, wherever it is now."""
        self._follow(record=True)

    def oracle(self) -> LogOracle:
        """What was recorded."""
        return LogOracle(self)

    def rollout(self) -> Rollout:
        """The scored steps so far."""
        return self.recorder.rollout()

    def validity(self) -> LogValidity:
        """How far the episode can be believed so far."""
        shares = min(self._visible, key=lambda pair: pair[0] / max(pair[1], 1e-9), default=(None, None))
        return LogValidity(self._drift_m, (self._step - self._start) * DT_S, *shares)

    def notes(self) -> dict:
        """Validity, whether the route was recorded as one, and how well the LiDAR is re-simulated."""
        lidar = {} if self.lidar is None else {"lidar_agreement": self.lidar.agreement.to_dict()}
        return {"validity": self.validity().to_dict(), "has_route": self.scene.route is not None, **lidar}

    def _follow(self, record: bool) -> None:
        for _ in range(_STEPS):
            if not record:
                self.recorder.add_warm_up(self.ego)
            self.agents.step(self._ego_box(), self.ego.speed)
            self._step += 1
            self.ego = self.scene.state(self._step, self.vehicle)
            if record:
                self._record()
        self._sense()

    def _ego_box(self) -> np.ndarray:
        """`(7,)` the ego's footprint, global frame, at the height of the road."""
        vehicle, pose = self.vehicle, self.ego.pose
        center = se2.compose(pose, np.array([vehicle.rear_axle_to_center_m, 0.0, 0.0]))
        z = self.scene.lift(pose)[2, 3] + _EGO_HEIGHT_M / 2
        return np.array([center[0], center[1], z, vehicle.length_m, vehicle.width_m, _EGO_HEIGHT_M, center[2]])

    def _record(self) -> None:
        self.recorder.add(self.ego, self.agents.boxes())
        here = self.scene.ego[self._step]
        self._drift_m = max(self._drift_m, float(np.hypot(self.ego.x - here[0], self.ego.y - here[1])))

    def _sense(self) -> None:
        T_global_ego, agents = self.scene.lift(self.ego.pose), self._observed()
        occupancy = visible = sweep = None
        if self.grid is not None:
            occupancy, visible = self._occupancy(T_global_ego, agents)
        if self.lidar is not None:
            number, lidar = self.scene.nearest_frame(self.ego.pose), self.lidar.lidar
            seen = lidar.sweep(T_global_ego, agents.boxes, agents.track, number)
            points = np.pad(seen.points_ego(), [(0, 0), (0, 1)])  # intensities are not simulated: 0
            sweep = ShownSweep(points, seen.directions, seen.hit, seen.T_ego_lidar)
            if self._step >= self._start:
                self._visible.append((seen.visible_share, lidar.logged_visible_share(number)))
        stamp = self.scene.start_us + round(self._step * DT_S * 1e6)
        self._keyframes.append(Keyframe(stamp, T_global_ego, agents, occupancy, visible, sweep))

    def _observed(self) -> AgentBoxes:
        """The others as they are seen: of those that were just annotated first, the velocity is not known."""
        agents, tracks = self.agents.boxes(), self.scene.tracks.track
        new = self.scene.is_new[self._step, np.searchsorted(tracks, agents.track)]
        agents.velocity[new] = np.nan
        return agents

    def _occupancy(self, T_global_ego: np.ndarray, agents: AgentBoxes) -> tuple[np.ndarray, np.ndarray]:
        """What stands still as it was recorded, and the others as solid boxes; and which voxels are known."""
        labels = self.scene.occupancy.seen_from(T_global_ego, self.grid)
        boxes = np.full(self.grid.shape, OCC3D.free, np.uint8)
        paint_boxes(boxes, move_boxes(se3.inverse(T_global_ego), agents.boxes), agents.label, self.grid)
        visible = (labels != UNKNOWN) | (boxes != OCC3D.free)
        labels[labels == UNKNOWN] = OCC3D.free
        return np.where(boxes != OCC3D.free, boxes, labels), visible


class LogOracle:
    """The recording, whatever the ego has done since."""

    def __init__(self, environment: LogEnvironment) -> None:
        self._environment = environment

    def future(self) -> Rollout:
        """The recorded coming 4 s; where the recording ends the ego stays at its last pose, and the others are gone."""
        own, scene = self._environment, self._environment.scene
        steps = own._step + np.arange(round(PLAN_STEPS * PLAN_DT_S / DT_S) + 1)
        rows = np.minimum(steps, len(scene) - 1)
        over = (steps >= len(scene))[:, None]
        tracks = scene.tracks
        agents = AgentTracks(
            tracks.boxes[rows], tracks.velocity[rows], tracks.label, tracks.track, tracks.valid[rows] & ~over
        )
        return Rollout(
            dt_s=DT_S,
            poses=scene.ego[rows, :3],
            speed=np.where(over[:, 0], 0.0, scene.ego[rows, 3]),
            acceleration=np.where(over[:, 0], 0.0, scene.ego[rows, 4]),
            length_m=own.vehicle.length_m,
            width_m=own.vehicle.width_m,
            rear_axle_to_center_m=own.vehicle.rear_axle_to_center_m,
            agents=agents,
            road_map=own.road_map,
            route=own.recorder.route,
        )


def _whole(name: str, seconds: float) -> int:
    """How many times `REPLAN_S` goes into a time."""
    count = round(seconds / REPLAN_S)
    if abs(count * REPLAN_S - seconds) > 1e-6:
        raise ValueError(f"{name} must be a multiple of {REPLAN_S} s, got {seconds}")
    return count

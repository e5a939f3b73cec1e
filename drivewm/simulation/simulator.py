"""The simulator: the town in time, with an ego that is driven from outside."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np

from drivewm.dynamics.bicycle import PACIFICA, BicycleState, Control, VehicleParameters, step_bicycle
from drivewm.geometry import se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import occupancy, paths
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.cameras import CameraImage, Cameras, nuscenes_rig
from drivewm.simulation.expert import steering_rate
from drivewm.simulation.kinds import (
    ACTOR_TRACKS,
    KINDS,
    LABEL_OF_KIND,
    PARKED_TRACKS,
    PEDESTRIAN,
    VEHICLE_TRACKS,
    WALKER_TRACKS,
)
from drivewm.simulation.lidar import Lidar, LidarConfig, LidarSweep
from drivewm.simulation.motion import Moment, sweep_in_motion
from drivewm.simulation.population import populate
from drivewm.simulation.replay import Replay
from drivewm.simulation.road_lights import RoadLights
from drivewm.simulation.scenario import WARM_UP_S, Scenario
from drivewm.simulation.scripts import Actors
from drivewm.simulation.signals import lit_lamps
from drivewm.simulation.town import Town
from drivewm.simulation.traffic import EGO, SPEED_SPREAD

DT_S = 0.1
_EPOCH_US = 1_600_000_000_000_000


@dataclass(frozen=True)
class AgentBoxes:
    """All road users but the ego at one time, global frame; M boxes.

    Attributes:
        boxes: `(M, 7)` float64 centre x, y, z, length, width, height [m], yaw [rad].
        velocity: `(M, 2)` [m/s].
        label: `(M,)` int64 classes of `OCC3D`.
        track: `(M,)` int64, the same for one road user throughout an episode.
        category: nuScenes category names.
        parked: `(M,)` bool, vehicles that never move.
    """

    boxes: np.ndarray
    velocity: np.ndarray
    label: np.ndarray
    track: np.ndarray
    category: tuple[str, ...]
    parked: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


class TownSimulator:
    """Drives one scenario after the other in a town; agents react to the ego.

    The recorded data and the closed loop both come out of `reset` and `step`.
    """

    def __init__(
        self,
        town: Town,
        vehicle: VehicleParameters = PACIFICA,
        lidar: LidarConfig = LidarConfig(),  # noqa: B008
        cameras: Cameras | None = None,
    ) -> None:
        """Without `cameras` there are those of nuScenes."""
        self.town, self.vehicle = town, vehicle
        self._lidar = Lidar(lidar)
        self._cameras = Cameras(nuscenes_rig()) if cameras is None else cameras
        self.lights = RoadLights(town, vehicle)
        self.scenario: Scenario | None = None
        self._replay: Replay | None = None

    def reset(self, scenario: Scenario, seed: int | None = None, reactive: bool = True, lead_s: float = 0.0) -> None:
        """Begin an episode. The expert drives the first seconds, so that traffic has settled when time is 0.

        Args:
            scenario: what is to happen.
            seed: of traffic and people, instead of the scenario's own.
            reactive: do agents react to the ego, or repeat what they do while the expert drives? That takes as long as
                driving the episode.
            lead_s: in [0, `WARM_UP_S`), in whole steps: it begins that long before, on the way to the same state [s].

        Raises:
            ValueError: the scenario belongs to another town, or the lead is another.
        """
        if not 0.0 <= lead_s < WARM_UP_S:
            raise ValueError(f"lead_s must be 0 or more and less than {WARM_UP_S} s, got {lead_s}")
        if seed is not None:
            scenario = replace(scenario, seed=seed)
        self._replay = None
        if not reactive:
            replay = Replay()
            self.reset(scenario, lead_s=lead_s)
            while not self.done:
                self.step(self.expert_control())
                replay.add(self)
            self.reset(scenario, lead_s=lead_s)
            self._replay = replay
            return
        if (scenario.town, scenario.town_seed) != (self.town.location, self.town.seed):
            raise ValueError(
                f"scenario {scenario.name} belongs to town {scenario.town!r} with seed {scenario.town_seed}, "
                f"but this is {self.town.location!r} with seed {self.town.seed}"
            )
        self.scenario = scenario
        self._route = self.town.lanes.route_polyline(scenario.route)
        self._route_along = paths.arc_length(self._route)
        self._lane_begin = np.concatenate([[0.0], np.cumsum(self.town.lanes.table.length[list(scenario.route)])])
        self.traffic, self.walkers = populate(self.town, scenario, self.vehicle)
        self.actors = Actors(scenario.actors, scenario.seed)
        self.traffic.update_poses()
        rear = scenario.start_m - self.vehicle.rear_axle_to_center_m
        x, y, yaw = self._on_route(rear)
        self.ego = BicycleState(x, y, yaw, speed=scenario.initial_speed)
        self._progress = rear
        self.time_s = -WARM_UP_S
        self._observe_ego()
        for _ in range(round((WARM_UP_S - lead_s) / DT_S)):
            self.step(self.expert_control())
        self._begin_s = self.time_s

    def step(self, control: Control) -> None:
        """Advance by 0.1 s under the ego's control."""
        if self._replay is not None:
            self._replay.show(self, round((self.time_s - self._begin_s) / DT_S))
        else:
            self._step_agents()
        self.ego = step_bicycle(self.ego, control, DT_S, self.vehicle)
        self.time_s = round(self.time_s + DT_S, 6)
        self._observe_ego()

    def _step_agents(self) -> None:
        may_walk = self.town.signals.may_walk(self.light_time_s)
        vehicles = np.concatenate([self.traffic.boxes(), self.actors.boxes()])
        self.walkers.step(DT_S, vehicles, np.concatenate([self.traffic.speed, self.actors.speed]), may_walk)
        self.actors.step(DT_S, self._progress + self._front_m, self.ego.speed)
        self.traffic.step(DT_S)

    def fork(self) -> TownSimulator:
        """A twin in the same state of the same episode, to look ahead with: neither changes the other."""
        parts = self.lights, self._lidar, self._cameras, self._replay, self.scenario
        shared = [self.town, *vars(self.town).values(), *parts]
        return copy.deepcopy(self, {id(part): part for part in shared})

    def redraw(self, seed: int) -> None:
        """From now on chance decides otherwise what agents and expert do; where everybody is now stays as it is.

        Turns that are not near yet, stops for no reason that have not begun, ways of people, and everybody's desired
        speed (by about 10 %). Rollouts from one state differ by this: `fork`, then `redraw`.
        """
        if self._replay is not None:
            raise ValueError("agents that repeat what they did have nothing to redraw: reset with reactive=True")
        self.traffic.redraw(seed, self.time_s)
        self.walkers.redraw(seed, SPEED_SPREAD)
        self._observe_ego()

    def set_ego(self, pose: np.ndarray, speed: float, acceleration: float = 0.0, steer: float = 0.0) -> None:
        """Put the ego's rear axle at `pose (3,)`, for replay. Agents see it at once."""
        x, y, yaw = (float(v) for v in pose)
        self.ego = BicycleState(x, y, yaw, float(speed), float(acceleration), float(steer))
        self._observe_ego()

    def expert_control(self) -> Control:
        """What the expert does now: IDM along the route, pure pursuit."""
        rate = steering_rate(self.ego, self._route, self._route_along, self._progress, self.vehicle, DT_S)
        return Control(float(self.traffic.acceleration[EGO]), rate)

    @property
    def timestamp_us(self) -> int:
        """Time of the episode as microseconds of a made-up clock."""
        return _EPOCH_US + int(round(self.time_s * 1e6))

    @property
    def _front_m(self) -> float:
        """From the rear axle to the front bumper [m]."""
        return self.vehicle.rear_axle_to_center_m + self.vehicle.length_m / 2

    @property
    def light_time_s(self) -> float:
        """The time of the lights, which are somewhere in their cycles when an episode begins [s]."""
        return self.time_s + self.scenario.lights_s

    @property
    def done(self) -> bool:
        """Is the scenario's time over?"""
        return self.time_s >= self.scenario.duration_s - 1e-6

    @property
    def progress_m(self) -> float:
        """Arc length of the route at the ego's rear axle [m]."""
        return self._progress

    def T_global_ego(self) -> np.ndarray:
        """`(4, 4)` pose of the ego's rear axle."""
        return se3.from_se2(self.ego.pose)

    def route_points(self) -> np.ndarray:
        """The whole route as a global polyline `(P, 2)` [m]."""
        return self._route

    def red_lights(self) -> np.ndarray:
        """Stop lines `(N, 2)` [m, global] that a light closes now, and that the ego has not passed: yellow counts."""
        return self.lights.closed(self.ego.pose, self.light_time_s)

    def light_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Connectors with a light `(S,)`, and whether it is red now: bool `(S,)`."""
        return self.lights.states(self.light_time_s)

    def boxes(self, radius_m: float = math.inf) -> AgentBoxes:
        """Road users whose centre is within `radius_m` of the ego: vehicles, people, parked vehicles."""
        parked, movers = self.town.scenery.parked_boxes, self.moment()
        boxes = np.concatenate([movers.boxes, parked])
        velocity = np.concatenate([movers.velocity, np.zeros((len(parked), 2))])
        kinds = np.concatenate([movers.kinds, self.town.scenery.parked_kinds])
        track = np.concatenate([movers.tracks, PARKED_TRACKS + np.arange(len(parked))])
        near = np.flatnonzero(np.hypot(boxes[:, 0] - self.ego.x, boxes[:, 1] - self.ego.y) <= radius_m)
        return AgentBoxes(
            boxes[near],
            velocity[near],
            LABEL_OF_KIND[kinds[near]],
            track[near],
            tuple(KINDS[k].category for k in kinds[near]),
            track[near] >= PARKED_TRACKS,
        )

    def occupancy(self, grid: VoxelGrid) -> np.ndarray:
        """Classes `(X, Y, Z)` uint8 of the voxels of a grid in the ego frame."""
        reach = float(np.abs([grid.range_m[:2], grid.range_m[3:5]]).max()) * math.sqrt(2.0)
        static, agents = self._bodies(reach)
        return occupancy.label_voxels(static, agents, self.town.ground, self.ego.pose, grid)

    def lidar(self, rng: np.random.Generator | None) -> LidarSweep:
        """A LiDAR sweep of this moment alone; without a generator there is no noise and no drop-out."""
        static, agents = self._bodies(self._lidar.config.max_range_m + 2.0)
        return self._lidar.sweep(static + agents, self.town.ground, self.ego.pose, rng)

    def moment(self) -> Moment:
        """Where the ego and all road users that may move are now."""
        traffic, walkers, actors = self.traffic, self.walkers, self.actors
        return Moment(
            ego=self.ego.pose,
            boxes=np.concatenate([traffic.boxes()[EGO + 1 :], walkers.boxes(), actors.boxes()]),
            velocity=np.concatenate([traffic.velocity()[EGO + 1 :], walkers.velocity(), actors.velocity()]),
            kinds=np.concatenate([traffic.kind[EGO + 1 :], np.full(len(walkers), PEDESTRIAN), actors.kind]),
            tracks=np.concatenate(
                [
                    VEHICLE_TRACKS + np.arange(len(traffic) - 1),
                    WALKER_TRACKS + np.arange(len(walkers)),
                    ACTOR_TRACKS + np.arange(len(actors)),
                ]
            ),
        )

    def lidar_in_motion(self, begin: Moment, end: Moment, rng: np.random.Generator | None) -> LidarSweep:
        """The LiDAR sweep of the revolution from one moment of this episode to another."""
        return sweep_in_motion(self._lidar, self.town, begin, end, rng)

    def images(self) -> dict[str, CameraImage]:
        """What the cameras see, by their names. They alone see which lamps are lit."""
        static, agents = self._bodies(self._cameras.max_range_m + 2.0)
        lamps = lit_lamps(self.town.signals, self.town.signals.states(self.light_time_s)).seen_from(self.ego.pose)
        return self._cameras.render(static + agents + lamps, self.town.ground, self.ego.pose)

    def mask_lidar(self, sweep: LidarSweep, grid: VoxelGrid) -> np.ndarray:
        """Voxels `(X, Y, Z)` bool that a sweep which ends now has seen."""
        return occupancy.seen_voxels(sweep, grid)

    def mask_camera(self, images: dict[str, CameraImage], grid: VoxelGrid) -> np.ndarray:
        """Voxels `(X, Y, Z)` bool that are seen in images taken now."""
        return occupancy.seen_by_cameras(self._cameras.configs, images, grid)

    def _bodies(self, radius_m: float) -> tuple[Bodies, Bodies]:
        """Static bodies and agents near the ego, in its frame."""
        pose, agents = self.ego.pose, self.moment().bodies()
        return tuple(b.near(pose[:2], radius_m).seen_from(pose) for b in (self.town.static, agents))

    def _on_route(self, station: float) -> tuple[float, float, float]:
        x, y = (float(np.interp(station, self._route_along, self._route[:, axis])) for axis in range(2))
        heading = paths.headings(self._route)
        return x, y, float(np.interp(station, self._route_along, heading))

    def _observe_ego(self) -> None:
        """Find the ego on its route, then let everybody look."""
        ego, shift = self.ego, self.vehicle.rear_axle_to_center_m
        self._progress = self._project(ego.x, ego.y, self._progress)
        center = np.array([ego.x + shift * math.cos(ego.yaw), ego.y + shift * math.sin(ego.yaw), ego.yaw])
        station = self._project(center[0], center[1], self._progress + shift)
        index = int(
            np.clip(np.searchsorted(self._lane_begin, station, side="right") - 1, 0, len(self.scenario.route) - 1)
        )
        self.traffic.place_ego(center, ego.speed, index, station - self._lane_begin[index])
        self.traffic.perceive(self.walkers, self.actors, self.time_s, self.town.signals.states(self.light_time_s))

    def _project(self, x: float, y: float, guess_m: float) -> float:
        """Arc length of the route's point nearest to (x, y), not far from a guess: routes may cross themselves."""
        low, high = np.searchsorted(self._route_along, [guess_m - 6.0, guess_m + 8.0])
        low, high = max(int(low) - 1, 0), min(max(int(high), low + 2), len(self._route) - 1)
        start, step = self._route[low:high], np.diff(self._route[low : high + 1], axis=0)
        length = np.hypot(step[:, 0], step[:, 1])
        share = np.clip(((x - start[:, 0]) * step[:, 0] + (y - start[:, 1]) * step[:, 1]) / length**2, 0.0, 1.0)
        near = np.argmin((start[:, 0] + share * step[:, 0] - x) ** 2 + (start[:, 1] + share * step[:, 1] - y) ** 2)
        return float(self._route_along[low + near] + share[near] * length[near])

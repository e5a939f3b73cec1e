"""Simulated futures of a recorded scene, by several simulators of road users, to be compared with what happened.

All begin with the recorded second and in the recorded state. What varies between the rollouts of one simulator is the
speed that each driver wishes for, by about 10 %, and in the town what else chance decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.closed_loop.log.agents import MOTOR_VEHICLES, LogAgents
from drivewm.closed_loop.recorder import agent_tracks
from drivewm.dynamics.idm import IDMParameters
from drivewm.evaluation.functional.agent_features import AgentFeatures, agent_features
from drivewm.evaluation.functional.road_edge import RoadEdge
from drivewm.simulation import AgentBoxes, Scenario, Town, TownSimulator
from drivewm.simulation.simulator import DT_S
from drivewm.simulation.traffic import SPEED_SPREAD
from drivewm.structures.labels import OCC3D
from drivewm.structures.road_map import RoadMap
from drivewm.structures.rollout import AgentTracks, LightStates

HISTORY_S, FUTURE_S = 1.0, 8.0
"""As in WOSAC: the recorded time before t0, and what is simulated after it."""
SPARE_S = 6.0
"""Recorded still longer, so that who drives faster has a path to follow."""
EGO_TRACK = -1
_REACH_M = 60.0
_PARKED_M = 250.0
_HEADING_SPREAD = 0.05  # [rad], of constant-velocity agents
_FAR_AWAY = np.array([1e6, 1e6, 0.0, 1.0, 1.0, 1.0, 0.0])


@dataclass(frozen=True)
class LoggedScene:
    """A recorded scene: `HISTORY_S` before t0, `FUTURE_S` after it, and more where there is more.

    Attributes:
        name: of the scene.
        tracks: everybody at steps of `DT_S`, the ego as `EGO_TRACK`.
        category: of each track.
        subjects: `(S,)` identities of those that are scored.
        road_edge, road_map, lights: as `agent_features` takes them; None where not known.
    """

    name: str
    tracks: AgentTracks
    category: tuple[str, ...]
    subjects: np.ndarray
    road_edge: RoadEdge | None = None
    road_map: RoadMap | None = None
    lights: LightStates | None = None

    def features(self, tracks: AgentTracks) -> AgentFeatures:
        """Features of the subjects after t0 in the recording or a rollout that begins with its history."""
        steps = now_step() + 1 + round(FUTURE_S / DT_S)
        tracks = AgentTracks(
            tracks.boxes[:steps], tracks.velocity[:steps], tracks.label, tracks.track, tracks.valid[:steps]
        )
        lights = None if self.lights is None else replace(self.lights, red=self.lights.red[:steps])
        return agent_features(
            tracks,
            self.subjects,
            DT_S,
            now_step() + 1,
            self.road_edge,
            None if lights is None else self.road_map,
            lights,
        )


def now_step() -> int:
    """The step of t0 in a `LoggedScene`."""
    return round(HISTORY_S / DT_S)


def scored(tracks: AgentTracks, moves: np.ndarray) -> np.ndarray:
    """Whom to score: motor vehicles that move (`(N,)` bool), within 60 m of the ego at t0."""
    step = now_step()
    ego = tracks.boxes[step, tracks.track == EGO_TRACK][0]
    near = np.hypot(*np.moveaxis(tracks.boxes[step, :, :2] - ego[:2], -1, 0)) <= _REACH_M
    return tracks.track[tracks.valid[step] & near & moves & np.isin(tracks.label, MOTOR_VEHICLES)]


def follow_paths(scene: LoggedScene, idm: IDMParameters, rng: np.random.Generator) -> AgentTracks:
    """Motor vehicles, the ego too, on their own recorded paths by IDM; all others are played back.

    They know their paths and when others come and go, which no simulator without the recording can.
    """
    factor = np.exp(SPEED_SPREAD * rng.normal(size=len(scene.category)))
    agents = LogAgents(scene.tracks, scene.category, DT_S, idm, factor)
    agents.reset(now_step())
    moments = []
    for _ in range(round(FUTURE_S / DT_S)):
        agents.step(_FAR_AWAY, 0.0)
        moments.append(agents.boxes())
    return _behind_history(scene, agent_tracks(moments))


def keep_velocity(scene: LoggedScene, rng: np.random.Generator) -> AgentTracks:
    """Everybody goes straight on from t0 at a velocity that is off by about 10 % and 3 degrees."""
    now, steps = now_step(), round(FUTURE_S / DT_S)
    here = scene.tracks.valid[now]
    boxes = np.repeat(scene.tracks.boxes[None, now, here], steps, axis=0)
    velocity = scene.tracks.velocity[now, here]
    turn, factor = (
        _HEADING_SPREAD * rng.normal(size=len(velocity)),
        np.exp(SPEED_SPREAD * rng.normal(size=len(velocity))),
    )
    heading = np.arctan2(velocity[:, 1], velocity[:, 0]) + turn
    speed = factor * np.hypot(*velocity.T)
    velocity = speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    boxes[..., :2] += velocity * DT_S * np.arange(1, steps + 1)[:, None, None]
    future = AgentTracks(
        boxes,
        np.repeat(velocity[None], steps, axis=0),
        scene.tracks.label[here],
        scene.tracks.track[here],
        np.ones(boxes.shape[:2], bool),
    )
    return _behind_history(scene, future)


def _behind_history(scene: LoggedScene, future: AgentTracks) -> AgentTracks:
    """The recording up to t0 and a simulated future, as tracks of one scene."""
    count, log = now_step() + 1, scene.tracks
    track = np.union1d(log.track, future.track)
    steps = count + len(future.valid)
    boxes, velocity = np.zeros((steps, len(track), 7)), np.zeros((steps, len(track), 2))
    valid, label = np.zeros((steps, len(track)), bool), np.zeros(len(track), np.int64)
    for part, rows, source in ((log, slice(0, count), slice(0, count)), (future, slice(count, None), slice(None))):
        slot = np.searchsorted(track, part.track)
        boxes[rows, slot], velocity[rows, slot] = part.boxes[source], part.velocity[source]
        valid[rows, slot], label[slot] = part.valid[source], part.label
    return AgentTracks(boxes, velocity, label, track, valid)


class TownScene:
    """A scenario driven by the expert as the recording, and the town's own agents as its simulator.

    Args:
        town: of the scenario.
        scenario: the recording begins when its time does.
    """

    def __init__(self, town: Town, scenario: Scenario) -> None:
        simulator = TownSimulator(town)
        simulator.reset(scenario)
        moments, egos, red = [], [], []
        for step in range(now_step() + round((FUTURE_S + SPARE_S) / DT_S) + 1):
            if step == now_step():
                self._at_t0 = simulator.fork()
            moments.append(_everybody(simulator))
            egos.append(simulator.ego)
            red.append(simulator.light_states()[1])
            simulator.step(simulator.expert_control())
        self._egos = egos
        tracks, road_map = agent_tracks(moments), town.road_map()
        category = dict(
            zip(np.concatenate([m.track for m in moments]), (c for m in moments for c in m.category), strict=True)
        )
        parked = np.isin(tracks.track, np.concatenate([m.track[m.parked] for m in moments]))
        category = tuple(category[track] for track in tracks.track)
        lights = LightStates(simulator.light_states()[0], np.array(red))
        subjects = scored(tracks, ~parked)
        self.scene = LoggedScene(scenario.name, tracks, category, subjects, RoadEdge(road_map), road_map, lights)

    def rollout(self, seed: int, ego_replays: bool = False) -> AgentTracks:
        """The town from t0 on, where chance decides otherwise; the ego is driven by the expert or repeats its log."""
        twin = self._at_t0.fork()
        twin.redraw(seed)
        moments = []
        for step in range(round(FUTURE_S / DT_S)):
            twin.step(twin.expert_control())
            if ego_replays:
                ego = self._egos[now_step() + 1 + step]
                twin.set_ego(ego.pose, ego.speed, ego.acceleration, ego.steer)
            moments.append(_everybody(twin))
        return _behind_history(self.scene, agent_tracks(moments))


def _everybody(simulator: TownSimulator) -> AgentBoxes:
    """All others and the ego; parked vehicles only where somebody who is scored may come."""
    others, ego = simulator.boxes(), simulator.traffic.boxes()[:1]
    near = ~others.parked | (np.hypot(*(others.boxes[:, :2] - ego[0, :2]).T) <= _PARKED_M)
    return AgentBoxes(
        np.vstack([others.boxes[near], ego]),
        np.vstack([others.velocity[near], simulator.traffic.velocity()[:1]]),
        np.append(others.label[near], OCC3D.index("car")),
        np.append(others.track[near], EGO_TRACK),
        (*(others.category[i] for i in np.flatnonzero(near)), "vehicle.car"),
        np.append(others.parked[near], False),
    )

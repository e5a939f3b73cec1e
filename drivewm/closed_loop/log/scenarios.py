"""Which recorded episodes to drive, and how a worker gets one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.log.environment import LogEnvironment
from drivewm.closed_loop.log.gate import CheckedLidar
from drivewm.closed_loop.log.scene import SLACK_S, LogScene
from drivewm.closed_loop.log.validity import MAX_DURATION_S
from drivewm.closed_loop.town import WARM_UP_S
from drivewm.data import Index
from drivewm.data.road_map import load_road_map
from drivewm.data.windows import MAX_STEP_RATIO
from drivewm.dynamics.bicycle import PACIFICA, VehicleParameters
from drivewm.dynamics.idm import IDMParameters
from drivewm.geometry import se2, se3
from drivewm.simulation.scenario import STRAIGHT_RAD
from drivewm.structures.road_map import RoadMap

_MAP_MARGIN_M = 100.0


@dataclass(frozen=True)
class LogScenario:
    """An episode in a recorded scene.

    Attributes:
        name: of the scene; its windows share it, as they are no more independent than variants.
        variant: number of the window.
        straight: does the recorded heading stay within 10 degrees?
        index, data_root: folders of the index and of the data set.
        scene: position in it.
        start_s: when scoring begins, after the first keyframe [s].
        duration_s: length of the scored part [s].
        vehicle: that the plans are carried out by.
        idm: of the others that react; None: all repeat what they did.
        family: what kind of episode it is.
    """

    name: str
    variant: int
    straight: bool
    index: str
    data_root: str
    scene: int
    start_s: float
    duration_s: float
    vehicle: VehicleParameters = PACIFICA
    idm: IDMParameters | None = None
    family: str = "log"


def log_scenarios(
    index: Index | str | Path,
    split: str,
    duration_s: float = MAX_DURATION_S,
    warm_up_s: float = WARM_UP_S,
    vehicle: VehicleParameters = PACIFICA,
    idm: IDMParameters | None = None,
) -> list[LogScenario]:
    """Windows of all scenes of a split, one behind the other: warm-up and `duration_s`, rounded down to `REPLAN_S`.

    A scene that is too short for that gives one window of what it has. Windows that span a gap in time are left out.

    Raises:
        ValueError: a length is not positive, or no scene has room for the warm-up and one step.
        DataError: there is no such split.
    """
    warm_up, scored = round(warm_up_s / REPLAN_S), int(duration_s / REPLAN_S + 1e-6)
    if scored < 1 or warm_up < 1:
        raise ValueError(f"duration_s and warm_up_s must be at least {REPLAN_S} s, got {duration_s} and {warm_up_s}")
    index = index if isinstance(index, Index) else Index.open(index)
    scenarios = []
    for scene in index.scenes_of(split).tolist():
        own = slice(*index["scene_frame_ptr"][scene : scene + 2])
        times_s = (index["frame_time_us"][own] - index["frame_time_us"][own.start : own.start + 1]) / 1e6
        yaw = se3.to_se2(index["frame_T_global_ego"][own])[:, 2]
        room = int((times_s[-1] + SLACK_S) / REPLAN_S) - warm_up if len(times_s) > 1 else 0
        length = min(scored, room)
        for number in range(room // length if length > 0 else 0):
            begin_s = number * length * REPLAN_S
            used = _keyframes(times_s, begin_s, begin_s + (warm_up + length) * REPLAN_S)
            if np.diff(times_s[used]).max() > MAX_STEP_RATIO * np.median(np.diff(times_s)):
                continue
            turned = se2.wrap_angle(yaw[used] - yaw[used.start])
            scenarios.append(
                LogScenario(
                    name=index["scene_name"][scene].decode(),
                    variant=number,
                    straight=bool(np.abs(turned).max() <= STRAIGHT_RAD),
                    index=str(index.folder),
                    data_root=str(index.data_root),
                    scene=scene,
                    start_s=begin_s + warm_up * REPLAN_S,
                    duration_s=length * REPLAN_S,
                    vehicle=vehicle,
                    idm=idm,
                )
            )
    if not scenarios:
        raise ValueError(
            f"{index.folder}: no scene of split {split!r} has {warm_up_s} s of warm-up and {REPLAN_S} s more, "
            f"without a gap in time"
        )
    return scenarios


def _keyframes(times_s: np.ndarray, begin_s: float, end_s: float) -> slice:
    """The keyframes from the last one before a stretch of time to the first one behind it."""
    first = max(int(np.searchsorted(times_s, begin_s + SLACK_S)) - 1, 0)
    last = int(np.searchsorted(times_s, end_s - SLACK_S))
    return slice(first, last + 1)


def log_environment(scenario: LogScenario, spec: PlannerSpec) -> LogEnvironment:
    """An episode of a scenario; each process reads a scene once.

    Raises:
        ValueError: the planner wants LiDAR, and the re-simulated one does not match the recorded one.
    """
    where = (scenario.index, scenario.data_root, scenario.scene)
    return LogEnvironment(
        _scene(*where),
        scenario.start_s,
        scenario.duration_s,
        spec.grid,
        spec.num_history,
        _lidar(*where) if spec.lidar else None,
        _road_map(*where),
        vehicle=scenario.vehicle,
        idm=scenario.idm,
    )


@lru_cache(maxsize=4)
def _scene(index: str, data_root: str, scene: int) -> LogScene:
    return LogScene(_index(index, data_root), scene)


@lru_cache(maxsize=4)
def _lidar(index: str, data_root: str, scene: int) -> CheckedLidar:
    return CheckedLidar.of(_scene(index, data_root, scene))


@lru_cache(maxsize=4)
def _road_map(index: str, data_root: str, scene: int) -> RoadMap | None:
    """What the data set's map expansion has around the recorded drive."""
    recorded = _scene(index, data_root, scene)
    low, high = recorded.ego[:, :2].min(0) - _MAP_MARGIN_M, recorded.ego[:, :2].max(0) + _MAP_MARGIN_M
    return load_road_map(data_root, recorded.location, (*low.tolist(), *high.tolist()))


@lru_cache(maxsize=4)
def _index(folder: str, data_root: str) -> Index:
    return Index.open(folder, data_root)

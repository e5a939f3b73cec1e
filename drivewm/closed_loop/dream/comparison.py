"""Dream against town, from the same state under the same controls: does in the one happen what happens in the other?

The ego drives the same way in both, to the bit. Beside the dream stand two others that are seen with the same eyes
(boxes found in voxels, roads that are voxels): a copy of the start, which learned nothing, and the town's own frames.
What the latter get wrong is the eyes' fault, and no dream can be expected to do better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from drivewm.closed_loop.dream.dreamer import Dreamer, WorldSpec
from drivewm.closed_loop.dream.environment import DreamEnvironment
from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.observation import Keyframe, to_frames
from drivewm.closed_loop.town import AGENT_RADIUS_M, TownEnvironment
from drivewm.dynamics.bicycle import Control, VehicleParameters
from drivewm.evaluation.functional.closed_loop import off_road_steps
from drivewm.evaluation.functional.collisions import overlaps
from drivewm.evaluation.functional.occupancy import class_sums, confusion_counts
from drivewm.geometry import se3
from drivewm.geometry.boxes import bev_corners
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import TownSimulator
from drivewm.simulation.simulator import DT_S
from drivewm.structures.labels import OCC3D
from drivewm.world_model.baselines import ego_warped_copy

DREAM, COPY, SEEN, TOWN = "dream", "copy", "seen", "town"
"""The dream; the start moved by the ego's motion; the town's frames with the dream's eyes; and the town's own truth."""
_STEPS = round(REPLAN_S / DT_S)
_NOBODY = PlannerSpec("nobody", TownEnvironment, num_history=2)
_ROAD = OCC3D.index("driveable_surface")


@dataclass(frozen=True)
class Comparison:
    """F steps of `REPLAN_S` from one state under the same controls.

    Attributes:
        sums: of `DREAM` and `COPY`: `(F, 3, C)` int64 `class_sums` against the town's occupancy, each frame in the ego
            frame of its time.
        touches: of all four: `(F,)` bool, does the ego's footprint touch anybody's box in a step, the boxes being the
            town's or those that are found in the frames?
        off_road: of all four: `(F,)` bool, is a corner of the ego off the drivable area at the end of a step, by the
            map or by the frames' voxels?
        poses: `(F + 1, 3)` of the ego at the keyframes, global.
    """

    sums: dict[str, np.ndarray]
    touches: dict[str, np.ndarray] = field(default_factory=dict)
    off_road: dict[str, np.ndarray] = field(default_factory=dict)
    poses: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def to_dict(self) -> dict:
        """Plain lists for JSON, without the sums."""
        events = {name: getattr(self, name) for name in ("touches", "off_road")}
        plain = {kind: {name: values.tolist() for name, values in by.items()} for kind, by in events.items()}
        return plain | {"poses": self.poses.round(3).tolist()}


def compare(
    town: TownEnvironment, dreamer: Dreamer, control: Callable[[TownSimulator], Control], steps: int
) -> Comparison:
    """Drive `steps` times `REPLAN_S` in a twin of the town, then the same way in the dream. The town stays as it is.

    Args:
        town: with keyframes on the world model's grid, at the state to begin with.
        dreamer: gives the dream's frames.
        control: of the ego, for one physics step of the twin.
        steps: F.
    """
    controls, true, touches, off_road, poses = _drive_town(town, dreamer.spec.grid, control, steps)
    sources = {DREAM: dreamer, COPY: _Copy(dreamer.spec, town.keyframes), SEEN: _Given(dreamer.spec, true)}
    comparison = Comparison({}, {TOWN: touches}, {TOWN: off_road}, poses)
    for name, source in sources.items():
        frames, comparison.touches[name] = _drive_dream(DreamEnvironment(town, source, _NOBODY), controls)
        off = [is_off_road(frame, dreamer.spec.grid, town.simulator.vehicle) for frame in frames]
        comparison.off_road[name] = np.array(off, bool)
        if name != SEEN:
            pairs = zip(frames, true, strict=True)
            counts = [confusion_counts(frame, truth, OCC3D.num_classes) for frame, truth in pairs]
            comparison.sums[name] = class_sums(np.array(counts))
    return comparison


def is_off_road(occupancy: np.ndarray, grid: VoxelGrid, vehicle: VehicleParameters) -> bool:
    """Is a corner of the ego where a frame `(X, Y, Z)` shows something, but no road, and nothing that stands on one?"""
    box = np.array([vehicle.rear_axle_to_center_m, 0.0, 0.0, vehicle.length_m, vehicle.width_m, 0.0, 0.0])
    corners = np.pad(bev_corners(box), [(0, 0), (0, 1)])
    cell, inside = grid.to_index(corners)
    columns = occupancy[cell[inside, 0], cell[inside, 1]]
    known = (columns != OCC3D.free).any(-1)
    return bool((known & ~np.isin(columns, [_ROAD, *OCC3D.things]).any(-1)).any())


def _drive_town(town: TownEnvironment, grid: VoxelGrid, control: Callable[[TownSimulator], Control], steps: int):
    """Controls of each step, the frames `(X, Y, Z)` at their ends, `touches (F,)`, `off_road (F,)`, keyframe poses."""
    twin, recorder = town.simulator.fork(), town.recorder.before()
    controls, frames = [], []
    recorder.add(twin.ego, twin.boxes(AGENT_RADIUS_M), twin.light_states()[1])
    for _ in range(steps):
        controls.append([])
        for _ in range(_STEPS):
            controls[-1].append(control(twin))
            twin.step(controls[-1][-1])
            recorder.add(twin.ego, twin.boxes(AGENT_RADIUS_M), twin.light_states()[1])
        frames.append(twin.occupancy(grid))
    rollout = recorder.rollout()
    touches, off_road = _in_steps(overlaps(rollout).any(1)), off_road_steps(rollout)[_STEPS::_STEPS]
    return controls, frames, touches, off_road, rollout.poses[::_STEPS]


def _drive_dream(dream: DreamEnvironment, controls: Sequence[Sequence[Control]]) -> tuple[list[np.ndarray], np.ndarray]:
    """The frames at the end of each step, and `touches (F,)`."""
    frames = []
    for step in controls:
        dream.step_controls(step)
        frames.append(dream.keyframes[-1].occupancy)
    return frames, _in_steps(overlaps(dream.rollout()).any(1))


def _in_steps(physics: np.ndarray) -> np.ndarray:
    """Of `(1 + F * S,)` bool at physics steps, whether any of each S is true: `(F,)`."""
    return physics[1:].reshape(-1, _STEPS).any(1)


@dataclass
class _Copy:
    """The observed frames, moved by the ego's motion since: in the place of a `Dreamer`."""

    spec: WorldSpec
    observed: Sequence[Keyframe]

    def next_frames(self, frames, T_global_ego, timestamp_us, generators) -> list[np.ndarray]:
        """As `Dreamer.next_frames`, of one episode."""
        history = to_frames([self.observed], self.spec.grid)
        T_t0_ego = se3.inverse(self.observed[-1].T_global_ego) @ T_global_ego
        return list(ego_warped_copy(history, torch.from_numpy(T_t0_ego).float()[None])[0].numpy())


@dataclass
class _Given:
    """Frames that are there already, one after the other: in the place of a `Dreamer`."""

    spec: WorldSpec
    given: Sequence[np.ndarray]

    def __post_init__(self) -> None:
        self._rest = iter(self.given)

    def next_frames(self, frames, T_global_ego, timestamp_us, generators) -> list[np.ndarray]:
        """As `Dreamer.next_frames`, of one episode."""
        return [next(self._rest)]

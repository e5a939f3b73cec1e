"""One recorded scene in physics steps: where the ego and all annotated objects were, and what stood around them.

This is the truth of a `log` environment, as the simulator is that of the town. Planners see what is observed of it.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from drivewm.closed_loop.log.occupancy import LogOccupancy
from drivewm.closed_loop.log.points import Sweep, read_sweeps
from drivewm.data import DataError, Index
from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.dynamics.bicycle import BicycleState, VehicleParameters
from drivewm.geometry import se2, se3
from drivewm.geometry.se2 import wrap_angle
from drivewm.simulation.simulator import DT_S
from drivewm.structures import OCC3D
from drivewm.structures.rollout import AgentTracks

SLACK_S = 0.01
"""A recording may be that much shorter than its steps: clocks are not exact. The last pose is held."""
_STEERS_FROM = 0.5
"""Below this speed [m/s] the recorded motion does not say where the wheels point: straight ahead."""
_CATEGORY = {OCC3D.index(label): name for name, label in reversed(CATEGORIES.items())}


class LogScene:
    """A scene of an index. T steps of `DT_S` from its first keyframe; N tracked objects.

    Attributes:
        name, location: of the scene.
        frames: its keyframes in the index.
        frame_times_s: `(F,)` of the keyframes, after the first [s].
        T_global_ego: `(T, 4, 4)` recorded ego pose at each step: cubic between keyframes, exact at them.
        ego: `(T, 5)` x, y [m], yaw [rad], speed [m/s], acceleration [m/s^2] along the ego's axis.
        yaw_rate: `(T,)` [rad/s].
        tracks: all boxes in the global frame, linear between consecutive keyframes that both have the object. Their
            velocities are those of the stretch before, so that nothing looks ahead; where there is none, of the next.
        category: a nuScenes category of each track's class.
        is_new: `(T, N)` bool: is the track there, and was it not a step before?
        route: `(P, 2)` global polyline, or None.

    Args:
        index: of the data set.
        scene: position in it.

    Raises:
        DataError: fewer than two keyframes, or their times do not increase.
    """

    def __init__(self, index: Index, scene: int) -> None:
        self.index, self.scene = index, scene
        self.name = index["scene_name"][scene].decode()
        self.location = index["scene_location"][scene].decode()
        self.frames = range(*(int(v) for v in index["scene_frame_ptr"][scene : scene + 2]))
        own = slice(self.frames.start, self.frames.stop)
        stamps = np.array(index["frame_time_us"][own])
        if len(stamps) < 2 or np.any(np.diff(stamps) <= 0):
            raise DataError(
                index.folder / "frame_time_us.npy", f"scene {self.name}", stamps.tolist(), "2 or more increasing stamps"
            )
        self.start_us = int(stamps[0])
        self.frame_times_s = (stamps - stamps[0]) / 1e6
        self.frame_poses = np.array(index["frame_T_global_ego"][own])
        times_s = DT_S * np.arange(int((self.frame_times_s[-1] + SLACK_S) / DT_S) + 1)
        self.T_global_ego, self.ego, self.yaw_rate = _motion(self.frame_times_s, self.frame_poses, times_s)
        self.tracks, self.is_new = _tracks(index, self.frames, self.frame_times_s, self.frame_poses, times_s)
        self.category = tuple(_CATEGORY[label] for label in self.tracks.label.tolist())
        route = np.array(index["route_xy"][slice(*index["scene_route_ptr"][scene : scene + 2])])
        self.route = route if len(route) >= 2 else None

    def __len__(self) -> int:
        return len(self.ego)

    def state(self, step: int, vehicle: VehicleParameters) -> BicycleState:
        """What the ego did at a step, as a vehicle's state."""
        x, y, yaw, speed, acceleration = self.ego[step].tolist()
        steer = 0.0
        if speed > _STEERS_FROM:
            steer = float(np.arctan(vehicle.wheelbase_m * self.yaw_rate[step] / speed))
            steer = min(max(steer, -vehicle.max_steer), vehicle.max_steer)
        return BicycleState(x, y, yaw, max(speed, 0.0), acceleration, steer)

    def lift(self, pose: np.ndarray) -> np.ndarray:
        """`T_global_ego (4, 4)` of an ego at `pose (3,)`, on the road plane of the nearest recorded pose."""
        near = int(np.hypot(self.ego[:, 0] - pose[0], self.ego[:, 1] - pose[1]).argmin())
        return self.T_global_ego[near] @ se3.from_se2(se2.relative(self.ego[near, :3], pose))

    def last_frame(self, step: int) -> int:
        """Number within the scene of the last keyframe at a step or before."""
        return int(np.searchsorted(self.frame_times_s, step * DT_S + 1e-6, side="right")) - 1

    def nearest_frame(self, pose: np.ndarray) -> int:
        """Number within the scene of the keyframe whose ego was nearest to `pose (3,)`."""
        return int(np.hypot(*(self.frame_poses[:, :2, 3] - pose[:2]).T).argmin())

    def red_lights(self, step: int) -> np.ndarray:
        """Stop lines `(N, 2)` [m, global] at lights that were not green at the last keyframe."""
        frame = self.frames[self.last_frame(step)]
        return np.array(self.index["light_xy"][slice(*self.index["frame_light_ptr"][frame : frame + 2])])

    def frame_boxes(self, number: int, in_global: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Boxes `(M, 7)` of a keyframe in its ego frame, or the global one, and their tracks `(M,)`."""
        rows = slice(*self.index["frame_box_ptr"][self.frames[number] : self.frames[number] + 2])
        boxes = _boxes(self.index, rows)
        if in_global:
            boxes = move_boxes(self.frame_poses[number], boxes)
        return boxes, np.array(self.index["box_track"][rows])

    @cached_property
    def occupancy(self) -> LogOccupancy:
        """What stands still, as voxels; read when first asked for. DataError if the scene has no labels."""
        boxes = [self.frame_boxes(number)[0] for number in range(len(self.frames))]
        return LogOccupancy.read(self.index, self.frames, self.frame_poses, boxes)

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """The sweeps of all keyframes; read when first asked for."""
        return read_sweeps(self.index, self.frames)


def _motion(
    frame_times_s: np.ndarray, frame_poses: np.ndarray, times_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses `(T, 4, 4)`, planar states `(T, 5)` and yaw rate `(T,)` at times between keyframes."""
    times_s = np.minimum(times_s, frame_times_s[-1])
    position = CubicSpline(frame_times_s, frame_poses[:, :3, 3])
    turning = CubicSpline(frame_times_s, np.unwrap(se3.to_se2(frame_poses)[:, 2]))
    rotation = Slerp(frame_times_s, Rotation.from_matrix(frame_poses[:, :3, :3]))(times_s).as_matrix()
    T_global_ego = se3.from_rt(rotation, position(times_s))
    pose = se3.to_se2(T_global_ego)
    forward = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=-1)
    speed, acceleration = ((position(times_s, order)[:, :2] * forward).sum(-1) for order in (1, 2))
    return T_global_ego, np.column_stack([pose, speed, acceleration]), turning(times_s, 1)


def move_boxes(T_dst_src: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes `(M, 7)` in another frame, by one transform `(4, 4)` or one each; they stay upright."""
    moved = np.array(boxes, np.float64)
    moved[:, :3] = (T_dst_src[..., :3, :3] @ boxes[:, :3, None])[..., 0] + T_dst_src[..., :3, 3]
    moved[:, 6] = wrap_angle(boxes[:, 6] + se3.to_se2(T_dst_src)[..., 2])
    return moved


def _boxes(index: Index, rows: slice) -> np.ndarray:
    columns = (index["box_center"][rows], index["box_size"][rows], index["box_yaw"][rows])
    return np.column_stack(columns).astype(np.float64)


def _tracks(
    index: Index, frames: range, frame_times_s: np.ndarray, frame_poses: np.ndarray, times_s: np.ndarray
) -> tuple[AgentTracks, np.ndarray]:
    """All boxes at times between keyframes, and `(T, N)` bool which of them were not there a step before."""
    pointer = np.array(index["frame_box_ptr"][frames.start : frames.stop + 1])
    rows = slice(int(pointer[0]), int(pointer[-1]))
    frame = np.repeat(np.arange(len(frames)), np.diff(pointer))
    track, first, slot = np.unique(index["box_track"][rows], return_index=True, return_inverse=True)
    boxes = move_boxes(frame_poses[frame], _boxes(index, rows))
    keyed, seen = np.zeros((len(frames), len(track), 7)), np.zeros((len(frames), len(track)), bool)
    keyed[frame, slot], seen[frame, slot] = boxes, True

    before = np.clip(np.searchsorted(frame_times_s, times_s + 1e-6, side="right") - 1, 0, len(frames) - 2)
    span_s = np.diff(frame_times_s)[before]
    share = np.clip((times_s - frame_times_s[before]) / span_s, 0.0, 1.0)[:, None]
    share = np.where(share > 1 - 1e-6, 1.0, np.where(share < 1e-6, 0.0, share))
    change = keyed[before + 1] - keyed[before]
    change[..., 6] = wrap_angle(change[..., 6])
    result = keyed[before] + share[..., None] * change
    valid = (seen[before] | (share == 1.0)) & (seen[before + 1] | (share == 0.0))
    result[~valid] = 0.0
    new = valid.copy()
    new[1:] &= ~valid[:-1]
    going = valid[1:] & valid[:-1]
    step = np.where(going[..., None], np.diff(result[..., :2], axis=0) / DT_S, 0.0)
    velocity = np.zeros((*valid.shape, 2))
    velocity[1:] = step
    velocity[:-1][new[:-1]] = step[new[:-1]]
    label = np.array(index["box_label"][rows])[first].astype(np.int64)
    return AgentTracks(result, velocity, label, track.astype(np.int64), valid), new

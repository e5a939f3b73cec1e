"""PandaSet (Xiao et al., 2021) as recordings: Pandar64 at 10 Hz, a class a point, tracked boxes, measured poses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError
from drivewm.data.nuscenes_schema import CATEGORIES, LIDARSEG_CATEGORIES
from drivewm.data.optical_centre import MIN_SHARPNESS, estimate_T_pose_lidar
from drivewm.data.recording import Recording, load_npz, split_sweeps
from drivewm.data.records import BoxRecord, pose_fields
from drivewm.geometry import boxes as box_geometry
from drivewm.geometry import se3
from drivewm.structures import OCC3D

KEYFRAME_S = 0.5

CLASSES: dict[str, str] = {
    "Smoke": "noise",
    "Exhaust": "noise",
    "Spray or rain": "noise",
    "Reflection": "noise",
    "Vegetation": "static.vegetation",
    "Ground": "flat.other",
    "Road": "flat.driveable_surface",
    "Lane Line Marking": "flat.driveable_surface",
    "Stop Line Marking": "flat.driveable_surface",
    "Other Road Marking": "flat.driveable_surface",
    "Sidewalk": "flat.sidewalk",
    "Driveway": "flat.driveable_surface",
    "Car": "vehicle.car",
    "Pickup Truck": "vehicle.truck",
    "Medium-sized Truck": "vehicle.truck",
    "Semi-truck": "vehicle.truck",
    "Towed Object": "vehicle.trailer",
    "Motorcycle": "vehicle.motorcycle",
    "Other Vehicle - Construction Vehicle": "vehicle.construction",
    "Other Vehicle - Uncommon": "vehicle.car",
    "Other Vehicle - Pedicab": "vehicle.bicycle",
    "Emergency Vehicle": "vehicle.emergency.police",
    "Bus": "vehicle.bus.rigid",
    "Personal Mobility Device": "human.pedestrian.personal_mobility",
    "Motorized Scooter": "vehicle.motorcycle",
    "Bicycle": "vehicle.bicycle",
    "Train": "vehicle.bus.bendy",
    "Trolley": "vehicle.bus.bendy",
    "Tram / Subway": "vehicle.bus.bendy",
    "Pedestrian": "human.pedestrian.adult",
    "Pedestrian with Object": "human.pedestrian.adult",
    "Animals - Bird": "animal",
    "Animals - Other": "animal",
    "Pylons": "movable_object.trafficcone",
    "Road Barriers": "movable_object.barrier",
    "Signs": "static.manmade",
    "Cones": "movable_object.trafficcone",
    "Construction Signs": "movable_object.barrier",
    "Temporary Construction Barriers": "movable_object.barrier",
    "Rolling Containers": "movable_object.pushable_pullable",
    "Building": "static.manmade",
    "Other Static Object": "static.manmade",
}
"""PandaSet's 42 point classes in order (the first is number 1), also the names of boxes; nuScenes-lidarseg's of each.

nuScenes counts pick-ups among the trucks and has neither rails nor rare vehicles: those go to what they drive like."""

_CATEGORY = ["static.other", *CLASSES.values()]
_NUMBER = np.array([list(LIDARSEG_CATEGORIES).index(c) for c in _CATEGORY], np.uint8)
_LABEL = np.array([OCC3D.index(LIDARSEG_CATEGORIES[c]) for c in _CATEGORY], np.uint8)
_ROAD = [1 + i for i, category in enumerate(CLASSES.values()) if category == "flat.driveable_surface"]
_ROAD_RADIUS_M, _MIN_ROAD_POINTS = 15.0, 1000
# Returns from the ego's own roof, in the frame of the published pose [m]: |x|, |y|, and z from.
_ROOF_HALF_WIDTH, _ROOF_HALF_LENGTH, _ROOF_FROM = 1.3, 3.0, 0.5


MORE_FIELDS = ("boxes", "box_class")


def read_pandaset(file: Path, keyframe_s: float = KEYFRAME_S) -> Recording:
    """The excerpt `pandaset_NNN_*.npz`, as `pandaset_recording` has it. Raises DataError."""
    number = re.search(r"pandaset_([0-9]{3})", file.name).group(1)
    return pandaset_recording(file, number, load_npz(file, MORE_FIELDS), keyframe_s)


def pandaset_recording(
    file: Path, number: str, arrays: dict[str, np.ndarray], keyframe_s: float = KEYFRAME_S
) -> Recording:
    """A sequence as a recording: sweeps at 10 Hz, a keyframe every half second.

    Points are published where they were at the end of their sweep, in a frame that is not the sensor's. Here each
    sweep stands at its middle, where the ego was half a sweep earlier (time and pose are moved there), and its points
    are seen from the optical centre that `optical_centre` finds; rays then start within half a sweep's motion of the
    truth. The ego frame lies on the road under the published frame's origin, level with the road, x forward.

    Args:
        file: where the arrays come from, for errors.
        number: of the sequence.
        arrays: as `load_npz` has them, with `boxes (M, 9)`: sweep, track, centre, length, width, height, yaw in the
            published LiDAR frame (y forward), and `box_class (M,)`, names as in `CLASSES`.
        keyframe_s: time between keyframes [s], rounded to whole sweeps, one at least.

    Raises:
        DataError: unknown classes, a road that is not seen, sweeps without rings.
    """
    _check(file, arrays)
    pointer, label = arrays["frame_ptr"], np.where(arrays["label"] == 255, 0, arrays["label"])
    points = split_sweeps(arrays["points"].astype(np.float64), pointer)
    sweep_s = float(np.median(np.diff(arrays["t"])))
    T_world_pose = arrays["T_world_lidar"]
    motion = _motion(T_world_pose, arrays["t"], sweep_s)
    # From the end of a sweep to its middle.
    middle = [p + 0.5 * m for p, m in zip(points, motion, strict=True)]
    T_world_middle = T_world_pose.copy()
    T_world_middle[:, :3, 3] -= 0.5 * (T_world_pose[:, :3, :3] @ motion[..., None])[..., 0]

    T_pose_ego = _on_the_road(file, np.concatenate(middle), label)
    keyframes, apart = (np.arange(0, len(points), max(1, round(s / sweep_s))) for s in (keyframe_s, KEYFRAME_S))
    seen = [k for k in apart if len(middle[k])]  # an empty sweep is an observation
    if not seen:
        raise DataError(file, "points", f"none in any sweep at {KEYFRAME_S} s", "sweeps of a spinning LiDAR")
    T_pose_lidar, sharpness = estimate_T_pose_lidar([middle[k] for k in seen], motion[seen])
    if sharpness < MIN_SHARPNESS:
        raise DataError(file, "points", f"no rings (sharpness {sharpness:.3f})", "sweeps of a spinning LiDAR, in order")
    labels = split_sweeps(label, pointer)
    T_world_ego = T_world_middle @ T_pose_ego
    T_global_world = se3.inverse(T_world_ego[0])
    keep = [~_on_roof(p) for p in points]
    labels = [c[k] for c, k in zip(labels, keep, strict=True)]
    T_lidar_pose = se3.inverse(T_pose_lidar)
    return Recording(
        name=f"pandaset-{number}",
        T_ego_lidar=se3.inverse(T_pose_ego) @ T_pose_lidar,
        T_global_ego=T_global_world @ T_world_ego,
        stamps_us=np.round((arrays["t"] - 0.5 * sweep_s) * 1e6).astype(np.int64),
        sweeps=[se3.transform_points(T_lidar_pose, p[k]) for p, k in zip(middle, keep, strict=True)],
        intensity=[v[k] for v, k in zip(split_sweeps(arrays["intensity"], pointer), keep, strict=True)],
        classes=[_LABEL[c] for c in labels],
        solid=[np.isin(c, _SOLID) for c in labels],
        keyframes=keyframes,
        boxes=[_boxes(arrays, k, points[k], T_global_world @ T_world_pose[k]) for k in keyframes],
        numbers=[_NUMBER[c] for c in labels],
    )


_SOLID = [i for i, category in enumerate(_CATEGORY) if category != "noise"]


def _check(file: Path, arrays: dict[str, np.ndarray]) -> None:
    frames, count = len(arrays["t"]), len(arrays["box_class"])
    if frames < 2:
        raise DataError(file, "t", f"{frames} sweeps", "two sweeps or more")
    label = arrays["label"]
    wrong = np.unique(label[(label > len(CLASSES)) & (label != 255)])
    if len(wrong):
        raise DataError(file, "label", wrong.tolist(), f"PandaSet's classes 1 to {len(CLASSES)}, 0 or 255 for none")
    boxes = arrays["boxes"]
    if boxes.shape != (count, 9):
        raise DataError(file, "boxes", f"shape {boxes.shape}", f"{(count, 9)}, as box_class has them")
    if not np.isfinite(boxes).all() or (boxes[:, 5:8] <= 0).any():
        raise DataError(file, "boxes", "NaN, infinite values or sizes that are not positive", "finite, positive sizes")
    if count and not np.isin(boxes[:, 0], np.arange(frames)).all():
        raise DataError(file, "boxes", "sweeps that are not there", f"sweeps 0 to {frames - 1} in column 0")
    pairs = np.unique(boxes[:, :2], axis=0)
    if len(pairs) != count:
        raise DataError(file, "boxes", "a track twice in a sweep", "one box a track and sweep")
    unknown = sorted(set(arrays["box_class"].tolist()).difference(CLASSES))
    if unknown:
        raise DataError(file, "box_class", unknown, f"PandaSet's classes ({', '.join(CLASSES)})")


def _motion(T_world_pose: np.ndarray, t: np.ndarray, sweep_s: float) -> np.ndarray:
    """How far the sensor moves during each sweep `(F, 3)` [m, pose frame], by centred differences."""
    velocity = np.gradient(T_world_pose[:, :3, 3], t, axis=0)
    return (np.swapaxes(T_world_pose[:, :3, :3], -1, -2) @ velocity[..., None])[..., 0] * sweep_s


def _on_the_road(file: Path, points: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`T_pose_ego`: on the plane through the road around the ego, under the pose's origin, x along the pose's y."""
    near = np.isin(label, _ROAD) & (np.hypot(points[:, 0], points[:, 1]) < _ROAD_RADIUS_M)
    if near.sum() < _MIN_ROAD_POINTS:
        expected = f"at least {_MIN_ROAD_POINTS} within {_ROAD_RADIUS_M} m"
        raise DataError(file, "label", f"{near.sum()} points of the road", expected)
    road = points[near]
    A = np.column_stack([road[:, :2], np.ones(len(road))])
    (slope_x, slope_y, height), *_ = np.linalg.lstsq(A, road[:, 2], rcond=None)
    up = np.array([-slope_x, -slope_y, 1.0]) / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    forward = np.array([0.0, 1.0, slope_y]) / np.hypot(1.0, slope_y)
    return se3.from_rt(np.column_stack([forward, np.cross(up, forward), up]), np.array([0.0, 0.0, height]))


def _on_roof(points: np.ndarray) -> np.ndarray:
    inside = (np.abs(points[:, 0]) < _ROOF_HALF_WIDTH) & (np.abs(points[:, 1]) < _ROOF_HALF_LENGTH)
    return inside & (points[:, 2] > _ROOF_FROM)


def _boxes(arrays: dict[str, np.ndarray], k: int, points: np.ndarray, T_global_pose: np.ndarray) -> list[BoxRecord]:
    """Annotations of sweep k. Signs are scenery in nuScenes and have none; attribute and visibility are not known."""
    records = []
    own = arrays["boxes"][:, 0] == k
    for (_, track, *box), name in zip(arrays["boxes"][own], arrays["box_class"][own], strict=True):
        x, y, z, length, width, height, yaw = box
        if CLASSES[name] not in CATEGORIES:
            continue
        translation, rotation = pose_fields(T_global_pose @ se3.from_xyzyaw(x, y, z, yaw))
        inside = int(box_geometry.points_in_boxes(points, np.array([box])).sum())
        size = [float(width), float(length), float(height)]
        records.append(BoxRecord(str(int(track)), CLASSES[name], "", translation, size, rotation, "", inside))
    return records

"""nuScenes v1.0's vocabulary: tables and their columns, categories with their Occ3D class, attributes, visibility."""

from __future__ import annotations

TABLES: dict[str, tuple[str, ...]] = {
    "attribute": ("token", "name", "description"),
    "calibrated_sensor": ("token", "sensor_token", "translation", "rotation", "camera_intrinsic"),
    "category": ("token", "name", "description"),
    "ego_pose": ("token", "timestamp", "rotation", "translation"),
    "instance": ("token", "category_token", "nbr_annotations", "first_annotation_token", "last_annotation_token"),
    "log": ("token", "logfile", "vehicle", "date_captured", "location"),
    "map": ("token", "log_tokens", "category", "filename"),
    "sample": ("token", "timestamp", "prev", "next", "scene_token"),
    "sample_annotation": (
        "token",
        "sample_token",
        "instance_token",
        "visibility_token",
        "attribute_tokens",
        "translation",
        "size",
        "rotation",
        "prev",
        "next",
        "num_lidar_pts",
        "num_radar_pts",
    ),
    "sample_data": (
        "token",
        "sample_token",
        "ego_pose_token",
        "calibrated_sensor_token",
        "timestamp",
        "fileformat",
        "is_key_frame",
        "height",
        "width",
        "filename",
        "prev",
        "next",
    ),
    "scene": (
        "token",
        "log_token",
        "nbr_samples",
        "first_sample_token",
        "last_sample_token",
        "name",
        "description",
    ),
    "sensor": ("token", "channel", "modality"),
    "visibility": ("token", "level", "description"),
}
"""The 13 tables of nuScenes v1.0 and the columns of each."""

LOCATIONS = ("singapore-onenorth", "singapore-queenstown", "boston-seaport", "singapore-hollandvillage")
"""The four locations that the devkit's map API knows."""

CATEGORIES: dict[str, str] = {
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.wheelchair": "others",
    "human.pedestrian.stroller": "others",
    "human.pedestrian.personal_mobility": "others",
    "human.pedestrian.police_officer": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "animal": "others",
    "vehicle.car": "car",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.truck": "truck",
    "vehicle.construction": "construction_vehicle",
    "vehicle.emergency.ambulance": "others",
    "vehicle.emergency.police": "others",
    "vehicle.trailer": "trailer",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "movable_object.pushable_pullable": "others",
    "movable_object.debris": "others",
    "static_object.bicycle_rack": "others",
}
"""nuScenes' 23 categories and the Occ3D class of each (that of nuScenes-lidarseg's 16-class challenge)."""

_BY_POINT = {
    "noise": "others",
    "flat.driveable_surface": "driveable_surface",
    "flat.other": "other_flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.other": "others",
    "static.vegetation": "vegetation",
    "vehicle.ego": "others",
}
_ORDER = (
    "noise",
    "animal",
    *sorted(name for name in CATEGORIES if name.startswith("human")),
    *sorted(name for name in CATEGORIES if name.startswith("movable_object")),
    "static_object.bicycle_rack",
    *sorted(name for name in CATEGORIES if name.startswith("vehicle")),
    *(name for name in _BY_POINT if name != "noise"),
)
LIDARSEG_CATEGORIES: dict[str, str] = {name: {**CATEGORIES, **_BY_POINT}[name] for name in _ORDER}
"""nuScenes-lidarseg's 32 categories by their number, and the Occ3D class of each."""

ATTRIBUTES: dict[str, str] = {
    "vehicle.moving": "Vehicle is moving.",
    "vehicle.stopped": "Vehicle, with a driver/rider in/on it, is currently stationary but has an intent to move.",
    "vehicle.parked": "Vehicle is stationary (usually for longer duration) with no immediate intent to move.",
    "cycle.with_rider": "There is a rider on the bicycle or motorcycle.",
    "cycle.without_rider": "There is NO rider on the bicycle or motorcycle.",
    "pedestrian.sitting_lying_down": "The human is sitting or lying down.",
    "pedestrian.standing": "The human is standing.",
    "pedestrian.moving": "The human is moving.",
}

VISIBILITY: dict[str, tuple[str, float, float]] = {
    "1": ("v0-40", 0.0, 0.4),
    "2": ("v40-60", 0.4, 0.6),
    "3": ("v60-80", 0.6, 0.8),
    "4": ("v80-100", 0.8, 1.0),
}
"""Token of each visibility level: its name, and the visible share of an object from and up to which it holds."""


def visibility_token(share: float) -> str:
    """Token of the visibility level of an object of which `share` in [0, 1] is seen."""
    return next((token for token, (_, _, upper) in VISIBILITY.items() if share <= upper), "4")

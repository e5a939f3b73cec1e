"""Rows of nuScenes' 13 tables for a set of scenes. Tokens are digests of what they name: equal input, equal rows."""

from __future__ import annotations

import hashlib

from drivewm.data.nuscenes_schema import ATTRIBUTES, CATEGORIES, VISIBILITY
from drivewm.data.records import BoxRecord, FrameRecord, SceneRecord


def token(key: str, scene: str, kind: str, index: int | str) -> str:
    """32 hex digits for the `index`-th thing of a `kind` in a scene; `key` tells data sets apart."""
    return hashlib.md5(f"{key}/{scene}/{kind}/{index}".encode(), usedforsecurity=False).hexdigest()


def make_tables(scenes: list[SceneRecord], key: str, map_files: dict[str, str]) -> dict[str, list[dict]]:
    """All tables.

    Args:
        scenes: in the order of scene.json.
        key: goes into every token, e.g. the seed.
        map_files: basemap mask of each location, relative to the data root.
    """
    category = {name: token(key, "", "category", name) for name in CATEGORIES}
    attribute = {name: token(key, "", "attribute", name) for name in ATTRIBUTES}
    sensor = token(key, "", "sensor", "LIDAR_TOP")
    tables: dict[str, list[dict]] = {
        "category": [
            {"token": t, "name": n, "description": f"Occ3D class: {CATEGORIES[n]}."} for n, t in category.items()
        ],
        "attribute": [{"token": t, "name": n, "description": ATTRIBUTES[n]} for n, t in attribute.items()],
        "visibility": [
            {
                "token": t,
                "level": level,
                "description": f"visibility of whole object is between {low:.0%} and {high:.0%}",
            }
            for t, (level, low, high) in VISIBILITY.items()
        ],
        "sensor": [{"token": sensor, "channel": "LIDAR_TOP", "modality": "lidar"}],
        **{
            name: []
            for name in (
                "calibrated_sensor",
                "log",
                "scene",
                "sample",
                "sample_data",
                "ego_pose",
                "instance",
                "sample_annotation",
            )
        },
    }
    for scene in scenes:
        _add_scene(tables, scene, key, sensor)
        _add_boxes(tables, scene, key, category, attribute)
    tables["map"] = [
        {
            "token": token(key, "", "map", location),
            "log_tokens": [token(key, scene.name, "log", 0) for scene in scenes if scene.location == location],
            "category": "semantic_prior",
            "filename": filename,
        }
        for location, filename in map_files.items()
    ]
    return tables


def _chain(key: str, scene: str, kind: str, index: int, count: int) -> dict[str, str]:
    """Token of the `index`-th of `count` rows of a kind in a scene, and of its neighbours."""
    return {
        "token": token(key, scene, kind, index),
        "prev": token(key, scene, kind, index - 1) if index > 0 else "",
        "next": token(key, scene, kind, index + 1) if index + 1 < count else "",
    }


def _add_scene(tables: dict[str, list[dict]], scene: SceneRecord, key: str, sensor: str) -> None:
    """Log, calibration, scene, and for each keyframe sample, sample_data and ego_pose."""
    name, count = scene.name, len(scene.frames)
    log, calibration = token(key, name, "log", 0), token(key, name, "calibrated_sensor", 0)
    tables["log"].append(
        {"token": log, "logfile": name, "vehicle": "ego", "date_captured": "", "location": scene.location}
    )
    tables["calibrated_sensor"].append(
        {
            "token": calibration,
            "sensor_token": sensor,
            "translation": scene.lidar_translation,
            "rotation": scene.lidar_rotation,
            "camera_intrinsic": [],
        }
    )
    tables["scene"].append(
        {
            "token": token(key, name, "scene", 0),
            "log_token": log,
            "nbr_samples": count,
            "first_sample_token": token(key, name, "sample", 0),
            "last_sample_token": token(key, name, "sample", count - 1),
            "name": name,
            "description": scene.description,
        }
    )
    for i, frame in enumerate(scene.frames):
        pose = token(key, name, "ego_pose", i)
        tables["sample"].append(
            {
                **_chain(key, name, "sample", i, count),
                "timestamp": frame.timestamp_us,
                "scene_token": token(key, name, "scene", 0),
            }
        )
        tables["ego_pose"].append(
            {
                "token": pose,
                "timestamp": frame.timestamp_us,
                "rotation": frame.ego_rotation,
                "translation": frame.ego_translation,
            }
        )
        tables["sample_data"].append(
            {
                **_chain(key, name, "sample_data", i, count),
                "sample_token": token(key, name, "sample", i),
                "ego_pose_token": pose,
                "calibrated_sensor_token": calibration,
                "timestamp": frame.timestamp_us,
                "fileformat": "pcd",
                "is_key_frame": True,
                "height": 0,
                "width": 0,
                "filename": frame.lidar_file,
            }
        )


def _add_boxes(tables: dict[str, list[dict]], scene: SceneRecord, key: str, category: dict, attribute: dict) -> None:
    """One instance a track, and its annotations chained in time."""
    tracks: dict[str, list[int]] = {}
    for i, frame in enumerate(scene.frames):
        for box in frame.boxes:
            tracks.setdefault(box.track, []).append(i)
    name = scene.name
    for track, frames in tracks.items():
        kind = f"annotation/{track}"
        boxes = [_box_of(scene.frames[i], track) for i in frames]
        instance = token(key, name, "instance", track)
        tables["instance"].append(
            {
                "token": instance,
                "category_token": category[boxes[0].category],
                "nbr_annotations": len(frames),
                "first_annotation_token": token(key, name, kind, 0),
                "last_annotation_token": token(key, name, kind, len(frames) - 1),
            }
        )
        for i, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            tables["sample_annotation"].append(
                {
                    **_chain(key, name, kind, i, len(frames)),
                    "sample_token": token(key, name, "sample", frame),
                    "instance_token": instance,
                    "visibility_token": box.visibility,
                    "attribute_tokens": [attribute[box.attribute]] if box.attribute else [],
                    "translation": box.translation,
                    "size": box.size,
                    "rotation": box.rotation,
                    "num_lidar_pts": box.num_lidar_pts,
                    "num_radar_pts": 0,
                }
            )


def _box_of(frame: FrameRecord, track: str) -> BoxRecord:
    return next(box for box in frame.boxes if box.track == track)

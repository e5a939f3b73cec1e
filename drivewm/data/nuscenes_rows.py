"""Rows of nuScenes' 13 tables for a set of scenes, and of lidarseg.json where points have classes."""

from __future__ import annotations

from drivewm.data.nuscenes_schema import ATTRIBUTES, CATEGORIES, LIDARSEG_CATEGORIES, VISIBILITY
from drivewm.data.records import BoxRecord, FrameRecord, SceneRecord
from drivewm.data.row_tokens import token
from drivewm.data.sensor_rows import sensor_tables


def make_tables(scenes: list[SceneRecord], key: str, map_files: dict[str, str]) -> dict[str, list[dict]]:
    """All tables. Without point classes there is no lidarseg, and the categories are those of the boxes alone.

    Args:
        scenes: in the order of scene.json.
        key: goes into every token, e.g. the seed.
        map_files: basemap mask of each location, relative to the data root.
    """
    of_sensors = sensor_tables(scenes, key)
    if not of_sensors["lidarseg"]:
        del of_sensors["lidarseg"]
    category = {name: token(key, "", "category", name) for name in LIDARSEG_CATEGORIES}
    attribute = {name: token(key, "", "attribute", name) for name in ATTRIBUTES}
    tables: dict[str, list[dict]] = {
        **of_sensors,
        "category": _categories(category, "lidarseg" in of_sensors),
        "attribute": [{"token": t, "name": n, "description": ATTRIBUTES[n]} for n, t in attribute.items()],
        "visibility": [
            {
                "token": t,
                "level": level,
                "description": f"visibility of whole object is between {low:.0%} and {high:.0%}",
            }
            for t, (level, low, high) in VISIBILITY.items()
        ],
        **{name: [] for name in ("log", "scene", "sample", "instance", "sample_annotation")},
    }
    for scene in scenes:
        _add_scene(tables, scene, key)
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


def _categories(category: dict[str, str], lidarseg: bool) -> list[dict]:
    """nuScenes' categories by name and token; with lidarseg those of points too, each with its number."""
    if not lidarseg:
        return [{"token": category[n], "name": n, "description": f"Occ3D class: {c}."} for n, c in CATEGORIES.items()]
    return [
        {"token": category[name], "name": name, "description": f"Occ3D class: {label}.", "index": number}
        for number, (name, label) in enumerate(LIDARSEG_CATEGORIES.items())
    ]


def _chain(key: str, scene: str, kind: str, index: int, count: int) -> dict[str, str]:
    """Token of the `index`-th of `count` rows of a kind in a scene, and of its neighbours."""
    return {
        "token": token(key, scene, kind, index),
        "prev": token(key, scene, kind, index - 1) if index > 0 else "",
        "next": token(key, scene, kind, index + 1) if index + 1 < count else "",
    }


def _add_scene(tables: dict[str, list[dict]], scene: SceneRecord, key: str) -> None:
    """Log, scene, and a sample for each keyframe."""
    name, count = scene.name, len(scene.frames)
    log = token(key, name, "log", 0)
    tables["log"].append(
        {"token": log, "logfile": name, "vehicle": "ego", "date_captured": "", "location": scene.location}
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
        tables["sample"].append(
            {
                **_chain(key, name, "sample", i, count),
                "timestamp": frame.timestamp_us,
                "scene_token": token(key, name, "scene", 0),
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

"""Rows of the tables that are about sensors: sensor, calibrated_sensor, sample_data, ego_pose, lidarseg."""

from __future__ import annotations

from drivewm.data.records import SceneRecord, SensorRecord
from drivewm.data.row_tokens import sample_data_token, token

SENSOR_TABLES = ("sensor", "calibrated_sensor", "sample_data", "ego_pose", "lidarseg")


def sensor_tables(scenes: list[SceneRecord], key: str) -> dict[str, list[dict]]:
    """Rows of `SENSOR_TABLES`.

    As in nuScenes a sensor is one row, its calibration one row a scene, and every file has an ego pose of its own,
    which bears the file's token. The files of a sensor are one chain through a scene, keyframes or not.

    Args:
        scenes: in the order of scene.json.
        key: goes into every token.
    """
    tables: dict[str, list[dict]] = {name: [] for name in SENSOR_TABLES}
    for channel in dict.fromkeys(sensor.channel for scene in scenes for sensor in scene.sensors):
        modality = "camera" if channel.startswith("CAM") else "lidar"
        tables["sensor"].append({"token": _sensor(key, channel), "channel": channel, "modality": modality})
    for scene in scenes:
        for sensor in scene.sensors:
            _add_sensor(tables, scene.name, sensor, key)
    return tables


def _sensor(key: str, channel: str) -> str:
    return token(key, "", "sensor", channel)


def _add_sensor(tables: dict[str, list[dict]], scene: str, sensor: SensorRecord, key: str) -> None:
    calibration = token(key, scene, "calibrated_sensor", sensor.channel)
    tables["calibrated_sensor"].append(
        {
            "token": calibration,
            "sensor_token": _sensor(key, sensor.channel),
            "translation": sensor.translation,
            "rotation": sensor.rotation,
            "camera_intrinsic": sensor.camera_intrinsic,
        }
    )
    tokens = [sample_data_token(key, scene, sensor.channel, data.timestamp_us) for data in sensor.data]
    for own, before, after, data in zip(tokens, ["", *tokens], [*tokens[1:], ""], sensor.data, strict=False):
        tables["ego_pose"].append(
            {
                "token": own,
                "timestamp": data.timestamp_us,
                "rotation": data.ego_rotation,
                "translation": data.ego_translation,
            }
        )
        tables["sample_data"].append(
            {
                "token": own,
                "prev": before,
                "next": after,
                "sample_token": token(key, scene, "sample", data.frame),
                "ego_pose_token": own,
                "calibrated_sensor_token": calibration,
                "timestamp": data.timestamp_us,
                "fileformat": "jpg" if sensor.camera_intrinsic else "pcd",
                "is_key_frame": data.is_key_frame,
                "height": sensor.height,
                "width": sensor.width,
                "filename": data.file,
            }
        )
        if data.lidarseg_file:
            tables["lidarseg"].append({"token": own, "sample_data_token": own, "filename": data.lidarseg_file})

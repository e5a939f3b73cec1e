"""The cameras in nuScenes' tables as columns of the index: the images of keyframes."""

from __future__ import annotations

import numpy as np

from drivewm.data.errors import DataError
from drivewm.data.files import resolve
from drivewm.data.nuscenes_tables import NuScenesTables


def image_columns(tables: NuScenesTables, frame_of_sample: np.ndarray) -> dict:
    """The index' image columns; none for a data set without cameras.

    A keyframe has the images that the tables list, of as many cameras as there are. Whether their files are there is
    not asked: who downloads LiDAR alone has none.

    Args:
        tables: of the data set.
        frame_of_sample: `(samples,)` keyframe number of each row of sample.json.

    Raises:
        DataError: intrinsics that are not those of a pinhole camera, a size that is none, or two images of one camera
            for one sample.
    """
    keyframes = [row for row in tables.rows["sample_data"] if row["is_key_frame"]]
    sensor = tables.follow("calibrated_sensor", "sensor_token", "sensor")
    calibration = tables.follow("sample_data", "calibrated_sensor_token", "calibrated_sensor", keyframes)
    sensors = [tables.rows["sensor"][sensor[i]] for i in calibration]
    found = [(r, i, s["channel"]) for r, i, s in zip(keyframes, calibration, sensors, strict=True) if _is_camera(s)]
    if not found:
        return {}
    frame = frame_of_sample[tables.follow("sample_data", "sample_token", "sample", [row for row, _, _ in found])]
    order = sorted(range(len(found)), key=lambda n: (frame[n], found[n][2]))
    _check_unique(tables, [(frame[n], *found[n]) for n in order])
    rows, frame = [found[n][0] for n in order], frame[order]
    calibrated = [tables.rows["calibrated_sensor"][found[n][1]] for n in order]
    poses = [tables.rows["ego_pose"][i] for i in tables.follow("sample_data", "ego_pose_token", "ego_pose", rows)]
    for row in rows:
        resolve(tables.root, row["filename"], tables.path("sample_data"), f"filename of {row['token']}")
    count = np.bincount(frame, minlength=len(frame_of_sample))
    return {
        "frame_image_ptr": np.concatenate([[0], np.cumsum(count)]),
        "image_channel": [found[n][2] for n in order],
        "image_file": [row["filename"] for row in rows],
        "image_size": _sizes(tables, rows),
        "image_K": _intrinsics(tables, calibrated),
        "image_T_ego_cam": tables.transforms("calibrated_sensor", calibrated),
        "image_T_global_ego": tables.transforms("ego_pose", poses),
    }


def _is_camera(sensor: dict) -> bool:
    return sensor["modality"] == "camera"


def _check_unique(tables: NuScenesTables, images: list[tuple[int, dict, int, str]]) -> None:
    for (frame, _, _, channel), (next_frame, row, _, next_channel) in zip(images, images[1:], strict=False):
        if (frame, channel) == (next_frame, next_channel):
            where = f"{channel} for sample {row['sample_token']}"
            raise DataError(tables.path("sample_data"), "is_key_frame", f"two images of {where}", "one")


def _sizes(tables: NuScenesTables, rows: list[dict]) -> np.ndarray:
    sizes = np.concatenate([tables.numbers("sample_data", name, 1, rows) for name in ("width", "height")], axis=1)
    bad = np.flatnonzero((sizes < 1).any(1) | (sizes != sizes.round()).any(1))
    if len(bad):
        found = f"{sizes[bad[0]].tolist()} in row {rows[bad[0]]['token']}"
        raise DataError(tables.path("sample_data"), "width, height", found, "whole numbers of pixels, 1 or more")
    return sizes


def _intrinsics(tables: NuScenesTables, calibrated: list[dict]) -> np.ndarray:
    """`K (N, 3, 3)`; rows repeat for all images of a scene, so each is looked at once."""
    distinct = {id(row): row for row in calibrated}
    checked = {key: _pinhole(tables, row) for key, row in distinct.items()}
    return np.stack([checked[id(row)] for row in calibrated])


def _pinhole(tables: NuScenesTables, row: dict) -> np.ndarray:
    file, field = tables.path("calibrated_sensor"), f"camera_intrinsic of {row['token']}"
    try:
        K = np.array(row["camera_intrinsic"], np.float64)
    except (TypeError, ValueError):
        raise DataError(file, field, "rows of another length or type", "3 x 3 numbers") from None
    if K.shape != (3, 3):
        raise DataError(file, field, f"shape {K.shape}", "3 x 3 numbers")
    upper = np.array_equal(K[[1, 2, 2, 2], [0, 0, 1, 2]], [0, 0, 0, 1])
    if not (np.isfinite(K).all() and upper and K[0, 0] > 0 and K[1, 1] > 0):
        expected = "finite numbers, upper triangular, positive focal lengths and 1 in the corner"
        raise DataError(file, field, K.tolist(), expected)
    return K

"""Opening a data set: our memory-mapped index against the nuscenes-devkit, which reads and links all tables."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, compare
from drivewm.data import Index, build_index
from drivewm.data.town import VERSION, write_town
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions
from drivewm.geometry import VoxelGrid, se3


def against_devkit() -> Row:
    """Four generated scenes of 8 s. The devkit's time grows with the tables, the index's does not: a row to inform."""
    from nuscenes import NuScenes

    with tempfile.TemporaryDirectory() as folder:
        grid = VoxelGrid.centered((16, 16, 4), 1.6)
        root = write_town(Path(folder) / "town", TownOptions(4, 0, grid, 8.0, LIDAR_KEYFRAMES))
        index = build_index(root)

        def devkit() -> NuScenes:
            with contextlib.redirect_stdout(io.StringIO()):
                return NuScenes(VERSION, str(root), verbose=False)

        return compare(lambda: Index.open(index.folder), devkit, _check_equal, goal=None)


def _check_equal(index: Index, nusc) -> None:
    """Both know the same keyframes, with the same ego poses."""
    tokens = [token.decode() for token in index["frame_token"]]
    if sorted(tokens) != sorted(sample["token"] for sample in nusc.sample):
        raise AssertionError("index and devkit hold different keyframes")
    for token, T_global_ego in zip(tokens, index["frame_T_global_ego"], strict=True):
        lidar = nusc.get("sample_data", nusc.get("sample", token)["data"]["LIDAR_TOP"])
        pose = nusc.get("ego_pose", lidar["ego_pose_token"])
        expected = se3.from_quaternion(np.array(pose["rotation"]), np.array(pose["translation"]))
        if not np.allclose(T_global_ego, expected, atol=1e-9):
            raise AssertionError(f"the pose of sample {token} differs")

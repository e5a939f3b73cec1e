"""The reader on nuScenes as it is published: its own splits, other sensors beside the LiDAR, no file of ours."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.geometry_utils import view_points
from pyquaternion import Quaternion

from drivewm.data import DataError, DriveClips, build_index
from drivewm.geometry import OCC3D_GRID
from drivewm.structures import OCC3D, Command
from tests.data import handmade, one_sample

_REAL = os.environ.get("DRIVEWM_REAL_DATA")


@pytest.fixture
def published(tmp_path) -> Path:
    """The handmade data set without anything that nuScenes does not have, under names of nuScenes' splits."""
    root = handmade.write(tmp_path / "nuscenes")
    for name in ("splits.json", "dataset.json"):
        (root / name).unlink()
    for folder in ("gts", "can_bus"):
        shutil.rmtree(root / folder)
    path = root / handmade.VERSION / "scene.json"
    rows = json.loads(path.read_text())
    for row, name in zip(rows, ("scene-0061", "scene-0001", "scene-0103"), strict=True):
        row["name"] = name
    path.write_text(json.dumps(rows))
    return root


def test_splits_are_nuscenes_own_and_what_is_absent_is_none(published):
    index = build_index(published)
    assert {"train", "val", "mini_train", "mini_val"} <= set(index.split_names) and "test" not in index.split_names
    assert index.grid is None and index.occupancy is None
    clips = DriveClips(index, "mini_train", 2, 3)
    assert set(clips.scene_names) == {"scene-0061"}
    clip = clips[0]["clip"]
    assert clip.occupancy is None and clip.visible is None and clip.command.tolist() == [Command.NONE]
    assert set(DriveClips(index, "val", 2, 3).scene_names) == {"scene-0103"}
    with pytest.raises(DataError, match="no labels"):
        DriveClips(index, "val", 2, 3, load_occupancy=True)


def test_labels_without_a_description_are_on_occ3ds_grid(published):
    tokens = [row["token"] for row in json.loads((published / handmade.VERSION / "sample.json").read_text())][-8:]
    semantics = np.full(OCC3D_GRID.shape, OCC3D.free, np.uint8)
    for number, token in enumerate(tokens):
        semantics[number] = number
        folder = published / "gts" / "scene-0103" / token
        folder.mkdir(parents=True)
        mask = np.ones(OCC3D_GRID.shape, np.uint8)
        np.savez_compressed(folder / "labels.npz", semantics=semantics, mask_lidar=mask, mask_camera=mask)
    clips = DriveClips(build_index(published), "val", 1, 1)
    clip = clips[6]["clip"]
    assert clip.grid == OCC3D_GRID and clip.occupancy.shape == (1, 2, 200, 200, 16)
    assert clip.occupancy[0, 1, :9, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, OCC3D.free]


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
def test_a_real_keyframe(tmp_path):
    """One published keyframe, its tables completed by what the excerpt leaves out."""
    root = one_sample.complete(_REAL, tmp_path / "nuscenes")
    index = build_index(root)
    clip = DriveClips(index, "mini_train", 1, 0, load_points=True)[0]["clip"]
    assert clip.scene == ("scene-0061",)
    assert 20_000 < clip.points_valid.sum() < 34_688  # less the own vehicle
    devkit = NuScenes(one_sample.VERSION, str(root), verbose=False)
    record = devkit.get("sample_data", devkit.sample[0]["data"]["LIDAR_TOP"])
    pose = devkit.get("ego_pose", record["ego_pose_token"])
    np.testing.assert_allclose(clip.T_global_ego[0, 0, :3, 3].numpy(), pose["translation"])
    # Points close to the vehicle and low are road: z = 0 in the ego frame.
    points = clip.points[0, 0].numpy()
    reach = np.hypot(points[:, 0], points[:, 1])
    low = points[(reach > 4) & (reach < 10) & (np.abs(points[:, 2]) < 0.5)]
    assert len(low) > 3000 and abs(np.median(low[:, 2])) < 0.1


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
def test_six_real_images(tmp_path):
    """Points of the LiDAR fall into the images where the devkit's own chain of calibrations and poses puts them."""
    root = one_sample.complete(_REAL, tmp_path / "nuscenes")
    options = dict(load_points=True, load_images=True, image_size=(400, 224))
    clip = DriveClips(build_index(root), "mini_train", 1, 0, **options)[0]["clip"]
    assert clip.images.shape == (1, 1, 6, 3, 224, 400) and clip.images_valid.all()
    assert (clip.images.float().flatten(3).std(-1) > 20).all()
    devkit = NuScenes(one_sample.VERSION, str(root), verbose=False)
    points = clip.points[0, 0, clip.points_valid[0, 0], :3].double().numpy()
    seen = 0
    for v, camera in enumerate(clip.cameras):
        record = devkit.get("sample_data", devkit.sample[0]["data"][camera])
        pose = devkit.get("ego_pose", record["ego_pose_token"])
        calibration = devkit.get("calibrated_sensor", record["calibrated_sensor_token"])
        own = points @ clip.T_global_ego[0, 0, :3, :3].numpy().T + clip.T_global_ego[0, 0, :3, 3].numpy()
        for step in (pose, calibration):
            own = (own - step["translation"]) @ Quaternion(step["rotation"]).rotation_matrix
        own = own[own[:, 2] > 1.0]
        uv = view_points(own.T, np.array(calibration["camera_intrinsic"]), normalize=True)[:2].T
        inside = ((uv > 0) & (uv < (1600, 900))).all(1)
        T_cam_ego = np.linalg.inv(clip.T_ego_cam[0, 0, v].double().numpy())
        ours = points @ T_cam_ego[:3, :3].T + T_cam_ego[:3, 3]
        ours = ours[ours[:, 2] > 1.0] @ clip.K[0, 0, v].double().numpy().T
        ours = ours[:, :2] / ours[:, 2:]
        np.testing.assert_allclose(ours[inside], (uv[inside] - (0, 2)) / 4, atol=0.05)
        seen += inside.sum()
    assert seen > 10_000

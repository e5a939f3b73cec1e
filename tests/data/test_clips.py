"""Clips against the content that a data set was written from."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from drivewm.data import DataError, DriveClips, Index, build_index, collate
from drivewm.geometry import se3
from drivewm.structures import OCC3D, Command
from tests.data import handmade


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return build_index(handmade.write(tmp_path_factory.mktemp("handmade") / "set"))


def box_of(clip, frame: int, label: str):
    """Slots of a class that are valid in a frame."""
    return torch.nonzero(clip.boxes.valid[0, frame] & (clip.boxes.label[0, frame] == OCC3D.index(label)))[:, 0]


def on_ego(points: np.ndarray) -> np.ndarray:
    """Returns from the own vehicle by 4D-Occ's rule for nuScenes, in the LiDAR frame."""
    return (np.abs(points[:, 0]) <= 0.8) & (points[:, 1] >= -1.5) & (points[:, 1] <= 2.5)


def test_windows_stay_within_scenes_and_short_scenes_give_none(index):
    clips = DriveClips(index, "train", 2, 3)
    assert clips.scene_names == ["scene-2001"] * 5
    assert DriveClips(index, "train", 2, 3, stride=2).starts.tolist() == [0, 2, 4]
    assert DriveClips(index, "train", 1, 2).scene_names == ["scene-2001"] * 7 + ["scene-2002"]
    assert len(DriveClips(index, "val", 1, 0)) == 8
    for item in range(len(clips)):
        clip = clips[item]["clip"]
        assert len(clip) == 1 and clip.num_frames == 5 and clip.num_history == 2 and clip.scene == ("scene-2001",)
        expected = np.stack([handmade.ego_pose("scene-2001", item + k) for k in range(5)])
        np.testing.assert_allclose(clip.T_global_ego[0].numpy(), expected, atol=1e-9)
        assert torch.diff(clip.timestamp_us[0]).tolist() == [handmade.STEP_US] * 4


def test_windows_within_some_frames_of_a_scene(index):
    """Two parts of a scene share no frame, and together have all windows but those across the border."""
    parts = [DriveClips(index, "train", 2, 1, within=within) for within in ((0, 4), (4, None))]
    assert [part.starts.tolist() for part in parts] == [[0, 1, 9], [4, 5, 6]]
    whole = DriveClips(index, "train", 2, 1)
    assert DriveClips(index, "train", 2, 1, within=[0, 99]).starts.tolist() == whole.starts.tolist()
    with pytest.raises(DataError, match="for 5 that are 1 apart, within frames 0 to 4"):
        DriveClips(index, "train", 2, 3, within=(0, 4))
    for wrong in ((-1, 4), (4, 4)):
        with pytest.raises(ValueError, match="within must go from a frame >= 0 up to a later one"):
            DriveClips(index, "train", 2, 1, within=wrong)


def test_all_scenes_too_short_is_an_error(index):
    with pytest.raises(DataError, match="1 scenes of at most 8 keyframes.*a scene of 9 keyframes"):
        DriveClips(index, "val", 4, 5)


@pytest.mark.parametrize("cached", [True, False])
def test_occupancy_and_visible_are_what_was_written(index, tmp_path, cached):
    if not cached:
        index = build_index(index.data_root, out=tmp_path / "index", cache_occupancy=False)
    assert (index.occupancy is not None) == cached
    clip = DriveClips(index, "train", 2, 3)[1]["clip"]
    for k in range(5):
        semantics, visible = handmade.labels("scene-2001", 1 + k)
        np.testing.assert_array_equal(clip.occupancy[0, k].numpy(), semantics)
        np.testing.assert_array_equal(clip.visible[0, k].numpy(), visible)
    assert clip.grid == handmade.GRID
    without = DriveClips(index, "train", 2, 3, load_occupancy=False, load_boxes=False)[0]["clip"]
    assert without.occupancy is None and without.visible is None and without.boxes is None and without.points is None


def test_points_are_in_the_ego_frame_of_their_own_keyframe(index):
    clip = DriveClips(index, "val", 2, 1, load_points=True)[3]["clip"]
    for k in range(3):
        raw = handmade.sweep("scene-2003", 3 + k)
        raw = raw[~on_ego(raw)]
        points = clip.points[0, k][clip.points_valid[0, k]].numpy()
        np.testing.assert_allclose(points, se3.transform_points(handmade.T_EGO_LIDAR, raw[:, :4]), atol=1e-5)
    # The LiDAR's y axis looks forward: a point ahead of the sensor is ahead of the ego.
    ahead = se3.transform_points(clip.T_ego_lidar[0, 0].double().numpy(), np.array([[0.0, 10.0, 0.0]]))
    np.testing.assert_allclose(ahead, [[10.9, 0.0, 1.8]], atol=1e-6)


def test_boxes_keep_their_slot_and_their_place(index):
    clip = DriveClips(index, "train", 2, 3)[0]["clip"]
    (slot,) = set(torch.cat([box_of(clip, k, "car") for k in range(5)]).tolist())
    for k in range(5):
        T_ego_global = se3.inverse(handmade.ego_pose("scene-2001", k))
        written = handmade.boxes("scene-2001", k)[0]
        center = se3.transform_points(T_ego_global, np.array([written.translation]))[0]
        np.testing.assert_allclose(clip.boxes.center[0, k, slot].numpy(), center, atol=1e-4)
        np.testing.assert_allclose(clip.boxes.size[0, k, slot].numpy(), [4.5, 1.8, 1.6], atol=1e-6)
        assert clip.boxes.yaw[0, k, slot].item() == pytest.approx(0.3 - 0.1 * k, abs=2e-3)  # the ego is tilted a little
        velocity = T_ego_global[:3, :3] @ handmade.CAR_SPEED
        if k != 1:
            np.testing.assert_allclose(clip.boxes.velocity[0, k, slot].numpy(), velocity[:2], atol=1e-4)
    assert clip.boxes.valid.sum(-1).tolist() == [[2, 3, 1, 1, 1]]
    assert clip.boxes.track[0, :, slot].unique().numel() == 1
    barrier = box_of(clip, 1, "barrier")
    assert torch.isnan(clip.boxes.velocity[0, 1, barrier]).all()


def test_velocity_at_t0_ignores_the_future(index):
    """The devkit's centred difference would look one keyframe ahead of t0."""
    shifted = {name: np.array(index[name]) for name in ("box_velocity", "box_velocity_past")}
    clip = DriveClips(index, "train", 2, 3)[2]["clip"]
    (slot,) = box_of(clip, 1, "car").tolist()
    frame = 3
    row = int(index["frame_box_ptr"][frame])
    np.testing.assert_array_equal(clip.boxes.velocity[0, 1, slot].numpy(), shifted["box_velocity_past"][row])
    first = DriveClips(index, "train", 1, 3)[0]["clip"]
    assert torch.isnan(first.boxes.velocity[0, 0][first.boxes.valid[0, 0]]).all()


def test_route_and_command_come_from_the_route(index):
    clips = DriveClips(index, "train", 1, 1)
    clip = clips[0]["clip"]
    assert clip.command.tolist() == [Command.LEFT]
    assert clip.route.valid.all()
    np.testing.assert_allclose(clip.route.points[0, :5].numpy(), [[2.5 * i, 0.0] for i in range(5)], atol=1e-3)
    none = DriveClips(index, "val", 1, 1)[0]["clip"]
    assert none.command.tolist() == [Command.NONE] and not none.route.valid.any()


def test_a_route_that_was_left_counts_as_none(index):
    index["scene_route_ptr"]  # noqa: B018
    moved = Index(**{**vars(index), "columns": {**index.columns, "route_xy": np.array(index["route_xy"]) + 30.0}})
    assert DriveClips(moved, "train", 1, 1)[0]["clip"].command.tolist() == [Command.NONE]


def test_a_gap_in_time_is_not_spanned(index):
    time = np.array(index["frame_time_us"])
    time[4:9] += 700_000  # scene-2001 lacks a keyframe and a bit after its fourth
    gapped = Index(**{**vars(index), "columns": {**index.columns, "frame_time_us": time}})
    assert DriveClips(gapped, "train", 1, 2).starts.tolist() == [0, 1, 4, 5, 6, 9]


def test_collate_pads_points_and_boxes(index):
    clips = DriveClips(index, "train", 1, 1, load_points=True)
    batch = collate([clips[0], clips[6]])["clip"]
    assert len(batch) == 2 and batch.scene == ("scene-2001", "scene-2001")
    count = [len(points) - on_ego(points).sum() for points in (handmade.sweep("scene-2001", k) for k in (0, 1, 6, 7))]
    assert batch.points_valid.sum(-1).flatten().tolist() == count
    assert batch.boxes.valid.sum(-1).tolist() == [[2, 3], [1, 1]]


def test_a_worker_process_gets_the_folder_and_not_the_data(index):
    clips = DriveClips(index, "train", 2, 3)
    packed = pickle.dumps(clips)
    assert len(packed) < 2000
    again = pickle.loads(packed)
    torch.testing.assert_close(again[3]["clip"].occupancy, clips[3]["clip"].occupancy)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_impossible_window_sizes(index, sizes):
    with pytest.raises(ValueError, match="num_history >= 1"):
        DriveClips(index, "train", *sizes)


def test_unknown_split_names_those_that_exist(index):
    with pytest.raises(DataError, match="'test', expected one of train, val"):
        DriveClips(index, "test", 1, 1)

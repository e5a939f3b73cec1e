"""KITTI odometry in its public layout: a yard whose walls are known, its splits, and what can be wrong on disk."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from drivewm.data import DataError, DriveClips, Index, MissingFileError, StaleIndexError, build_kitti_index, collate
from drivewm.geometry import se3
from tests.data import handmade_kitti as handmade
from tests.data import yard


@pytest.fixture
def root(tmp_path):
    handmade.write_sequence(tmp_path / "kitti", "04")
    return tmp_path / "kitti"


def load_all(root) -> None:
    clips = DriveClips(build_kitti_index(root), "train", 2, 2, load_points=True)
    for item in range(len(clips)):
        clips[item]


def test_walls_stand_still_while_the_vehicle_turns(root):
    """Fails for an inverted `Tr`, an inverted T_ego_lidar, or a forward axis taken for nuScenes' y."""
    index = build_kitti_index(root)
    clips = DriveClips(index, "train", 3, 3, load_points=True)
    assert len(clips) == yard.FRAMES - 5 and index.sweep_format == "kitti"
    yard.check_clip(clips[0]["clip"])
    clip = clips[5]["clip"]
    yard.check_clip(clip)
    np.testing.assert_allclose(clip.T_ego_lidar[0, 0].numpy(), handmade.T_EGO_VELO, atol=1e-6)
    assert clip.boxes.valid.numel() == 0 and clip.occupancy is None and not clip.route.valid.any()
    assert clip.scene == ("04",) and clip.sample_token == ("kitti-04-000007",)


def test_forward_is_x_and_the_ground_is_at_zero(root):
    clip = DriveClips(build_kitti_index(root), "train", 1, 1, load_points=True)[0]["clip"]
    points = clip.points[0, 0].numpy()
    wall = np.abs(points[:, 0] - yard.WALL_X) < 1e-4
    assert wall.sum() >= 72 and np.abs(points[wall, 1]).max() < 8.1
    assert (np.abs(points[:, 2]) < 1e-4).sum() == 36
    step = se3.inverse(clip.T_global_ego[0, 0].numpy()) @ clip.T_global_ego[0, 1].numpy()
    assert step[0, 3] == pytest.approx(0.4, abs=1e-4) and step[1, 3] == pytest.approx(0.02, abs=1e-4)


def test_own_roof_is_removed_and_reflectance_scaled(root):
    points = DriveClips(build_kitti_index(root), "train", 1, 0, load_points=True)[0]["clip"].points[0, 0]
    assert len(points) == len(handmade.sweep(0)) - 2
    torch.testing.assert_close(points[:, 3], torch.full((len(points),), 255 * handmade.REFLECTANCE))


@pytest.mark.parametrize(("frame_step", "windows"), [(1, 9), (2, 6)])
def test_frames_are_a_step_apart(root, frame_step, windows):
    clips = DriveClips(build_kitti_index(root), "train", 2, 2, frame_step=frame_step, load_points=True)
    assert clips.starts.tolist() == list(range(windows))
    clip = clips[1]["clip"]
    assert torch.diff(clip.timestamp_us[0]).tolist() == [100_000 * frame_step] * 3
    assert clip.sample_token == (f"kitti-04-{1 + frame_step:06d}",)
    assert clips.sample_tokens[1] == clip.sample_token[0]
    yard.check_clip(clip)
    only = DriveClips(clips.index, "train", 2, 2, frame_step=frame_step, sample_tokens=clip.sample_token)
    assert only.starts.tolist() == [1]


def test_the_protocols_windows(tmp_path):
    """5 in, 5 out: 1 s at a step of 2, which spans 19 sweeps, 3 s at a step of 6, which spans 55."""
    handmade.write_sequence(tmp_path, "08", 56)
    index = build_kitti_index(tmp_path)
    assert len(DriveClips(index, "test", 5, 5, frame_step=2)) == 56 - 18
    clip = DriveClips(index, "test", 5, 5, frame_step=6)[1]["clip"]
    assert clip.times_s()[0].tolist() == pytest.approx([0.6 * k for k in range(10)])
    with pytest.raises(DataError, match="a scene of 64 keyframes without a gap, for 10 that are 7 apart"):
        DriveClips(index, "test", 5, 5, frame_step=7)


def test_a_missing_sweep_is_a_gap(root):
    (root / "sequences" / "04" / "velodyne" / "000005.bin").unlink()
    index = build_kitti_index(root)
    assert DriveClips(index, "train", 2, 1).starts.tolist() == [0, 1, 2, 5, 6, 7, 8]
    assert DriveClips(index, "train", 2, 1, frame_step=2).starts.tolist() == [0, 5, 6]
    yard.check_clip(DriveClips(index, "train", 2, 1, load_points=True)[3]["clip"])


def test_splits_are_those_of_4d_occ(tmp_path, caplog):
    for number in (0, 5, 6, 7, 8, 10):
        handmade.write_sequence(
            tmp_path, f"{number:02d}", 2, "sequences/{}/poses.txt" if number == 6 else "poses/{}.txt"
        )
    handmade.write_sequence(tmp_path, "11", 2, poses="")
    (tmp_path / "sequences" / "03").mkdir()
    with caplog.at_level(logging.WARNING):
        index = build_kitti_index(tmp_path)
    assert "sequence 11 has no published poses" in caplog.text and "sequence 03 has no sweeps" in caplog.text
    names = {split: sorted(set(DriveClips(index, split, 1, 1).scene_names)) for split in index.split_names}
    assert names == {"train": ["00", "05"], "val": ["06", "07"], "test": ["08", "10"]}


def test_earlier_frames_are_the_sweeps(root):
    clips = DriveClips(build_kitti_index(root), "train", 1, 1, load_points=True, num_sweeps=3)
    count = len(yard.on_walls())
    assert clips[0]["clip"].points_valid.sum(-1).tolist() == [[count, 2 * count]]  # the scene has no more
    clip = clips[6]["clip"]
    yard.check_clip(clip)
    for k in range(2):
        found, number = torch.unique(clip.points_time_s[0, k].round(decimals=4), return_counts=True)
        torch.testing.assert_close(found, torch.tensor([-0.2, -0.1, 0.0]))
        assert number.tolist() == [count] * 3


def test_clips_are_collated(root):
    clips = DriveClips(build_kitti_index(root), "train", 1, 1, load_points=True, num_sweeps=2)
    batch = collate([clips[0], clips[3]])["clip"]
    count = len(yard.on_walls())
    assert batch.points_valid.sum(-1).tolist() == [[count, 2 * count], [2 * count] * 2]


def test_an_empty_sweep_is_an_observation(root):
    (root / "sequences" / "04" / "velodyne" / "000001.bin").write_bytes(b"")
    clips = DriveClips(build_kitti_index(root), "train", 1, 1, load_points=True)
    assert clips[0]["clip"].points_valid.sum(-1)[0, 1] == 0
    (root / "sequences" / "04" / "velodyne" / "000002.bin").write_bytes(b"")
    clip = DriveClips(build_kitti_index(root, overwrite=True), "train", 1, 1, load_points=True)[1]["clip"]
    assert clip.points.shape == (1, 2, 0, 4)


def edit_line(path, number: int, line: str | None) -> None:
    """Replaces a line of a file, None: deletes it."""
    lines = path.read_text().splitlines()
    lines[number : number + 1] = [] if line is None else [line]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("poses/04.txt", None, "04.txt: lines: found 11, expected 12 or more"),
        ("poses/04.txt", "1 2 3", "04.txt: lines: found '1 2 3' in line 12, expected 12 numbers"),
        ("poses/04.txt", "nan " * 12, "in line 12, expected finite numbers"),
        ("poses/04.txt", "2 0 0 0 0 1 0 0 0 0 1 0", "no rotation in row 12"),
        ("sequences/04/times.txt", None, "times.txt: lines: found 11, expected 12 or more"),
        ("sequences/04/times.txt", "0.5", "times.txt: times: found 500000 us after 1000000 us, at kitti-04-000011"),
        ("sequences/04/times.txt", "soon", "found 'soon' in line 12"),
        ("sequences/04/calib.txt", None, "calib.txt: Tr: found 0 lines"),
        ("sequences/04/calib.txt", "Tr: 1 0 0 0", "calib.txt: Tr: found .* expected 12 numbers"),
        ("sequences/04/calib.txt", "Tr: 0 1 0 0 1 0 0 0 0 0 1 0", "calib.txt: Tr: found no rotation"),
    ],
)
def test_tables_that_do_not_hold(root, file, line, words):
    edit_line(root / file, 2 if "calib" in file else 11, line)
    with pytest.raises(DataError, match=words):
        build_kitti_index(root)
    assert not (root / "index").exists()


@pytest.mark.parametrize("file", ["poses/04.txt", "sequences/04/times.txt", "sequences/04/calib.txt"])
def test_missing_tables(root, file):
    (root / file).unlink()
    with pytest.raises(MissingFileError, match="poses/04.txt" if "poses" in file else file):
        build_kitti_index(root)


def test_no_sequence_at_all(tmp_path):
    with pytest.raises(MissingFileError, match="sequences/NN"):
        build_kitti_index(tmp_path)
    handmade.write_sequence(tmp_path, "12", 2, poses="")
    with pytest.raises(DataError, match="only sequences 12, expected one of 00 to 10"):
        build_kitti_index(tmp_path)


def test_sweeps_that_are_broken(root):
    path = root / "sequences" / "04" / "velodyne" / "000003.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-6])
    with pytest.raises(DataError, match="000003.bin: size: .* a multiple of 16 bytes"):
        load_all(root)
    path.write_bytes(whole)
    index = build_kitti_index(root, overwrite=True)
    path.write_bytes(whole[:-16])
    with pytest.raises(DataError, match="000003.bin: size: .* as when the index was built"):
        DriveClips(index, "train", 2, 2, load_points=True)[0]
    points = np.frombuffer(whole, np.float32).reshape(-1, 4).copy()
    points[5, 1] = np.nan
    points.tofile(path)
    clips = DriveClips(index, "train", 2, 2, load_points=True)
    with pytest.raises(DataError, match="000003.bin: points: found 1 of .* points with NaN"):
        clips[0]
    with pytest.raises(DataError, match="000003.bin: points: found 1 of .* points with NaN"):
        list(DataLoader(clips, num_workers=1, collate_fn=collate))
    path.unlink()
    with pytest.raises(MissingFileError, match="000003.bin"):
        DriveClips(index, "train", 2, 2, load_points=True)[0]
    (path.parent / "last.bin").write_bytes(whole)
    with pytest.raises(DataError, match="last.bin: name: found last.bin, expected six digits"):
        build_kitti_index(root, overwrite=True)


def test_an_index_of_other_poses_is_stale(root):
    index = build_kitti_index(root)
    edit_line(root / "poses" / "04.txt", 0, handmade.pose_lines(2)[1])
    with pytest.raises(StaleIndexError, match="poses/04.txt changed"):
        Index.open(index.folder)

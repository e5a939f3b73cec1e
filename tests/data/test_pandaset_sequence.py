"""PandaSet in its public layout: the same drive as the excerpt gives the same recording; what can be wrong on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drivewm.data import DataError, DriveClips, MissingFileError, build_index
from drivewm.data.pandas_pickle import read_frame
from drivewm.data.pandaset_recording import read_pandaset
from drivewm.data.pandaset_sequence import find_sequences, read_sequence
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid, se3
from tests.data import handmade_pandaset as handmade
from tests.data import handmade_pickle

GRID = VoxelGrid.centered((64, 64, 8), 0.8)


@pytest.fixture
def sequence(tmp_path):
    return handmade.write_sequence(tmp_path / "pandaset" / "009")


@pytest.mark.parametrize("old", [True, False])
def test_both_layouts_give_the_same_recording(tmp_path, old):
    """Fails for a pose taken the wrong way round, for points of PandarGT, and for a yaw that is counted from x."""
    found = read_sequence(handmade.write_sequence(tmp_path / "009", old=old))
    expected = read_pandaset(handmade.write(tmp_path / "pandaset_009.npz"))
    assert found.name == expected.name == "pandaset-009"
    for name in ("T_ego_lidar", "T_global_ego", "keyframes", "stamps_us"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-4)
    for name in ("sweeps", "intensity", "classes", "solid", "numbers"):
        for mine, theirs in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-3)
    for mine, theirs in zip(found.boxes, expected.boxes, strict=True):
        assert [box.category for box in mine] == [box.category for box in theirs] == ["vehicle.car"]
        np.testing.assert_allclose(mine[0].translation, theirs[0].translation, atol=1e-3)
        np.testing.assert_allclose(mine[0].size, theirs[0].size)
        np.testing.assert_allclose(mine[0].rotation, theirs[0].rotation, atol=1e-4)
        assert mine[0].num_lidar_pts == theirs[0].num_lidar_pts


def test_walls_stand_still_and_sweeps_lie_between_keyframes(sequence, tmp_path):
    out = convert_recording(sequence, tmp_path / "set", GRID)
    index = build_index(out)
    assert index.num_frames == 2 and np.diff(index["frame_sweep_ptr"]).tolist() == [0, 4]
    clip = DriveClips(index, "val", 1, 1, load_points=True, num_sweeps=5)[0]["clip"]
    T_world_ego = se3.from_xyzyaw(0.0, 0.0, 0.0, 0.1 + np.pi / 2)
    origin = (handmade.pose(0.0) @ np.array([0.0, 0.5 * handmade.SPEED * handmade.SWEEP_S, -0.4, 1.0]))[:2]
    T_world_ego[:2, 3] = origin
    for k in range(2):
        points = clip.points[0, k][clip.points_valid[0, k]].double().numpy()
        there = se3.transform_points(T_world_ego @ clip.T_global_ego[0, k].numpy(), points[:, :3])
        high = there[:, 2] > 2.2  # above car and ground: walls alone
        off = np.abs(np.abs(there[high, :2]).max(axis=1) - handmade.WALL_M)
        assert high.sum() > 1000 * (1, 5)[k] and np.median(off) < 0.1 and np.percentile(off, 90) < 0.3
        times = clip.points_time_s[0, k][clip.points_valid[0, k]]
        assert times.max() == 0 and times.min() == pytest.approx((0.0, -0.4)[k], abs=1e-4)


def test_several_sequences_are_one_data_set(sequence, tmp_path):
    handmade.write_sequence(sequence.with_name("011"))
    assert [path.name for path in find_sequences(sequence.parent)] == ["009", "011"]
    index = build_index(convert_recording(sequence.parent, tmp_path / "set", GRID))
    assert DriveClips(index, "val", 1, 1).scene_names == ["pandaset-009", "pandaset-011"]
    with pytest.raises(MissingFileError, match="SEQ/lidar/NN.pkl.gz"):
        convert_recording(tmp_path / "set" / "gts", tmp_path / "other", GRID)


def test_an_empty_sweep_is_an_observation(sequence, tmp_path):
    """A keyframe and a sweep between keyframes in which Pandar64 met nothing."""
    for k in (2, 5):
        path, label = (sequence / folder / f"{k:02d}.pkl.gz" for folder in ("lidar", "annotations/semseg"))
        nothing = {name: values[:0] for name, values in read_frame(path, ("x", "y", "z", "i", "t", "d")).items()}
        handmade_pickle.write(path, handmade_pickle.frame(nothing))
        handmade_pickle.write(label, handmade_pickle.frame({"class": np.zeros(0, np.int64)}))
    index = build_index(convert_recording(sequence, tmp_path / "set", GRID))
    clip = DriveClips(index, "val", 1, 1, load_points=True)[0]["clip"]
    assert clip.points_valid.sum(-1)[0, 0] > 1000 and clip.points_valid.sum(-1)[0, 1] == 0


def edit(path, change) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))


def moved_away(row: dict) -> dict:
    return {**row, "position": {**row["position"], "x": float("nan")}}


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("lidar/poses.json", lambda rows: rows[:-1], "poses.json: rows: found 6, expected 7 or more"),
        ("lidar/poses.json", lambda rows: [{}, *rows[1:]], "poses.json: rows: found something else .'position'"),
        ("lidar/poses.json", lambda rows: [moved_away(rows[0]), *rows[1:]], "poses.json: rows: .* not finite"),
        ("lidar/timestamps.json", lambda rows: rows[:-1], "timestamps.json: rows: found 6"),
        (
            "lidar/timestamps.json",
            lambda rows: [rows[1], *rows[1:]],
            "timestamps.json: rows: found times that do not",
        ),
        ("lidar/timestamps.json", lambda rows: ["soon", *rows[1:]], "timestamps.json: rows: found something else"),
        ("annotations/semseg/classes.json", lambda names: {**names, "7": "Sky"}, "class 7: found Sky, expected Road"),
    ],
)
def test_tables_that_do_not_hold(sequence, tmp_path, file, change, words):
    edit(sequence / file, change)
    with pytest.raises(DataError, match=words):
        convert_recording(sequence, tmp_path / "set", GRID)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "file",
    [
        "lidar/poses.json",
        "lidar/timestamps.json",
        "annotations/cuboids/03.pkl.gz",
        "annotations/semseg/03.pkl.gz",
        "annotations/semseg/classes.json",
    ],
)
def test_missing_files(sequence, file):
    (sequence / file).unlink()
    with pytest.raises(MissingFileError, match=file):
        read_sequence(sequence)


def test_frames_that_do_not_hold(sequence):
    path = sequence / "annotations" / "semseg" / "02.pkl.gz"
    whole = path.read_bytes()
    handmade_pickle.write(path, handmade_pickle.frame({"class": np.zeros(4, np.int64)}))
    with pytest.raises(DataError, match="02.pkl.gz: class: found 4 rows, expected"):
        read_sequence(sequence)
    path.write_bytes(whole)
    path = sequence / "lidar" / "02.pkl.gz"
    whole = path.read_bytes()
    columns = read_frame(path, ("x", "y", "z", "i", "t", "d"))
    handmade_pickle.write(path, handmade_pickle.frame({**columns, "x": columns["x"].astype(str).astype(object)}))
    with pytest.raises(DataError, match="02.pkl.gz: x: found values of type object, expected numbers"):
        read_sequence(sequence)
    columns["z"] = np.where(np.arange(len(columns["z"])) == 5, np.nan, columns["z"])
    handmade_pickle.write(path, handmade_pickle.frame(columns))
    with pytest.raises(DataError, match="lidar/02.pkl.gz: z: found 1 of .* values NaN or infinite"):
        read_sequence(sequence)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="lidar/02.pkl.gz: "):
        read_sequence(sequence)
    path.write_bytes(whole)
    path.rename(path.with_name("last.pkl.gz"))
    with pytest.raises(DataError, match="last.pkl.gz: name"):
        read_sequence(sequence)

"""Forecasts in files: what was written is read, and what is wrong is refused by file and field."""

import json

import numpy as np
import pytest

from drivewm.data import DataError, MissingFileError, UnsafePathError
from drivewm.data.predictions import PredictionSet, write_prediction
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D

GRID = VoxelGrid.centered((5, 4, 3), 0.8)
FRAMES, TOKENS = 6, ("one", "two")


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((FRAMES, OCC3D.num_classes, *GRID.shape)).astype(np.float16)
    return {
        "labels": rng.integers(0, OCC3D.num_classes, (FRAMES, *GRID.shape)).astype(np.uint8),
        "times_s": np.arange(1, FRAMES + 1) * 0.5,
        "T_t0_ego": np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)),
        "probabilities": probabilities,
        "seconds": np.float64(0.25),
    }


@pytest.fixture
def predictions(tmp_path):
    found = PredictionSet(tmp_path, "mine", "planner", 4, FRAMES, GRID, TOKENS)
    for seed, token in enumerate(TOKENS):
        write_prediction(found.path(token), arrays(seed))
    found.write()
    return found


def test_what_was_written_is_read(predictions):
    again = PredictionSet.open(predictions.folder)
    assert again == predictions
    for seed, token in enumerate(TOKENS):
        found = again.read(token)
        assert set(found) == set(arrays())
        for name, array in arrays(seed).items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_labels_and_times_are_enough_under_the_given_pose(predictions):
    given = PredictionSet(predictions.folder, "mine", "given", 4, FRAMES, GRID, TOKENS)
    write_prediction(given.path("one"), {k: arrays()[k] for k in ("labels", "times_s")})
    assert set(given.read("one")) == {"labels", "times_s"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, r"one.npz: labels: found only \["),
        ({"times_s": None}, "one.npz: times_s: found only"),
        ({"T_t0_ego": None}, "one.npz: T_t0_ego: found only"),
        ({"labels": np.zeros((5, *GRID.shape), np.uint8)}, r"one.npz: labels: found uint8 of shape \(5, 5, 4, 3\)"),
        ({"labels": np.zeros((FRAMES, *GRID.shape), np.int64)}, "one.npz: labels: found int64"),
        ({"labels": np.full((FRAMES, *GRID.shape), 18, np.uint8)}, "one.npz: labels: found uint8 up to 18"),
        ({"labels": np.zeros((FRAMES, *GRID.shape), np.uint16)}, "one.npz: labels: found uint16"),
        ({"times_s": np.full(FRAMES, np.nan)}, "one.npz: times_s: found NaN"),
        ({"T_t0_ego": np.zeros((FRAMES, 3, 4))}, r"one.npz: T_t0_ego: found float64 of shape \(6, 3, 4\)"),
        ({"probabilities": np.zeros((FRAMES, 17, *GRID.shape), np.float16)}, "one.npz: probabilities: found float16"),
        ({"label": np.zeros(3)}, "one.npz: label: found an array of that name, expected one of .*labels"),
    ],
)
def test_a_bad_window_is_refused_by_file_and_field(predictions, change, message):
    changed = {name: array for name, array in (arrays() | change).items() if array is not None}
    write_prediction(predictions.path("one"), changed)
    with pytest.raises(DataError, match=message):
        predictions.read("one")
    predictions.read("two")


def test_broken_and_missing_files(predictions):
    whole = predictions.path("one").read_bytes()
    for content in (b"", b"junk", whole[: len(whole) // 2]):
        predictions.path("one").write_bytes(content)
        with pytest.raises(DataError, match="one.npz: content: found a broken archive"):
            predictions.read("one")
    np.savez(predictions.path("one"), labels=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="one.npz: content"):
        predictions.read("one")
    predictions.path("two").unlink()
    with pytest.raises(MissingFileError, match="two.npz: file: found nothing, expected the window two"):
        predictions.read("two")
    with pytest.raises(UnsafePathError):
        predictions.read("../two")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name: found ''"),
        ("name", None, "name: found None"),
        ("ego_pose", 3, "ego_pose: found 3"),
        ("num_history", 0, "num_history: found 0"),
        ("num_future", "6", "num_future: found '6'"),
        ("grid", {"range_m": [0, 0, 0, 1, 1, 1]}, "grid: found .*expected range_m"),
        ("grid", {"range_m": [0, 0, 0, 1, 1, 1], "voxel_m": 0.3}, "grid: found .*whole number of voxels"),
        ("windows", [], r"windows: found \[\]"),
        ("windows", ["one", "one"], "windows: found tokens that are no text or come twice"),
    ],
)
def test_a_bad_description_is_refused_by_field(predictions, field, value, message):
    path = predictions.folder / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(DataError, match=f"predictions.json: {message}"):
        PredictionSet.open(predictions.folder)


def test_a_folder_without_description_is_not_complete(tmp_path):
    with pytest.raises(MissingFileError, match="predictions.json"):
        PredictionSet.open(tmp_path)

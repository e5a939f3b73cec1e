"""Argoverse 2's logs: a real one where it is, and how the reader fails."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from drivewm.closed_loop.realism.argoverse import argoverse_scenes
from drivewm.closed_loop.realism.rollouts import EGO_TRACK, now_step
from drivewm.data import DataError
from drivewm.data.argoverse import DT_S, read_argoverse
from drivewm.structures import OCC3D

_REAL = os.environ.get("DRIVEWM_REAL_DATA")
_LOGS = [] if _REAL is None else sorted(Path(_REAL).glob("*/city_SE3_egovehicle.feather"))
_PYARROW = importlib.util.find_spec("pyarrow") is not None


@pytest.mark.skipif(not _LOGS, reason="DRIVEWM_REAL_DATA names no log in Argoverse 2's layout")
@pytest.mark.skipif(not _PYARROW, reason="pyarrow is not installed")
def test_a_real_log_is_consistent():
    log = read_argoverse(_LOGS[0].parent)
    tracks = log.tracks
    assert len(log.category) == tracks.valid.shape[1] and len(log.T_global_ego) == len(tracks.valid)
    assert log.road_map.is_drivable(log.T_global_ego[:, :2, 3]).all()
    cars = np.flatnonzero((tracks.label == OCC3D.index("car")) & tracks.valid.all(0))
    assert len(cars)
    assert np.ptp(tracks.boxes[:, cars, 3:6], axis=0).max() < 1e-6  # a rigid body keeps its size
    # Smoothed velocities add up to the way that was driven, and nobody is as fast as a mix-up of frames would be.
    driven = tracks.velocity[:, cars].sum(0) * DT_S
    assert np.abs(driven - np.ptp(tracks.boxes[[0, -1]][:, cars, :2], axis=0) * np.sign(driven)).max() < 1.5
    assert np.hypot(*np.moveaxis(tracks.velocity, -1, 0)).max() < 30.0
    scenes = argoverse_scenes(log)
    for scene in scenes:
        assert EGO_TRACK in scene.subjects and scene.tracks.valid[now_step()].any()
        features = scene.features(scene.tracks)
        assert features.speed.shape == (80, len(scene.subjects))


@pytest.mark.skipif(_PYARROW, reason="pyarrow is installed")
def test_without_pyarrow_it_says_what_to_install(tmp_path):
    with pytest.raises(DataError, match="pyarrow"):
        read_argoverse(tmp_path)


@pytest.mark.skipif(not _PYARROW, reason="pyarrow is not installed")
def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"annotations\.feather"):
        read_argoverse(tmp_path)
    (tmp_path / "annotations.feather").write_bytes(b"no feather file")
    with pytest.raises(DataError, match="feather file"):
        read_argoverse(tmp_path)

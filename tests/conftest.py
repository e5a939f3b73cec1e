"""One small town data set, generated once a test run and read by every test that needs data."""

from __future__ import annotations

from pathlib import Path

import mmengine.config  # noqa: F401  (see below)
import pytest

from drivewm.data import Index, build_index
from drivewm.data.town import write_town
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions
from drivewm.geometry import VoxelGrid
from tests.data import handmade_cameras

# mmengine.config imports yapf, which at its first import on a machine writes a cache that a second process may find
# half written. Importing it here fills the cache before pytest-xdist starts its workers.

TOWN_SEED = 8


@pytest.fixture(scope="session")
def town_grid() -> VoxelGrid:
    """The town data set's grid: 32 x 32 x 8 voxels of 0.8 m."""
    return VoxelGrid.centered((32, 32, 8), 0.8)


@pytest.fixture(scope="session")
def town_root(tmp_path_factory, town_grid) -> Path:
    """A town data set of 4 scenes (3 train, 1 val) of 6 s, 13 keyframes of LiDAR each. Do not write into it."""
    out = tmp_path_factory.mktemp("town") / "set"
    return write_town(out, TownOptions(4, TOWN_SEED, town_grid, 6.0, LIDAR_KEYFRAMES))


@pytest.fixture(scope="session")
def camera_index(tmp_path_factory) -> Index:
    """The index of two scenes (1 train, 1 val) with images of nuScenes' six cameras and a sweep of no use."""
    return build_index(handmade_cameras.write(tmp_path_factory.mktemp("cameras") / "set", handmade_cameras.SIX))


@pytest.fixture(scope="session")
def town_index(town_root) -> Index:
    """Its index, with decoded labels."""
    return build_index(town_root)

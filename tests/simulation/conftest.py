"""One small town for all tests of the simulation."""

import pytest

from drivewm.geometry import VoxelGrid
from drivewm.simulation import Town


@pytest.fixture(scope="session")
def small_town() -> Town:
    return Town.generate(3, "test-town", extent_m=220.0)


@pytest.fixture(scope="session")
def grid() -> VoxelGrid:
    return VoxelGrid((-25.6, -25.6, -1.0, 25.6, 25.6, 5.4), 0.8)

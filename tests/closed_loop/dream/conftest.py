"""A tiny world model with random weights that dreams on a small grid, and a town to begin in."""

import pytest

from drivewm.closed_loop.dream.dreamer import WorldSpec
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.geometry import VoxelGrid
from drivewm.world_model import WorldModel
from tests.world_model.tiny import make_model

GRID = VoxelGrid((-9.6, -12.8, -1.0, 22.4, 12.8, 5.4), 0.8)
TOKENIZER = dict(grid=dict(range_m=GRID.range_m, voxel_m=GRID.voxel_m))


def build_model() -> WorldModel:
    return make_model(TOKENIZER, depth=1, imagine_steps=2, horizon=2)


@pytest.fixture(scope="session")
def world() -> WorldSpec:
    return WorldSpec(build_model, GRID, num_history=3, identity="tiny")


@pytest.fixture(scope="session")
def scenarios():
    """Two of 2 s behind the warm-up, in one town."""
    return held_out_scenarios(2, seed=1, scored_s=2.0)

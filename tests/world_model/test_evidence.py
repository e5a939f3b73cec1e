"""What streams tell of space: voxel by voxel, and nothing where nothing is known."""

import numpy as np
import pytest
import torch

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.world_model.beside import Beside
from drivewm.world_model.evidence import Lifted, SolidPoints, SolidVoxels

HERE = VoxelGrid((-4.8, -4.8, -0.6, 4.8, 4.8, 3.0), 0.6)
THERE = VoxelGrid((-4.0, -3.2, -0.8, 4.0, 3.2, 1.6), 0.8)
"""Smaller than the other, with voxels of another size."""


@pytest.fixture
def labels():
    return torch.randint(0, OCC3D.num_classes + 1, (2, *THERE.shape), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture
def cloud():
    rng = torch.Generator().manual_seed(0)
    return PointCloud(12 * torch.rand(2, 300, 4, generator=rng) - 6, torch.rand(2, 300, generator=rng) < 0.7)


def test_labels_are_read_at_the_centres(labels):
    """Voxel by voxel, by the grid's own index."""
    found = SolidVoxels(labels, THERE).on(HERE).permute(0, 2, 3, 1)
    index, inside = THERE.to_index(HERE.centers())
    label = labels[(slice(None), *torch.from_numpy(index).unbind(-1))].numpy()
    expected = np.where(label == OCC3D.free, -1, 1) * (inside & (label < OCC3D.num_classes))
    assert np.array_equal(found, expected)
    assert {-1.0, 0.0, 1.0} == set(found.unique().tolist())


def test_points_are_where_they_lie(cloud):
    found = SolidPoints(cloud).on(HERE).permute(0, 2, 3, 1)
    expected = np.zeros((2, *HERE.shape))
    for frame, points, valid in zip(expected, cloud.points, cloud.valid, strict=True):
        index, inside = HERE.to_index(points[valid].numpy())
        frame[tuple(index[inside].T)] = 1
    assert np.array_equal(found, expected)


def test_columns_keep_their_place():
    columns = torch.arange(32.0).view(1, 2, 4, 4)
    found = Lifted(torch.zeros(1, 1, 1), columns).on(HERE)
    assert torch.equal(found[..., ::4, ::4], columns) and torch.equal(found[..., 3::4, 3::4], columns)


def test_nothing_known_is_nothing_read(labels, cloud):
    beside = Beside(HERE, HERE.shape[2], 8)
    evidence = SolidVoxels(labels, THERE), SolidPoints(cloud)
    assert not any(beside(own).any() for own in evidence)  # before anything is learned
    torch.nn.init.normal_(beside.layers[-1].weight)
    assert all(beside(own).any() for own in evidence)
    unknown = SolidVoxels(torch.full_like(labels, OCC3D.num_classes), THERE)
    hidden = SolidPoints(PointCloud(cloud.points, torch.zeros_like(cloud.valid)))
    none = SolidPoints(PointCloud.empty(2, torch.device("cpu")))
    assert not any(beside(own).any() for own in (unknown, hidden, none))

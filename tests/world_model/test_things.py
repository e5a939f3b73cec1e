"""Things move as wholes: compared with a flood fill written out cell by cell."""

import pytest
import torch

from drivewm.structures import OCC3D
from drivewm.world_model.moved_history import moved_history
from drivewm.world_model.things import as_wholes
from tests.world_model.tiny import GRID, make_clip

CAR, BUS, ROAD = OCC3D.index("car"), OCC3D.index("bus"), OCC3D.index("driveable_surface")


def scattered(share: float = 0.3):
    """Cars and buses in some columns at random, at any height, over a road."""
    clip, generator = make_clip(batch=3), torch.Generator().manual_seed(0)
    now = torch.full_like(clip.occupancy[:, -1], OCC3D.free)
    now[..., 0] = ROAD
    there = torch.rand(now.shape[:3], generator=generator) < share
    label = torch.where(torch.rand(now.shape[:3], generator=generator) < 0.6, CAR, BUS).to(now.dtype)
    height = torch.randint(1, 4, now.shape[:3], generator=generator)[..., None]
    now.scatter_(3, height, torch.where(there, label, OCC3D.free)[..., None].to(now.dtype))
    clip.occupancy[:, clip.num_history - 1] = now
    return clip.history(), torch.where(there, label, 0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def flood_filled(displacement: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The literal reading: from each cell to all its neighbours of the same class in the same clip."""
    even, done = displacement.clone(), label == 0
    for start in (label > 0).nonzero().tolist():
        if done[tuple(start)]:
            continue
        thing, queue = [], [start]
        done[tuple(start)] = True
        while queue:
            b, i, j = cell = queue.pop()
            thing.append(cell)
            for k in range(max(i - 1, 0), min(i + 2, label.shape[1])):
                for m in range(max(j - 1, 0), min(j + 2, label.shape[2])):
                    if not done[b, k, m] and label[b, k, m] == label[b, i, j]:
                        done[b, k, m] = True
                        queue.append([b, k, m])
        rows = torch.tensor([cell[1] for cell in thing]), torch.tensor([cell[2] for cell in thing])
        middle = displacement[start[0]][..., rows[0], rows[1]].sort(-1).values[..., (len(thing) - 1) // 2]
        even[start[0]][..., rows[0], rows[1]] = middle[..., None]
    return even


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 1.0])
def test_equal_to_a_flood_fill(share):
    history, label = scattered(share)
    displacement = noise(3, 2, 2, *GRID.shape[:2])
    assert torch.equal(as_wholes(displacement, history), flood_filled(displacement, label))


def test_cells_of_a_coarser_field_hold_what_is_in_any_of_their_columns():
    history, label = scattered(0.05)
    coarse = noise(3, 2, 2, GRID.shape[0] // 2, GRID.shape[1] // 2)
    pooled = torch.nn.functional.max_pool2d(label.float(), 2)
    assert torch.equal(as_wholes(coarse, history), flood_filled(coarse, pooled))


def test_nothing_there_and_nothing_changes():
    history, _ = scattered(0.0)
    displacement = noise(3, 2, 2, *GRID.shape[:2])
    assert torch.equal(as_wholes(displacement, history), displacement)


def test_a_thing_arrives_untorn():
    clip = make_clip(batch=1)
    clip.T_global_ego[:] = torch.eye(4)
    clip.occupancy[:] = OCC3D.free
    clip.occupancy[:, :, 4:8, 6:9, 1:3] = CAR
    displacement = 0.8 * GRID.voxel_m * noise(1, 4, 2, *GRID.shape[:2])
    displacement[:, :, 0] += 3 * GRID.voxel_m
    arguments, moves = (clip.history(), clip.future_poses()), torch.ones(1, *GRID.shape[:2], dtype=torch.bool)
    torn = moved_history(*arguments, displacement, moves)
    whole = moved_history(*arguments, as_wholes(displacement, clip.history()), moves)
    expected = torch.zeros_like(whole, dtype=torch.bool)
    expected[:, :, 7:11, 6:9, 1:3] = True
    assert torch.equal(whole == CAR, expected)
    assert not torch.equal(torn == CAR, expected)

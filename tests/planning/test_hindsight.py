"""Hindsight: plans against what was recorded, with a wall across the road that the driver stopped before."""

from dataclasses import replace

import torch

from drivewm.geometry import VoxelGrid, se2
from drivewm.planning.cost import imagined_score
from drivewm.planning.hindsight import Hindsight, at_another_speed
from drivewm.structures import OCC3D, EgoState, SceneClip

GRID = VoxelGrid(range_m=(-12.8, -12.8, -1.2, 38.4, 12.8, 5.2), voxel_m=0.8)
WALL_M, SPEED = 20.0, 4.0
NUM_HISTORY, NUM_FUTURE = 2, 8


def recorded() -> SceneClip:
    """One clip: 4 m/s until 10 m, then waiting before the wall."""
    moments = 0.5 * torch.arange(1 - NUM_HISTORY, NUM_FUTURE + 1)
    ego_x = (SPEED * moments).clamp_max(10.0)
    occupancy = torch.full((1, len(moments), *GRID.shape), OCC3D.free, dtype=torch.uint8)
    occupancy[..., 1] = OCC3D.index("driveable_surface")
    x = GRID.origin_m[0] + GRID.voxel_m * (torch.arange(GRID.shape[0]) + 0.5)
    for moment, ego in enumerate(ego_x):
        occupancy[0, moment, (x + ego - WALL_M).abs() < 0.9, :, 2:5] = OCC3D.index("manmade")
    pose = torch.stack([ego_x, 0 * ego_x, 0 * ego_x], dim=-1)[None].double()
    return SceneClip(
        timestamp_us=(1e6 + 1e6 * moments).long()[None],
        T_global_ego=se2.to_matrix(pose),
        scene=("wall",),
        sample_token=("t0",),
        grid=GRID,
        occupancy=occupancy,
        num_history=NUM_HISTORY,
    )


def plans(*speeds: float, until_m: float = 40.0) -> torch.Tensor:
    t = 0.5 * torch.arange(1, 9)
    x = (torch.tensor(speeds)[:, None] * t).clamp_max(until_m)
    return torch.stack([x, 0 * x, 0 * x], dim=-1)[None]


def worth(poses, clip):
    return Hindsight(clip).worth(poses, EgoState.from_history(clip.history()))


def test_who_would_have_hit_the_wall_is_worth_nothing_and_who_drove_as_recorded_much():
    through, waits = worth(plans(6.0), recorded()), worth(plans(SPEED, until_m=10.0), recorded())
    assert through.item() < 0.2 and waits.item() > 0.8


def test_progress_counts_in_relation_to_the_drivers():
    slow, half, same = worth(torch.cat([plans(v) for v in (0.5, 1.25, 2.5)], dim=1), recorded())[0]
    assert slow < half < same


def test_the_future_of_the_recording_is_seen_where_it_was():
    """The wall is at one place of the world, however near the ego had come."""
    near, clear = worth(plans(WALL_M / 4.0), recorded()), worth(plans((WALL_M - 8.0) / 4.0), recorded())
    assert near.item() < 0.3 < 0.6 < clear.item()


def test_who_could_not_have_stopped_in_time_loses_nothing_where_nobody_braked():
    """Something drives 8.4 m ahead all the time."""
    clip, path = recorded(), plans(3.0)
    x = GRID.origin_m[0] + GRID.voxel_m * (torch.arange(GRID.shape[0]) + 0.5)
    clip.T_global_ego[0, :, 0, 3] = 3.0 * clip.times_s()[0]
    clip.occupancy[..., 2:5] = OCC3D.free
    clip.occupancy[:, :, (x - 8.4).abs() < 0.9, :, 2:5] = OCC3D.index("car")
    hindsight, ego = Hindsight(clip), EgoState.from_history(clip.history())
    foreseen = imagined_score(path, hindsight.maps, ego, None, torch.tensor([12.0]))
    assert foreseen.room.item() == 0.5 and foreseen.total.item() < 0.5
    assert hindsight.worth(path, ego).item() > 0.95


def test_what_nobody_recorded_is_not_known():
    clip = recorded()
    assert worth(plans(1.0), clip.with_future(4)).isnan().all()
    assert worth(plans(1.0), replace(clip, occupancy=None)).isnan().all()
    late = clip.timestamp_us.clone()
    late[:, -1] += 300_000
    assert worth(plans(1.0), replace(clip, timestamp_us=late)).isnan().all()


def test_egos_come_faster_and_slower_but_never_backwards():
    ego = EgoState(*(torch.full((4000,), v) for v in (8.0, 0.0, 0.0)))
    ego.speed[2000:] = 0.0
    other = at_another_speed(ego, torch.Generator().manual_seed(0))
    driven, standing = other.speed.split(2000)
    assert driven.min() < 4.0 and driven.max() > 12.0 and abs(driven.mean() - 8.0) < 0.2
    assert standing.min() == 0.0 and 1.0 < standing.max() <= 2.0
    assert torch.equal(other.acceleration, ego.acceleration)

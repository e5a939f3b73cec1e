"""Label sets, tokens, trajectories, routes, maps and tracks."""

import dataclasses

import numpy as np
import pytest
import torch

from drivewm.geometry import se2
from drivewm.structures import (
    OCC3D,
    AgentTracks,
    BoxTracks,
    Command,
    Lane,
    RoadMap,
    Rollout,
    Route,
    TokenGrid,
    TokenSpec,
    Trajectory,
    most_likely,
)


def test_occ3d_labels():
    assert OCC3D.num_classes == 18 and OCC3D.free == 17 and OCC3D.names[OCC3D.free] == "free"
    assert OCC3D.occupied == tuple(range(17)) and OCC3D.palette.shape == (18, 3)
    movable = {"bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "trailer", "truck"}
    assert {OCC3D.names[i] for i in OCC3D.movable} == movable
    assert all(OCC3D.index(name) == i for i, name in enumerate(OCC3D.names))
    assert len(set(OCC3D.colors)) == OCC3D.num_classes


def test_label_sets_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="'lorry'.*truck"):
        OCC3D.index("lorry")
    with pytest.raises(ValueError, match="17 names but 18 colors"):
        dataclasses.replace(OCC3D, names=OCC3D.names[:-1])
    with pytest.raises(ValueError, match=r"\[18\].*0\.\.17"):
        dataclasses.replace(OCC3D, free=18)


SPEC = TokenSpec("occupancy", (4, 3), vocab_size=10)


def test_token_range_includes_the_mask_and_no_more():
    assert SPEC.mask_id == 10 and SPEC.num_tokens == 12
    TokenGrid(torch.full((2, 5, 4, 3), SPEC.mask_id), SPEC)
    for wrong in (11, -1):
        with pytest.raises(ValueError, match=f"{wrong}.*0 to 10"):
            TokenGrid(torch.full((2, 5, 4, 3), wrong), SPEC)


@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (5, 4, 3), (2, 5, 12), (2, 5, 4, 3, 1)])
def test_token_shape_is_that_of_the_spec(shape):
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        TokenGrid(torch.zeros(shape, dtype=torch.int64), SPEC)


def test_tokens_are_int64_and_may_be_none():
    with pytest.raises(ValueError, match="int64.*int32"):
        TokenGrid(torch.zeros(1, 1, 4, 3, dtype=torch.int32), SPEC)
    TokenGrid(torch.zeros(0, 5, 4, 3, dtype=torch.int64), SPEC)
    with pytest.raises(ValueError, match="positive"):
        TokenSpec("occupancy", (4, 0), 10)


def test_trajectories_refuse_what_is_not_a_trajectory():
    poses = torch.zeros(2, 8, 3)
    assert Trajectory.from_poses(poses, 0.5).valid.all()
    with pytest.raises(ValueError, match=r"\(B, F, 3\).*\(2, 8, 2\)"):
        Trajectory.from_poses(poses[..., :2], 0.5)
    with pytest.raises(ValueError, match=r"\(2, 8\).*\(2, 7\)"):
        Trajectory(poses, torch.ones(2, 7, dtype=torch.bool), 0.5)
    with pytest.raises(ValueError, match="positive.*0"):
        Trajectory.from_poses(poses, 0.0)


def test_nan_is_allowed_only_where_not_valid():
    poses, valid = torch.zeros(1, 3, 3), torch.tensor([[True, True, False]])
    poses[0, 2] = torch.nan
    Trajectory(poses, valid, 0.5)
    with pytest.raises(ValueError, match="NaN"):
        Trajectory.from_poses(poses, 0.5)


def arc(turn_rad: float, length_m: float = 40.0) -> np.ndarray:
    """A polyline that turns evenly."""
    heading = np.linspace(0.0, turn_rad, 401)[:-1]
    steps = np.stack([np.cos(heading), np.sin(heading)], -1) * length_m / 400
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


@pytest.mark.parametrize(
    ("turn_deg", "command"), [(0, Command.STRAIGHT), (60, Command.LEFT), (-60, Command.RIGHT), (10, Command.STRAIGHT)]
)
def test_command_is_read_off_the_route(turn_deg, command):
    assert Route.ahead(arc(np.deg2rad(turn_deg)), np.zeros(3)).command().tolist() == [command]


def test_a_route_does_not_depend_on_where_the_world_is():
    rng = np.random.default_rng(0)
    polyline, pose = arc(1.0), np.array([3.0, 0.5, 0.2])
    for T_new_old in rng.uniform(-100, 100, (5, 3)):
        moved = Route.ahead(se2.transform_points(T_new_old, polyline), se2.compose(T_new_old, pose))
        torch.testing.assert_close(moved.points, Route.ahead(polyline, pose).points, atol=1e-4, rtol=0)


def test_a_route_starts_beside_the_ego_and_ends_with_the_polyline():
    route = Route.ahead(np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([2.0, 1.0, 0.0]), count=6, spacing_m=2.5)
    torch.testing.assert_close(route.points[0, :, 0], torch.tensor([0.0, 2.5, 5.0, 7.5, 8.0, 8.0]))
    torch.testing.assert_close(route.points[0, :, 1], torch.full((6,), -1.0))
    assert route.valid.tolist() == [[True] * 4 + [False] * 2]


def test_a_route_knows_the_next_red_light_on_it():
    line, pose = np.array([[0.0, 0.0], [100.0, 0.0]]), np.array([20.0, 0.5, 0.0])
    lights = np.array([[10.0, 0.0], [60.0, 0.2], [45.0, 0.1], [30.0, 5.0]])  # behind, far, next, in another lane
    torch.testing.assert_close(Route.ahead(line, pose, red_lights=lights).stop_m, torch.tensor([25.0]))
    for none in (None, np.zeros((0, 2)), lights[:1]):
        assert Route.ahead(line, pose, red_lights=none).stop_m.isinf().all()
    both = Route.cat([Route.ahead(line, pose), Route.ahead(line, pose, red_lights=lights)])
    assert both.select(torch.tensor([1])).stop_m.tolist() == [25.0] and both.stop_m[0].isinf()
    with pytest.raises(ValueError, match=r"stop_m \(1,\), got \(2,\)"):
        Route(torch.zeros(1, 5, 2), torch.ones(1, 5, dtype=torch.bool), 2.5, torch.zeros(2))


def test_a_route_seen_from_further_on_is_the_route_that_is_cut_there():
    line, light = arc(0.0, 90.0), np.array([[20.0, 0.0]])
    here, there = np.zeros(3), np.array([6.0, 0.4, 0.1])
    ahead = Route.ahead(line, here, red_lights=light)
    moved = Route.cat([ahead, Route.nowhere()]).seen_from(torch.tensor(np.stack([there, there])))
    expected = Route.ahead(line, there, red_lights=light)
    known = moved.valid[:1] & expected.valid
    assert known.sum() >= 20 and not moved.valid[1].any()
    torch.testing.assert_close(moved.points[:1][known], expected.points[known], atol=5e-2, rtol=0)
    torch.testing.assert_close(ahead.stop_m - moved.stop_m[:1], torch.tensor([6.0]), atol=5e-2, rtol=0)


def test_no_route_gives_no_command():
    route = Route(torch.zeros(2, 25, 2), torch.zeros(2, 25, dtype=torch.bool), 2.5)
    assert route.command().tolist() == [Command.NONE] * 2
    with pytest.raises(ValueError, match=r"N >= 2.*\(1, 2\)"):
        Route.ahead(np.zeros((1, 2)), np.zeros(3))


def test_drivable_area_is_indexed_x_then_y():
    drivable = np.zeros((4, 6), bool)
    drivable[3, 0] = True
    lane = Lane(7, np.array([[0.0, 0.0], [1.0, 0.0]]), 3.5, ())
    road_map = RoadMap({7: lane}, drivable, origin_m=(10.0, 20.0), resolution_m=0.5)
    points = np.array([[[11.6, 20.1], [10.1, 21.6]], [[100.0, 20.1], [9.9, 19.9]]])
    np.testing.assert_array_equal(road_map.is_drivable(points), [[True, False], [False, False]])
    with pytest.raises(ValueError, match=r"lane 7.*\(1, 2\)"):
        Lane(7, np.zeros((1, 2)), 3.5, ())


def test_boxes_must_agree_in_their_slots():
    empty = BoxTracks.empty(2, 3, 4)
    assert empty.boxes().shape == (2, 3, 4, 7)
    with pytest.raises(ValueError, match=r"size.*\(2, 3, 4, 3\).*\(2, 3, 4, 2\)"):
        dataclasses.replace(empty, size=torch.zeros(2, 3, 4, 2))


def test_ego_boxes_stand_ahead_of_the_rear_axle():
    tracks = AgentTracks(np.zeros((2, 0, 7)), np.zeros((2, 0, 2)), np.zeros(0), np.zeros(0), np.zeros((2, 0), bool))
    road_map = RoadMap({}, np.ones((1, 1), bool), (0.0, 0.0), 1.0)
    poses = np.array([[0.0, 0.0, 0.0], [5.0, 5.0, np.pi / 2]])
    rollout = Rollout(0.1, poses, np.zeros(2), np.zeros(2), 4.0, 1.8, 1.4, tracks, road_map, np.zeros((2, 2)))
    footprint = rollout.ego_boxes()[:, [0, 1, 3, 4, 6]]
    np.testing.assert_allclose(footprint, [[1.4, 0, 4, 1.8, 0], [5, 6.4, 4, 1.8, np.pi / 2]])
    with pytest.raises(ValueError, match=r"velocity.*\(2, 0, 2\).*\(3, 0, 2\)"):
        dataclasses.replace(tracks, velocity=np.zeros((3, 0, 2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_most_likely_class_is_the_first_of_the_greatest(dtype):
    logits = torch.randn(2, 3, 18, 4, 5, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    logits[0, 0, 7] = logits[0, 0].amax(0)  # class 7 shares the first place or has it
    labels = most_likely(logits, 2)
    greatest = logits.amax(2, keepdim=True)
    expected = (logits == greatest).int().cumsum(2).eq(0).sum(2)  # how many classes stand before the first greatest
    assert labels.dtype == torch.uint8 and torch.equal(labels.long(), expected)
    assert torch.equal(most_likely(logits.movedim(2, -1), -1), labels)

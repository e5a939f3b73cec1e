"""A recorded scene in physics steps, against the rows of its index."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.closed_loop.log.occupancy import UNKNOWN, LogOccupancy
from drivewm.closed_loop.log.scene import LogScene, move_boxes
from drivewm.data import DataError
from drivewm.data.files import read_occupancy
from drivewm.geometry import VoxelGrid, se2, se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.structures import OCC3D

GRID = VoxelGrid.centered((8, 8, 2), 1.0, z_min_m=-1.0)


@pytest.fixture(scope="module")
def scene(town_index):
    return LogScene(town_index, 1)


def test_the_ego_is_where_it_was_recorded_and_moves_as_fast_as_its_positions(scene, town_index):
    own = slice(scene.frames.start, scene.frames.stop)
    assert len(scene) == 5 * (len(scene.frames) - 1) + 1
    assert np.allclose(scene.T_global_ego[::5], town_index["frame_T_global_ego"][own], atol=1e-9)
    step = np.linalg.norm(np.diff(scene.ego[:, :2], axis=0), axis=-1) / 0.1
    assert np.allclose(step, (scene.ego[1:, 3] + scene.ego[:-1, 3]) / 2, atol=0.03)
    assert np.allclose(np.gradient(scene.ego[:, 3], 0.1)[1:-1], scene.ego[1:-1, 4], atol=0.3)
    turned = se2.wrap_angle(np.diff(scene.ego[:, 2])) / 0.1
    assert np.allclose(turned, (scene.yaw_rate[1:] + scene.yaw_rate[:-1]) / 2, atol=0.02)


def test_tracks_at_keyframes_are_the_rows_of_the_index(scene, town_index):
    for number, frame in enumerate(scene.frames):
        rows = slice(*town_index["frame_box_ptr"][frame : frame + 2])
        slot = np.searchsorted(scene.tracks.track, town_index["box_track"][rows])
        assert set(np.flatnonzero(scene.tracks.valid[5 * number])) == set(slot)
        T = np.array(town_index["frame_T_global_ego"][frame])
        local = move_boxes(se3.inverse(T), scene.tracks.boxes[5 * number, slot])
        assert np.allclose(local[:, :3], town_index["box_center"][rows], atol=1e-4)
        assert np.allclose(local[:, 3:6], town_index["box_size"][rows])
        assert np.allclose(se2.wrap_angle(local[:, 6] - town_index["box_yaw"][rows]), 0, atol=1e-5)
        assert np.array_equal(scene.tracks.label[slot], town_index["box_label"][rows])


def test_velocities_know_nothing_of_what_comes(scene, town_index):
    """At a keyframe they are the index's velocity from the past alone, where there is a past."""
    compared = 0
    for number, frame in enumerate(scene.frames):
        rows = slice(*town_index["frame_box_ptr"][frame : frame + 2])
        slot = np.searchsorted(scene.tracks.track, town_index["box_track"][rows])
        past = np.array(town_index["box_velocity_past"][rows], np.float64)
        turn = se3.to_se2(town_index["frame_T_global_ego"][frame])[2]
        past = se2.transform_points(np.array([0.0, 0.0, turn]), past)
        known = ~scene.is_new[5 * number, slot]
        assert np.array_equal(known, np.isfinite(past).all(-1))
        assert np.allclose(scene.tracks.velocity[5 * number, slot][known], past[known], atol=1e-3)
        compared += known.sum()
    assert compared > 50


def test_between_keyframes_only_what_both_have_is_there(scene):
    tracks = scene.tracks
    for a in range(0, len(scene) - 5, 5):
        both = tracks.valid[a] & tracks.valid[a + 5]
        for step in range(a + 1, a + 5):
            assert np.array_equal(tracks.valid[step], both)
        assert np.allclose(tracks.boxes[a + 2, both, :3], (0.6 * tracks.boxes[a] + 0.4 * tracks.boxes[a + 5])[both, :3])
    assert (tracks.valid[0] != tracks.valid[-1]).any()


def test_leaving_the_recorded_path_keeps_to_its_road_plane(scene):
    for step in (0, 23, len(scene) - 1):
        assert np.allclose(scene.lift(scene.ego[step, :3]), scene.T_global_ego[step], atol=1e-9)
    beside = se2.compose(scene.ego[20, :3], np.array([0.0, 2.0, 0.1]))
    assert np.allclose(se3.to_se2(scene.lift(beside)), beside)


def test_the_plane_of_a_slope_is_kept(town_index):
    """All of the recording tilted: the lifted pose lies in the tilted plane."""
    T = se3.from_quaternion(np.array([np.cos(0.02), 0.0, np.sin(0.02), 0.0]), np.zeros(3))
    column = "frame_T_global_ego"
    scene = LogScene(replace(town_index, columns=town_index.columns | {column: T @ town_index[column]}), 0)
    lifted = scene.lift(se2.compose(scene.ego[10, :3], np.array([0.0, 3.0, 0.0])))
    assert (se3.inverse(T) @ lifted)[2, 3] == pytest.approx(0.0, abs=1e-6)
    assert np.allclose(lifted[:3, 2], T[:3, 2])


def test_a_recorded_pose_shows_the_recorded_labels(scene, town_index, town_grid):
    for number in (0, 6):
        file = town_index.data_root / town_index["frame_occupancy_file"][scene.frames[number]].decode()
        labels, seen = read_occupancy(file, town_grid)
        found = scene.occupancy.seen_from(scene.frame_poses[number], town_grid)
        boxes, _ = scene.frame_boxes(number)
        in_box = points_in_boxes(town_grid.centers().reshape(-1, 3), boxes, 0.5 * town_grid.voxel_m).any(1)
        outside = ~in_box.reshape(town_grid.shape)
        assert np.array_equal(found[seen & outside], labels[seen & outside])
        assert (found != UNKNOWN).sum() > (seen & outside).sum()  # others saw more
        movable = np.isin(labels, OCC3D.movable)
        assert movable.any() and not np.isin(found, OCC3D.movable)[in_box.reshape(town_grid.shape)].all()


def test_other_keyframes_alone_show_nearly_the_same(scene, town_index, town_grid):
    number = 6
    file = town_index.data_root / town_index["frame_occupancy_file"][scene.frames[number]].decode()
    labels, seen = read_occupancy(file, town_grid)
    nothing = scene.occupancy.frames.copy()
    nothing[number] = UNKNOWN
    others = LogOccupancy.accumulate(nothing, scene.frame_poses, town_grid)
    found = others.seen_from(scene.frame_poses[number], town_grid)
    known = seen & (found != UNKNOWN) & ~np.isin(labels, OCC3D.movable)
    assert known.sum() > 0.5 * seen.sum()
    assert ((found == OCC3D.free) == (labels == OCC3D.free))[known].mean() > 0.97


def test_votes():
    """Three keyframes at one place: as many say occupied as free -> occupied; the most frequent class holds."""
    car, road = OCC3D.index("car"), OCC3D.index("driveable_surface")
    frames = np.full((4, *GRID.shape), UNKNOWN, np.uint8)
    frames[:, 0, 0, 0] = [car, car, OCC3D.free, OCC3D.free]
    frames[:, 1, 0, 0] = [car, OCC3D.free, OCC3D.free, UNKNOWN]
    frames[:, 2, 0, 0] = [car, road, road, UNKNOWN]
    frames[:, 3, 0, 0] = [UNKNOWN, UNKNOWN, UNKNOWN, OCC3D.free]
    poses = np.tile(np.eye(4), (4, 1, 1))
    occupancy = LogOccupancy.accumulate(frames, poses, GRID)
    asked = replace(occupancy, frames=np.full_like(frames, UNKNOWN))
    found = asked.seen_from(np.eye(4), GRID)
    assert found[:4, 0, 0].tolist() == [car, OCC3D.free, road, OCC3D.free]
    assert (found[:, 1:] == UNKNOWN).all() and (found[4:] == UNKNOWN).all()


def test_a_single_keyframe_is_no_scene(town_index):
    pointer = np.array(town_index["scene_frame_ptr"])
    pointer[1] = 1
    with pytest.raises(DataError, match="2 or more"):
        LogScene(replace(town_index, columns=town_index.columns | {"scene_frame_ptr": pointer}), 0)

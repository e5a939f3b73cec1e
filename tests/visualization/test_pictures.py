"""Pictures show the right thing in the right place: known colours at known pixels."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D
from drivewm.visualization import bev, points, rollout
from drivewm.visualization.bev import bev_colors, draw_bev, top_classes
from drivewm.visualization.canvas import BACKGROUND, BevCanvas
from drivewm.visualization.voxels import Camera, draw_voxels


def _color(name):
    return OCC3D.colors[OCC3D.index(name)]


def test_ahead_is_up_and_left_is_left(grid, street):
    image = draw_bev(street, grid, pixels_per_voxel=8, show_ego=False)
    assert image.shape == (192, 192, 3) and image.dtype == np.uint8
    canvas = BevCanvas((*grid.range_m[:2], *grid.range_m[3:5]), 8)

    def at(x, y):
        column, row = canvas.to_pixel(np.array([x, y])).astype(int)
        return tuple(image[row, column])

    assert at(7.5, 0.0) == _color("car") and canvas.to_pixel(np.array([7.5, 0.0]))[1] < 96
    assert at(7.5, -3.0) == _color("driveable_surface")
    house = np.array(at(0.0, 9.0), int)
    assert canvas.to_pixel(np.array([0.0, 9.0]))[0] < 96
    assert np.abs(house - np.array(_color("manmade")) * (0.8 + 0.2 * 4 / 5)).max() <= 1
    np.testing.assert_array_equal(street, street.copy())


def test_a_car_under_a_tree_is_shown(street):
    street[18:21, 11:13, 4] = OCC3D.index("vegetation")
    classes, height = top_classes(street)
    assert (classes[18:21, 11:13] == OCC3D.index("car")).all() and (height[18:21, 11:13] == 2).all()
    street[18:21, 11:13] = OCC3D.free
    assert (top_classes(street)[0][18:21, 11:13] == OCC3D.free).all()
    assert (bev_colors(street)[18:21, 11:13] == BACKGROUND).all()


def test_overlays_change_only_where_they_are(grid, street):
    plain = draw_bev(street, grid, show_ego=False)
    box = np.array([[7.5, -6.0, 1.0, 3.0, 2.0, 1.5, 0.0]])
    path = np.stack([np.arange(1, 5) * 1.0, np.zeros(4), np.zeros(4)], -1)
    for extra in ({"boxes": box}, {"trajectories": {"plan": path}}, {"route": path}, {"show_ego": True}):
        drawn = draw_bev(street, grid, **({"show_ego": False} | extra))
        changed = (drawn != plain).any(-1)
        assert 0 < changed.mean() < 0.15, extra
    assert (draw_bev(street, grid, title="t0")[:30, :60] != plain[:30, :60]).any()


def test_canvas_shapes():
    canvas = BevCanvas((-5, -5, 5, 5), 10, (255, 255, 255))
    canvas.polygon(np.array([[2, 2], [2, 4], [4, 4], [4, 2.0]]), fill=(10, 20, 30))
    canvas.polyline(np.array([[-4, -4], [np.nan, 0], [-4, 4.0]]), (200, 0, 0, 128), 4)
    canvas.dots(np.array([[0.0, -3.0]]), (0, 0, 200), 4)
    canvas.pixels(np.array([[0.0, 3.0], [99.0, 99.0]]), np.array([[1, 2, 3], [9, 9, 9]], np.uint8))
    image = canvas.image()
    assert tuple(image[20, 20]) == (10, 20, 30)  # x = y = 3
    assert tuple(image[90, 50]) == (227, 127, 127)  # half see-through
    assert tuple(image[50, 80]) == (0, 0, 200) and tuple(image[50, 20]) == (1, 2, 3)
    with pytest.raises(ValueError, match="empty"):
        BevCanvas((0, 0, 0, 5), 10)


def _look_along_x():
    return Camera((-30.0, 0.0, 2.5), (0.0, 0.0, 2.5), 30.0)


def test_the_nearer_voxel_hides_the_farther(grid):
    occupancy = np.full(grid.shape, OCC3D.free, np.uint8)
    near, far = occupancy.copy(), occupancy.copy()
    near[6, 10:14, 1:5] = OCC3D.index("pedestrian")
    far[18, 10:14, 1:5] = OCC3D.index("car")
    both = np.where(near != OCC3D.free, near, far)
    pictures = [
        draw_voxels(o, grid, camera=_look_along_x(), size=(80, 60), show_ego=False)[30, 40].astype(int)
        for o in (near, far, both)
    ]
    np.testing.assert_array_equal(pictures[2], pictures[0])
    assert pictures[0][0] > pictures[0][2] and pictures[1][2] > pictures[1][0]  # red in front of blue


def test_left_is_left_in_perspective(grid):
    occupancy = np.full(grid.shape, OCC3D.free, np.uint8)
    occupancy[12, 16:20, 1:5] = OCC3D.index("pedestrian")
    image = draw_voxels(occupancy, grid, camera=_look_along_x(), size=(80, 60), show_ego=False).astype(int)
    red = image[..., 0] - image[..., 2] > 60
    assert red[:, :40].any() and not red[:, 40:].any()


def test_voxel_picture_options(grid, street):
    before = street.copy()
    image = draw_voxels(street, grid, size=(120, 80))
    assert image.shape == (80, 120, 3) and image.std() > 10
    np.testing.assert_array_equal(street, before)
    np.testing.assert_array_equal(image, draw_voxels(street, grid, size=(120, 80)))
    path = np.stack([np.arange(1, 6) * 1.0, np.zeros(5)], -1)
    painted = draw_voxels(street, grid, size=(120, 80), trajectories={"plan": path})
    assert 0 < (painted != image).any(-1).mean() < 0.2
    assert (draw_voxels(street, grid, size=(120, 80), show_ego=False) != image).any()
    empty = draw_voxels(np.full(grid.shape, OCC3D.free, np.uint8), grid, size=(60, 40), supersampling=1)
    assert empty.shape == (40, 60, 3)
    with pytest.raises(ValueError, match="voxels"):
        draw_voxels(street[1:], grid)
    with pytest.raises(ValueError, match="voxels"):
        draw_bev(street, VoxelGrid.centered((8, 8, 4), 1.0))


def test_points(tmp_path):
    cloud = np.array([[10.0, 0.0, 0.0, 0.5], [0.0, 10.0, 3.0, 0.1], [500.0, 0.0, 0.0, 0.0]])
    image = points.draw_points(cloud, range_m=20, size_px=100)
    lit = np.argwhere((image.astype(int) - image[0, 0]).sum(-1) > 100)
    assert {tuple(p) for p in lit} == {(25, 50), (50, 25)}  # ahead: up; left: left; the third is out of range
    overlay = points.overlay_points(cloud[:1], cloud[:2], range_m=20, size_px=100)
    colors = {tuple(c) for c in overlay.reshape(-1, 3)[np.ptp(overlay.reshape(-1, 3), axis=1) > 20]}
    assert points.TRUE_COLOR in colors
    path = points.write_points(tmp_path / "cloud.ply", cloud)
    header, body = path.read_bytes().split(b"end_header\n")
    assert b"element vertex 3" in header and len(body) == 3 * 15
    np.testing.assert_allclose(np.frombuffer(body[:12], "<f4"), [10, 0, 0])
    assert len(np.unique(bev.height_colors(np.array([-1.0, 1.0, 4.0])), axis=0)) == 3


def test_pcd_holds_what_ply_does(tmp_path):
    """Written and read by open3d, which also reads the PLY files."""
    open3d = pytest.importorskip("open3d", exc_type=(ImportError, OSError))
    cloud = np.random.default_rng(0).uniform(-60, 60, (200, 4)).astype(np.float32)
    read = []
    for suffix in points.POINT_FORMATS:
        found = open3d.io.read_point_cloud(str(points.write_points(tmp_path / f"cloud.{suffix}", cloud)))
        np.testing.assert_array_equal(np.asarray(found.points), cloud[:, :3])
        read.append(np.round(255 * np.asarray(found.colors)))
    np.testing.assert_array_equal(*read)
    with pytest.raises(ValueError, match="nothing.pcd: there is no point to write"):
        points.write_points(tmp_path / "nothing.pcd", cloud[:0])
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_points_need_a_format_that_is_known_and_installed(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="cloud.xyz: points are written as .ply or .pcd"):
        points.write_points(tmp_path / "cloud.xyz", np.zeros((1, 3)))
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match=r"PCD files .* need open3d \(pip install drivewm\[view\]"):
        points.write_points(tmp_path / "cloud.pcd", np.zeros((1, 3)))
    assert points.write_points(tmp_path / "cloud.ply", np.zeros((1, 3))).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cloud.ply"]


def test_an_episode_from_the_ego(rollout_episode):
    view = rollout.draw_step(rollout_episode, 5, view_m=40.0, pixels_per_m=6.0)
    assert view.shape == (480, 480, 3)
    canvas = BevCanvas((-32, -40, 48, 40), 6.0)
    column, row = canvas.to_pixel(np.array([24.0, 0.5])).astype(int)  # the car is 25 m ahead of the sixth pose
    assert tuple(view[row, column]) == _color("car") and row < canvas.to_pixel(np.zeros(2))[1]
    off, on = (canvas.to_pixel(np.array(p)).astype(int) for p in ([10.0, 20.0], [10.0, -3.0]))
    assert tuple(view[off[1], off[0]]) != tuple(view[on[1], on[0]])
    red = rollout.draw_step(rollout_episode, 5, view_m=40.0, pixels_per_m=6.0, marked=[0])
    assert red[row, column, 0] > 180 > view[row, column, 0]
    planned = replace(rollout_episode, plans=rollout_episode.poses[None, :9] + [1.0, 1.0, 0.0], plan_step=np.array([4]))
    assert (rollout.draw_step(planned, 5, view_m=40.0, pixels_per_m=6.0) != view).any()
    before = rollout.draw_step(rollout_episode, 3, view_m=40.0, pixels_per_m=6.0)
    assert (rollout.draw_step(planned, 3, view_m=40.0, pixels_per_m=6.0) == before).all()
    assert rollout.draw_step(replace(rollout_episode, road_map=None), 5, view_m=40.0, pixels_per_m=6.0).any()
    frames = rollout.animate_rollout(rollout_episode, every=3, pixels_per_m=2.0)
    assert len(frames) == 4 and len({f.shape for f in frames}) == 1
    assert rollout.draw_rollout(rollout_episode, times=3, title="x").ndim == 3


def test_the_overview_has_north_up(rollout_episode):
    image = rollout.draw_overview(rollout_episode, size_px=188).astype(int)
    plan = (np.abs(image - [219, 20, 110]).sum(-1) < 60).nonzero()
    # The path runs along global x: a level line.
    assert len(plan[0]) and np.ptp(plan[0]) <= 3 and np.ptp(plan[1]) > 5


@pytest.fixture
def rollout_episode(request):
    return request.getfixturevalue("rollout")

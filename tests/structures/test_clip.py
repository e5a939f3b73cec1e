"""SceneClip and History: what they refuse, what they hide, how clips become a batch."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from drivewm.geometry import se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures import BoxTracks, EgoState, History, Route, SceneClip

GRID = VoxelGrid.centered((4, 4, 2), 0.8)
DT_US = 500_000


def make_clip(
    seed: int = 0, frames: int = 5, num_history: int = 2, num_points: int = 7, num_boxes: int = 3, **changes
) -> SceneClip:
    """A clip with every modality, all filled with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    lead = (1, frames)

    def rand(*tail, dtype=torch.float32):
        value = torch.rand(*lead, *tail, generator=generator)
        return value < 0.5 if dtype == torch.bool else (value * 100).to(dtype)

    steps = np.arange(frames)
    poses = se3.from_xyzyaw(1000 + 2.0 * steps, 0.1 * steps**2, 0.5, 0.05 * steps)
    values = dict(
        timestamp_us=(10**15 + DT_US * torch.arange(frames))[None],
        T_global_ego=torch.from_numpy(poses)[None],
        scene=(f"scene-{seed}",),
        sample_token=(f"token-{seed}",),
        grid=GRID,
        occupancy=rand(*GRID.shape, dtype=torch.uint8),
        visible=rand(*GRID.shape, dtype=torch.bool),
        points=rand(num_points, 4),
        points_valid=torch.ones(*lead, num_points, dtype=torch.bool),
        points_time_s=rand(num_points),
        T_ego_lidar=rand(4, 4),
        ray_directions=rand(num_points, 3),
        ray_hit=rand(num_points, dtype=torch.bool),
        cameras=("CAM_FRONT", "CAM_BACK"),
        images=rand(2, 3, 4, 6, dtype=torch.uint8),
        images_valid=torch.ones(*lead, 2, dtype=torch.bool),
        K=rand(2, 3, 3),
        T_ego_cam=rand(2, 4, 4),
        boxes=BoxTracks(
            rand(num_boxes, 3),
            rand(num_boxes, 3),
            rand(num_boxes),
            rand(num_boxes, 2),
            rand(num_boxes, dtype=torch.int64),
            rand(num_boxes, dtype=torch.int64),
            torch.ones(*lead, num_boxes, dtype=torch.bool),
        ),
        route=Route.ahead(np.array([[0.0, 0.0], [2000.0, 0.0]]), se3.to_se2(poses[0])),
        command=torch.tensor([2]),
        num_history=num_history,
    )
    return SceneClip(**{**values, **changes})


def tensors_of(structure) -> dict[str, torch.Tensor]:
    return {f.name: v for f in fields(structure) if isinstance(v := getattr(structure, f.name), torch.Tensor)}


@pytest.mark.parametrize(
    ("changes", "both"),
    [
        ({"T_global_ego": torch.eye(4).double().expand(1, 4, 4, 4)}, r"T_global_ego.*\(1, 5, 4, 4\).*\(1, 4, 4, 4\)"),
        ({"T_global_ego": torch.eye(4).expand(1, 5, 4, 4)}, r"float64.*float32"),
        ({"scene": ("a", "b")}, r"scene has 2.*batch of 1"),
        ({"timestamp_us": torch.tensor([[0, 2, 1, 3, 4]])}, r"increase.*\[\[0, 2, 1, 3, 4\]\]"),
        ({"occupancy": torch.zeros((1, 5, 4, 4, 3)).byte()}, r"occupancy.*\(1, 5, 4, 4, 2\).*\(1, 5, 4, 4, 3\)"),
        ({"occupancy": torch.zeros(1, 5, 4, 4, 2)}, r"occupancy.*uint8.*float32"),
        ({"grid": None}, r"without the grid"),
        ({"points_valid": torch.ones(1, 5, 6, dtype=torch.bool)}, r"points_valid.*\(1, 5, 7\).*\(1, 5, 6\)"),
        ({"points": torch.zeros(1, 5, 7, 3)}, r"points.*\(1, 5, 7, 4\).*\(1, 5, 7, 3\)"),
        ({"K": torch.zeros(1, 5, 3, 3, 3)}, r"K.*\(1, 5, 2, 3, 3\).*\(1, 5, 3, 3, 3\)"),
        ({"cameras": ("CAM_FRONT",)}, r"cameras.*2 views.*\('CAM_FRONT',\)"),
        ({"cameras": None}, r"cameras.*2 views.*None"),
        ({"K": None}, r"all of images, images_valid, K, T_ego_cam"),
        ({"images": torch.zeros(1, 5, 2, 3, 4, 6)}, r"images.*uint8.*float32"),
        ({"boxes": BoxTracks.empty(1, 4)}, r"\(1, 4\).*\(1, 5\)"),
        ({"route": Route(torch.zeros(2, 3, 2), torch.ones(2, 3, dtype=torch.bool), 2.5)}, r"route is of 2.*expected 1"),
        ({"num_history": 6}, r"1\.\.5.*6"),
        ({"num_history": 0}, r"1\.\.5.*0"),
    ],
)
def test_a_wrong_field_is_refused_with_both_values(changes, both):
    with pytest.raises(ValueError, match=both):
        make_clip(**changes)


def test_history_holds_no_future():
    """Whatever the future frames contain, the history is the same, and nothing in it has their length."""
    clip = make_clip()
    history = clip.history()
    assert isinstance(history, History) and not isinstance(history, SceneClip) and history.num_frames == 2
    # Swap the future frames among each other; the stamps must still increase.
    stamps = clip.timestamp_us
    scrambled = clip._map(
        lambda tensor: tensor if tensor is stamps else torch.cat([tensor[:, :2], tensor[:, 2:].flip(1)], dim=1),
        command=clip.command,
    )
    assert not torch.equal(scrambled.occupancy, clip.occupancy)
    for name, value in tensors_of(history).items():
        assert torch.equal(value, tensors_of(scrambled.history())[name]), name
        if name != "command":
            assert value.shape[1] == 2, name
    for name, value in tensors_of(history.boxes).items():
        assert torch.equal(value, getattr(clip.boxes, name)[:, :2]), name


def test_the_history_of_a_history_does_not_exist():
    assert not hasattr(make_clip().history(), "future_poses")
    assert "num_future" not in dir(History)


def test_future_poses_lead_back_to_the_global_ones():
    clip = make_clip()
    T_t0_ego = clip.future_poses()
    assert T_t0_ego.shape == (1, 3, 4, 4) and T_t0_ego.dtype == torch.float32
    T_global_ego = clip.T_global_ego[:, 1:2] @ T_t0_ego.double()
    torch.testing.assert_close(T_global_ego, clip.T_global_ego[:, 2:], atol=1e-3, rtol=0)
    torch.testing.assert_close(clip.future_times_s(), torch.tensor([[0.5, 1.0, 1.5]]))
    torch.testing.assert_close(clip.history().poses_in_t0()[:, -1], torch.eye(4)[None])


def test_a_shorter_future_is_its_beginning():
    clip = make_clip()
    shorter = clip.with_future(1)
    assert shorter.num_frames == 3 and shorter.num_history == 2
    assert torch.equal(shorter.points, clip.points[:, :3]) and torch.equal(
        shorter.future_poses(), clip.future_poses()[:, :1]
    )
    assert clip.with_future(3) is clip
    with pytest.raises(ValueError, match=r"0\.\.3 .*got 4"):
        clip.with_future(4)


def test_motion_is_that_of_a_circle():
    """Constant speed on a circle: finite differences give the chord, which is near the arc."""
    speed, yaw_rate, times = 5.0, 0.2, np.arange(4) * 0.5
    radius = speed / yaw_rate
    yaw = yaw_rate * times
    poses = se3.from_xyzyaw(radius * np.sin(yaw), radius * (1 - np.cos(yaw)), 0.0, yaw)
    clip = make_clip(frames=4, num_history=4, T_global_ego=torch.from_numpy(poses)[None])
    state = EgoState.from_history(clip.history())
    assert state.speed.item() == pytest.approx(speed, rel=2e-3)
    assert state.yaw_rate.item() == pytest.approx(yaw_rate, rel=1e-5)
    assert state.acceleration.item() == pytest.approx(0.0, abs=1e-4)


def test_motion_takes_time_from_the_stamps():
    slow = make_clip(frames=4, num_history=4)
    fast = replace(slow, timestamp_us=slow.timestamp_us[:, :1] + (slow.timestamp_us - slow.timestamp_us[:, :1]) // 2)
    assert fast.history().motion()[0].item() == pytest.approx(2 * slow.history().motion()[0].item())
    speed, yaw_rate, acceleration = make_clip(num_history=1).history().motion()
    assert speed.item() == yaw_rate.item() == acceleration.item() == 0.0


def test_cat_pads_what_is_ragged():
    few, many = make_clip(1, num_points=4, num_boxes=1), make_clip(2, num_points=9, num_boxes=5)
    both = SceneClip.cat([few, many])
    assert len(both) == 2 and both.scene == ("scene-1", "scene-2") and both.points.shape == (2, 5, 9, 4)
    assert torch.equal(both.points[:1, :, :4], few.points) and torch.equal(both.points[1:], many.points)
    assert not both.points_valid[0, :, 4:].any() and both.points_valid[0, :, :4].all()
    assert both.boxes.valid.sum(-1).tolist() == [[1] * 5, [5] * 5]
    assert torch.equal(both.occupancy, torch.cat([few.occupancy, many.occupancy]))
    assert both.route.points.shape[0] == 2 and both.command.tolist() == [2, 2]


def test_select_takes_clips_in_the_order_asked_for():
    batch = SceneClip.cat([make_clip(seed) for seed in range(3)])
    chosen = batch.select(torch.tensor([2, 0, 2]))
    assert chosen.scene == ("scene-2", "scene-0", "scene-2")
    for name, value in tensors_of(batch).items():
        assert torch.equal(getattr(chosen, name), value[[2, 0, 2]]), name
    assert torch.equal(chosen.boxes.center, batch.boxes.center[[2, 0, 2]])
    assert torch.equal(chosen.route.points, batch.route.points[[2, 0, 2]])


def test_cat_of_one_is_the_clip():
    clip = make_clip()
    for name, value in tensors_of(SceneClip.cat([clip])).items():
        assert torch.equal(value, getattr(clip, name)), name


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"frames": 4}, "num_frames"),
        ({"num_history": 3}, "num_history"),
        ({"grid": VoxelGrid.centered((4, 4, 2), 0.4)}, "grid"),
        ({"occupancy": None}, "occupancy"),
        ({"cameras": ("CAM_FRONT", "CAM_LEFT")}, "cameras"),
    ],
)
def test_cat_refuses_clips_that_differ(changes, named):
    with pytest.raises(ValueError, match=named):
        SceneClip.cat([make_clip(), make_clip(**changes)])


def test_absent_modalities_stay_absent():
    names = ("grid", "occupancy", "visible", "points", "points_valid", "points_time_s", "boxes", "route")
    names += ("cameras", "images", "images_valid", "K", "T_ego_cam")
    clip = make_clip(**dict.fromkeys(names))
    both = SceneClip.cat([clip, clip])
    assert all(getattr(both.history(), name) is None for name in names)


def test_to_keeps_everything():
    clip = make_clip()
    moved = clip.to("cpu")
    assert all(torch.equal(value, getattr(moved, name)) for name, value in tensors_of(clip).items())
    assert torch.equal(moved.boxes.center, clip.boxes.center) and torch.equal(moved.route.points, clip.route.points)

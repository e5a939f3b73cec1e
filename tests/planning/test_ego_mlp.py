"""The planner that sees nothing of the scene: what its plan depends on, and that it learns."""

import numpy as np
import pytest
import torch

from drivewm.geometry import se2, se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.ego_mlp import EgoMLP
from drivewm.planning.learned import LearnedPlanner
from drivewm.planning.open_loop import driven
from drivewm.planning.protocol import check_plan
from drivewm.structures import BoxTracks, EgoState, PlanningInput, Route, SceneClip

GRID = VoxelGrid((-6.4, -6.4, -0.8, 6.4, 6.4, 2.4), 0.8)
STRAIGHT = np.stack([np.linspace(-50, 200, 501), np.zeros(501)], axis=-1)


def clip_of(speed: float, stop_m: float = np.inf, yaw_rate: float = 0.0, past_speed: float | None = None, seed=0):
    """A clip on a straight route: `past_speed` until one step before t0, then `speed`; the scene is noise."""
    rng = np.random.default_rng(seed)
    times = 0.5 * np.arange(-2, 9)
    x = np.where(times >= -0.5, speed * times, -0.5 * speed + (past_speed or speed) * (times + 0.5))
    pose = np.stack([x, np.zeros(11), yaw_rate * np.minimum(times, 0.0)], axis=-1)
    boxes = BoxTracks.empty(1, 11, 2)
    boxes.center[:] = torch.from_numpy(rng.uniform(-5, 5, boxes.center.shape))
    boxes.size[:], boxes.valid[:] = 2.0, True
    route = Route.ahead(STRAIGHT, pose[2])
    route.stop_m[:] = stop_m
    return SceneClip(
        num_history=3,
        timestamp_us=torch.arange(11)[None] * 500_000,
        T_global_ego=torch.from_numpy(se3.from_se2(pose))[None],
        scene=("made up",),
        sample_token=(f"{seed}",),
        grid=GRID,
        occupancy=torch.from_numpy(rng.integers(0, 18, (1, 11, *GRID.shape)).astype(np.uint8)),
        boxes=boxes,
        route=route,
        command=route.command(),
    )


def planner(ego_status: bool, seed: int = 0, **options) -> EgoMLP:
    torch.manual_seed(seed)
    model = EgoMLP(ego_status, **options).eval()
    torch.nn.init.normal_(model.layers[-1].weight, std=0.5)  # an untrained one would ignore its inputs
    return model


def poses(model: EgoMLP, clip: SceneClip) -> torch.Tensor:
    with torch.no_grad():
        return model(clip)


def test_without_ego_status_the_plan_depends_on_the_route_alone():
    model = planner(ego_status=False)
    usual = poses(model, clip_of(5.0))
    for other in (clip_of(0.0), clip_of(12.0), clip_of(5.0, past_speed=9.0), clip_of(5.0, yaw_rate=0.3)):
        assert torch.equal(poses(model, other), usual)
    assert not torch.equal(poses(model, clip_of(5.0, stop_m=8.0)), usual)
    bend = clip_of(5.0)
    bend.route.points[..., 1] = 0.01 * bend.route.points[..., 0] ** 2
    assert not torch.equal(poses(model, bend), usual)


def test_with_ego_status_it_depends_on_speed_acceleration_and_yaw_rate():
    model = planner(ego_status=True)
    usual = poses(model, clip_of(5.0))
    for other in (clip_of(6.0), clip_of(5.0, past_speed=7.0), clip_of(5.0, yaw_rate=0.1)):
        assert not torch.allclose(poses(model, other), usual, atol=1e-3)


@pytest.mark.parametrize("ego_status", [False, True])
def test_the_scene_and_the_future_never_matter(ego_status):
    model, clip = planner(ego_status), clip_of(5.0)
    usual = poses(model, clip)
    other = clip_of(5.0, seed=1)
    assert not torch.equal(other.occupancy, clip.occupancy) and not torch.equal(other.boxes.center, clip.boxes.center)
    other.T_global_ego[:, 3:, 0, 3] += 7.0
    assert torch.equal(poses(model, other), usual)
    bare = clip_of(5.0)
    bare.occupancy, bare.boxes, bare.grid = None, None, None
    assert torch.equal(poses(model, bare), usual)


def test_an_untrained_one_keeps_the_speed_it_knows():
    torch.manual_seed(0)
    model = EgoMLP(ego_status=True).eval()
    torch.nn.init.zeros_(model.layers[-1].weight)
    expected = 6.0 * 0.5 * torch.arange(1, 9)
    torch.testing.assert_close(poses(model, clip_of(6.0))[0, :, 0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("ego_status", [False, True])
def test_a_gradient_reaches_every_layer(ego_status):
    model = planner(ego_status)
    sum(model(clip_of(5.0), mode="loss").values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("ego_status", [False, True])
def test_it_learns(ego_status):
    """All brake so that they would stand after 8 s; who does not know the speed can but guess."""
    torch.manual_seed(0)
    model = EgoMLP(ego_status, hidden=64)
    batch = SceneClip.cat([clip_of(float(v), seed=v) for v in range(2, 12)])
    batch.T_global_ego[:, 3:, 0, 3] *= 1 - 0.5 * torch.arange(1, 9) / 16
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = sum(model(batch, mode="loss").values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    error = (poses(model, batch)[..., 0] - driven(batch).poses[..., 0]).abs().mean()
    assert losses[-1] < (0.6 if ego_status else 0.95) * losses[0]
    assert error < 0.7 if ego_status else 1.0 < error < 6.0


def test_what_it_gives_the_metric_and_the_closed_loop():
    batch = SceneClip.cat([clip_of(4.0), clip_of(8.0, stop_m=10.0)])
    for ego_status, name in ((True, "ego_mlp"), (False, "ego_mlp_blind")):
        model = planner(ego_status)
        with torch.no_grad():
            samples = model(batch, mode="predict")
        assert len(samples) == 2 and {name, "constant_velocity"} <= set(samples[1]["planning"]["plans"])
        torch.testing.assert_close(samples[1]["planning"]["plans"][name], poses(model, batch)[1])
        driver = LearnedPlanner(model)
        history = batch.history()
        inputs = PlanningInput(history, EgoState.from_history(history), (None, None), history.route)
        check_plan(driver.plan(inputs), 2)
        assert driver.name == name


def test_route_of_none_and_wrong_lengths():
    model, clip = planner(True), clip_of(5.0)
    clip.route = None
    straight = poses(model, clip)
    assert straight.isfinite().all() and straight[..., 1].abs().max() <= 0.5
    clip.route = Route.nowhere(count=7)
    with pytest.raises(ValueError, match="route has 7 points, expected 25"):
        model(clip)
    with pytest.raises(ValueError, match="history has 3 frames, expected num_history = 5"):
        planner(True, num_history=5)(clip_of(5.0))
    with pytest.raises(ValueError, match="num_history is 1"):
        EgoMLP(num_history=1)


def test_past_poses_are_seen_from_t0():
    """The same motion elsewhere in the world, turned: the same plan."""
    model, clip = planner(True), clip_of(5.0, past_speed=6.0)
    moved = clip_of(5.0, past_speed=6.0)
    T = torch.from_numpy(se3.from_se2(np.array([1000.0, -500.0, 2.0])))
    moved.T_global_ego = T @ moved.T_global_ego
    torch.testing.assert_close(poses(model, moved), poses(model, clip), atol=1e-3, rtol=0)
    assert se2.from_matrix(moved.history().poses_in_t0())[0, 0, 0] == pytest.approx(-5.5, abs=1e-3)

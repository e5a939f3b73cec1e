"""A recorded drive as an environment: what it shows on the recorded path and beside it, and what is not valid."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.lockstep import stack_inputs
from drivewm.closed_loop.log.environment import LogEnvironment
from drivewm.closed_loop.log.gate import CheckedLidar
from drivewm.closed_loop.log.scenarios import log_environment, log_scenarios
from drivewm.closed_loop.log.scene import LogScene
from drivewm.closed_loop.log.validity import LogValidity
from drivewm.closed_loop.runner import run
from drivewm.data import DriveClips
from drivewm.dynamics.idm import NUPLAN_IDM
from drivewm.geometry import se2, se3
from drivewm.geometry.boxes import bev_corners, points_in_boxes, polygons_overlap
from drivewm.planning.log_replay import LogReplayPlanner
from drivewm.planning.stop import StopPlanner
from drivewm.structures import OCC3D, Trajectory

HISTORY = 3
SPEC = PlannerSpec("stop", StopPlanner, num_history=HISTORY)


@pytest.fixture(scope="module")
def scene(town_index):
    return LogScene(town_index, 0)


@pytest.fixture(scope="module")
def lidar(scene):
    return CheckedLidar.of(scene, sweeps=1)


def drive(environment, planner):
    while not environment.done:
        environment.step(planner.plan(environment.observe()))
    return environment


def collides(rollout) -> bool:
    own = bev_corners(rollout.ego_boxes())[:, None]
    return bool((polygons_overlap(own, bev_corners(rollout.agents.boxes)) & rollout.agents.valid).any())


def test_following_the_recording_shows_what_was_recorded(scene, town_index, town_grid):
    environment = LogEnvironment(scene, 2.0, 3.0, grid=town_grid, num_history=HISTORY)
    clips = DriveClips(town_index, "train", HISTORY, 0)
    recorded = [item for item, name in enumerate(clips.scene_names) if name == scene.name]
    for number in range(5 - HISTORY, 5 - HISTORY + 4):
        found, clip = environment.observe().history, clips[recorded[number]]["clip"]
        assert torch.equal(found.timestamp_us, clip.timestamp_us)
        assert torch.allclose(found.T_global_ego, clip.T_global_ego, atol=1e-9)
        assert torch.allclose(found.route.points, clip.route.points, atol=1e-4)
        assert torch.equal(found.command, clip.command)
        assert torch.equal(found.boxes.track, clip.boxes.track) and torch.equal(found.boxes.valid, clip.boxes.valid)
        valid = found.boxes.valid
        for field in ("center", "size", "yaw", "label"):
            a, b = getattr(found.boxes, field)[valid].double(), getattr(clip.boxes, field)[valid].double()
            difference = se2.wrap_angle(a - b) if field == "yaw" else a - b
            assert difference.abs().max() < 1e-4, field
        now = valid[0, -1]
        a, b = found.boxes.velocity[0, -1][now], clip.boxes.velocity[0, -1][now]
        assert torch.allclose(a, b, atol=1e-3, equal_nan=True)
        for t in range(HISTORY):
            inside = points_in_boxes(
                town_grid.centers().reshape(-1, 3), clip.boxes.boxes()[0, t][valid[0, t]].numpy(), 0.9
            )
            apart = torch.from_numpy(~inside.any(1).reshape(town_grid.shape))
            seen = clip.visible[0, t] & apart
            assert torch.equal(found.occupancy[0, t][seen], clip.occupancy[0, t][seen])
            assert found.visible[0, t][seen].all()
            cars = [label == OCC3D.index("car") for label in (found.occupancy[0, t], clip.occupancy[0, t])]
            assert not cars[1].any() or (cars[0] & cars[1]).sum() > 0.6 * cars[1].sum()
        environment.step_reference()
    assert environment.validity() == LogValidity(0.0, 2.0)


def test_the_reference_drives_the_recording_and_hits_nobody(scene):
    environment = LogEnvironment(scene, 2.0, 4.0, num_history=HISTORY)
    while not environment.done:
        environment.step_reference()
    rollout = environment.rollout()
    assert np.allclose(rollout.poses, scene.ego[20:61, :3]) and np.allclose(rollout.warm_up[:, :3], scene.ego[:20, :3])
    assert np.array_equal(rollout.route, scene.route)
    assert not collides(rollout)
    slot = np.searchsorted(scene.tracks.track, rollout.agents.track)
    assert np.array_equal(rollout.agents.valid, scene.tracks.valid[20:61, slot])
    assert np.allclose(
        rollout.agents.boxes[rollout.agents.valid], scene.tracks.boxes[20:61, slot][rollout.agents.valid]
    )


@pytest.mark.parametrize("idm", [None, NUPLAN_IDM])
def test_log_replay_stays_near_the_recording_and_hits_nobody(scene, idm):
    environment = LogEnvironment(scene, 2.0, 4.0, num_history=HISTORY, idm=idm)
    drive(environment, LogReplayPlanner(environment.oracle()))
    assert not collides(environment.rollout())
    validity = environment.validity()
    assert validity.valid and validity.drift_m < 3.0
    lateral = se2.relative(scene.ego[20:61, :3], environment.rollout().poses)[:, 1]
    assert np.abs(lateral).max() < 0.5


def test_who_stops_drifts_away_and_is_flagged(town_index):
    scenes = [LogScene(town_index, number) for number in range(town_index.num_scenes)]
    scene = max(scenes, key=lambda one: np.hypot(*(one.ego[-1, :2] - one.ego[0, :2])))
    environment = drive(LogEnvironment(scene, 1.0, 5.0, num_history=HISTORY), StopPlanner())
    last = environment.rollout().poses[-1]
    validity = environment.validity()
    assert validity.drift_m == pytest.approx(np.hypot(*(last[:2] - scene.ego[60, :2])), abs=1e-6)
    assert validity.drift_m > 10 and validity.faults == ("drift",)
    notes = environment.notes()
    assert json.loads(json.dumps(notes)) == notes
    assert notes["validity"]["valid"] is False and notes["has_route"]


def test_validity_names_each_fault():
    assert LogValidity(9.9, 8.0, 0.55, 0.6).valid
    assert LogValidity(0.0, 8.5).faults == ("duration",)
    assert LogValidity(10.1, 9.0, 0.4, 0.6).faults == ("drift", "duration", "visibility")


def test_the_oracle_holds_the_end_of_the_recording(scene):
    environment = LogEnvironment(scene, 4.0, 2.0, num_history=HISTORY)
    environment.step(StopPlanner().plan(environment.observe()))
    future = environment.oracle().future()
    assert future.poses.shape == (41, 3)
    assert np.allclose(future.poses[:16], scene.ego[45:61, :3]) and (future.poses[16:] == scene.ego[60, :3]).all()
    assert np.array_equal(future.agents.valid[:16], scene.tracks.valid[45:61]) and not future.agents.valid[16:].any()
    assert (future.speed[16:] == 0).all() and future.speed[0] == scene.ego[45, 3]


def test_a_plan_beside_the_recording_moves_what_is_seen(scene, town_grid, lidar):
    environment = LogEnvironment(scene, 2.0, 3.0, town_grid, HISTORY, lidar)
    ahead = np.linalg.norm(np.diff(scene.ego[20::5, :2], axis=0), axis=-1).mean() * np.arange(1, 9)
    poses = torch.from_numpy(np.stack([ahead, np.minimum(0.15 * ahead, 3.0), np.zeros(8)], -1))[None].float()
    while not environment.done:
        environment.step(Trajectory.from_poses(poses, 0.5))
    inputs = environment.observe()
    history = inputs.history
    assert np.allclose(se3.to_se2(history.T_global_ego[0, -1].numpy()), environment.rollout().poses[-1])
    assert history.points.shape[:2] == (1, HISTORY) and history.points_valid.sum() > 3 * 5000
    assert history.ray_hit.sum() == history.points_valid.sum()
    assert torch.allclose(history.ray_directions[0, -1].norm(dim=-1).max(), torch.tensor(1.0), atol=1e-5)
    # Points on others lie in their boxes as seen from the new pose.
    now = history.boxes.valid[0, -1]
    boxes = history.boxes.boxes()[0, -1][now].numpy()
    points = history.points[0, -1][history.points_valid[0, -1]].numpy()
    near = np.hypot(*boxes[:, :2].T) < 15
    assert near.any() and (points_in_boxes(points, boxes, 0.15).sum(0)[near] > 0).any()
    both = stack_inputs([inputs, LogEnvironment(scene, 2.0, 1.0, town_grid, HISTORY, lidar).observe()]).history
    assert both.points.shape[0] == 2 and torch.equal(both.points[:1, :, : history.points.shape[2]], history.points)
    validity = environment.validity()
    assert 0.5 < validity.visible_share <= 1.0 and 0.5 < validity.logged_visible_share <= 1.0
    assert environment.notes()["lidar_agreement"] == lidar.agreement.to_dict()
    # and the ground is flat there too
    low = points[(np.hypot(points[:, 0], points[:, 1]) < 8) & (points[:, 2] < 0.1), 2]
    assert len(low) > 100 and np.abs(np.median(low)) < 0.03


def test_without_a_route_planners_get_none_and_progress_is_along_the_recording(town_index):
    pointer = np.zeros_like(town_index["scene_route_ptr"])
    scene = LogScene(replace(town_index, columns=town_index.columns | {"scene_route_ptr": pointer}), 0)
    environment = LogEnvironment(scene, 1.0, 1.0, num_history=2)
    inputs = environment.observe()
    assert not inputs.route.valid.any() and inputs.road_map == (None,)
    assert np.array_equal(environment.rollout().route, scene.ego[:, :2])
    assert not environment.notes()["has_route"]


def test_scenarios_are_windows_and_short_scenes_give_what_they_have(town_index):
    two = log_scenarios(town_index, "train", duration_s=2.0, warm_up_s=1.0)
    scenes = len(town_index.scenes_of("train"))
    assert len(two) == 2 * scenes and len({(s.name, s.variant) for s in two}) == len(two)
    assert {(s.start_s, s.duration_s) for s in two} == {(1.0, 2.0), (3.0, 2.0)}
    assert [s.duration_s for s in log_scenarios(town_index, "train", warm_up_s=4.5)] == [1.5] * scenes
    with pytest.raises(ValueError, match=r"no scene of split 'train' has 6.0 s of warm-up"):
        log_scenarios(town_index, "train", warm_up_s=6.0)


def test_windows_over_a_gap_in_time_are_left_out(town_index):
    times = np.array(town_index["frame_time_us"])
    first = int(town_index["scene_frame_ptr"][town_index.scenes_of("val")[0]])
    times[first + 8 :] += 3_000_000  # after the keyframe at 3.5 s comes one at 7 s
    index = replace(town_index, columns=town_index.columns | {"frame_time_us": times})
    starts_s = [s.start_s for s in log_scenarios(index, "val", duration_s=1.0, warm_up_s=0.5)]
    assert starts_s == [0.5, 1.5, 2.5, 7.5]


def test_workers_make_the_same_episode(town_index):
    scenario = log_scenarios(town_index, "val", duration_s=2.0)[0]
    scenario, factory = pickle.loads(pickle.dumps((scenario, log_environment)))
    first, second = (drive(factory(scenario, SPEC), StopPlanner()).rollout() for _ in range(2))
    assert np.array_equal(first.poses, second.poses) and np.array_equal(first.agents.boxes, second.agents.boxes)
    assert first.poses.shape == (21, 3)


def test_records_say_whether_their_episode_is_valid(town_index, tmp_path):
    """The town's data set has a map expansion, so that episodes in its recordings have all scores."""
    scenarios = log_scenarios(town_index, "val", duration_s=4.0)
    records = run([SPEC], scenarios, log_environment, tmp_path)
    assert [record["planner"] for record in records] == ["expert", "stop"]
    assert [record["status"] for record in records] == ["ok", "ok"]
    assert [record["family"] for record in records] == ["log", "log"]
    expert, stop = (record["notes"]["validity"] for record in records)
    assert expert == LogValidity(0.0, 4.0).to_dict()
    assert stop["drift_m"] > 1.0 and stop["valid"] == (stop["drift_m"] <= 10.0)
    assert records[0]["score"]["nc"] == 1.0 and records[0]["score"]["progress"] == 1.0


def test_an_episode_must_lie_within_the_recording(scene):
    for start_s, duration_s in ((0.5, 2.0), (5.0, 1.5), (2.0, 0.0)):
        with pytest.raises(ValueError, match=r"is recorded for 6.0 s"):
            LogEnvironment(scene, start_s, duration_s, num_history=HISTORY)
    with pytest.raises(ValueError, match=r"start_s must be a multiple of 0.5"):
        LogEnvironment(scene, 2.2, 1.0, num_history=HISTORY)

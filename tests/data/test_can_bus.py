"""The CAN bus of a town's scenes, read by the unmodified devkit and compared with the poses."""

from __future__ import annotations

import numpy as np
import pytest
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.nuscenes import NuScenes

from drivewm.data.can_bus import GRAVITY, CanBus, Motion
from drivewm.data.town_scene import town_at
from drivewm.dynamics.bicycle import PACIFICA, BicycleState, Control, step_bicycle
from drivewm.simulation import TownSimulator, make_scenarios
from tests.conftest import TOWN_SEED

RATES = {
    "ms_imu": 100, "pose": 50, "steeranglefeedback": 100, "vehicle_monitor": 2, "zoe_veh_info": 20, "zoesensors": 20
}  # fmt: skip


@pytest.fixture(scope="module")
def devkit(town_root) -> NuScenes:
    return NuScenes("v1.0-town", str(town_root), verbose=False)


@pytest.fixture(scope="module")
def bus(town_root) -> NuScenesCanBus:
    return NuScenesCanBus(str(town_root))


def column(messages: list[dict], name: str) -> np.ndarray:
    return np.array([message[name] for message in messages])


def yaw_of(quaternions: np.ndarray) -> np.ndarray:
    return np.unwrap(2 * np.arctan2(quaternions[:, 3], quaternions[:, 0]))


def keyframes(devkit: NuScenes, scene: dict) -> list[dict]:
    """Ego poses of a scene's keyframes."""
    poses, name = [], scene["first_sample_token"]
    while name:
        sample = devkit.get("sample", name)
        poses.append(devkit.get("ego_pose", devkit.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"]))
        name = sample["next"]
    return poses


def test_every_message_is_there_at_its_rate(devkit, bus, town_root):
    for scene in devkit.scene:
        stamps = [pose["timestamp"] for pose in keyframes(devkit, scene)]
        meta = bus.get_messages(scene["name"], "meta")
        assert set(meta) == set(bus.can_messages) == set(RATES)
        for name, rate in RATES.items():
            messages = bus.get_messages(scene["name"], name)
            utime = column(messages, "utime")
            assert set(np.diff(utime)) == {1_000_000 // rate}
            assert utime[0] == stamps[0] and utime[-1] == stamps[-1]
            assert meta[name]["message_count"] == len(messages) and meta[name]["message_freq"] == pytest.approx(rate)
            assert set(meta[name]["var_stats"]) == set(messages[0])
            for field, stats in meta[name]["var_stats"].items():
                assert stats["max"] == pytest.approx(column(messages, field).max()), (name, field)
        files = list((town_root / "can_bus").glob(f"{scene['name']}_*.json"))
        assert len(files) == len(bus.all_messages) + 1  # lights are our own
        assert sum(path.stat().st_size for path in files) < 45_000 * 6  # 0.9 MB in 20 s


def test_the_devkits_own_tools_work(devkit, bus, capsys):
    name = devkit.scene[0]["name"]
    bus.print_all_message_stats(name)
    bus.print_message_stats(name, "pose")
    assert "message_count" in capsys.readouterr().out
    route, pose = bus.get_pose_and_route(name)
    assert np.linalg.norm(pose[:, None] - route[None], axis=-1).min(axis=1).max() < 2.0
    assert bus.list_misaligned_routes() == []


def test_poses_at_keyframes_are_those_of_the_tables(devkit, bus):
    for scene in devkit.scene:
        messages = {message["utime"]: message for message in bus.get_messages(scene["name"], "pose")}
        imu = {message["utime"]: message for message in bus.get_messages(scene["name"], "ms_imu")}
        for row in keyframes(devkit, scene):
            message = messages[row["timestamp"]]
            np.testing.assert_allclose(message["pos"], row["translation"], atol=1e-3)
            for found in (message["orientation"], imu[row["timestamp"]]["q"]):
                assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
                turned = yaw_of(np.array([found, row["rotation"]]))
                assert abs(np.angle(np.exp(1j * np.diff(turned)[0]))) < 1e-3


def test_speeds_and_rates_are_differences_of_the_poses(devkit, bus):
    for scene in devkit.scene:
        pose = bus.get_messages(scene["name"], "pose")
        seconds = column(pose, "utime") / 1e6
        seconds -= seconds[0]
        position, velocity, yaw = column(pose, "pos"), column(pose, "vel"), yaw_of(column(pose, "orientation"))
        between = (seconds[2:] + seconds[:-2]) / 2
        moved = np.linalg.norm(position[2:] - position[:-2], axis=1) / 0.04
        np.testing.assert_allclose(np.interp(between, seconds, velocity[:, 0]), moved, atol=0.05)
        assert not velocity[:, 1:].any()
        turned = (yaw[2:] - yaw[:-2]) / 0.04
        np.testing.assert_allclose(np.interp(between, seconds, column(pose, "rotation_rate")[:, 2]), turned, atol=0.05)
        heading = np.arctan2(*np.diff(position[:, :2], axis=0).T[::-1])
        fast = velocity[1:, 0] > 1.0
        assert np.abs(np.angle(np.exp(1j * (heading - yaw[1:]))))[fast].max(initial=0.0) < 0.06
        acceleration = column(pose, "accel")
        gained = (velocity[10:, 0] - velocity[:-10, 0]) / 0.2
        felt = np.convolve(acceleration[:, 0], np.ones(11) / 11, mode="valid")
        assert np.abs(gained - felt).mean() < 0.1
        np.testing.assert_allclose(acceleration[:, 2], GRAVITY)
        np.testing.assert_allclose(acceleration[:, 1], velocity[:, 0] * column(pose, "rotation_rate")[:, 2], atol=2e-3)
        monitor = bus.get_messages(scene["name"], "vehicle_monitor")
        at = (column(monitor, "utime") - pose[0]["utime"]) / 1e6
        speed = np.interp(at, seconds, velocity[:, 0])
        np.testing.assert_allclose(column(monitor, "vehicle_speed") / 3.6, speed, atol=2e-3)
        rate = np.rad2deg(np.interp(at, seconds, column(pose, "rotation_rate")[:, 2]))
        np.testing.assert_allclose(column(monitor, "yaw_rate"), rate, atol=0.06)
        wheels = (column(monitor, "rear_left_rpm") + column(monitor, "rear_right_rpm")) / 2
        np.testing.assert_allclose(wheels, speed * wheels.max() / speed.max(), atol=0.5)


def simulate(steer_rate: float, acceleration: float = 0.0, steps: int = 20) -> np.ndarray:
    """States of a drive with steady commands, as `Motion` takes them."""
    state, states = BicycleState(100.0, 50.0, 3.1, speed=6.0), []
    for number in range(steps + 1):
        states.append((number * 100_000, state.x, state.y, state.yaw, state.acceleration, state.steer, 0.0))
        state = step_bicycle(state, Control(acceleration, steer_rate), 0.1)
    return np.array(states)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_left_is_positive(side):
    """nuScenes: positive steering angles are turns to the left."""
    motion = Motion(simulate(side * 0.1), PACIFICA).at(50)
    assert (side * np.diff(motion["yaw"]) > -1e-3).all() and side * (motion["yaw"][-1] - motion["yaw"][0]) > 0.2
    assert side * motion["steer"][-1] > 0.05 and side * motion["yaw_rate"][-1] > 0.1
    expected = motion["speed"] * np.tan(motion["steer"]) / PACIFICA.wheelbase_m
    np.testing.assert_allclose(motion["yaw_rate"], expected, atol=0.02)


def test_steering_of_the_scenes_is_that_of_their_bends(devkit, bus):
    bends = 0
    for scene in devkit.scene:
        steering, imu = (bus.get_messages(scene["name"], name) for name in ("steeranglefeedback", "ms_imu"))
        value, rate = column(steering, "value"), column(imu, "rotation_rate")[:, 2]
        bend = np.abs(rate) > 0.1
        bends += bend.sum()
        assert (np.sign(value[bend]) == np.sign(rate[bend])).mean() > 0.98 if bend.any() else True
        monitor = bus.get_messages(scene["name"], "vehicle_monitor")
        np.testing.assert_allclose(column(monitor, "steering"), np.rad2deg(value[::50]), atol=0.06)
        info = bus.get_messages(scene["name"], "zoe_veh_info")
        np.testing.assert_allclose(column(info, "steer_corrected"), np.rad2deg(value[::5]), atol=0.06)
        across = column(info, "RR_wheel_speed") - column(info, "RL_wheel_speed")
        assert (np.sign(across[bend[::5]]) == np.sign(rate[::5][bend[::5]])).all()
        ahead = bus.get_messages(scene["name"], "zoesensors")
        assert (np.sign(column(ahead, "steering_sensor") - 0.214) * value[::5] >= 0).all()
    assert bends > 50


def test_a_drive_is_smooth_and_stops_without_rolling_back():
    states = simulate(0.0, acceleration=-3.0, steps=40)
    motion = Motion(states, PACIFICA).at(100)
    np.testing.assert_allclose(np.stack([motion[n] for n in ("x", "y")], -1)[::10], states[:, 1:3], atol=1e-9)
    along = -(motion["x"] - 100.0)
    assert np.diff(along).min() > -1e-3 and motion["speed"].min() >= 0.0 and motion["speed"][-1] < 1e-9
    assert np.abs(np.diff(along, 2)).max() / 0.01**2 < 16.0  # no jumps: a jump of 1 m/s would be 100 m/s^2


def drive(location: str, index: int) -> tuple[TownSimulator, CanBus]:
    """A drive of 12 s."""
    town = town_at(TOWN_SEED, location)
    simulator = TownSimulator(town)
    simulator.reset(make_scenarios(town, index + 1, 7, 12.0)[index])
    bus = CanBus(simulator, offset_us=5)
    bus.listen()
    for _ in range(120):
        simulator.step(simulator.expert_control())
        bus.listen()
    return simulator, bus


def test_it_indicates_before_it_turns():
    turns = 0
    for index in range(6):
        simulator, bus = drive("boston-seaport", index)
        messages = bus.messages()
        monitor, yaw = messages["vehicle_monitor"], yaw_of(column(messages["pose"], "orientation"))[::25]
        left, right = column(monitor, "left_signal"), column(monitor, "right_signal")
        assert not (left & right).any()
        for i in range(4, len(yaw) - 4):
            change = yaw[i + 4] - yaw[i - 4]  # within 4 s
            if abs(change) > 1.2:
                turns += 1
                assert (left if change > 0 else right)[i - 4 : i + 5].any()
    assert turns > 3


def test_same_seed_same_messages():
    assert drive("boston-seaport", 1)[1].messages() == drive("boston-seaport", 1)[1].messages()


def test_too_few_states():
    simulator, _ = drive("boston-seaport", 0)
    bus = CanBus(simulator)
    bus.listen()
    with pytest.raises(ValueError, match="1 states, expected at least 3"):
        bus.messages()

"""The generated town data set: format, agreement with the simulator, determinism, interruption."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box

from drivewm.data import DatasetExistsError, DriveClips, Index, build_index, town
from drivewm.data.nuscenes_schema import LOCATIONS, TABLES
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.town_plan import HELD_OUT, LIDAR_KEYFRAMES, TownOptions, TownSensors, plan_scenes
from drivewm.data.town_recorder import ANNOTATION_RADIUS_M
from drivewm.data.town_scene import scenario_of
from drivewm.geometry import VoxelGrid, boxes, se3
from drivewm.simulation import FAMILIES, Town, TownSimulator, make_scenarios
from drivewm.structures import OCC3D, Command
from tests.conftest import TOWN_SEED
from tests.data.test_devkit import compare

TINY = VoxelGrid.centered((16, 16, 8), 0.8)
SHORT = TownOptions(2, 5, TINY, 0.5, TownSensors(image_size=(64, 36), depth=True, semantic=True))


@pytest.fixture(scope="module")
def devkit(town_root) -> NuScenes:
    return NuScenes("v1.0-town", str(town_root), verbose=False)


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout(town_root, town_grid):
    assert [path.name for path in town_root.glob("v1.0-*")] == ["v1.0-town"]
    assert {path.stem for path in (town_root / "v1.0-town").iterdir()} == {*TABLES, "lidarseg"}
    description = json.loads((town_root / "dataset.json").read_text())
    assert VoxelGrid(**description["grid"]) == town_grid and description["seed"] == TOWN_SEED
    assert not list(town_root.rglob("*.partial")) and not list(town_root.parent.glob("*.incomplete"))
    splits = json.loads((town_root / "splits.json").read_text())
    assert {name: len(scenes) for name, scenes in splits.items()} == {"train": 3, "val": 1}


def test_the_devkit_reads_it_and_agrees_with_our_reader(devkit, town_index, capsys):
    devkit.list_scenes()
    assert capsys.readouterr().out.count("scene-20") == 4
    assert len(devkit.sample) == 4 * 13
    compare(devkit, town_index)


def test_lidar_counts_are_those_of_the_devkit(devkit):
    for sample in devkit.sample[::11]:
        path, found, _ = devkit.get_sample_data(sample["data"]["LIDAR_TOP"])
        points = LidarPointCloud.from_file(path).points[:3]
        for box in found:
            counted = int(points_in_box(box, points).sum())
            # Rounding of a box to 0.1 mm may move a return across a face, most of all on the ground.
            assert abs(counted - devkit.get("sample_annotation", box.token)["num_lidar_pts"]) <= 2 + 0.02 * counted


def test_boxes_hold_the_movable_returns(town_index):
    """Occupied voxels of cars near the ego are where the boxes are, in the frame that clips give them."""
    clips = DriveClips(town_index, "train", 1, 0, load_points=True)
    car, checked = OCC3D.index("car"), 0
    for item in range(0, len(clips), 4):
        clip = clips[item]["clip"]
        cells = np.argwhere(clip.occupancy[0, 0].numpy() == car)
        own = clip.boxes.boxes()[0, 0][clip.boxes.valid[0, 0] & (clip.boxes.label[0, 0] == car)].numpy()
        centers = clip.grid.to_center(cells)
        assert not len(cells) or boxes.points_in_boxes(centers, own, margin_m=0.8).any(axis=1).all()
        checked += len(cells)
    assert checked > 100


def test_returns_lie_in_occupied_visible_voxels(town_index):
    clip = DriveClips(town_index, "val", 4, 0, load_points=True)[0]["clip"]
    for k in range(4):
        points = clip.points[0, k][clip.points_valid[0, k]].numpy()
        index, inside = clip.grid.to_index(points)
        cell = tuple(index[inside].T)
        occupied = clip.occupancy[0, k].numpy()[cell] != OCC3D.free
        assert inside.sum() > 1000 and occupied.mean() > 0.99  # the rest is range noise across a face
        assert clip.visible[0, k].numpy()[cell].mean() > 0.99


def test_keyframes_are_the_simulation(town_index, town_grid):
    """An independent run of the simulator gives the poses, labels and boxes that clips hold."""
    plan = plan_scenes(4)[3]
    place = Town.generate(TOWN_SEED, plan.location)
    simulator = TownSimulator(place)
    simulator.reset(make_scenarios(place, 1, TOWN_SEED, 6.0)[0])
    clip = DriveClips(town_index, "val", 3, 10)[0]["clip"]
    assert clip.scene == (plan.name,)
    first = int(town_index["scene_frame_ptr"][3])
    for k in range(13):
        lights = slice(*town_index["frame_light_ptr"][first + k : first + k + 2])
        np.testing.assert_allclose(town_index["light_xy"][lights], simulator.red_lights(), atol=1e-3)
        np.testing.assert_allclose(clip.T_global_ego[0, k].numpy(), simulator.T_global_ego(), atol=1e-9)
        np.testing.assert_array_equal(clip.occupancy[0, k].numpy(), simulator.occupancy(town_grid))
        agents = simulator.boxes(ANNOTATION_RADIUS_M)
        valid = clip.boxes.valid[0, k].numpy()
        assert valid.sum() == len(agents)
        centers = se3.transform_points(clip.T_global_ego[0, k].numpy(), clip.boxes.center[0, k].numpy()[valid])
        distance = np.linalg.norm(centers[:, None] - agents.boxes[None, :, :3], axis=-1)
        assert distance.min(axis=1).max() < 1e-3
        for _ in range(5):
            simulator.step(simulator.expert_control())


def test_splits_share_no_location(town_index):
    places = {
        split: {town_index["scene_location"][s] for s in town_index.scenes_of(split)} for split in ("train", "val")
    }
    assert not places["train"] & places["val"]
    for count in (1, 2, 5, 40, 100):
        plans = plan_scenes(count)
        assert len({plan.name for plan in plans}) == count
        assert all(plan.location in LOCATIONS for plan in plans)
        val = {plan.location for plan in plans if plan.split == "val"}
        assert not val & {plan.location for plan in plans if plan.split == "train"}
        if count >= 5:
            assert 0.18 <= sum(plan.split == "val" for plan in plans) / count <= 0.26


def test_situations_take_turns_and_new_combinations_are_held_out():
    plans = plan_scenes(100, tuple(FAMILIES))
    splits = {split: [plan for plan in plans if plan.split == split] for split in ("train", "val", HELD_OUT)}
    assert [len(splits[name]) for name in splits] == [67, 22, 11]
    assert {plan.family for plan in splits["train"]} == set(FAMILIES) == {plan.family for plan in splits["val"]}
    assert {plan.family for plan in splits[HELD_OUT]} == set(FAMILIES) - {"nominal"}
    for family in FAMILIES:  # no family keeps to one location
        assert len({plan.location for plan in splits["train"] if plan.family == family}) == 3
    places = {name: {plan.location for plan in splits[name]} for name in splits}
    assert not places["train"] & (places["val"] | places[HELD_OUT])
    assert all(plan.split != HELD_OUT for plan in plan_scenes(100))
    options = TownOptions(9, 0, TINY, families=("nominal", "stationary"))
    for plan in plan_scenes(9, options.families):
        scenario = scenario_of(options, plan)
        assert scenario.family == plan.family and bool(scenario.actors) == (plan.family == "stationary")


def test_a_data_set_without_agents_is_fine(tmp_path):
    root = town.write_town(tmp_path / "set", TownOptions(1, 0, TINY, 0.5, LIDAR_KEYFRAMES, density=0.0))
    boxes = DriveClips(build_index(root), "train", 2, 0)[0]["clip"].boxes
    assert not (boxes.velocity.norm(dim=-1)[boxes.valid] > 0).any()


def test_the_ego_is_on_its_route_and_on_the_basemap(devkit, town_root, town_index):
    bus = NuScenesCanBus(str(town_root))
    for scene in devkit.scene:
        route = np.array(bus.get_messages(scene["name"], "route", print_warnings=False))
        mask = devkit.get("map", devkit.get("log", scene["log_token"])["map_token"])["mask"]
        token = scene["first_sample_token"]
        while token:
            sample = devkit.get("sample", token)
            pose = devkit.get("ego_pose", devkit.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"])
            x, y, _ = pose["translation"]
            assert np.linalg.norm(route - [x, y], axis=1).min() < 2.0
            assert mask.is_on_mask(x, y).all()
            token = sample["next"]
    for split in ("train", "val"):
        for clip in (sample["clip"] for sample in DriveClips(town_index, split, 2, 6)):
            assert clip.command.item() != Command.NONE and clip.route.valid.all()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict[str, str]:
    """Digests of a data set of two short scenes with all sensors, written by one process."""
    return digests(town.write_town(tmp_path_factory.mktemp("tiny") / "set", SHORT))


def test_same_seed_same_bytes_for_any_workers(tiny, tmp_path, town_root):
    two = town.write_town(tmp_path / "elsewhere" / "two", SHORT, workers=2)
    assert digests(two) == tiny
    assert digests(town_root)["maps/boston-seaport.png"] not in tiny.values()  # another seed, another town


def test_interrupted_generation_resumes_to_the_same_bytes(tiny, tmp_path, monkeypatch):
    """Killed in the middle of the second scene, whose first keyframe and some sweeps are there already."""
    real, left = NuScenesWriter.write_sweep, [21 + 13]

    def dies(*args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args)

    out = tmp_path / "set"
    monkeypatch.setattr(NuScenesWriter, "write_sweep", dies)
    with pytest.raises(KeyboardInterrupt):
        town.write_town(out, SHORT)
    monkeypatch.undo()
    assert not out.exists() and list(tmp_path.rglob("scene-2002*.jpg"))
    for other in ({"seed": 6}, {"sensors": LIDAR_KEYFRAMES}):
        with pytest.raises(DatasetExistsError, match="unfinished generation with other options"):
            town.write_town(out, replace(SHORT, **other))
    written, steps, write_scene = [], [], town.write_scene
    monkeypatch.setattr(town, "write_scene", lambda *args: (written.append(args[2].name), write_scene(*args)))
    town.write_town(out, SHORT, progress=lambda done, total: steps.append((done, total)))
    assert written == ["scene-2002"] and steps == [(1, 2), (2, 2)]
    assert digests(out) == tiny


def test_existing_data_is_kept(town_root, tmp_path):
    before = digests(town_root)
    with pytest.raises(DatasetExistsError, match="--overwrite"):
        town.write_town(town_root, SHORT)
    assert digests(town_root) == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scenes": 0}, "scenes must be"),
        ({"seed": -1}, "seed must be"),
        ({"duration_s": 0.1}, "duration_s must be"),
        ({"families": ("fog",)}, "families must be some of nominal"),
        ({"families": ()}, "families must be"),
        ({"density": -1.0}, "density must be"),
        ({"grid": VoxelGrid.centered((1000, 64, 8), 0.8)}, "grid must not be larger than a town"),
    ],
)
def test_impossible_options(changed, words):
    with pytest.raises(ValueError, match=words):
        TownOptions(**{"scenes": 2, "seed": 0, "grid": TINY, **changed})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": (0, 224)}, r"image_size must be .* got \(0, 224\)"),
        ({"image_size": (400,)}, "image_size must be"),
        ({"image_size": (400, 100_000)}, "image_size must be"),
        ({"cameras": False, "depth": True}, "cameras must be on"),
        ({"cameras": False, "semantic": True}, "cameras must be on"),
    ],
)
def test_impossible_sensors(options, words):
    with pytest.raises(ValueError, match=words):
        TownSensors(**options)


def test_options_are_part_of_the_description():
    one = TownOptions(1, 0, TINY, sensors=TownSensors(cameras=False))
    assert one.description() == TownOptions(1, 0, TINY, sensors=TownSensors(False, (800, 450))).description()
    others = [TownSensors(), TownSensors(image_size=(64, 36)), TownSensors(sweeps=False), TownSensors(depth=True)]
    found = [json.dumps(TownOptions(1, 0, TINY, sensors=sensors).description()) for sensors in others]
    assert len(set(found)) == len(found)


def test_no_workers_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="workers must be >= 1"):
        town.write_town(tmp_path / "set", SHORT, workers=0)
    assert not list(tmp_path.iterdir())


def test_index_is_small_and_opens_again(town_index, tmp_path):
    again = Index.open(town_index.folder)
    assert again.num_frames == 52 and again.split_names == ("train", "val")
    elsewhere = build_index(town_index.data_root, out=tmp_path / "index")
    for name in town_index.columns:
        np.testing.assert_array_equal(elsewhere[name], town_index[name])
    np.testing.assert_array_equal(elsewhere.occupancy, town_index.occupancy)

"""The procedural town: its sensors, its labels and a whole scene, each against the time that it may take."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, within
from drivewm.data.town import write_town
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions
from drivewm.geometry import OCC3D_GRID
from drivewm.simulation import Cameras, LidarSweep, Town, TownSimulator, make_scenarios, nuscenes_rig

CAMERA_SIZE = 400, 224


def lidar_sweep() -> Row:
    """A sweep of 34,560 rays with noise and drop-out."""
    simulator, rng = _driving(), np.random.default_rng(0)

    def check(sweep: LidarSweep) -> None:
        _expect("points", len(sweep.points), 20_000)

    return within(0.030, lambda: simulator.lidar(rng), check)


def occupancy_labels() -> Row:
    """Labels of 200 x 200 x 16 voxels of 0.4 m."""
    simulator = _driving()
    return within(
        0.050, lambda: simulator.occupancy(OCC3D_GRID), lambda labels: _expect("classes", len(np.unique(labels)), 8)
    )


def six_cameras() -> Row:
    """nuScenes' six cameras at 400 x 224, with depth, classes and road users."""
    simulator = _driving()

    def check(images: dict) -> None:
        _expect("images", len(images), 6)
        _expect("pixels", sum(image.depth.size for image in images.values()), 6 * CAMERA_SIZE[0] * CAMERA_SIZE[1])

    return within(0.6, simulator.images, check)


def written_scene() -> Row:
    """A data set of one scene of 20 s on disk: LiDAR and labels of 200 x 200 x 16 voxels at 41 keyframes, CAN bus, map.

    The town itself is made once, before.
    """

    def write() -> int:
        with tempfile.TemporaryDirectory() as folder:
            root = write_town(Path(folder) / "town", TownOptions(1, 0, OCC3D_GRID, sensors=LIDAR_KEYFRAMES))
            return len(list(root.glob("gts/*/*/labels.npz")))

    return within(10.0, write, lambda written: _expect("labels", written, 41), rounds=3)


def _driving() -> TownSimulator:
    """A simulator whose ego drives in traffic."""
    town = Town.generate(0, "benchmark-town")
    simulator = TownSimulator(town, cameras=Cameras(nuscenes_rig(*CAMERA_SIZE)))
    simulator.reset(make_scenarios(town, 1, 0, 20.0)[0])
    return simulator


def _expect(name: str, found: int, least: int) -> None:
    if found < least:
        raise AssertionError(f"expected at least {least} {name}, found {found}")

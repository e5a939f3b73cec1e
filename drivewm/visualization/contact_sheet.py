"""Contact sheet of the town: some instants of a drive, each as cameras, map, LiDAR and labels see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.geometry import OCC3D_GRID, VoxelGrid, se2
from drivewm.geometry.boxes import bev_corners
from drivewm.simulation import Cameras, Scenario, Town, TownSimulator, nuscenes_rig
from drivewm.simulation.simulator import DT_S
from drivewm.structures import OCC3D
from drivewm.visualization.canvas import INK, ROUTE, BevCanvas
from drivewm.visualization.mosaic import mosaic
from drivewm.visualization.panels import arrange, classes_in, legend
from drivewm.visualization.points import draw_points
from drivewm.visualization.voxels import draw_voxels

_COLUMNS = ("cameras", "map: route as a line, ego in black", "LiDAR from above, by class", "occupancy labels")
_PAINT, _EDGE, _CROWN = (250, 250, 250), (150, 152, 170), (*OCC3D.colors[OCC3D.index("vegetation")], 150)


def contact_sheet(
    town: Town,
    scenario: Scenario,
    times_s: Sequence[float] | None = None,
    *,
    grid: VoxelGrid = OCC3D_GRID,
    camera_size: tuple[int, int] = (320, 180),
    seed: int = 0,
) -> np.ndarray:
    """Drives the expert through a scenario and draws what its sensors and labels say at some instants, one a row.

    Args:
        town: that the scenario belongs to.
        scenario: the drive.
        times_s: instants [s], increasing, within the scenario; by default the beginnings of its four quarters.
        grid: of the occupancy labels; also how far map and LiDAR are drawn.
        camera_size: width and height of each camera's picture [px].
        seed: of the LiDAR's noise.

    Returns:
        `(H, W, 3)` uint8.

    Raises:
        ValueError: times_s are none, not increasing, or not within the scenario.
    """
    times = np.linspace(0.0, scenario.duration_s, 5)[:4] if times_s is None else np.asarray(times_s, np.float64)
    if not (len(times) and (np.diff(times) > 0).all() and 0 <= times[0] and times[-1] <= scenario.duration_s):
        raise ValueError(f"times_s must increase within 0 .. {scenario.duration_s} s, got {list(times_s)}")
    simulator = TownSimulator(town, cameras=Cameras(nuscenes_rig(*camera_size)))
    simulator.reset(scenario)
    rng = np.random.default_rng(seed)
    rows, titles, seen = [], [], []
    for time_s in times:
        while simulator.time_s < time_s - DT_S / 2:
            simulator.step(simulator.expert_control())
        labels = simulator.occupancy(grid)
        rows.append(_instant(simulator, labels, grid, rng))
        titles.append(f"{simulator.time_s:.1f} s,  {simulator.ego.speed * 3.6:.0f} km/h")
        seen.append(labels)
    width = sum(picture.shape[1] for picture in rows[0])
    return arrange(
        rows,
        title=f"A drive of {scenario.duration_s:g} s through a procedural town (scenario {scenario.name})",
        column_titles=_COLUMNS,
        row_titles=titles,
        legend=legend(classes_in(*seen), width),
    )


def _instant(
    simulator: TownSimulator, labels: np.ndarray, grid: VoxelGrid, rng: np.random.Generator
) -> list[np.ndarray]:
    """The pictures of one row, all of one height."""
    cameras = mosaic({name: image.rgb for name, image in simulator.images().items()})
    height, reach = cameras.shape[0], float(grid.range_m[3])
    sweep = simulator.lidar(rng)
    colors = OCC3D.palette[sweep.point_class]
    return [
        cameras,
        _map(simulator, reach, height),
        draw_points(sweep.points_ego(), colors=colors, range_m=reach, size_px=height),
        draw_voxels(labels, grid, size=(round(1.3 * height), height)),
    ]


def _map(simulator: TownSimulator, reach_m: float, size_px: int) -> np.ndarray:
    """Surfaces, road markings, scenery, the route and all road users around the ego, its heading up."""
    town, pose = simulator.town, simulator.ego.pose
    canvas = BevCanvas((-reach_m, -reach_m, reach_m, reach_m), size_px / (2 * reach_m))
    cells = (np.arange(2 * size_px) + 0.5) * reach_m / size_px - reach_m
    places = np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    places = se2.transform_points(pose, places)
    colors = OCC3D.palette[town.ground.lookup(places)]
    colors[town.ground.is_marked(places)] = _PAINT
    canvas.raster(colors.reshape(2 * size_px, 2 * size_px, 3))
    T_ego_global = se2.inverse(pose)
    scenery = town.scenery.bodies.near(pose[:2], 2.0 * reach_m).seen_from(pose)
    for box, label in zip(scenery.boxes, scenery.box_class, strict=True):
        canvas.polygon(bev_corners(box), fill=OCC3D.colors[label], outline=_EDGE)
    for crown in scenery.ellipsoids:
        canvas.dots(crown[None, :2], _CROWN, crown[3] * size_px / (2 * reach_m))
    canvas.polyline(se2.transform_points(T_ego_global, simulator.route_points()), (*ROUTE, 150), 3)
    agents = simulator.boxes(2.0 * reach_m)
    for box, label in zip(agents.boxes, agents.label, strict=True):
        box = box.copy()
        box[[0, 1, 6]] = se2.compose(T_ego_global, box[[0, 1, 6]])
        canvas.box(box, INK, fill=OCC3D.colors[label], width_px=1)
    vehicle = simulator.vehicle
    canvas.ego(np.zeros(3), vehicle.length_m, vehicle.width_m, vehicle.rear_axle_to_center_m)
    return canvas.image()

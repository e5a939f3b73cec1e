"""Generate a town data set: drive the simulator and write what its sensors and labels say, in nuScenes' format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from drivewm.data.basemap import PIXEL_M, write_mask
from drivewm.data.map_expansion import write_map_expansion
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.town_plan import ScenePlan, TownOptions, plan_scenes
from drivewm.data.town_scene import town_at, write_scene
from drivewm.host import in_processes
from drivewm.structures import RoadMap

VERSION = "v1.0-town"


def write_town(
    out: str | Path,
    options: TownOptions,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a data set of scenes in the procedural town.

    Same options, same bytes, whatever the number of workers. A run that is killed leaves `OUT.incomplete`, and the same
    call goes on from there.

    Args:
        out: the data set to be.
        options: all that its content depends on.
        workers: processes.
        overwrite: replace what is there.
        progress: called with (scenes done, scenes) as it goes on.

    Returns:
        `out`.

    Raises:
        ValueError: there are no workers. DatasetExistsError: there is something at `out` already.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    scenes = options.scenes
    plans = plan_scenes(scenes, options.families)
    writer = NuScenesWriter(out, options.description(), VERSION, key=f"town/{options.seed}", overwrite=overwrite)
    todo = [plan for plan in plans if not writer.has_scene(plan.name)]
    done = scenes - len(todo)
    report = progress or (lambda done, total: None)
    report(done, scenes)
    map_files = {plan.location: f"maps/{plan.location}.png" for plan in plans}
    with_map = {plan.location: plan.name for plan in reversed(plans)}
    for _ in in_processes(partial(_write, writer, options, map_files, set(with_map.values())), todo, workers):
        done += 1
        report(done, scenes)
    writer.finish([plan.name for plan in plans], map_files)
    return Path(out)


def _write(writer: NuScenesWriter, options: TownOptions, map_files: dict, with_map: set[str], plan: ScenePlan) -> None:
    """Writes a scene; before the first one of a location, its map."""
    if plan.name in with_map:
        place = town_at(options.seed, plan.location)
        write_mask(writer.folder / map_files[plan.location], _raster(place.road_map()))
        write_map_expansion(writer.folder, place, writer.key)
    write_scene(writer, options, plan)


def _raster(road_map: RoadMap) -> np.ndarray:
    """The drivable area `(W, H)` in pixels of the basemap mask, from global (0, 0)."""
    cells = []
    for origin, count in zip(road_map.origin_m, road_map.drivable.shape, strict=True):
        pixels = int(np.ceil((origin + count * road_map.resolution_m) / PIXEL_M))
        cell = np.floor(((np.arange(pixels) + 0.5) * PIXEL_M - origin) / road_map.resolution_m).astype(int)
        cells.append(np.where((cell >= 0) & (cell < count), cell, count))  # one past the end: outside
    padded = np.pad(road_map.drivable, ((0, 1), (0, 1)))
    # Picked in the order in which the picture is stored, rows along y.
    return np.ascontiguousarray(padded.T)[np.ix_(*cells[::-1])].T

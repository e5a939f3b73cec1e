"""Make the occupancy labels of a data set, scene by scene: all of them, or none under the final name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, DatasetExistsError
from drivewm.data.files import read_json, write_occupancy
from drivewm.data.labels.cloud import SceneCloud, masked
from drivewm.data.labels.scenes import LabelScene, read_scenes
from drivewm.data.labels.tracks import boxes_at
from drivewm.data.labels.voting import Ballot
from drivewm.data.nuscenes_tables import INCOMPLETE_SUFFIX, NuScenesTables, find_version
from drivewm.geometry import VoxelGrid
from drivewm.host import in_processes, replace_folder, write_json

STATEMENT = "labels.json"
"""Lies beside the labels and says how they were made. Labels without it are published ones, or a town's own."""


@dataclass(frozen=True)
class LabelOptions:
    """All that labels depend on beside the data.

    Attributes:
        grid: of the labels, in the ego frame.
        causal: from the sweeps up to each keyframe alone; things that move from its own.
        keyframes_only: without the sweeps between keyframes.
        rays_step: mask_lidar holds what the rays of all keyframes of the scene and of every so manyth sweep pass or end
            in. 0: those of the label's own keyframe alone, as always with `causal`.
    """

    grid: VoxelGrid
    causal: bool = False
    keyframes_only: bool = False
    rays_step: int = 5

    def __post_init__(self) -> None:
        if self.rays_step < 0:
            raise ValueError(f"rays_step must be 0 or more, got {self.rays_step}")

    def statement(self) -> dict:
        """Content of `STATEMENT`."""
        return {
            "schema_version": 1,
            "kind": "causal" if self.causal else "scene",
            "keyframes_only": self.keyframes_only,
            "rays_step": 0 if self.causal else self.rays_step,
            "grid": {"range_m": list(self.grid.range_m), "voxel_m": self.grid.voxel_m},
        }


def is_made_with(out: str | Path, options: LabelOptions) -> bool:
    """Are there labels at `out` that were made with these options? Raises DataError for others."""
    out = Path(out)
    if not (out / STATEMENT).exists():
        return False
    found = {name: value for name, value in read_json(out / STATEMENT, dict).items() if name != "scenes"}
    if found != options.statement():
        raise DataError(out / STATEMENT, "options", found, f"{options.statement()}, or --overwrite")
    return True


def make_labels(
    root: str | Path,
    out: str | Path,
    options: LabelOptions,
    version: str | None = None,
    scenes: Sequence[str] = (),
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes `OUT/SCENE/TOKEN/labels.npz` of every keyframe, and `OUT/labels.json`.

    A run that is killed leaves `OUT.incomplete`, and the same call goes on from there. The result does not depend on
    the number of workers.

    Args:
        root: data set in nuScenes' format, with point classes (lidarseg) at keyframes.
        out: folder of the labels to be; `root/gts` is where readers look for them.
        options: how they are made.
        version: folder of the tables; None: the only `v1.0-*` folder.
        scenes: names of those to make; all if empty.
        workers: processes; each holds one scene, about 0.7 GB with the sweeps between keyframes.
        overwrite: replace what is there.
        progress: called with (scenes done, scenes) as it goes on.

    Returns:
        `out`.

    Raises:
        DataError: (of some kind) for anything in the data that does not hold, and for what is at `out` already.
    """
    root, out = Path(root), Path(os.path.abspath(out))
    found = read_scenes(NuScenesTables(root, find_version(root, version)))
    unknown = sorted(set(scenes).difference(scene.name for scene in found))
    if unknown:
        raise DataError(root, "scenes", unknown, f"some of {', '.join(scene.name for scene in found)}")
    chosen = [scene for scene in found if not scenes or scene.name in scenes]
    folder = _begin(out, {**options.statement(), "scenes": [scene.name for scene in chosen]}, overwrite)
    report = progress or (lambda done, total: None)
    todo = [scene for scene in chosen if not all(_file(folder, scene, k).exists() for k in range(len(scene.tokens)))]
    report(len(chosen) - len(todo), len(chosen))
    for done, _ in enumerate(in_processes(partial(_label_scene, folder, options), todo, workers), 1):
        report(len(chosen) - len(todo) + done, len(chosen))
    replace_folder(folder, out)
    return out


def _begin(out: Path, statement: dict, overwrite: bool) -> Path:
    """The folder in which labels grow: a new one, or that of a run with the same options that was killed."""
    folder = out.with_name(out.name + INCOMPLETE_SUFFIX)
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise DatasetExistsError(out, "labels", "labels that are there", "a new folder, or --overwrite to replace them")
    if folder.exists() and (read_json(folder / STATEMENT, dict) if (folder / STATEMENT).exists() else {}) != statement:
        if not overwrite:
            raise DatasetExistsError(
                folder, "labels", "an unfinished run with other options", "the same options, or --overwrite"
            )
        shutil.rmtree(folder)
    write_json(folder / STATEMENT, statement, indent=1)
    return folder


def _file(folder: Path, scene: LabelScene, k: int) -> Path:
    return folder / scene.name / scene.tokens[k] / "labels.npz"


def _label_scene(folder: Path, options: LabelOptions, scene: LabelScene) -> None:
    """Writes the labels of a scene that are not there yet."""
    scene = scene.keyframes_only() if options.keyframes_only else scene
    cloud = SceneCloud(scene.sweeps(), boxes_at(scene.tracks, scene.time_us))
    ballot = Ballot(options.grid)
    step = 0 if options.causal else options.rays_step
    rays_of = np.union1d(scene.keyframes, np.arange(0, len(scene.time_us), step)) if step else ()
    for k, sweep in enumerate(scene.keyframes):
        if not _file(folder, scene, k).exists():
            semantics = cloud.semantics(int(sweep), ballot, options.causal)
            seen = cloud.seen(int(sweep), options.grid, rays_of)
            write_occupancy(_file(folder, scene, k), semantics, masked(semantics, seen))

"""Loading occupancy: one frame, and clips by worker processes."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.measure import Row, compare
from benchmarks.scenes import street
from drivewm.data import DriveClips, Index, build_index, collate
from drivewm.data.files import write_occupancy
from drivewm.data.town import write_town
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions
from drivewm.geometry import OCC3D_GRID
from drivewm.structures import OCC3D


def occ3d_frame() -> Row:
    """A frame of labels from the index, against unpacking Occ3D's labels.npz into int64 as published loaders do."""
    labels = street()
    with tempfile.TemporaryDirectory() as folder:
        npz, raw = Path(folder) / "labels.npz", Path(folder) / "occupancy.npy"
        write_occupancy(npz, labels, labels != OCC3D.free)
        np.save(raw, labels[None])
        cached = np.load(raw, mmap_mode="r")  # as `Index` holds it

        def unpack() -> torch.Tensor:
            with np.load(npz) as arrays:
                return torch.from_numpy(arrays["semantics"].astype(np.int64))

        def check(a: torch.Tensor, b: torch.Tensor) -> None:
            if not torch.equal(a.long(), b):
                raise AssertionError("labels differ")

        return compare(lambda: torch.from_numpy(np.array(cached[0])), unpack, check, goal=None)


def two_workers() -> Row:
    """An epoch of clips (200 x 200 x 16 voxels, 11 frames, batches of 2) by two worker processes, against one."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_town(Path(folder) / "town", TownOptions(4, 0, OCC3D_GRID, 20.0, LIDAR_KEYFRAMES))
        index = build_index(root, cache_occupancy=True)
        clips = DriveClips(Index.open(index.folder), index.split_names[0], 5, 6, load_boxes=False)
        loaders = {
            workers: DataLoader(clips, batch_size=2, num_workers=workers, collate_fn=collate, persistent_workers=True)
            for workers in (1, 2)
        }
        pairs = []
        for round_number in range(4):  # in the first, processes start
            seconds = {workers: _epoch(loader) for workers, loader in loaders.items()}
            if round_number:
                pairs.append((seconds[2], seconds[1]))
    ours, against = (statistics.median(values) for values in zip(*pairs, strict=True))
    note = f"{len(clips) / ours:.0f} clips/s with two workers, {len(clips) / against:.0f} with one"
    return Row(ours, against, tuple(one / two for two, one in pairs), goal=None, note=note)


def _epoch(loader: DataLoader) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start

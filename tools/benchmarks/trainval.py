"""Opening a data set of the size of nuScenes trainval: our memory-mapped index against the nuscenes-devkit.

The tables are made up, with as many rows as the real ones and valid tokens, but there are no sensor files. They and
their index are made once (minutes, and as much memory as the devkit needs) and kept in the system's temporary folder.
"""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from drivewm.data import build_index
from drivewm.data.basemap import write_mask
from drivewm.data.nuscenes_schema import ATTRIBUTES, CATEGORIES, VISIBILITY
from drivewm.host import replacing, write_json

VERSION = "v1.0-trainval"
SCENES, SAMPLES = 850, 34_149
TRACKS_PER_SCENE, SAMPLES_PER_TRACK = 76, 18
SWEEPS = {
    "LIDAR_TOP": ("lidar", 10),
    **{f"CAM_{name}": ("camera", 6) for name in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT")},
    **{f"CAM_{name}": ("camera", 6) for name in ("BACK", "BACK_LEFT", "BACK_RIGHT")},
    **{f"RADAR_{name}": ("radar", 6) for name in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT")},
    "RADAR_BACK_RIGHT": ("radar", 7),
}
"""Modality of each channel, and its rows per sample: 77 in all, 2.6 million in the data set."""

_MEASURE = """
import contextlib, io, json, resource, sys, time
{imports}
start = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    opened = {call}
seconds = time.perf_counter() - start
peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps(dict(seconds=seconds, peak_gb=peak_gb, frames={frames}, boxes={boxes})))
"""


def time_to_open() -> Row:
    """Seconds until the data set can be asked for its keyframes, each in a process of its own, imports not counted."""
    ours, devkit = _opened()
    seconds = [run["seconds"] for run in ours]
    ratios = tuple(devkit["seconds"] / s for s in seconds)
    return Row(float(np.median(seconds)), devkit["seconds"], ratios, goal=10_000.0)


def memory() -> Row:
    """The most memory that these processes ever held, interpreter and libraries included."""
    ours, devkit = _opened()
    peaks = [run["peak_gb"] for run in ours]
    ratios = tuple(devkit["peak_gb"] / peak for peak in peaks)
    return Row(float(np.median(peaks)), devkit["peak_gb"], ratios, goal=10.0, unit="GB")


@functools.cache
def _opened() -> tuple[list[dict], dict]:
    """What seven openings of the index and one by the devkit took. Both read files that were just written or read."""
    root = Path(tempfile.gettempdir()) / "drivewm-benchmark-trainval"
    if not (root / "splits.json").exists():
        write_tables(root)
    if not (root / "index").exists():
        build_index(root, VERSION, cache_occupancy=False)
    devkit = _run(
        "from nuscenes import NuScenes", f"NuScenes({VERSION!r}, sys.argv[1])", "len(opened.sample)",
        "len(opened.sample_annotation)", root
    )  # fmt: skip
    ours = [
        _run(
            "from drivewm.data import Index", "Index.open(sys.argv[1] + '/index')", "opened.num_frames",
            "len(opened['box_label'])", root
        )
        for _ in range(7)
    ]  # fmt: skip
    for run in ours:
        for what in ("frames", "boxes"):
            if run[what] != devkit[what]:
                raise AssertionError(f"the index has {run[what]} {what}, the devkit {devkit[what]}")
    return ours, devkit


def _intrinsics(modality: str) -> list[list[float]]:
    return [[1266.0, 0.0, 800.0], [0.0, 1266.0, 450.0], [0.0, 0.0, 1.0]] if modality == "camera" else []


def _run(imports: str, call: str, frames: str, boxes: str, root: Path) -> dict:
    script = _MEASURE.format(imports=imports, call=call, frames=frames, boxes=boxes)
    done = subprocess.run([sys.executable, "-c", script, str(root)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_tables(root: Path, scenes: int = SCENES, samples: int = SAMPLES) -> None:
    """The 13 tables, a basemap, an empty file for each LIDAR_TOP keyframe, for which an index looks, and splits."""
    per_scene = [samples // scenes + (s < samples % scenes) for s in range(scenes)]
    first = np.concatenate([[0], np.cumsum(per_scene)]).tolist()
    rng = random.Random(0)
    poses = [_pose(rng) for _ in range(997)]
    tables: dict[str, Iterable[str]] = {
        "attribute": _named("attribute", ATTRIBUTES),
        "category": _named("category", CATEGORIES),
        "visibility": (f'{{"token": "{t}", "description": "", "level": "{v[0]}"}}' for t, v in VISIBILITY.items()),
        "log": [_row(token=_token("log", 0), logfile="made-up", vehicle="n", date_captured="", location="unknown")],
        "map": [_row(token=_token("map", 0), log_tokens=[_token("log", 0)], category="", filename="maps/unknown.png")],
        "sensor": (
            _row(token=_token("sensor", c), channel=n, modality=m) for c, (n, (m, _)) in enumerate(SWEEPS.items())
        ),
        "calibrated_sensor": (
            f'{{"token": "{_token("calibrated_sensor", s * len(SWEEPS) + c)}", '
            f'"sensor_token": "{_token("sensor", c)}", {poses[c]}, "camera_intrinsic": {_intrinsics(modality)}}}'
            for s in range(scenes)
            for c, (modality, _) in enumerate(SWEEPS.values())
        ),
        "scene": (
            _row(
                token=_token("scene", s),
                log_token=_token("log", 0),
                nbr_samples=per_scene[s],
                first_sample_token=_token("sample", first[s]),
                last_sample_token=_token("sample", first[s + 1] - 1),
                name=f"scene-{s:04d}",
                description="made up",
            )
            for s in range(scenes)
        ),
        "sample": (
            _row(
                token=_token("sample", n),
                timestamp=1_500_000_000_000_000 + 500_000 * n,
                **_neighbours("sample", n, first[s], first[s + 1]),
                scene_token=_token("scene", s),
            )
            for s in range(scenes)
            for n in range(first[s], first[s + 1])
        ),
        "sample_data": _sample_data(first),
        "ego_pose": (
            f'{{"token": "{_token("sample_data", n)}", "timestamp": {1_500_000_000_000_000 + n}, {poses[n % 997]}}}'
            for n in range(samples * _rows_per_sample())
        ),
        "instance": (
            _row(
                token=_token("instance", n),
                category_token=_token("category", n % len(CATEGORIES)),
                nbr_annotations=SAMPLES_PER_TRACK,
                first_annotation_token=_token("sample_annotation", n * SAMPLES_PER_TRACK),
                last_annotation_token=_token("sample_annotation", (n + 1) * SAMPLES_PER_TRACK - 1),
            )
            for n in range(scenes * TRACKS_PER_SCENE)
        ),
        "sample_annotation": _annotations(first, poses),
    }
    for name, rows in tables.items():
        with replacing(root / VERSION / f"{name}.json") as part, open(part, "w") as file:
            for number, row in enumerate(rows):
                file.write((",\n" if number else "[\n") + row)
            file.write("\n]")
    write_mask(root / "maps/unknown.png", np.zeros((10, 10), bool))
    (root / "samples/LIDAR_TOP").mkdir(parents=True, exist_ok=True)
    for n in range(samples):
        (root / f"samples/LIDAR_TOP/{n}.pcd.bin").touch()
    names = [f"scene-{s:04d}" for s in range(scenes)]
    write_json(root / "splits.json", {"train": names[: scenes * 14 // 17], "val": names[scenes * 14 // 17 :]})


def _rows_per_sample() -> int:
    return sum(count for _, count in SWEEPS.values())


def _sample_data(first: list[int]) -> Iterator[str]:
    """The keyframes and sweeps of each channel, chained through their scene; number and token are those of ego_pose."""
    total = _rows_per_sample()
    for scene, (begin, end) in enumerate(zip(first[:-1], first[1:], strict=True)):
        number = begin * total
        for channel, (name, (modality, count)) in enumerate(SWEEPS.items()):
            calibration = _token("calibrated_sensor", scene * len(SWEEPS) + channel)
            kind, suffix = ("jpg", "jpg") if modality == "camera" else ("pcd", "pcd.bin")
            chain = (number, number + (end - begin) * count)
            for sample in range(begin, end):
                for sweep in range(count):
                    token, links = _token("sample_data", number), _neighbours("sample_data", number, *chain)
                    folder, key = ("sweeps", "false") if sweep else ("samples", "true")
                    file = f"{sample}_{sweep}" if sweep else f"{sample}"
                    yield (
                        f'{{"token": "{token}", "sample_token": "{_token("sample", sample)}", '
                        f'"ego_pose_token": "{token}", "calibrated_sensor_token": "{calibration}", '
                        f'"timestamp": {1_500_000_000_000_000 + 500_000 * sample + sweep}, "fileformat": "{kind}", '
                        f'"is_key_frame": {key}, "height": 900, "width": 1600, '
                        f'"filename": "{folder}/{name}/{file}.{suffix}", '
                        f'"prev": "{links["prev"]}", "next": "{links["next"]}"}}'
                    )
                    number += 1


def _annotations(first: list[int], poses: list[str]) -> Iterator[str]:
    """Each track is seen in some samples of its scene, one after the other."""
    number = 0
    for scene, (begin, end) in enumerate(zip(first[:-1], first[1:], strict=True)):
        for track in range(TRACKS_PER_SCENE):
            start = begin + track % max(end - begin - SAMPLES_PER_TRACK + 1, 1)
            chain = (number, number + SAMPLES_PER_TRACK)
            for sample in range(start, start + SAMPLES_PER_TRACK):
                links = _neighbours("sample_annotation", number, *chain)
                yield (
                    f'{{"token": "{_token("sample_annotation", number)}", '
                    f'"sample_token": "{_token("sample", sample)}", '
                    f'"instance_token": "{_token("instance", scene * TRACKS_PER_SCENE + track)}", '
                    f'"visibility_token": "4", "attribute_tokens": ["{_token("attribute", track % len(ATTRIBUTES))}"], '
                    f'{poses[number % 997]}, "size": [1.876, 4.523, 1.612], '
                    f'"prev": "{links["prev"]}", "next": "{links["next"]}", "num_lidar_pts": 5, "num_radar_pts": 0}}'
                )
                number += 1


def _token(table: str, number: int) -> str:
    """32 hexadecimal digits, as nuScenes has them."""
    return f"{_TABLE_CODES[table]:08x}{number:024x}"


_TABLE_CODES = {
    name: 0x9E3779B1 * (code + 1) % 2**32
    for code, name in enumerate(
        ("attribute", "calibrated_sensor", "category", "instance", "log", "map", "sample", "sample_annotation")
        + ("sample_data", "scene", "sensor")
    )
}


def _neighbours(table: str, number: int, begin: int, end: int) -> dict[str, str]:
    """prev and next in the chain of the rows from `begin` up to `end`."""
    return {
        "prev": _token(table, number - 1) if number > begin else "",
        "next": _token(table, number + 1) if number + 1 < end else "",
    }


def _named(table: str, descriptions: dict[str, str]) -> Iterator[str]:
    for number, (name, description) in enumerate(descriptions.items()):
        yield _row(token=_token(table, number), name=name, description=description)


def _pose(rng: random.Random) -> str:
    """Translation and rotation, with as many digits as the real tables have."""
    translation = [rng.uniform(300, 2500), rng.uniform(300, 2500), rng.uniform(0, 2)]
    rotation = np.array([rng.gauss(0, 1), rng.gauss(0, 0.01), rng.gauss(0, 0.01), rng.gauss(0, 1)])
    unit = (rotation / np.linalg.norm(rotation)).tolist()
    return f'"translation": {json.dumps(translation)}, "rotation": {json.dumps(unit)}'


def _row(**fields) -> str:
    return json.dumps(fields)

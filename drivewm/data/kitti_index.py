"""Build the index of KITTI odometry (Geiger et al., 2012) in its public layout; nothing is copied.

`sequences/NN/velodyne/NNNNNN.bin`, `calib.txt` and `times.txt`; poses in `poses/NN.txt`, or in `poses.txt` beside them.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.index import Index
from drivewm.data.log_index import Log, write_log_index
from drivewm.geometry import se3

_LOG = logging.getLogger(__name__)
NAME = "kitti"
TABLES = ("sequences/*/calib.txt", "sequences/*/times.txt", "sequences/*/poses.txt", "poses/*.txt")
SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05"),
    "val": ("06", "07"),
    "test": ("08", "09", "10"),
}
"""4D-Occ's, of the sequences whose poses are published."""

T_EGO_LIDAR = se3.from_xyzyaw(0.76, 0.0, 1.73, 0.0)
"""The Velodyne has our axes (x forward) and stands above the middle of the vehicle, which is drawn with its measures in
KITTI's sensor setup (www.cvlibs.net/datasets/kitti/setup.php): 1.73 m above the road, 0.27 m behind camera 0, which is
1.68 m behind the front axle; the wheelbase is 2.71 m. So it is 0.76 m ahead of the rear axle."""

_ORTHONORMAL_TOLERANCE = 1e-3  # the files have 7 digits


def build_kitti_index(root: str | Path, out: str | Path | None = None, overwrite: bool = False) -> Index:
    """Reads calibrations, times and poses and writes the index. Every sweep is a frame.

    Global is the ego frame of a sequence's first pose. Left out, with a message: sequences 11 to 21, whose poses are
    not published, and those without sweeps.

    Args:
        root: holds `sequences/`.
        out: the index; None: `root/index`.
        overwrite: replace an index that is there.

    Raises:
        DataError: (of some kind) a file of a sequence 00 to 10 is missing or does not hold, or there is no sequence.
    """
    root = Path(root)
    folders = sorted(path for path in (root / "sequences").glob("*") if path.is_dir())
    if not folders:
        raise MissingFileError(root / "sequences", "folder", "no sequences", "KITTI odometry: sequences/NN")
    split_of = {sequence: split for split, sequences in SPLITS.items() for sequence in sequences}
    logs = []
    for folder in folders:
        if folder.name not in split_of:
            _LOG.warning("sequence %s has no published poses and is left out", folder.name)
        elif not any((folder / "velodyne").glob("*.bin")):
            _LOG.warning("sequence %s has no sweeps in velodyne/ and is left out", folder.name)
        else:
            logs.append(_read_sequence(root, folder, split_of[folder.name]))
    if not logs:
        found = f"only sequences {', '.join(folder.name for folder in folders)}"
        raise DataError(root / "sequences", "sequences", found, "one of 00 to 10, with sweeps in velodyne/")
    return write_log_index(root, None if out is None else Path(out), logs, NAME, TABLES, overwrite)


def _read_sequence(root: Path, folder: Path, split: str) -> Log:
    files = sorted((folder / "velodyne").glob("*.bin"))
    for path in files:
        if not re.fullmatch(r"\d{6}", path.stem):
            raise DataError(path, "name", path.name, "six digits, the number of the sweep")
    number = np.array([int(path.stem) for path in files])
    T_cam_lidar = _calibration(folder / "calib.txt")
    poses_file = next((p for p in (root / "poses" / f"{folder.name}.txt", folder / "poses.txt") if p.is_file()), None)
    if poses_file is None:
        expected = f"poses/{folder.name}.txt, or poses.txt beside it"
        raise MissingFileError(folder, "poses", "nothing", expected, "KITTI publishes them as an archive of their own")
    times = _numbers(folder / "times.txt", 1)[:, 0]
    T_world_cam = _transforms(poses_file, "poses", _numbers(poses_file, 12))
    for path, rows in ((folder / "times.txt", times), (poses_file, T_world_cam)):
        if len(rows) <= number[-1]:
            expected = f"{number[-1] + 1} or more, one for each sweep up to {files[-1].name}"
            raise DataError(path, "lines", len(rows), expected)
    T_cam_ego = T_cam_lidar @ se3.inverse(T_EGO_LIDAR)
    T_world_ego = T_world_cam @ T_cam_ego
    return Log(
        name=folder.name,
        split=split,
        tokens=[f"{NAME}-{folder.name}-{path.stem}" for path in files],
        files=[path.relative_to(root).as_posix() for path in files],
        time_us=np.round(times[number] * 1e6).astype(np.int64),
        time_file=folder / "times.txt",
        T_global_ego=(se3.inverse(T_world_ego[0]) @ T_world_ego)[number],
        T_ego_lidar=T_EGO_LIDAR,
    )


def _calibration(path: Path) -> np.ndarray:
    """`Tr (4, 4)`: from the Velodyne to camera 0."""
    rows = [line.split(":", 1) for line in _lines(path) if ":" in line]
    values = [value for key, value in rows if key.strip() == "Tr"]
    if len(values) != 1:
        raise DataError(path, "Tr", f"{len(values)} lines", "one line 'Tr:' with 12 numbers")
    return _transforms(path, "Tr", _parse(path, "Tr", values, 12))[0]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", f"KITTI odometry's {path.name}") from None
    except UnicodeDecodeError:
        raise DataError(path, "content", "bytes that are no text", "text") from None
    return [line for line in text.splitlines() if line.strip()]


def _numbers(path: Path, width: int) -> np.ndarray:
    return _parse(path, "lines", _lines(path), width)


def _parse(path: Path, field: str, lines: list[str], width: int) -> np.ndarray:
    """`(N, width)` float64 of lines of numbers. Raises DataError, naming the first line that is no such."""
    rows = np.zeros((len(lines), width))
    for k, line in enumerate(lines):
        try:
            rows[k] = np.array(line.split(), np.float64).reshape(width)
        except ValueError:
            raise DataError(path, field, f"{line!r} in line {k + 1}", f"{width} numbers") from None
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DataError(path, field, f"{lines[bad[0]]!r} in line {bad[0] + 1}", "finite numbers")
    return rows


def _transforms(path: Path, field: str, rows: np.ndarray) -> np.ndarray:
    """`T (N, 4, 4)` of rows `(N, 12)` with `(3, 4)` each. Raises DataError where that is no rotation."""
    matrix = rows.reshape(-1, 3, 4)
    rotation = matrix[:, :, :3]
    off = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(-1, -2))
    bad = np.flatnonzero((off > _ORTHONORMAL_TOLERANCE) | (np.linalg.det(rotation) < 0))
    if len(bad):
        raise DataError(path, field, f"no rotation in row {bad[0] + 1}", "a rotation and a translation, 3 x 4")
    return se3.from_rt(rotation, matrix[:, :, 3])

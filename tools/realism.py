"""How real are the town's sweeps? Its LiDAR beside a real one, as a table of means over keyframes.

    python tools/realism.py --town data/town --real data/nuscenes data/recording

Every folder is a data set in nuScenes' layout, of which `samples/LIDAR_TOP` is read. Where town and the last real data
set that knows the figure differ more than twofold, the row is marked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from drivewm.data import DataError
from drivewm.data.files import read_lidar
from drivewm.evaluation.functional.sweeps import sweep_statistics
from drivewm.evaluation.tables import markdown_table

MOUNT_M = 1.84  # of nuScenes' LIDAR_TOP, and of the town's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--town", type=Path, required=True)
    parser.add_argument("--real", type=Path, nargs="+", required=True)
    parser.add_argument("--sweeps", type=int, default=100, help="at most so many of each, evenly chosen")
    args = parser.parse_args()
    try:
        found = [statistics(folder, args.sweeps) for folder in (args.town, *args.real)]
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    rows = []
    for name, value in found[0].items():
        real = [other.get(name) for other in found[1:]]
        rows.append([name, value, *real, verdict(value, [v for v in real if v is not None])])
    print(markdown_table(["figure", "town", *(folder.name for folder in args.real), "ratio"], rows))


def statistics(folder: Path, most: int) -> dict[str, float]:
    files = sorted((folder / "samples" / "LIDAR_TOP").glob("*.bin"))
    if not files:
        raise ValueError(f"{folder}: found no samples/LIDAR_TOP/*.bin, expected a data set in nuScenes' layout")
    chosen = np.linspace(0, len(files) - 1, min(most, len(files))).astype(int)
    return sweep_statistics([read_lidar(files[i]) for i in chosen], MOUNT_M)


def verdict(town: float, real: list[float]) -> str:
    """Town over the mean of the real ones, marked where it is off by more than two."""
    if not real or not np.mean(real) * town > 0:
        return "-"
    ratio = town / float(np.mean(real))
    return f"{ratio:.2f}" + (" (!)" if max(ratio, 1 / ratio) > 2 else "")


if __name__ == "__main__":
    main()

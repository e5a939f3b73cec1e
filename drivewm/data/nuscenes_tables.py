"""nuScenes' JSON tables in memory, with checked look-ups."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, IncompleteDatasetError, MissingFileError
from drivewm.data.files import read_json
from drivewm.data.nuscenes_schema import TABLES
from drivewm.geometry import se3

INCOMPLETE_SUFFIX = ".incomplete"
"""A dataset is generated in a folder of this suffix and loses it when it is complete."""


def find_version(root: str | Path, version: str | None = None) -> str:
    """Name of the tables' folder: `version`, or the only `v1.0-*` folder in `root`.

    Raises:
        IncompleteDatasetError: generation was interrupted.
        DataError, MissingFileError: there is no such folder, or several to choose from.
    """
    root = Path(root)
    building = root.with_name(root.name + INCOMPLETE_SUFFIX)
    if not root.exists() and building.exists():
        raise IncompleteDatasetError(
            root,
            "dataset",
            f"only {building.name}, whose generation was interrupted",
            "a complete dataset",
            "Run the command that generated it once more: it resumes",
        )
    versions = sorted(path.name for path in root.glob("v1.0-*") if path.is_dir())
    if root.name.endswith(INCOMPLETE_SUFFIX) and not versions:
        raise IncompleteDatasetError(root, "tables", "none: generation was interrupted", "a complete dataset")
    if version is None and len(versions) == 1:
        return versions[0]
    if version is None and versions:
        raise DataError(root, "version", f"several: {', '.join(versions)}", "one v1.0-* folder, or a version to choose")
    if version is None or not (root / version).is_dir():
        expected = f"a folder {version} with tables" if version else "a v1.0-* folder with tables"
        raise MissingFileError(root, "tables", f"{versions or 'none'}", expected)
    return version


class NuScenesTables:
    """The 13 tables of one version.

    Args:
        root: data root, which holds the folder `version`.
        version: e.g. v1.0-trainval, v1.0-mini, v1.0-town.

    Raises:
        DataError: a table is missing, is not a list of rows with nuScenes' columns, or repeats a token.
    """

    def __init__(self, root: str | Path, version: str) -> None:
        self.root, self.version = Path(root), version
        self.rows: dict[str, list[dict]] = {}
        self._position: dict[str, dict[str, int]] = {}
        for table, columns in TABLES.items():
            rows = read_json(self.path(table), list)
            for number, row in enumerate(rows):
                missing = set(columns).difference(row) if isinstance(row, dict) else columns
                if missing:
                    raise DataError(
                        self.path(table), f"row {number}", f"no {', '.join(sorted(missing))}", "nuScenes' columns"
                    )
            self.rows[table] = rows
            self._position[table] = {row["token"]: number for number, row in enumerate(rows)}
            if len(self._position[table]) != len(rows):
                raise DataError(self.path(table), "token", "a token twice", "unique tokens")

    def path(self, table: str) -> Path:
        """The file of a table."""
        return self.root / self.version / f"{table}.json"

    def position(self, table: str, token: str, referrer: str, field: str) -> int:
        """Row number of `token` in `table`; `referrer` and `field` say which table's field holds it.

        Raises DataError if there is no such row.
        """
        try:
            return self._position[table][token]
        except (KeyError, TypeError):
            raise DataError(self.path(referrer), field, f"{token!r}", f"a token of {table}.json") from None

    def follow(self, referrer: str, field: str, table: str, rows: Iterable[dict] | None = None) -> np.ndarray:
        """Row numbers in `table` of the tokens in `field` of `rows` (default: all of `referrer`): `(N,)` int64.

        An empty prev or next gives -1.
        """
        optional = field in ("prev", "next")
        rows = self.rows[referrer] if rows is None else rows
        found = (
            -1 if optional and row[field] == "" else self.position(table, row[field], referrer, field) for row in rows
        )
        return np.fromiter(found, np.int64)

    def numbers(self, table: str, field: str, width: int, rows: list[dict] | None = None) -> np.ndarray:
        """A numeric field of `rows` (default: all) as `(N, width)` float64. Raises DataError where it is not that."""
        rows = self.rows[table] if rows is None else rows
        try:
            values = np.array([row[field] for row in rows], np.float64).reshape(len(rows), width)
        except (TypeError, ValueError):
            raise DataError(
                self.path(table), field, "another length or type in some row", f"{width} numbers a row"
            ) from None
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise DataError(
                self.path(table), field, f"{rows[bad[0]][field]} in row {rows[bad[0]]['token']}", "finite numbers"
            )
        return values

    def transforms(self, table: str, rows: list[dict] | None = None) -> np.ndarray:
        """`T (N, 4, 4)` of the fields rotation and translation of `rows` (default: all). Raises DataError."""
        rotation, translation = self.numbers(table, "rotation", 4, rows), self.numbers(table, "translation", 3, rows)
        try:
            return se3.from_quaternion(rotation, translation)
        except ValueError:
            bad = rotation[np.linalg.norm(rotation, axis=1) < 1e-6][:1].tolist()
            raise DataError(
                self.path(table), "rotation", f"{bad} in some row", "a quaternion that is not zero"
            ) from None

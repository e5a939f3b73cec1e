"""Writing files so that they are whole or absent, whenever a run is killed."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; what was written there becomes `path` when the block ends well.

    The temporary name keeps the suffix, by which some libraries choose a format. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes a file, whole or not at all; returns its path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_json(path: str | Path, value: object, indent: int | None = None) -> Path:
    """Writes JSON, whole or not at all; equal values give equal bytes. ValueError for what JSON lacks, such as NaN."""
    return write_bytes(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode())


def without_nan(value: object) -> object:
    """None for NaN, which JSON does not have: the score of a class that never came up."""
    if isinstance(value, dict):
        return {name: without_nan(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_folder(complete: str | Path, folder: str | Path) -> None:
    """Gives a complete folder its name; one that has the name already is put aside first and removed afterwards."""
    complete, folder = Path(complete), Path(folder)
    if not folder.exists():
        os.replace(complete, folder)
        return
    retired = folder.with_name(folder.name + ".retired")
    shutil.rmtree(retired, ignore_errors=True)
    os.replace(folder, retired)
    os.replace(complete, folder)
    shutil.rmtree(retired)

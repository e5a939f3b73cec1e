"""Pickled pandas data frames, read without pandas and without running what a pickle names.

The only place that unpickles. A pickle is a small program that may call whatever it names; here every name that a data
frame needs stands for a class of ours that merely keeps what it is called with, and any other name is refused. What was
kept is then read as arrays.
"""

from __future__ import annotations

import gzip
import pickle
import zlib
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError

_ALLOWED = (
    "pandas.core.frame.DataFrame",
    "pandas.core.internals.BlockManager",  # pandas < 0.24
    "pandas.core.internals.managers.BlockManager",
    "pandas._libs.internals._unpickle_block",  # pandas >= 1.3
    "pandas.core.indexes.base.Index",
    "pandas.core.indexes.base._new_Index",
    "pandas.core.indexes.numeric.Int64Index",  # pandas < 2
    "pandas.core.indexes.range.RangeIndex",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",  # numpy >= 2
    "numpy.core.numeric._frombuffer",  # pickle protocol 5
    "numpy._core.numeric._frombuffer",
    "builtins.slice",
)
_PLAIN_KINDS = "biuf"


class _Kept:
    """What a pickle called one of the allowed names with, and the state that it gave to the result."""

    __slots__ = ("args", "state")

    def __new__(cls, *args: object) -> _Kept:  # not __init__, which unpickling may leave out
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Gives `_Kept` for every allowed name, a new class each so that no pickle can change what the next one meets."""

    def __init__(self, file, path: Path) -> None:
        super().__init__(file)
        self._path = path
        self._classes = {name: type(name, (_Kept,), {"__slots__": ()}) for name in _ALLOWED}

    def find_class(self, module: str, name: str) -> type:
        found = self._classes.get(f"{module}.{name}")
        if found is None:
            raise DataError(self._path, "pickle", f"the name {module}.{name}", "a data frame of numbers and strings")
        return found


def read_frame(path: str | Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a gzipped, pickled pandas DataFrame, as pandas 0.23 to 2 write it.

    Args:
        path: .pkl.gz.
        columns: which to return.

    Returns:
        Arrays `(N,)`; strings as an array of objects.

    Raises:
        MissingFileError: the file is not there.
        DataError: it is broken, names anything that a plain data frame has no use for, or lacks a column.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rb") as file:
            frame = _Unpickler(file, path).load()
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "a pickled data frame (.pkl.gz)") from None
    except DataError:
        raise
    except (pickle.UnpicklingError, EOFError, OSError, zlib.error) as error:
        raise DataError(path, "content", f"a broken file ({error})", "a gzipped, pickled data frame") from None
    except Exception as error:  # what a malformed pickle runs into: any operation of its may fail in any way
        raise DataError(path, "pickle", f"{type(error).__name__}: {error}", "a pickled data frame") from None
    try:
        found = _columns(frame)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(path, "pickle", f"another structure ({error})", "a pandas DataFrame") from None
    missing = [name for name in columns if name not in found]
    if missing:
        raise DataError(path, "columns", f"no {', '.join(missing)}", ", ".join(columns))
    return {name: found[name] for name in columns}


def _called(value: object, name: str) -> bool:
    return isinstance(value, _Kept) and type(value).__name__.endswith(f".{name}")


def _columns(frame: object) -> dict[str, np.ndarray]:
    if not _called(frame, "DataFrame"):
        raise ValueError(f"it holds a {type(frame).__name__}")
    manager = frame.state["_mgr"] if "_mgr" in frame.state else frame.state["_data"]  # pandas >= 1.1, older
    if manager.args:  # pandas >= 1.3: blocks and axes as arguments
        blocks, axes = [block.args[:2] for block in manager.args[0]], manager.args[1]
    else:
        state = manager.state[3]["0.14.1"]  # the layout since that version
        blocks, axes = [(block["values"], block["mgr_locs"]) for block in state["blocks"]], state["axes"]
    names = _labels(axes[0])
    found = {}
    for values, places in blocks:
        values, positions = _array(values), np.arange(len(names))[_places(places)]
        if values.ndim != 2 or len(values) != len(positions):
            raise ValueError(f"a block of shape {values.shape} for {len(positions)} columns")
        found |= {names[position]: row for position, row in zip(positions, values, strict=True)}
    if len({len(values) for values in found.values()}) > 1:
        raise ValueError("columns of several lengths")
    return found


def _labels(index: object) -> list:
    """Labels of an Index: `_new_Index(class, {"data": array})`."""
    return _array(index.args[1]["data"]).tolist()


def _places(places: object) -> slice | np.ndarray:
    return slice(*places.args) if _called(places, "slice") else _array(places)


def _array(value: object) -> np.ndarray:
    """A pickled array: `_reconstruct` and a state, or `_frombuffer`."""
    if _called(value, "_frombuffer"):
        data, dtype, shape, order = value.args
    elif _called(value, "_reconstruct"):
        _, shape, dtype, is_fortran, data = value.state
        order = "F" if is_fortran else "C"
    else:
        raise ValueError(f"{type(value).__name__} in place of an array")
    if dtype.args[0] in ("O8", "O"):
        flat = np.empty(len(data), object)
        flat[:] = data
    else:
        plain = np.dtype(dtype.args[0]).newbyteorder(dtype.state[1])
        if plain.kind not in _PLAIN_KINDS:
            raise ValueError(f"an array of {dtype.args[0]}")
        flat = np.frombuffer(data, plain)
    return flat.reshape(shape, order=order)

"""Pickles of data frames written operation by operation, in the layouts of old and new pandas, without pandas.

A value is a plain one, an array, `Name`, `Call` or `Built`; `pickled` turns it into the bytes of a pickle.
"""

from __future__ import annotations

import gzip
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Name:
    """What a pickle imports."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """What it calls, with which arguments."""

    function: Name
    args: tuple


@dataclass(frozen=True)
class Built:
    """A result that is given a state."""

    value: Call
    state: object


def pickled(value: object) -> bytes:
    return b"\x80\x02" + _operations(value) + b"."


def _operations(value: object) -> bytes:
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return _operations(value.function) + _operations(value.args) + b"R"
    if isinstance(value, Built):
        return _operations(value.value) + _operations(value.state) + b"b"
    if isinstance(value, np.ndarray):
        return _operations(array(value))
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_operations, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_operations, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_operations(k) + _operations(v) for k, v in value.items()) + b"u"
    if isinstance(value, slice):
        return _operations(Call(Name("builtins", "slice"), (value.start, value.stop, value.step)))
    if isinstance(value, bytes):
        return b"B" + len(value).to_bytes(4, "little") + value
    return pickle.dumps(value, 2)[2:-1]  # a number, a string or None, without the beginning and the end


def array(values: np.ndarray, module: str = "numpy.core.multiarray") -> Built:
    """As numpy pickles an array: an empty one that is given shape, type and content."""
    is_object = values.dtype == object
    order = "|" if values.dtype.itemsize == 1 or is_object else "<"
    kind = "O8" if is_object else values.dtype.str[1:]
    dtype = Built(Call(Name("numpy", "dtype"), (kind, False, True)), (3, order, None, None, None, -1, -1, 0))
    is_fortran = values.flags.f_contiguous and not values.flags.c_contiguous
    content = values.ravel("F" if is_fortran else "C")
    empty = Call(Name(module, "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"))
    return Built(empty, (1, values.shape, dtype, is_fortran, content.tolist() if is_object else content.tobytes()))


def _index(data: np.ndarray) -> Call:
    index = Name("pandas.core.indexes.base", "Index")
    return Call(Name("pandas.core.indexes.base", "_new_Index"), (index, {"data": data, "name": None}))


def frame(columns: dict[str, np.ndarray], old: bool = False) -> Built:
    """A DataFrame; `old`: as pandas 0.25 wrote it, else as pandas 2 does."""
    names, count = list(columns), len(next(iter(columns.values())))
    kinds: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        kinds.setdefault(columns[name].dtype.str, []).append(place)
    blocks = [(np.stack([columns[names[p]] for p in places]), np.array(places)) for places in kinds.values()]
    if len(blocks) == 1:
        blocks = [(blocks[0][0], slice(0, len(names), 1))]
    rows = {"start": 0, "stop": count, "step": 1, "name": None}
    row_index = Call(
        Name("pandas.core.indexes.base", "_new_Index"), (Name("pandas.core.indexes.range", "RangeIndex"), rows)
    )
    axes = [_index(np.array(names, object)), row_index]
    if old:
        state = {"0.14.1": {"axes": axes, "blocks": [{"values": v, "mgr_locs": p} for v, p in blocks]}}
        items = [_index(np.array([names[i] for i in np.arange(len(names))[p]], object)) for _, p in blocks]
        empty = Call(Name("pandas.core.internals.managers", "BlockManager"), ())
        manager = Built(empty, (axes, [v for v, _ in blocks], items, state))
        key = "_data"
    else:
        unpickle = Name("pandas._libs.internals", "_unpickle_block")
        made = tuple(Call(unpickle, (values, places, 2)) for values, places in blocks)
        manager, key = Call(Name("pandas.core.internals.managers", "BlockManager"), (made, axes)), "_mgr"
    state = {key: manager, "_typ": "dataframe", "_metadata": []}
    return Built(Call(Name("pandas.core.frame", "DataFrame"), ()), state)


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(pickled(value), 1))
    return path

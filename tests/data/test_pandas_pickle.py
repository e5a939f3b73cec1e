"""Pickled data frames: those of old and new pandas are read, anything else is refused and does nothing."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from drivewm.data import DataError, MissingFileError
from drivewm.data.pandas_pickle import read_frame
from tests.data import handmade_pickle as handmade
from tests.data.handmade_pickle import Built, Call, Name

RNG = np.random.default_rng(0)
COLUMNS = {
    "x": RNG.normal(size=7),
    "uuid": np.array([f"id-{k}" for k in range(7)], object),
    "y": RNG.normal(size=7),
    "d": np.arange(7) % 2,
    "stationary": np.arange(7) > 3,
    "class": np.arange(7, dtype=np.uint8),
    "label": np.array(["Car", "Bus"] * 3 + ["Car"], object),
}


def check(path: Path) -> None:
    wanted = tuple(reversed(COLUMNS))
    found = read_frame(path, wanted)
    assert tuple(found) == wanted
    for name, values in found.items():
        np.testing.assert_array_equal(values, COLUMNS[name])
        assert values.dtype == COLUMNS[name].dtype


@pytest.mark.parametrize("old", [True, False])
def test_frames_of_old_and_new_pandas(tmp_path, old):
    check(handmade.write(tmp_path / "00.pkl.gz", handmade.frame(COLUMNS, old)))
    one_block = {"x": COLUMNS["x"], "y": COLUMNS["y"]}
    found = read_frame(handmade.write(tmp_path / "01.pkl.gz", handmade.frame(one_block, old)), ("y",))
    np.testing.assert_array_equal(found["y"], COLUMNS["y"])
    empty = {name: values[:0] for name, values in COLUMNS.items()}
    found = read_frame(handmade.write(tmp_path / "02.pkl.gz", handmade.frame(empty, old)), tuple(COLUMNS))
    assert {len(values) for values in found.values()} == {0}


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
@pytest.mark.parametrize("protocol", [4, 5])
def test_what_pandas_itself_writes(tmp_path, protocol):
    import pandas

    pandas.DataFrame(COLUMNS).to_pickle(tmp_path / "00.pkl.gz", protocol=protocol)
    check(tmp_path / "00.pkl.gz")
    picked = pandas.DataFrame(COLUMNS)[["class"]].iloc[::2]
    picked.to_pickle(tmp_path / "01.pkl.gz", protocol=protocol)
    np.testing.assert_array_equal(read_frame(tmp_path / "01.pkl.gz", ("class",))["class"], COLUMNS["class"][::2])


def touch(path: Path, module: str = "os", name: str = "mkdir") -> Call:
    return Call(Name(module, name), (str(path),))


@pytest.mark.parametrize("module, name", [("os", "mkdir"), ("builtins", "eval"), ("posix", "mkdir"), ("copyreg", "_x")])
def test_a_poisoned_pickle_is_refused_and_does_nothing(tmp_path, module, name):
    victim = tmp_path / "victim"
    for k, value in enumerate((touch(victim, module, name), handmade.frame({"x": np.array([1.0])}))):
        if k:  # hidden in an otherwise good frame
            value = Built(value.value, {**value.state, "extra": touch(victim, module, name)})
        path = handmade.write(tmp_path / f"{k:02d}.pkl.gz", value)
        with pytest.raises(DataError) as error:
            read_frame(path, ("x",))
        assert str(path) in str(error.value) and f"the name {module}.{name}" in str(error.value)
        assert not victim.exists()


@pytest.mark.parametrize(
    "name",
    [
        Name("numpy", "load"),
        Name("pandas", "read_pickle"),
        Name("pandas.core.frame", "DataFrame.eval"),
        Name("numpy.core.multiarray", "scalar"),
        Name("builtins", "getattr"),
        Name("drivewm.data.pandas_pickle", "read_frame"),
    ],
)
def test_names_beside_those_of_a_frame_are_refused(tmp_path, name):
    path = handmade.write(tmp_path / "00.pkl.gz", Call(name, ("x",)))
    with pytest.raises(DataError, match=f"the name {name.module}.{name.name}"):
        read_frame(path, ("x",))


def test_a_pickle_cannot_change_what_the_next_one_meets(tmp_path):
    poisoned = Built(Name("pandas.core.frame", "DataFrame"), (None, {"__setstate__": Name("numpy", "dtype")}))
    with pytest.raises(DataError):
        read_frame(handmade.write(tmp_path / "00.pkl.gz", poisoned), ("x",))
    test_frames_of_old_and_new_pandas(tmp_path, old=False)


def test_what_is_no_frame(tmp_path):
    path = tmp_path / "00.pkl.gz"
    with pytest.raises(MissingFileError, match="00.pkl.gz"):
        read_frame(path, ("x",))
    good = handmade.write(path, handmade.frame(COLUMNS)).read_bytes()
    with pytest.raises(DataError, match="columns: found no z, expected x, z"):
        read_frame(path, ("x", "z"))
    whole = gzip.decompress(good)
    for content in (good[:-20], b"no gzip", gzip.compress(whole[:-30]), gzip.compress(b""), gzip.compress(whole[5:])):
        path.write_bytes(content)
        with pytest.raises(DataError, match="00.pkl.gz"):
            read_frame(path, ("x",))
    short = handmade.array(np.arange(6.0))
    columns = handmade.frame({"x": np.arange(5.0)})
    manager = columns.state["_mgr"]
    block = manager.args[0][0]
    shapes = Built(short.value, (1, (1, 5), *short.state[2:]))
    dtype = Built(Call(Name("numpy", "dtype"), ("M8", False, True)), short.state[2].state)
    dates = Built(short.value, (1, (1, 6), dtype, False, b""))
    for values in (shapes, dates, np.arange(5.0), "text"):
        blocks = (Call(block.function, (values, *block.args[1:])),)
        handmade.write(path, Built(columns.value, {"_mgr": Call(manager.function, (blocks, manager.args[1]))}))
        with pytest.raises(DataError, match="00.pkl.gz: pickle: found another structure"):
            read_frame(path, ("x",))
    for value in ([1, 2], handmade.array(np.arange(3)), {"x": 1}):
        handmade.write(path, value)
        with pytest.raises(DataError, match="another structure"):
            read_frame(path, ("x",))

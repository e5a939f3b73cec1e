"""Rows at full size: their inputs, what is said of their quality, powers of scaling, what a machine cannot do."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark import HEADER, as_line
from benchmarks import BENCHMARKS, ON_REQUEST, QUALITY_GATED, full_size, measure
from benchmarks.measure import NotHere, Row, scaling
from benchmarks.quality import NO_TRAINING, gated
from drivewm.geometry import OCC3D_GRID
from drivewm.world_model.baselines import ego_warped_copy

ROW = Row(ours=1.0, against=4.0, ratios=(4.0,), goal=3.0)


def test_the_world_of_the_drive_stands_still():
    """What the ego sees is one street from other places: the warped past equals the future wherever it was observed."""
    clip = full_size.drive()
    assert clip.grid == OCC3D_GRID and clip.occupancy.shape == (1, 11, 200, 200, 16)
    copied = ego_warped_copy(clip.history(), clip.future_poses())[0, 0]
    assert (copied == clip.occupancy[0, 5])[:-2].all() and not (copied == clip.occupancy[0, 4]).all()
    assert full_size.drive((104, 400), future=1).occupancy.shape == (1, 6, 104, 400, 16)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_power_is_found(monkeypatch, power):
    monkeypatch.setattr(measure, "_seconds", lambda work, calls: 0.3 * work() ** power)
    row = scaling((1, 2, 4, 8), lambda size: size, goal=0.9)
    assert row.ours == pytest.approx(power) and row.unit == "power" and row.ratios[0] == pytest.approx(1 / power)
    assert row.note.startswith(f"median seconds by size: 1: 0.3 s, 2: {0.3 * 2**power:.3g} s")
    assert row.as_dict("scaling")["verdict"] == ("missed" if power > 1 else "reached")


@pytest.mark.parametrize(
    ("unit", "expected"), [("s", "250 ms"), ("GFLOP", "0.25 GFLOP"), ("GB", "0.25 GB"), ("power", "n^0.25")]
)
def test_other_units_fit_the_table(unit, expected):
    row = Row(ours=0.25, against=56004.0, ratios=(2.0,), goal=None, unit=unit)
    line = as_line(row.as_dict("flops_dome"))
    assert len(line) == len(HEADER) and f" {expected} " in line


def work_dir(folder: Path, miou: float, iteration_s: float, iterations: int = 100) -> None:
    logs = folder / "20261123_000000" / "vis_data"
    logs.mkdir(parents=True)
    rows = [{"loss": 1.0, "time": iteration_s, "iter": i} for i in (iterations // 2, iterations)]
    (logs / "scalars.json").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"miou": miou, "step": 0}]))
    (folder / "figures.json").write_text(json.dumps({"figures": {"miou": miou}}))


@pytest.mark.parametrize(
    ("miou", "iteration_s", "said", "verdict"),
    [
        (80.0, 2.0, "reconstruction mIoU 80.0 against 70.0, trained 200 and 200 s", "reached"),
        (80.0, 3.0, f"{NO_TRAINING} (reconstruction mIoU 80.0", "reached"),
        (60.0, 2.0, "ours reconstructs worse", None),
    ],
)
def test_speed_counts_at_no_less_quality(tmp_path, miou, iteration_s, said, verdict):
    work_dir(tmp_path / "ours", miou, iteration_s)
    work_dir(tmp_path / "occworld", 70.0, 2.0)
    row = gated(ROW, tmp_path)
    assert said in row.note and row.as_dict("tokenizer")["verdict"] == verdict and row.ratios == ROW.ratios


def test_without_training_a_row_says_so(tmp_path):
    assert gated(ROW, None).note == gated(ROW, tmp_path).note == NO_TRAINING
    work_dir(tmp_path / "ours", 80.0, 2.0)
    assert gated(ROW, tmp_path).note == NO_TRAINING
    work_dir(tmp_path / "occworld", 70.0, 2.0)
    (tmp_path / "occworld" / "figures.json").write_text('{"figures": {"iou": 1.0}}')
    with pytest.raises(ValueError, match=r"figures.json: found iou, expected miou"):
        gated(ROW, tmp_path)


def test_rows_have_names_that_exist():
    assert set(ON_REQUEST) < set(BENCHMARKS) and len(QUALITY_GATED) == 4 and set(QUALITY_GATED) < set(BENCHMARKS)


def test_bfloat16_is_not_emulated(monkeypatch):
    monkeypatch.setattr(full_size, "_BF16_UNITS", ("no_such_unit",))
    with pytest.raises(NotHere, match="no_such_unit"):
        full_size.precision("bf16")
    with full_size.precision("fp32"):
        assert np.pi

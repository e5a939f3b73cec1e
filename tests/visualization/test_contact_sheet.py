"""The contact sheet: as many rows as instants, each with what its panels are to show."""

import numpy as np
import pytest

from drivewm.geometry import VoxelGrid
from drivewm.simulation import Town, make_scenarios
from drivewm.structures import OCC3D
from drivewm.visualization.canvas import EGO
from drivewm.visualization.contact_sheet import contact_sheet

SMALL = {"grid": VoxelGrid.centered((32, 32, 8), 1.6), "camera_size": (96, 54)}


@pytest.fixture(scope="module")
def drive():
    town = Town.generate(5, "sheet-town", extent_m=160.0)
    return town, make_scenarios(town, 1, 0, 4.0)[0]


def test_each_instant_is_a_row(drive):
    one, two = (contact_sheet(*drive, times, **SMALL) for times in ((0.0,), (0.0, 1.0)))
    assert one.dtype == np.uint8 and one.shape[1] == two.shape[1]
    assert two.shape[0] - one.shape[0] in range(2 * 54, 2 * 54 + 20)
    np.testing.assert_array_equal(one[:100], two[:100])
    np.testing.assert_array_equal(two, contact_sheet(*drive, (0.0, 1.0), **SMALL))


def test_the_panels_show_their_thing(drive):
    sheet = contact_sheet(*drive, (0.0,), **SMALL)

    def is_there(color) -> np.ndarray:
        return (np.abs(sheet.astype(int) - color).max(-1) <= 2).any(0)

    # Columns of the sheet: cameras left of the map with the ego, the map left of the LiDAR on its dark ground.
    ego, dark = np.flatnonzero(is_there(EGO)), np.flatnonzero(is_there((20, 24, 32)))
    road = np.flatnonzero(is_there(OCC3D.colors[OCC3D.index("driveable_surface")]))
    assert 3 * 96 < ego.min() < dark.max() and len(road) > 50 and dark.max() < sheet.shape[1] - 100


@pytest.mark.parametrize("times", [(), (1.0, 0.5), (-1.0,), (3.0, 5.0), (float("nan"),)])
def test_instants_outside_of_the_drive_are_refused(drive, times):
    with pytest.raises(ValueError, match=r"times_s must increase within 0 .. 4.0 s"):
        contact_sheet(*drive, times, **SMALL)

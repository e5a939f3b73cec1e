"""Dream against town: the same states, the same controls, and what either says has happened."""

import numpy as np
import pytest

from drivewm.closed_loop.dream.comparison import COPY, DREAM, SEEN, TOWN, compare, is_off_road
from drivewm.closed_loop.dream.controls import CONTROLS
from drivewm.closed_loop.dream.dreamer import Dreamer
from drivewm.closed_loop.dream.environment import observed_town
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.dynamics.bicycle import PACIFICA
from drivewm.structures import OCC3D
from tests.closed_loop.dream.conftest import GRID

ROAD, WALK = OCC3D.index("driveable_surface"), OCC3D.index("sidewalk")
F = 6
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def compared(world):
    """A parked vehicle in the way: `{control: comparison}`."""
    town = observed_town(held_out_scenarios(1, seed=1, scored_s=8.0, family="stationary")[0], world)
    for _ in range(8):
        town.step_reference()
    before = town.simulator.time_s, town.simulator.boxes().boxes.copy(), town.simulator.ego
    dreamer, names = Dreamer(world), ("expert", "full_speed", "hard_braking", "veer_right")
    found = {name: compare(town, dreamer, CONTROLS[name], F) for name in names}
    # The town is where it was.
    assert town.simulator.time_s == before[0] and town.simulator.ego == before[2]
    np.testing.assert_array_equal(town.simulator.boxes().boxes, before[1])
    return found


def test_shapes_and_counts(compared):
    for one in compared.values():
        assert set(one.sums) == {DREAM, COPY}
        assert set(one.touches) == set(one.off_road) == {DREAM, COPY, SEEN, TOWN}
        assert all(
            events.shape == (F,) and events.dtype == bool for events in (*one.touches.values(), *one.off_road.values())
        )
        for sums in one.sums.values():
            assert sums.shape == (F, 3, OCC3D.num_classes)
            assert (sums[:, :2].sum(-1) == np.prod(GRID.shape)).all()  # truth and prediction label every voxel
            assert (sums[:, 2] <= sums[:, :2].min(1)).all()
        np.testing.assert_array_equal(one.sums[DREAM][:, 0], one.sums[COPY][:, 0])  # one truth
        assert one.poses.shape == (F + 1, 3)
        assert set(one.to_dict()["touches"]) == {DREAM, COPY, SEEN, TOWN}


def test_controls_do_what_they_are_called(compared):
    way = {name: np.linalg.norm(np.diff(one.poses[:, :2], axis=0), axis=1) for name, one in compared.items()}
    assert way["full_speed"][-1] > way["full_speed"][0]
    assert way["hard_braking"][-1] < 0.1
    turned = {name: np.angle(np.exp(1j * (one.poses[-1, 2] - one.poses[0, 2]))) for name, one in compared.items()}
    assert turned["veer_right"] < -0.3 < turned["expert"]


def test_the_expert_is_safe_and_who_goes_wrong_is_not(compared):
    assert not compared["expert"].touches[TOWN].any() and not compared["expert"].off_road[TOWN].any()
    assert compared["full_speed"].touches[TOWN].any()
    assert compared["veer_right"].off_road[TOWN].any()


def test_seen_with_the_dreams_eyes_the_towns_frames_tell_nearly_what_happened(compared):
    for kind in ("touches", "off_road"):
        events = [(getattr(one, kind)[SEEN].any(), getattr(one, kind)[TOWN].any()) for one in compared.values()]
        assert sum(seen == happened for seen, happened in events) >= len(events) - 1


def test_a_copy_of_the_start_knows_what_is_parked_but_drifts_from_the_truth(compared):
    sums = np.sum([one.sums[COPY] for one in compared.values()], axis=0)
    occupied = sums[:, 2].sum(-1) - sums[:, 2, OCC3D.free]
    assert occupied[0] > occupied[-1] > 0


def test_a_corner_beside_the_road_is_off_it():
    frame = np.full(GRID.shape, OCC3D.free, np.uint8)
    assert not is_off_road(frame, GRID, PACIFICA)  # nothing is known: nobody can tell
    frame[..., 1] = ROAD
    assert not is_off_road(frame, GRID, PACIFICA)
    edge = frame.copy()
    left = GRID.to_index(np.array([0.0, PACIFICA.width_m / 2, 0.0]))[0][1]
    edge[:, left:, 1] = WALK
    assert is_off_road(edge, GRID, PACIFICA)
    edge[:, left:, 1] = OCC3D.index("car")  # hides the road that it stands on
    assert not is_off_road(edge, GRID, PACIFICA)
    far = frame.copy()
    far[:, left + 2 :, 1] = WALK
    assert not is_off_road(far, GRID, PACIFICA)

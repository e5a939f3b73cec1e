"""A planner's thoughts as pictures: what is said of a plan, where it is drawn, and what really comes of it."""

import json
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image

from drivewm.closed_loop.episodes import PlannerSpec, identity
from drivewm.closed_loop.execution import execute
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.town import town_environment
from drivewm.geometry import VoxelGrid
from drivewm.planning.cost import judge
from drivewm.planning.imagining import Thought
from drivewm.planning.path import RoutePath
from drivewm.planning.profile import CONTROLS, PathDriver
from drivewm.planning.proposals import Proposals
from drivewm.planning.refinement import Refined
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import observed_maps
from drivewm.planning.stop import StopPlanner
from drivewm.structures import OCC3D, EgoState, PlanningInput, Route
from drivewm.visualization.canvas import PLAN
from drivewm.visualization.considered import SHOWN_S, Considered
from drivewm.visualization.driven_scenarios import SETTING, driven_scenarios
from drivewm.visualization.executed import boxes_at, true_terms
from drivewm.visualization.ramps import BLOCKED, SCORE
from drivewm.visualization.term_bars import WORDS, Column, draw_terms
from drivewm.visualization.thought_episodes import plan_of, think_aloud, thinker
from drivewm.visualization.thought_files import draw_thoughts
from drivewm.visualization.thoughts import draw_thought

ACCELERATIONS = (0.0, 1.0, -2.0)
GRID = VoxelGrid((-12.8, -25.6, -1.0, 38.4, 25.6, 5.4), 0.8)


class CopyLast:
    """Proposes three accelerations along the route, and imagines that everything stays."""

    name = "copy_last"

    def think(self, inputs):
        history, speed = inputs.history, EgoState.from_history(inputs.history).speed
        controls = torch.zeros(1, len(ACCELERATIONS), CONTROLS)
        controls[..., :-1] = torch.tensor(ACCELERATIONS)[:, None]
        driver = PathDriver(RoutePath.along(inputs.route, speed), speed)
        proposals = Proposals(driver, controls, torch.tensor([[0.0, 1.0, -1.0]]), torch.zeros(1, 3))
        maps = observed_maps(history).moments([0] * 8)
        scores, reference_m = judge(proposals, maps, inputs.ego_state, inputs.route)
        best = scores.total.argmax(1)
        return Thought(proposals, scores, reference_m, maps, Refined(controls[0, best], scores.total[0, best], 3))


@pytest.fixture
def inputs(clip):
    """The street of the clip at 2 m/s, a route straight ahead."""
    points = torch.stack([2.5 * torch.arange(25.0), torch.zeros(25)], dim=-1)[None]
    route = Route(points, torch.ones(1, 25, dtype=torch.bool), 2.5)
    return PlanningInput(clip.history(), EgoState(*torch.tensor([[2.0], [0.0], [0.0]])), (None,), route)


@pytest.fixture
def thought(inputs):
    return CopyLast().think(inputs)


def cells(shown):
    """The cells of the observed grid among those of the imagined scene."""
    begin = np.round((shown.grid.origin_m - shown.scene_grid.origin_m) / shown.grid.voxel_m).astype(int)
    return tuple(slice(b, b + n) for b, n in zip(begin[:2], shown.grid.shape[:2], strict=True))


def test_what_is_shown_is_what_was_thought(thought, inputs, street):
    shown = Considered.of(thought, inputs)
    best = int(thought.scores.total.argmax())
    for judged, number in ((shown.chosen, best), (shown.preferred, 1)):
        np.testing.assert_allclose(judged.poses, thought.proposals.poses[0, number])
        for name, value in judged.terms.items():
            assert value == pytest.approx(float(getattr(thought.scores, name)[0, number]), abs=1e-6), name
    np.testing.assert_array_equal(shown.occupancy[:15], street[:15])
    inside = cells(shown)
    for moment in range(len(SHOWN_S)):
        np.testing.assert_allclose(shown.blocked[moment][inside], thought.maps.blocked[0, 0], atol=1e-5)
    assert shown.known[0][inside].min() > 0.99
    assert shown.known[0].sum() == pytest.approx(shown.known[0][inside].sum(), rel=0.1)
    assert shown.speed_mps == pytest.approx(2.0) and shown.stop_m == math.inf and shown.boxes is None


def test_a_scene_seen_from_ahead_is_shown_where_it_is(thought, inputs):
    """Each proposal has maps of its own, 5 m ahead of the ego; the cells that they miss are not known."""
    maps, count, ahead = thought.maps, len(ACCELERATIONS), 5
    moved = [torch.roll(m, -ahead, dims=2).repeat(1, count, 1, 1) for m in (maps.blocked, maps.drivable)]
    pose = torch.tensor([float(ahead), 0.0, 0.0]).expand(1, 8 * count, 3)
    seen = Considered.of(replace(thought, maps=SceneMaps(*moved, pose, maps.grid)), inputs)
    plain = Considered.of(thought, inputs)
    known, blocked, there = (array[(slice(None), *cells(seen))] for array in (seen.known, seen.blocked, plain.blocked))
    assert (known[:, :ahead] < 0.5).all() and (known[:, ahead:] > 0.99).all()
    np.testing.assert_allclose(blocked[:, ahead:], there[:, ahead:], atol=1e-4)


def test_without_imagination_there_is_no_picture(thought, inputs):
    with pytest.raises(ValueError, match="imagined nothing"):
        Considered.of(replace(thought, scores=None, maps=None), inputs)
    with pytest.raises(ValueError, match="drivable has shape"):
        shown = Considered.of(thought, inputs)
        replace(shown, drivable=shown.drivable[:, 1:])
    with pytest.raises(ValueError, match="any does not imagine"):
        thinker(PlannerSpec("any", StopPlanner))


def test_the_picture_shows_plan_and_heat_where_they_are(thought, inputs):
    shown = Considered.of(thought, inputs)
    image = draw_thought(shown, title="now")
    assert image.shape[1] == 1180 and image.dtype == np.uint8
    pixels = image.reshape(-1, 3)
    heat = int((pixels == BLOCKED(1.0)[:3]).all(-1).sum())
    free = draw_thought(replace(shown, blocked=0 * shown.blocked), title="now")
    assert free.shape == image.shape
    assert heat > (free.reshape(-1, 3) == BLOCKED(1.0)[:3]).all(-1).sum() + 1000
    faster = replace(shown, chosen=replace(shown.chosen, poses=shown.chosen.poses + [6.0, 0.0, 0.0]))
    top = [np.flatnonzero((im[:720, :510] == PLAN).all(-1).any(1)).min() for im in (image, draw_thought(faster))]
    assert top[1] < top[0] - 40  # ahead is up
    boxes = np.array([[12.0, 6.0, 0.8, 4.5, 1.9, 1.6, 0.3]])
    told = draw_thought(replace(shown, boxes=boxes, coming_boxes=[boxes] * len(SHOWN_S)), title="now")
    assert told.shape == image.shape and 0 < (told != image).any(-1).mean() < 0.01
    struck = draw_thought(replace(shown, struck=[boxes] * (1 + len(SHOWN_S))), title="now")
    assert 0 < (struck != image).any(-1).mean() < 0.01
    with pytest.raises(ValueError, match="struck are of 1 moments, expected 5"):
        replace(shown, struck=[boxes])
    red = draw_thought(replace(shown, stop_m=15.0), title="now")
    assert 0 < (red != image).any(-1).mean() < 0.01


def test_bars_are_as_long_as_their_values():
    values = dict.fromkeys(WORDS, 0.25) | {"total": 1.0}
    color = (10, 140, 60)
    bars = (draw_terms([Column("plan", color, values)], (400, 300)) == color).all(-1)[40:]
    lengths = bars.sum(1)
    assert lengths.max() == pytest.approx(4 * np.median(lengths[lengths > 20]), rel=0.1)
    told = draw_terms([Column("plan", color, values, {"nc": 1.0})], (400, 300))
    assert told.shape == (300, 400, 3) and (told != draw_terms([Column("plan", color, values)], (400, 300))).any()


def test_ramps_begin_and_end_as_they_say():
    values = np.array([-1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(SCORE(values), np.array([SCORE.stops[0]] * 2 + [SCORE.stops[-1]] * 2, np.uint8))
    assert SCORE(np.zeros((2, 3))).shape == (2, 3, 3)
    assert (np.diff(BLOCKED(np.linspace(0, 1, 20))[:, 3].astype(int)) >= 0).all()


@pytest.fixture(scope="module")
def scenario():
    return held_out_scenarios(1, seed=1, scored_s=1.0)[0]


def spec(name="copy_last"):
    return PlannerSpec(name, CopyLast, grid=GRID, num_history=2)


def test_what_really_comes_is_told_and_the_episode_goes_on(scenario, tmp_path):
    environment, planner = town_environment(scenario, spec()), CopyLast()
    inputs = environment.observe()
    plan = plan_of(planner.think(inputs))
    executed = execute(environment, plan)
    terms = true_terms(executed, 10.0)
    assert all(0 <= value <= 1 for value in terms.values()) and {"nc", "ep", "total"} <= set(terms)
    found = inputs.history.boxes.boxes()[0, -1][inputs.history.boxes.valid[0, -1]].numpy()
    shown = boxes_at(executed, 0.0)
    assert len(found) == len(shown)
    apart = np.linalg.norm(found[:, None, :6] - shown[None, :, :6], axis=-1)
    assert apart.min(0).max() < 1e-3 and apart.min(1).max() < 1e-3

    steps = list(think_aloud(planner, environment))
    assert [time_s for time_s, *_ in steps] == [0.0, 0.5] and environment.done
    first = steps[0][1]
    assert first.chosen.true_terms.keys() == first.preferred.true_terms.keys() == terms.keys()
    assert len(first.coming_boxes) == len(SHOWN_S) and (first.occupancy != OCC3D.free).any()

    files = draw_thoughts(planner, town_environment(scenario, spec()), tmp_path, [0.5], video=True)
    assert set(files) == {"0.5s", "video"} and files["video"].stat().st_size > 1000
    assert Image.open(files["0.5s"]).size[0] == 1180
    with pytest.raises(ValueError, match=r"within the scored 1 s of .*, got \[3.0\]"):
        draw_thoughts(planner, town_environment(scenario, spec()), tmp_path, [3.0])


def test_the_worst_and_the_best_are_found_again(tmp_path, monkeypatch):
    once = lru_cache(held_out_scenarios)  # a town takes a second
    monkeypatch.setattr("drivewm.visualization.driven_scenarios.held_out_scenarios", once)
    driven = once(3, 1, 1.0, "nominal", 1)
    lines = []
    for name in ("copy_last", "other"):
        for scenario, value in zip(driven, (0.5, 0.9, 0.1), strict=True):
            lines.append(
                {
                    "planner": name,
                    "scenario": scenario.name,
                    "variant": scenario.variant,
                    "family": scenario.family,
                    "setting": SETTING,
                    "identity": identity(spec(name), scenario, SETTING),
                    "status": "ok",
                    "notes": {},
                    "score": {"score": value, "at_fault": False},
                }
            )
    path = tmp_path / "episodes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"planner": "copy_')
    assert driven_scenarios(path, spec(), 1, 1.0, worst=1, best=1) == [driven[2], driven[1]]
    assert driven_scenarios(path, spec(), 1, 1.0, worst=3, best=2) == [driven[2], driven[0], driven[1]]
    with pytest.raises(ValueError, match="under other settings than seed 2"):
        driven_scenarios(path, spec(), 2, 1.0, worst=1)
    with pytest.raises(ValueError, match="no scored episode of rank, only of copy_last, other"):
        driven_scenarios(path, spec("rank"), 1, 1.0, worst=1)

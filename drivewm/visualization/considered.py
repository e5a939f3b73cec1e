"""Considered: what an imagining planner thought at one moment, as plain arrays, ready to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.cost import ImaginedScore, imagined_score
from drivewm.planning.imagining import Thought
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures.planning import PlanningInput

TERMS = ("nc", "dac", "tlc", "ep", "ttc", "comfort", "room", "certainty", "total")
SHOWN_S = (1.0, 2.0, 3.0, 4.0)
_BEYOND_M = 26.0  # that are shown around a plan


@dataclass(frozen=True)
class Judged:
    """A plan and what it is said to be worth.

    Attributes:
        poses: `(8, 3)` in the ego frame at t0.
        terms: imagined ones by their names in `TERMS`, in [0, 1].
        contact: `(8,)` imagined probability of touching something at each step.
        true_terms: those that are known of what really comes of it.
    """

    poses: np.ndarray
    terms: dict[str, float]
    contact: np.ndarray
    true_terms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Considered:
    """One moment. All poses and points are in the ego frame at t0.

    Attributes:
        grid: of what was observed.
        occupancy: `(X, Y, Z)` uint8, observed at t0.
        route: `(P, 2)` [m].
        candidates: `(M, 8, 3)` poses.
        scores: `(M,)` imagined, in [0, 1].
        preferred: what the head would have taken.
        chosen: what the planner takes.
        scene_grid: of what was imagined; it may reach further than `grid`.
        blocked, drivable, known: `(4, X', Y')` in [0, 1], imagined at `SHOWN_S` under the chosen plan; `known` is 0
            where the imagined scene does not reach.
        speed_mps: of the ego.
        stop_m: along the route from its first point to the stop line of a light that is not green [m]; inf: none.
        boxes: `(M, 7)` true ones of the others at t0; None: not told.
        coming_boxes: the same at each of `SHOWN_S`, if the chosen plan is carried out.
        struck: of these, now and at each of `SHOWN_S`, those that the vehicle then hits on its way.
    """

    grid: VoxelGrid
    occupancy: np.ndarray
    route: np.ndarray
    candidates: np.ndarray
    scores: np.ndarray
    preferred: Judged
    chosen: Judged
    scene_grid: VoxelGrid
    blocked: np.ndarray
    drivable: np.ndarray
    known: np.ndarray
    speed_mps: float
    stop_m: float = math.inf
    boxes: np.ndarray | None = None
    coming_boxes: Sequence[np.ndarray] | None = None
    struck: Sequence[np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.occupancy.shape != self.grid.shape:
            raise ValueError(f"occupancy has shape {self.occupancy.shape}, but the grid has {self.grid.shape} voxels")
        expected = (len(SHOWN_S), *self.scene_grid.shape[:2])
        for name in ("blocked", "drivable", "known"):
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {expected}")
        if self.candidates.shape != (len(self.scores), PLAN_STEPS, 3):
            raise ValueError(
                f"candidates have shape {self.candidates.shape}, expected ({len(self.scores)}, {PLAN_STEPS}, 3)"
            )
        for name, moments in (("coming_boxes", len(SHOWN_S)), ("struck", 1 + len(SHOWN_S))):
            given = getattr(self, name)
            if given is not None and len(given) != moments:
                raise ValueError(f"{name} are of {len(given)} moments, expected {moments}")

    @classmethod
    def of(cls, thought: Thought, inputs: PlanningInput) -> Considered:
        """From what was thought about one observation (B = 1).

        Raises:
            ValueError: there are several observations, or nothing was imagined.
        """
        history, route = inputs.history, inputs.route
        if len(history) != 1:
            raise ValueError(f"a picture shows one moment, got {len(history)} observations")
        if thought.scores is None or thought.maps is None:
            raise ValueError("the planner imagined nothing: there are no scores and no maps to show")
        proposals = thought.proposals
        preferred = proposals.preference.argmax(1)
        chosen = proposals.driver.poses(thought.refined.controls[:, None])
        maps = _maps_of(chosen, proposals.poses, thought.maps)
        judged = imagined_score(chosen, maps, inputs.ego_state, route, thought.reference_m)
        scene_grid = _around(maps.grid, _array(chosen[0, 0, :, :2]))
        scene = _in_ego_frame(maps.moments([round(t / PLAN_DT_S) - 1 for t in SHOWN_S]), scene_grid)
        return cls(
            grid=history.grid,
            occupancy=_array(history.occupancy[0, -1]),
            route=np.zeros((0, 2)) if route is None else _array(route.points[0][route.valid[0]]),
            candidates=_array(proposals.poses[0]),
            scores=_array(thought.scores.total[0]),
            preferred=_judged(proposals.pick(preferred).poses, thought.scores.take(preferred)),
            chosen=_judged(chosen[:, 0], judged),
            speed_mps=float(inputs.ego_state.speed[0]),
            stop_m=math.inf if route is None else float(route.stop_m[0]),
            scene_grid=scene_grid,
            **scene,
        )


def _judged(poses: Tensor, score: ImaginedScore) -> Judged:
    terms = {name: float(getattr(score, name)[0, 0]) for name in TERMS}
    return Judged(_array(poses[0]), terms, _array(score.hit[0, 0]))


def _maps_of(plan: Tensor, proposals: Tensor, maps: SceneMaps) -> SceneMaps:
    """The 8 maps imagined for a plan `(1, 1, 8, 3)`: where each proposal has its own, those of the nearest one."""
    if maps.pose.shape[1] == PLAN_STEPS:
        return maps
    nearest = int((proposals - plan)[..., :2].norm(dim=-1).mean(-1)[0].argmin())
    return maps.moments(slice(PLAN_STEPS * nearest, PLAN_STEPS * (nearest + 1)))


def _around(grid: VoxelGrid, path: np.ndarray) -> VoxelGrid:
    """The grid, or one that has more cells, so that all around a path `(F, 2)` is in it."""
    x0, y0, z0, x1, y1, z1 = grid.range_m
    more = np.stack([(x0, y0) - path.min(0), path.max(0) - (x1, y1)]) + _BEYOND_M
    (x_less, y_less), (x_more, y_more) = np.ceil(more.clip(0) / grid.voxel_m) * grid.voxel_m
    return VoxelGrid((x0 - x_less, y0 - y_less, z0, x1 + x_more, y1 + y_more, z1), grid.voxel_m)


@torch.no_grad()
def _in_ego_frame(maps: SceneMaps, grid: VoxelGrid) -> dict[str, np.ndarray]:
    """`blocked`, `drivable`, `known` on `grid`, each `(F, X, Y)`, of maps (B = 1) that may be seen from elsewhere."""
    x, y, _ = grid.shape
    cells = np.stack(np.meshgrid(np.arange(x), np.arange(y), indexing="ij"), axis=-1).reshape(-1, 2) + 0.5
    centers = torch.from_numpy(grid.origin_m[:2] + grid.voxel_m * cells).to(maps.pose)
    found = maps.at(centers.expand(1, maps.pose.shape[1], -1, -1))
    return {n: _array(v[0].unflatten(1, (x, y))) for n, v in zip(("blocked", "drivable", "known"), found, strict=True)}


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()

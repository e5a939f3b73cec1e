"""Route: the lanes to follow, as a planner sees them at t0."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from drivewm.geometry import se2


class Command(IntEnum):
    """High-level command, read off the route ahead and never off the driven path."""

    NONE = 0
    LEFT = 1
    STRAIGHT = 2
    RIGHT = 3


ROUTE_POINTS = 25
ROUTE_SPACING_M = 2.5
MAX_ROUTE_DISTANCE_M = 10.0
"""An ego further away than this has left its route, and gets none."""
# A turn is a change of heading of more than this over the route ahead.
_TURN_RAD = np.deg2rad(20.0)
_COMMAND_HORIZON_M = 30.0
_LIGHT_OF_ROUTE_M = 1.0


@dataclass
class Route:
    """The route ahead of the ego.

    Attributes:
        points: `(B, P, 2)` [m] in the ego frame at t0, evenly spaced; the first is the ego's projection on the route.
        valid: `(B, P)` bool; false behind the end of the route, and everywhere if there is none.
        spacing_m: distance between points [m].
        stop_m: `(B,)` along the route from the first point to the next stop line at a light that is not green [m]; inf
            where there is none, which is also the default.
    """

    points: Tensor
    valid: Tensor
    spacing_m: float
    stop_m: Tensor | None = None

    def __post_init__(self) -> None:
        if self.stop_m is None:
            self.stop_m = self.points.new_full((len(self.points),), torch.inf)
        if self.points.ndim != 3 or self.points.shape[-1] != 2 or self.valid.shape != self.points.shape[:2]:
            raise ValueError(
                f"Route needs points (B, P, 2) and valid (B, P), "
                f"got {tuple(self.points.shape)} and {tuple(self.valid.shape)}"
            )
        if self.stop_m.shape != self.points.shape[:1]:
            raise ValueError(f"Route needs stop_m ({len(self.points)},), got {tuple(self.stop_m.shape)}")

    @classmethod
    def ahead(
        cls,
        polyline: np.ndarray,
        pose: np.ndarray,
        count: int = ROUTE_POINTS,
        spacing_m: float = ROUTE_SPACING_M,
        red_lights: np.ndarray | None = None,
    ) -> Route:
        """Cut the part ahead of the ego out of a route and resample it.

        Args:
            polyline: `(N, 2)` [m], global frame.
            pose: `(3,)` the ego's global x, y, yaw.
            red_lights: `(N, 2)` [m, global] where lanes end at lights that are not green; those off the route do not
                matter.

        Returns:
            a Route with B = 1; points behind the end repeat the last one and are not valid. If the ego has left the
            route by more than `MAX_ROUTE_DISTANCE_M`, `Route.nowhere`.
        """
        polyline = np.asarray(polyline, np.float64)
        if polyline.ndim != 2 or polyline.shape[1] != 2 or len(polyline) < 2:
            raise ValueError(f"a route must be a polyline of shape (N >= 2, 2), got {polyline.shape}")
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(polyline, axis=0), axis=1))])
        begin, _ = _project(polyline, along, np.asarray(pose)[:2])
        stations = begin + np.arange(count) * spacing_m
        points = np.stack([np.interp(stations, along, polyline[:, axis]) for axis in range(2)], axis=-1)
        local = se2.transform_points(se2.inverse(np.asarray(pose, np.float64)), points)
        if np.linalg.norm(local[0]) > MAX_ROUTE_DISTANCE_M:
            return cls.nowhere(count, spacing_m)
        stop_m = np.inf
        for light in [] if red_lights is None else np.asarray(red_lights, np.float64):
            station, away = _project(polyline, along, light)
            if away < _LIGHT_OF_ROUTE_M and station > begin:
                stop_m = min(stop_m, station - begin)
        return cls(
            torch.from_numpy(local).float()[None],
            torch.from_numpy(stations <= along[-1] + 1e-6)[None],
            spacing_m,
            torch.tensor([stop_m], dtype=torch.float32),
        )

    @classmethod
    def nowhere(cls, count: int = ROUTE_POINTS, spacing_m: float = ROUTE_SPACING_M) -> Route:
        """No route, B = 1: no point is valid."""
        return cls(torch.zeros(1, count, 2), torch.zeros(1, count, dtype=torch.bool), spacing_m)

    def command(self) -> Tensor:
        """`(B,)` int64: `Command.LEFT`, `STRAIGHT` or `RIGHT` as the route turns within 30 m; NONE without a route."""
        steps = self.points[:, 1:] - self.points[:, :-1]
        ahead = self.valid[:, 1:] & (
            torch.arange(1, self.points.shape[1], device=steps.device) * self.spacing_m <= _COMMAND_HORIZON_M
        )
        heading = torch.atan2(steps[..., 1], steps[..., 0])
        last = (ahead.long().sum(1) - 1).clamp_min(0)
        turn = se2.wrap_angle(heading.gather(1, last[:, None])[:, 0] - heading[:, 0])
        command = torch.full_like(last, Command.STRAIGHT)
        command[turn > _TURN_RAD] = Command.LEFT
        command[turn < -_TURN_RAD] = Command.RIGHT
        return torch.where(ahead.any(1), command, torch.full_like(last, Command.NONE))

    def seen_from(self, pose: Tensor) -> Route:
        """What of it lies ahead of egos that have moved on to `pose (B, 3)` in the frame that it is given in.

        It ends where it ended; the stop line is nearer by what has been driven.
        """
        moved = []
        for b, place in enumerate(pose.double().cpu().numpy()):
            points, count = self.points[b][self.valid[b]].double().cpu().numpy(), self.points.shape[1]
            if len(points) < 2:
                moved.append(Route.nowhere(count, self.spacing_m))
                continue
            ahead = Route.ahead(points, place, count, self.spacing_m)
            along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
            driven_m, _ = _project(points, along, place[:2])
            ahead.stop_m = (self.stop_m[b : b + 1].cpu() - driven_m).clamp_min(0)
            moved.append(ahead)
        return Route.cat(moved).to(self.points.device)

    def to(self, device: torch.device | str) -> Route:
        """The same route on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def select(self, rows: Tensor) -> Route:
        """The routes `rows (B',)` of the batch."""
        return self._map(lambda tensor: tensor[rows])

    @classmethod
    def cat(cls, routes: list[Route]) -> Route:
        """One batch of routes with equal spacing."""
        parts = (torch.cat([getattr(route, name) for route in routes]) for name in ("points", "valid", "stop_m"))
        points, valid, stop_m = parts
        return cls(points, valid, routes[0].spacing_m, stop_m)

    def _map(self, function) -> Route:
        return Route(function(self.points), function(self.valid), self.spacing_m, function(self.stop_m))


def _project(polyline: np.ndarray, along: np.ndarray, point: np.ndarray) -> tuple[float, float]:
    """The point of the polyline `(N, 2)` that is nearest to `point (2,)`: arc length and distance [m]."""
    start, step = polyline[:-1], np.diff(polyline, axis=0)
    length2 = np.maximum((step**2).sum(1), 1e-12)
    share = np.clip(((point - start) * step).sum(1) / length2, 0.0, 1.0)
    away = np.linalg.norm(start + share[:, None] * step - point, axis=1)
    nearest = np.argmin(away)
    return float(along[nearest] + share[nearest] * np.sqrt(length2[nearest])), float(away[nearest])

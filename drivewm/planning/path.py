"""The path to follow: a smooth curve along the route that begins where the ego really is.

A route begins at the ego's projection on it. An ego that has drifted off it must come back gradually: the
path starts at the ego, along its heading, and blends into the route over a distance that grows with its
speed, so that the swerve stays comfortable.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drivewm.structures.route import ROUTE_POINTS, ROUTE_SPACING_M, Route

_BLEND_M = 8.0
_BLEND_S = 1.0
_MAX_START_SLOPE = 0.6  # an ego that stands across the route still gets a path that turns towards it


class RoutePath:
    """A curve for each sample of a batch, parametrised by the arc length [m] along the route from the ego's
    projection.

    Between route points it is a Catmull-Rom spline. Without any valid route point it runs straight ahead;
    behind the end of the route it goes on along the last direction. Everything is differentiable in the arc
    length.
    """

    def __init__(self, points: Tensor, spacing_m: float, speed: Tensor):
        """`points` (B, P, 2) [m] in the ego frame at t0, `spacing_m` apart; `speed` (B,) [m/s]."""
        self.points = points
        self.spacing_m = spacing_m
        self.blend_m = (_BLEND_M + _BLEND_S * speed.clamp_min(0))[:, None]
        # Going on quadratically at the start gives a bend's own tangent there; a chord would be off by half a step.
        before = 3 * points[:, :1] - 3 * points[:, 1:2] + points[:, 2:3]
        after = 2 * points[:, -1:] - points[:, -2:-1]
        extended = torch.cat([before, points, after], dim=1)
        self._slopes = (extended[:, 2:] - extended[:, :-2]) / 2
        tangent = F.normalize(self._slopes[:, 0], dim=-1)
        origin = -points[:, 0]
        self.start_offset = tangent[:, 0] * origin[:, 1] - tangent[:, 1] * origin[:, 0]
        slope = -tangent[:, 1] / tangent[:, 0].clamp_min(1e-3)
        self.start_slope = slope.clamp(-_MAX_START_SLOPE, _MAX_START_SLOPE)

    @classmethod
    def along(cls, route: Route | None, speed: Tensor) -> RoutePath:
        """The path of `route` for egos at `speed` (B,) [m/s], on the device and in the dtype of `speed`."""
        count, spacing_m = ROUTE_POINTS, ROUTE_SPACING_M
        if route is not None:
            count, spacing_m = route.points.shape[1], route.spacing_m
        station = spacing_m * torch.arange(count, dtype=speed.dtype, device=speed.device)
        ahead = torch.stack([station, torch.zeros_like(station)], dim=-1).expand(len(speed), -1, -1)
        if route is None:
            return cls(ahead, spacing_m, speed)
        points, valid = route.points.to(speed), route.valid.to(speed.device)
        last = (valid.long().sum(1) - 1).clamp_min(0)[:, None, None].expand(-1, 1, 2)
        end, before = points.gather(1, last), points.gather(1, (last - 1).clamp_min(0))
        onward = F.normalize(torch.where(last > 0, end - before, points.new_tensor([1.0, 0.0])), dim=-1)
        beyond = (station[None, :, None] - spacing_m * last[..., :1]).clamp_min(0)
        points = torch.where(valid[..., None], points, end + beyond * onward)
        return cls(torch.where(valid[:, :1, None], points, ahead), spacing_m, speed)

    def poses(self, arc: Tensor, lateral: Tensor | None = None) -> Tensor:
        """`(B, F, 3)` x, y, yaw at arc lengths `arc` (B, F) [m], `lateral` (B, F) [m] to the left."""
        position, tangent = self._spline(arc)
        left = torch.stack([-tangent[..., 1], tangent[..., 0]], dim=-1)
        offset, slope = self._blend(arc)
        if lateral is not None:
            offset = offset + lateral
        xy = position + offset[..., None] * left
        yaw = torch.atan2(tangent[..., 1], tangent[..., 0]) + torch.atan(slope)
        return torch.cat([xy, yaw[..., None]], dim=-1)

    def curvature(self, arc: Tensor, step_m: float = 1.0) -> Tensor:
        """`(B, F)` signed curvature [1/m] of the route around `arc`, positive to the left."""
        _, behind = self._spline((arc - step_m).clamp_min(0))
        _, ahead = self._spline((arc - step_m).clamp_min(0) + 2 * step_m)
        cross = behind[..., 0] * ahead[..., 1] - behind[..., 1] * ahead[..., 0]
        return torch.atan2(cross, (behind * ahead).sum(-1)) / (2 * step_m)

    def project(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Where points `(B, N, 2)` lie: arc length and signed distance to the left, each `(B, N)` [m].

        Against the polyline through the route points, blended start included. Points before its start or
        behind its end get arc length 0 or the full length.
        """
        arc, line = self._polyline(xy)
        start, step = line[:, None, :-1], (line[:, 1:] - line[:, :-1])[:, None]
        length = step.norm(dim=-1).clamp_min(1e-6)
        to_point = xy[:, :, None] - start
        share = ((to_point * step).sum(-1) / length**2).clamp(0, 1)
        distance = (to_point - share[..., None] * step).norm(dim=-1)
        nearest = distance.argmin(-1, keepdim=True)
        side = step[..., 0] * to_point[..., 1] - step[..., 1] * to_point[..., 0]
        signed = torch.where(side >= 0, distance, -distance).gather(-1, nearest)[..., 0]
        return (arc[nearest] + self.spacing_m / 2 * share.gather(-1, nearest))[..., 0], signed

    def is_near(self, xy: Tensor, reach_m: Tensor) -> Tensor:
        """Which points `(B, N, 2)` may be within `reach_m (B, N)` of the path: bool; a few that are not, are among
        them."""
        _, line = self._polyline(xy)
        longest = (line[:, 1:] - line[:, :-1]).norm(dim=-1).amax(1)[:, None]
        return torch.cdist(xy, line).amin(-1) <= reach_m + longest / 2

    def _polyline(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Stations `(Q,)` [m], half a spacing apart, and the path's points there `(B, Q, 2)`."""
        arc = self.spacing_m / 2 * torch.arange(2 * self.points.shape[1] - 1, dtype=like.dtype, device=like.device)
        return arc, self.poses(arc.expand(len(like), -1))[..., :2]

    def _spline(self, arc: Tensor) -> tuple[Tensor, Tensor]:
        """Position and unit tangent, each `(B, F, 2)`; straight on behind the last point."""
        index = (arc / self.spacing_m).detach().floor().clamp(0, self.points.shape[1] - 2).long()
        u = (arc / self.spacing_m - index).clamp_max(1.0)[..., None]
        pick = index[..., None].expand(-1, -1, 2)
        p0, p1 = self.points.gather(1, pick), self.points.gather(1, pick + 1)
        m0, m1 = self._slopes.gather(1, pick), self._slopes.gather(1, pick + 1)
        position = p0 + u * m0 + u**2 * (3 * (p1 - p0) - 2 * m0 - m1) + u**3 * (2 * (p0 - p1) + m0 + m1)
        slope = m0 + 2 * u * (3 * (p1 - p0) - 2 * m0 - m1) + 3 * u**2 * (2 * (p0 - p1) + m0 + m1)
        tangent = F.normalize(slope, dim=-1)
        beyond = (arc - self.spacing_m * (self.points.shape[1] - 1)).clamp_min(0)[..., None]
        return position + beyond * tangent, tangent

    def _blend(self, arc: Tensor) -> tuple[Tensor, Tensor]:
        """Offset from the route and its slope: a cubic from the ego's own to none at `blend_m`."""
        u = (arc / self.blend_m).clamp(0, 1)
        offset, slope = self.start_offset[:, None], self.start_slope[:, None] * self.blend_m  # (B, 1) each
        value = offset * (1 - 3 * u**2 + 2 * u**3) + slope * (u - 2 * u**2 + u**3)
        change = offset * (6 * u**2 - 6 * u) + slope * (1 - 4 * u + 3 * u**2)
        return value, change / self.blend_m

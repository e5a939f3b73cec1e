"""The proposal head: several plans along the route, from the world model's state of the past and of the future.

It looks up the state at points along the route and beside it, lets a small transformer compare them with what each
proposal would do, and says how each is driven, how likely a good driver takes it and what it is worth. Proposals begin
as anchors, an acceleration and a sideways offset each, which the network refines; their poses lie on the route's own
curve. So the head has to learn when to go, not how a road bends, and no proposal asks a vehicle for what it cannot do.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivewm.geometry import se2
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.path import RoutePath
from drivewm.planning.profile import KNOTS, PathDriver, between_knots
from drivewm.planning.proposals import Proposals, covered_m
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import PlannerState
from drivewm.structures.planning import EgoState
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

ACCELERATIONS, LATERALS = (0.0, 1.0, 2.0, -1.0, -2.0, -3.5, -6.0), (0.0, 1.0, -1.0)
"""Of the anchors [m/s^2, m]; at standstill, where braking is the same as waiting, the first counts."""
_SPEED_SCALE = 10.0  # m/s: brings the ego's motion to order one
_LIGHT_M = 15.0  # over which a red light becomes important
_MAX_CHANGE = 2.5  # m/s^2: of an anchor's acceleration
_USUAL_SPEED = 5.0  # m/s
_ALONG_M = (1.5, 4.0)  # from the rear axle: the middle of the ego and its front


class ProposalHead(nn.Module):
    """From a state and a route to proposals; a gradient of a plan reaches the state.

    Args:
        in_channels: C of the state.
        moments: S of the state.
        grid: gives the x and y range that the state covers.
        hidden: width of the transformer.
        layers, heads: of the transformer.
        samples: number of stations along the route, `sample_spacing_m` apart, at which the state is looked up.
        lateral_m: how far to the left of the route each lookup of a station is.
        max_lateral_m: bound of what is added to an anchor's offset.
        use_ego_state: whether the ego's speed is an input; otherwise it is guessed from the state. Its acceleration
            never is: it tells what the driver has decided, so that a head would copy the decision instead of looking at
            its cause, and once it brakes for nothing it would never stop braking (de Haan et al., 2019).
    """

    def __init__(
        self,
        in_channels: int,
        moments: int,
        grid: VoxelGrid,
        hidden: int = 96,
        layers: int = 2,
        heads: int = 4,
        samples: int = 24,
        sample_spacing_m: float = 1.6,
        lateral_m: tuple[float, ...] = (-2.4, 0.0, 2.4),
        max_lateral_m: float = 0.5,
        use_ego_state: bool = True,
    ):
        super().__init__()
        if hidden % heads:
            raise ValueError(f"hidden is {hidden}, expected a multiple of heads = {heads}")
        self.in_channels, self.moments = in_channels, moments
        self.max_lateral_m, self.use_ego_state = max_lateral_m, use_ego_state
        x0, y0, _, x1, y1, _ = grid.range_m
        self.register_buffer("low_m", torch.tensor([x0, y0]), persistent=False)
        self.register_buffer("size_m", torch.tensor([x1 - x0, y1 - y0]), persistent=False)
        self.register_buffer("stations_m", sample_spacing_m * torch.arange(samples), persistent=False)
        self.register_buffer("lateral_m", torch.tensor(lateral_m), persistent=False)
        anchors = torch.tensor([(a, lateral) for lateral in LATERALS for a in ACCELERATIONS])
        self.register_buffer("anchors", anchors, persistent=False)

        self.squeeze = nn.Conv2d(in_channels, hidden // 3, 1)
        self.embed_state = nn.Linear(len(lateral_m) * moments * (hidden // 3), hidden)
        self.embed_maps = nn.Linear(len(lateral_m) * (2 * (moments + 1) + 1), hidden)
        self.embed_shape = nn.Linear(2, hidden)
        self.position = nn.Parameter(0.02 * torch.randn(samples, hidden))
        self.embed_ego = nn.Linear(4, hidden)
        self.embed_anchor = nn.Linear(2 + PLAN_STEPS, hidden)
        met = (2 * len(_ALONG_M) + 1) * PLAN_STEPS
        self.embed_met = nn.Linear(met, hidden)
        self.query = nn.Parameter(0.02 * torch.randn(len(anchors) + 1, hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 2 * hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.trunk = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(hidden), enable_nested_tensor=False)
        self.output = nn.Linear(hidden, KNOTS + 2)  # change of acceleration at each knot, of the offset; logit
        self.judge = nn.Sequential(nn.Linear(hidden + met, hidden), nn.GELU(), nn.Linear(hidden, 1))
        self.guess_speed = nn.Linear(hidden, 1)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def forward(self, state: PlannerState, route: Route | None, ego: EgoState) -> Proposals:
        """Propose.

        Args:
            state: of the past and the expected future.
            route: in the ego frame at t0; where it has no valid point, proposals go straight ahead.
            ego: its speed at t0; where it is no input, only the path's blend back to the route depends on it.

        Raises:
            ValueError: the state has other channels or moments.
        """
        found, expected = tuple(state.hidden.shape), (self.moments, self.in_channels)
        if len(found) != 5 or found[1:3] != expected:
            raise ValueError(f"state.hidden has shape {found}, expected (B, {expected[0]}, {expected[1]}, H, W)")
        path, speed, stop_m = self._path(route, ego, state.hidden.device)
        told = speed if self.use_ego_state else torch.full_like(speed, _USUAL_SPEED)
        near = _widened(state.maps)
        coming = near.moments(_nearest_moments(state.times_s))
        queries, stations = self._queries(coming, path, told, stop_m), self._stations(state, near, path, stop_m)
        out = self.trunk(torch.cat([queries, stations], dim=1))[:, : queries.shape[1]]
        *_, own = out.split([len(self.anchors), 1], dim=1)
        change, offset, logit = self.output(out[:, :-1]).float().split([KNOTS, 1, 1], dim=-1)
        if not self.use_ego_state:
            speed = _SPEED_SCALE * F.softplus(self.guess_speed(own)[:, 0, 0].float())
        change = between_knots(_MAX_CHANGE * torch.tanh(change))
        changes = torch.cat([change, self.max_lateral_m * torch.tanh(offset)], dim=-1)
        driver, controls = PathDriver(path, speed), self._anchor_controls() + changes
        # What a plan is worth depends on what it meets as it was refined. That of NaN is `Proposals`' to refuse.
        met = self._met(coming, driver.poses(controls.detach().nan_to_num()))
        worth = self.judge(torch.cat([out[:, :-1], met.to(out)], dim=-1)).float()
        return Proposals(driver, controls, logit[..., 0], worth[..., 0])

    def nearest_anchor(self, ego: EgoState, target: Trajectory) -> Tensor:
        """Which anchor `(B,)`, of those that keep to the route, covers the distances of a driven path best."""
        error = (self._anchor_progress(ego.speed.to(target.poses)) - covered_m(target.poses)[:, None]).abs()
        error = error.masked_fill(~target.valid[:, None], 0.0).sum(-1)
        return error.masked_fill(self.anchors[:, 1] != 0, torch.inf).argmin(1)

    def _anchor_controls(self) -> Tensor:
        """`(1, M, CONTROLS)`: the same acceleration in all steps."""
        acceleration, lateral = self.anchors.split(1, dim=1)
        return torch.cat([acceleration.expand(-1, PLAN_STEPS), lateral], dim=1)[None]

    def _anchor_progress(self, speed: Tensor) -> Tensor:
        """How far `(B, M, 8)` anchors get from a speed `(B,)` [m]; that does not depend on the path."""
        return PathDriver(None, speed).progress(self._anchor_controls().expand(len(speed), -1, -1))

    def _path(self, route: Route | None, ego: EgoState, device: torch.device) -> tuple[RoutePath, Tensor, Tensor]:
        speed = ego.speed.to(device).float()
        stop_m = torch.full_like(speed, torch.inf) if route is None else route.stop_m.to(speed)
        return RoutePath.along(route, speed), speed, stop_m

    def _queries(self, coming: SceneMaps, path: RoutePath, speed: Tensor, stop_m: Tensor) -> Tensor:
        """`(B, M + 1, hidden)`: what each anchor would do and meet, and one for the ego itself; all know the ego's
        speed, its place on the route and the next red light."""
        place = torch.stack(
            [speed / _SPEED_SCALE, path.start_offset, path.start_slope, torch.exp(-stop_m / _LIGHT_M)], dim=-1
        )
        driver = PathDriver(path, speed)
        controls = self._anchor_controls().expand(len(speed), -1, -1)
        made = driver.progress(controls) / (4 * _SPEED_SCALE)
        anchors = torch.cat([self.anchors.expand(len(speed), -1, -1), made], dim=-1)
        told = self.embed_anchor(anchors.to(self.query)) + self.embed_met(self._met(coming, driver.poses(controls)))
        return self.query + self.embed_ego(place.to(self.query))[:, None] + F.pad(told, (0, 0, 0, 1))

    def _met(self, coming: SceneMaps, poses: Tensor) -> Tensor:
        """`(B, M, (2 * points + 1) * 8)`: what the maps of the 8 steps say at the front and in the middle of the ego
        along each plan `(B, M, 8, 3)`, and whether it has met anything until then."""
        ahead = F.pad(poses.new_tensor(_ALONG_M)[:, None], (0, 1))
        points = se2.transform_points(poses, ahead.expand(*poses.shape[:-1], -1, 2))  # (B, M, 8, points, 2)
        found = coming.at(points.transpose(1, 2).flatten(2, 3))
        blocked, drivable, _ = (value.unflatten(2, (poses.shape[1], len(_ALONG_M))) for value in found)
        until_then = blocked.amax(-1, keepdim=True).cummax(1).values
        met = torch.stack([blocked, drivable], dim=-1).flatten(3)
        return torch.cat([met, until_then], dim=-1).transpose(1, 2).flatten(2)

    def _stations(self, state: PlannerState, near: SceneMaps, path: RoutePath, stop_m: Tensor) -> Tensor:
        """`(B, samples, hidden)`: at each station the state, how the route bends, whether a light is red before it."""
        batch, lookups, moments = len(stop_m), len(self.lateral_m), self.moments
        arc = self.stations_m.repeat_interleave(lookups).expand(batch, -1)
        lateral = self.lateral_m.repeat(len(self.stations_m)).expand(batch, -1)
        xy = path.poses(arc, lateral)[..., :2]
        where = 2 * (xy - self.low_m) / self.size_m - 1
        inside = (where.abs() <= 1).all(-1, keepdim=True).float()
        # grid_sample wants (along W, along H), which is (y, x); in half precision it would miss by decimetres
        grid = where.flip(-1)[:, :, None]
        squeezed = self.squeeze(state.hidden.flatten(0, 1)).unflatten(0, (batch, moments)).flatten(1, 2)
        maps = torch.cat([near.blocked, near.drivable], dim=1)
        seen, shown = (
            F.grid_sample(m.float(), grid, align_corners=False)[..., 0].transpose(1, 2) for m in (squeezed, maps)
        )
        seen, shown = (v.reshape(batch, len(self.stations_m), -1) for v in (seen, torch.cat([shown, inside], dim=-1)))
        bend = 10.0 * path.curvature(self.stations_m.expand(batch, -1))
        closed = (self.stations_m >= stop_m[:, None]).to(bend)
        shape = self.embed_shape(torch.stack([bend, closed], dim=-1))
        return self.embed_state(seen) + self.embed_maps(shown) + shape + self.position


def _nearest_moments(times_s: tuple[float, ...]) -> list[int]:
    """For each of the 8 steps, which of the maps of now and of these times [s] is nearest."""
    steps = PLAN_DT_S * torch.arange(1, PLAN_STEPS + 1)
    return (steps[:, None] - torch.tensor((0.0, *times_s))).abs().argmin(1).tolist()


def _widened(maps: SceneMaps) -> SceneMaps:
    """What is next to a point is in the way of a vehicle there."""
    return replace(maps, blocked=F.max_pool2d(maps.blocked.float(), 3, 1, 1), drivable=maps.drivable.float())

"""The learned planner: a trajectory head that reads the world model's state along the route.

It looks up the state (bird's-eye-view features) at points along the route and beside it, and whether a red light lies
before them, lets a small transformer compare them, and predicts how far the ego gets in each of eight steps and how
far it keeps to the left or right. The poses then lie on the route's own curve, so the head has to learn when to go, not
how a road bends.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.path import RoutePath
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import EgoState
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

_SPEED_SCALE = 10.0  # m/s: brings the ego's motion and the predicted speeds to order one
_SLIP_M = 8.0
_LIGHT_M = 15.0  # over which a red light becomes important
_L1_FROM = 0.2  # m, rad
_POSE_WEIGHT = 0.25  # most of the error in pose is progress again, without the caution
_USUAL_SPEED, _SLOWEST = 5.0, 0.5  # m/s


class TrajectoryHead(nn.Module):
    """From a state and a route to a plan; a gradient of the plan reaches the state.

    Args:
        in_channels: C of the state.
        grid: gives the x and y range that the state covers.
        hidden: width of the transformer.
        samples: number of stations along the route, `sample_spacing_m` apart, at which the state is looked
        up. lateral_m: how far to the left of the route each lookup of a station is.
        max_lateral_m: bound of the predicted sideways displacement.
        use_ego_state: whether the ego's speed is an input. Its acceleration never is: it tells what the driver has
        decided, so that a head would copy the decision instead of looking at its cause, and once it brakes for
        nothing it would never stop braking (de Haan et al., 2019).
    """

    def __init__(
        self,
        in_channels: int,
        grid: VoxelGrid,
        hidden: int = 96,
        layers: int = 2,
        heads: int = 4,
        samples: int = 20,
        sample_spacing_m: float = 1.6,
        lateral_m: tuple[float, ...] = (-2.0, 0.0, 2.0),
        max_lateral_m: float = 0.5,
        use_ego_state: bool = True,
    ):
        super().__init__()
        if hidden % heads:
            raise ValueError(f"hidden is {hidden}, expected a multiple of heads = {heads}")
        self.in_channels = in_channels
        self.max_lateral_m = max_lateral_m
        self.use_ego_state = use_ego_state
        x0, y0, _, x1, y1, _ = grid.range_m
        self.register_buffer("low_m", torch.tensor([x0, y0]), persistent=False)
        self.register_buffer("size_m", torch.tensor([x1 - x0, y1 - y0]), persistent=False)
        self.register_buffer("stations_m", sample_spacing_m * torch.arange(samples), persistent=False)
        self.register_buffer("lateral_m", torch.tensor(lateral_m), persistent=False)

        self.embed_state = nn.Linear(len(lateral_m) * (in_channels + 1), hidden)
        self.embed_shape = nn.Linear(2, hidden)
        self.position = nn.Parameter(0.02 * torch.randn(samples, hidden))
        self.embed_ego = nn.Linear(4, hidden)
        self.query = nn.Parameter(0.02 * torch.randn(PLAN_STEPS, hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 2 * hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.trunk = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(hidden), enable_nested_tensor=False)
        self.output = nn.Linear(hidden, 2)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def forward(self, state: Tensor, route: Route | None, ego: EgoState) -> Trajectory:
        """Plan.

        Args:
            state: `(B, C, H, W)` float features; H runs along x and W along y of the grid's range.
            route: in the ego frame at t0; where it has no valid point, the plan goes straight ahead.
            ego: its speed at t0; where it is no input, only the path's blend back to the route depends on it.

        Returns:
            a Trajectory with poses `(B, 8, 3)`, whose progress along the route never falls.
        """
        if state.ndim != 4 or state.shape[1] != self.in_channels:
            raise ValueError(f"state has shape {tuple(state.shape)}, expected (B, {self.in_channels}, H, W)")
        speed = ego.speed.to(state.device).float()
        path = RoutePath.along(route, speed)
        now = (speed if self.use_ego_state else torch.full_like(speed, _USUAL_SPEED))[:, None] / _SPEED_SCALE
        stop_m = torch.full_like(speed, torch.inf) if route is None else route.stop_m.to(speed)
        tokens = torch.cat([self._step_tokens(path, now, stop_m), self._route_tokens(state, path, stop_m)], dim=1)
        raw = self.output(self.trunk(tokens)[:, :PLAN_STEPS]).float()
        return follow(path, raw, _SPEED_SCALE * now[:, 0], self.max_lateral_m)

    def _route_tokens(self, state: Tensor, path: RoutePath, stop_m: Tensor) -> Tensor:
        """`(B, samples, hidden)`: at each station the state, how the route bends, whether a light is red before it."""
        batch, lookups = len(state), len(self.lateral_m)
        arc = self.stations_m.repeat_interleave(lookups).expand(batch, -1)
        lateral = self.lateral_m.repeat(len(self.stations_m)).expand(batch, -1)
        xy = path.poses(arc, lateral)[..., :2]
        where = 2 * (xy - self.low_m) / self.size_m - 1
        inside = (where.abs() <= 1).all(-1, keepdim=True).float()
        # grid_sample wants (along W, along H), which is (y, x); in half precision it would miss by decimetres
        seen = F.grid_sample(state.float(), where.flip(-1)[:, :, None], align_corners=False)[..., 0]
        seen = torch.cat([seen.transpose(1, 2), inside], dim=-1).reshape(batch, len(self.stations_m), -1)
        bend = 10.0 * path.curvature(self.stations_m.expand(batch, -1))
        closed = (self.stations_m >= stop_m[:, None]).to(bend)
        return self.embed_state(seen) + self.embed_shape(torch.stack([bend, closed], dim=-1)) + self.position

    def _step_tokens(self, path: RoutePath, speed: Tensor, stop_m: Tensor) -> Tensor:
        """`(B, 8, hidden)`: one query a step, with the ego's place on the route, the next red light, its scaled speed
        `(B, 1)`."""
        place = torch.stack([path.start_offset, path.start_slope, torch.exp(-stop_m / _LIGHT_M)], dim=-1)
        return self.query + self.embed_ego(torch.cat([speed, place], dim=-1).to(self.query))[:, None]


def follow(path: RoutePath, raw: Tensor, speed: Tensor, max_lateral_m: float) -> Trajectory:
    """A network's output as a plan along a path.

    Args:
        path: to follow.
        raw: `(B, 8, 2)` any numbers: speed during each step, sideways displacement at its end; 0 keeps the speed.
        speed: `(B,)` [m/s] that 0 stands for.
        max_lateral_m: bound of the sideways displacement.

    Returns:
        a Trajectory whose progress never falls.
    """
    # The inverse of softplus at the speed.
    keep = torch.log(torch.expm1(speed.clamp_min(_SLOWEST)[:, None] / _SPEED_SCALE))
    progress = torch.cumsum(PLAN_DT_S * _SPEED_SCALE * F.softplus(raw[..., 0] + keep), dim=1)
    # an ego that stands cannot slip sideways
    lateral = max_lateral_m * torch.tanh(raw[..., 1]) * (1 - torch.exp(-progress / _SLIP_M))
    return Trajectory.from_poses(path.poses(progress, lateral), PLAN_DT_S)


def planning_loss(plan: Trajectory, target: Trajectory, caution: float = 3.0) -> dict[str, Tensor]:
    """How far a plan is from the driven path: two terms to sum, each a scalar.

    `loss_plan_progress` is smooth L1 on the distance covered [m]; getting too far counts `caution` times as much as
    not far enough, since only the former hits what is ahead. `loss_plan_pose` is smooth L1 on x, y [m] and yaw [rad].
    Both are nearly L1: under a squared error the plan would be the mean of going and waiting. Steps whose target is not
    valid do not count.

    Raises:
        ValueError: where steps or their duration differ.
    """
    if plan.poses.shape != target.poses.shape or plan.dt_s != target.dt_s:
        raise ValueError(
            f"plan is {tuple(plan.poses.shape)} at {plan.dt_s} s, target {tuple(target.poses.shape)} at {target.dt_s} s"
        )
    valid = (plan.valid & target.valid).to(plan.poses.dtype)
    count = valid.sum().clamp_min(1.0)
    goal = torch.where(target.valid[..., None], target.poses, plan.poses.detach()).to(plan.poses)
    yaw_error = torch.remainder(plan.poses[..., 2] - goal[..., 2] + torch.pi, 2 * torch.pi) - torch.pi
    pose = _nearly_l1(plan.poses[..., :2] - goal[..., :2]).sum(-1) + _nearly_l1(yaw_error)
    ahead = _distance(plan.poses) - _distance(goal)
    progress = _nearly_l1(ahead) * torch.where(ahead > 0, caution, 1.0) * (2 / (1 + caution))
    return {
        "loss_plan_pose": _POSE_WEIGHT * (pose * valid).sum() / count,
        "loss_plan_progress": (progress * valid).sum() / count,
    }


def _nearly_l1(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=_L1_FROM)


def _distance(poses: Tensor) -> Tensor:
    """`(B, F)` distance covered up to each pose [m]; smooth at standstill, where a norm has no gradient."""
    start = torch.zeros_like(poses[:, :1, :2])
    steps = torch.diff(torch.cat([start, poses[..., :2]], dim=1), dim=1)
    return torch.cumsum(torch.sqrt((steps**2).sum(-1) + 1e-6) - 1e-3, dim=1)

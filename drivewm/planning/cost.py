"""The imagined score: what a plan would be worth if the scene came as predicted, in the terms of the real score.

NAVSIM's aggregate (`evaluation.functional.aggregate.PDMS`) with probabilities in place of events, times the red light
and the room to stop, and with the forecast's own certainty among the averaged terms:
`NC DAC TLC R (5 EP + 5 TTC + 2 C + U) / 13`. Differentiable in the poses and in the maps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from drivewm.dynamics.bicycle import PACIFICA, VehicleParameters
from drivewm.evaluation.functional.comfort import ComfortLimits
from drivewm.geometry import se2
from drivewm.planning.proposals import Proposals, covered_m
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures.planning import EgoState
from drivewm.structures.route import Route

EP_WEIGHT, TTC_WEIGHT, COMFORT_WEIGHT, CERTAINTY_WEIGHT = 5.0, 5.0, 2.0, 1.0
_ALONG, _ACROSS = 8, 3  # points that stand for the vehicle
_EDGE_LOW, _EDGE_HIGH = 0.3, 0.8  # between two voxels' centres the road ends somewhere
_INSET_M = 0.2  # voxels make things larger by half of themselves
_LEAST_M = 1.0  # where no plan gets further safely, or the driver waited, creeping on is no progress
_AS_SAFE = 0.7  # of what the safest plan is
_MOVING_MPS = 0.5  # who stands is not at fault
_GENTLE, _FAST_MPS = 0.1, 10.0  # where contact cannot be avoided, it is to be slow: who brakes may yet stand in time
_LATER = 0.04  # what comes a step later can be avoided by another plan before
_AHEAD_STEPS = (1, 2)  # time to collision: half a second and a second on
_OTHERS_STAND, _EGO_BRAKES = 0, 1  # steps: others may stand where they are in half a second, the ego reacts in a second
_ON_THE_WAY = (0.25, 0.5, 0.75, 1.0)  # of the way to a stand
_CROWDED = 0.5  # what is lost where there is no room to stop: it may well go right
_LIGHT_SOFT_M = 0.3
_COMFORT_SOFT = 1.0  # m/s^2, m/s^3
_GIVE_UP_MPS2 = 4.0  # lights that would need harder braking are passed
_OVER_LINE_M = 1.0


@dataclass
class ImaginedScore:
    """Terms in [0, 1] of K plans for each of B egos, each `(B, K)`.

    Attributes:
        nc: no collision with what is predicted to be there.
        dac: all corners on what is predicted to be drivable.
        tlc: no red light is passed.
        ep: progress, relative to what a good driver would make here; more brings nothing.
        ttc: no collision within a second if the vehicle went straight on.
        comfort: accelerations and jerks within nuPlan's bounds.
        room: to stop if others braked as hard as they can, 1; without it, 0.5.
        certainty: 1 where the forecast is sure of what is at the vehicle's place, 0 where it is not or sees nothing.
        hit: `(B, K, F)` likeliest contact at each step.
    """

    nc: Tensor
    dac: Tensor
    tlc: Tensor
    ep: Tensor
    ttc: Tensor
    comfort: Tensor
    room: Tensor
    certainty: Tensor
    hit: Tensor

    @property
    def safety(self) -> Tensor:
        """The terms `(B, K)` that nothing makes up for, in [0, 1]."""
        return self.nc * self.room * self.dac * self.tlc

    @property
    def total(self) -> Tensor:
        """The score `(B, K)`, in [0, 1]."""
        weights = EP_WEIGHT, TTC_WEIGHT, COMFORT_WEIGHT, CERTAINTY_WEIGHT
        terms = self.ep, self.ttc, self.comfort, self.certainty
        mean = sum(w * term for w, term in zip(weights, terms, strict=True)) / sum(weights)
        return self.safety * mean

    def take(self, chosen: Tensor) -> ImaginedScore:
        """The terms of the plans `chosen (B,)`, K = 1."""
        rows = torch.arange(len(chosen), device=chosen.device)
        return ImaginedScore(*(getattr(self, f.name)[rows, chosen][:, None] for f in fields(self)))


def imagined_score(
    poses: Tensor,
    maps: SceneMaps,
    ego: EgoState,
    route: Route | None,
    reference_m: Tensor,
    vehicle: VehicleParameters = PACIFICA,
) -> ImaginedScore:
    """Score plans against a predicted scene.

    Args:
        poses: `(B, K, 8, 3)` in the ego frame at t0.
        maps: of the 8 steps, the same for all plans; or of 8 K, those of plan k beginning at 8 k, where the scene
            depends on the plan.
        ego: its motion at t0; a plan that changes it abruptly is uncomfortable.
        route: gives the red light.
        reference_m: `(B,)` progress that counts as 1 [m], at least 1 m; more brings nothing.
        vehicle: the ego.
    """
    points = footprint(poses, vehicle)
    blocked, _, known = _look_up(maps, points)
    certainty = (known * (1 - 4 * blocked * (1 - blocked))).mean((-1, -2))
    later = 1 - _LATER * torch.arange(PLAN_STEPS, device=poses.device)
    made = covered_m(poses)
    hit = _harm(_speeds(made)) * blocked.amax(-1)
    nc = 1 - (hit * later).amax(-1)
    dac = _on_the_road(maps, poses, vehicle)
    tlc = _keeps_light(made, ego.speed.to(made), route, vehicle)
    ttc, comfort = _ttc(poses, maps, made, vehicle), _comfort(poses, made, ego)
    room = 1 - _CROWDED * _too_close(poses, maps, made, vehicle)
    return ImaginedScore(nc, dac, tlc, _progress(made, reference_m), ttc, comfort, room, certainty, hit)


def judge(proposals: Proposals, maps: SceneMaps, ego: EgoState, route: Route | None) -> tuple[ImaginedScore, Tensor]:
    """Score proposals, and find the progress that a good driver would make here, against which they are measured.

    That is their median under the head's probabilities: the real score, too, measures progress against a driver's and
    not against what the vehicle could do, and who is rewarded for getting further speeds. But where nobody gets so far
    in one piece, it is that of the furthest proposal nearly as safe as the safest: a good driver would wait, too.

    Args:
        proposals: M for each of B egos.
        maps, ego, route: as for `imagined_score`.

    Returns:
        The scores, and `reference_m (B,)` [m] for those of further plans.
    """
    made = covered_m(proposals.poses)
    usual_m = _median_progress_m(proposals.logits, made)
    scores = imagined_score(proposals.poses, maps, ego, route, usual_m)
    as_safe = scores.safety >= _AS_SAFE * scores.safety.amax(1, keepdim=True)
    reference_m = torch.minimum(usual_m, torch.where(as_safe, made[..., -1], 0.0).amax(1)).detach()
    return replace(scores, ep=_progress(made, reference_m)), reference_m


def _median_progress_m(logits: Tensor, made: Tensor) -> Tensor:
    """`(B,)` of distances covered `(B, M, F)` [m], under the probabilities of the plans."""
    made, order = made[..., -1].detach().sort(dim=1)
    behind = logits.float().softmax(1).gather(1, order).cumsum(1)
    return made.gather(1, (behind < 0.5).sum(1, keepdim=True))[:, 0]


def _progress(made: Tensor, reference_m: Tensor) -> Tensor:
    return (made[..., -1] / reference_m[:, None].clamp_min(_LEAST_M)).clamp(0, 1)


def _harm(speed: Tensor) -> Tensor:
    """Of a contact at that speed [m/s], in [0, 1]."""
    return speed.div(_MOVING_MPS).clamp_max(1) * (1 - _GENTLE * (1 - speed / _FAST_MPS).clamp_min(0))


def footprint(poses: Tensor, vehicle: VehicleParameters = PACIFICA, inset_m: float = _INSET_M) -> Tensor:
    """Points `(..., P, 2)` [m] on the vehicle whose rear axle is at `poses (..., 3)`, from the rear right corner to the
    front left one; `inset_m` inside of its outline, since voxels are larger than what is in them."""
    half_length, half_width = vehicle.length_m / 2 - inset_m, vehicle.width_m / 2 - inset_m
    along = vehicle.rear_axle_to_center_m + torch.linspace(-half_length, half_length, _ALONG, device=poses.device)
    across = torch.linspace(-half_width, half_width, _ACROSS, device=poses.device)
    local = torch.cartesian_prod(along, across).to(poses)
    return se2.transform_points(poses, local.expand(*poses.shape[:-1], -1, 2))


def _on_the_road(maps: SceneMaps, poses: Tensor, vehicle: VehicleParameters) -> Tensor:
    """Are all corners at all steps where one may drive? What is blocked is a matter of collisions, and what is not
    known is no fault."""
    outline = footprint(poses, vehicle, inset_m=0.0)
    last = outline.shape[-2] - 1
    corners = outline[..., [0, _ACROSS - 1, last - _ACROSS + 1, last], :]
    blocked, drivable, known = _look_up(maps, corners)
    off = (1 - drivable) * (1 - blocked)
    on = ((1 - off - _EDGE_LOW) / (_EDGE_HIGH - _EDGE_LOW)).clamp(0, 1)
    return torch.where(known > 0.5, on, 1.0).amin((-1, -2))


def _look_up(maps: SceneMaps, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the maps say at points `(B, K, F, P, 2)`: `(B, K, F, P)` each."""
    batch, plans, steps, number = points.shape[:4]
    moments = maps.pose.shape[1]
    if moments == steps:  # one scene for all plans
        flat = points.transpose(1, 2).flatten(2, 3)
        return tuple(v.unflatten(2, (plans, number)).transpose(1, 2) for v in maps.at(flat))
    if moments != plans * steps:
        raise ValueError(f"maps of {moments} moments, expected {steps}, or {plans * steps} for {plans} plans")
    return tuple(v.unflatten(1, (plans, steps)) for v in maps.at(points.flatten(1, 2)))


def _ttc(poses: Tensor, maps: SceneMaps, made: Tensor, vehicle: VehicleParameters) -> Tensor:
    """Would the vehicle hit anything if from some step on it went straight? The scene at that later time says so."""
    speed = _speeds(made)
    going = speed.div(_MOVING_MPS).clamp_max(1)
    heading = torch.stack([torch.cos(poses[..., 2]), torch.sin(poses[..., 2])], dim=-1)
    worst = torch.zeros_like(made)
    for ahead in _AHEAD_STEPS:
        moved = torch.cat([poses[..., :2] + ahead * PLAN_DT_S * speed[..., None] * heading, poses[..., 2:]], dim=-1)
        blocked, _, _ = _look_up(_later(maps, ahead), footprint(moved, vehicle))
        worst = torch.maximum(worst, going * blocked.amax(-1))
    return 1 - worst.amax(-1)


def _too_close(poses: Tensor, maps: SceneMaps, made: Tensor, vehicle: VehicleParameters) -> Tensor:
    """Would the vehicle, braking along its path in a second, hit what stands where it is expected in half a second?

    `(B, K)` in [0, 1]. After the safe distance of RSS (Shalev-Shwartz et al., 2017), without knowing who is who: a
    vehicle that brakes with all its force comes to a stand about where it would have been half a second later. No
    forecast of what is likely says that it may.
    """
    speed, begin = _speeds(made)[..., _EGO_BRAKES], made[..., _EGO_BRAKES]
    way = begin[..., None] + _stopping_m(speed)[..., None] * begin.new_tensor(_ON_THE_WAY)
    moments = torch.arange(0, maps.pose.shape[1], PLAN_STEPS) + _OTHERS_STAND
    standing = maps.moments(moments.repeat_interleave(len(_ON_THE_WAY)))
    blocked, _, _ = _look_up(standing, footprint(_at_distance(poses, made, way), vehicle))
    return speed.div(_MOVING_MPS).clamp_max(1) * blocked.amax((-1, -2))


def _stopping_m(speed: Tensor) -> Tensor:
    """Distance to a stand [m] from a speed [m/s], fitted to nuPlan's controller: it takes off 0.9 of the speed in a
    second, and at most 5 m/s^2."""
    return torch.where(speed < 5.5, 1.1 * speed, 3.0 + 0.1 * speed**2)


def _at_distance(poses: Tensor, made: Tensor, way: Tensor) -> Tensor:
    """Poses `(B, K, N, 3)` between those of plans `(B, K, F, 3)` that have covered `made (B, K, F)` [m], where they
    have covered `way (B, K, N)` [m], at the farthest the last."""
    way = torch.minimum(way, made[..., -1:] - 1e-3).clamp_min(0)
    after = torch.searchsorted(made.contiguous(), way.contiguous()).clamp(1, PLAN_STEPS - 1)
    low, high = made.gather(-1, after - 1), made.gather(-1, after)
    share = ((way - low) / (high - low).clamp_min(1e-3)).clamp(0, 1)[..., None]
    before, behind = (poses.gather(-2, i[..., None].expand(*i.shape, 3)) for i in (after - 1, after))
    return before * (1 - share) + share * behind


def _later(maps: SceneMaps, steps: int) -> SceneMaps:
    """The maps so many steps later, at most the last one of the plan."""
    moment = torch.arange(maps.pose.shape[1])
    return maps.moments(moment - moment % PLAN_STEPS + (moment % PLAN_STEPS + steps).clamp_max(PLAN_STEPS - 1))


def _speeds(made: Tensor) -> Tensor:
    """Mean speed in each step [m/s], of distances covered `(..., F)` [m]."""
    return torch.diff(made, dim=-1, prepend=torch.zeros_like(made[..., :1])) / PLAN_DT_S


def _keeps_light(made: Tensor, speed: Tensor, route: Route | None, vehicle: VehicleParameters) -> Tensor:
    if route is None:
        return torch.ones_like(made[..., 0])
    front = vehicle.rear_axle_to_center_m + vehicle.length_m / 2
    stop = route.stop_m.to(made)
    too_late = speed**2 > 2 * _GIVE_UP_MPS2 * ((stop - front).clamp_min(0) + _OVER_LINE_M)
    line = torch.where(too_late, torch.inf, stop)[:, None] + 0.5 * _OVER_LINE_M - front
    return torch.sigmoid((line - made[..., -1]) / _LIGHT_SOFT_M)


def _comfort(poses: Tensor, made: Tensor, ego: EgoState) -> Tensor:
    """Accelerations between the middles of steps and how they change in a second, about as the real score smooths them;
    turning in the middles of steps."""
    limits, now = ComfortLimits(), torch.ones_like(made[..., :1])
    speeds = torch.cat([ego.speed.to(made)[:, None, None] * now, _speeds(made)], dim=-1)
    acceleration = torch.diff(speeds, dim=-1) / PLAN_DT_S
    acceleration = torch.cat([2 * acceleration[..., :1], acceleration[..., 1:]], dim=-1)  # the first middle is nearer
    jerk = _change_in_a_second(torch.cat([ego.acceleration.to(made)[:, None, None] * now, acceleration], dim=-1))
    turned = torch.diff(poses[..., 2], dim=-1, prepend=torch.zeros_like(poses[..., :1, 2]))
    yaw_rate = se2.wrap_angle(turned) / PLAN_DT_S
    low, high = limits.min_longitudinal_acceleration, limits.max_longitudinal_acceleration
    excess = (acceleration - high).relu().amax(-1) + (low - acceleration).relu().amax(-1)
    for signal, limit in (
        (jerk, limits.max_longitudinal_jerk),
        (_speeds(made) * yaw_rate, limits.max_lateral_acceleration),
        (yaw_rate, limits.max_yaw_rate),
    ):
        excess = excess + (signal.abs() - limit).relu().amax(-1)
    return torch.exp(-excess / _COMFORT_SOFT)


def _change_in_a_second(values: Tensor) -> Tensor:
    lag = round(1 / PLAN_DT_S)
    return values[..., lag:] - values[..., :-lag]

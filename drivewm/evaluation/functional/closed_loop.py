"""Closed-loop score of a driven episode: NAVSIM's PDM score, taken over the whole episode.

NAVSIM scores a 4 s unroll on a log; here every term looks at all steps of a reactive episode (10 Hz in the town), so
the number is *PDMS-like* and called `episode_pdms`: it does not compare with published PDMS values. Further terms
(direction, lights, lane keeping: EPDMS) belong beside these, under their own score's name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from drivewm.evaluation.functional.collisions import (
    Collision,
    find_collisions,
    in_intersection,
    is_ahead,
    is_behind,
    overlaps,
    straddles_lanes,
)
from drivewm.evaluation.functional.comfort import comfort_signals, comfortable_steps
from drivewm.geometry.boxes import bev_corners
from drivewm.structures import OCC3D, Rollout

TTC_HORIZONS_S = (0.0, 0.3, 0.6, 0.9)
"""Times [s] by which ego and agents are moved straight on."""
_TTC_MIN_SPEED = 0.005
_SHORT_PROGRESS_M = 5.0
# Between two steps the ego moves less than this along the route, so a route that crosses itself is no ambiguity.
_PROJECTION_WINDOW_M = 20.0


@dataclass(frozen=True)
class EpisodeScore:
    """Terms and score of one episode. All terms lie in [0, 1], higher is better.

    Attributes:
        episode_pdms: `nc * dac * (5 ep + 5 ttc + 2 comfort) / 12`.
        nc: no at-fault collision: 0 after one with an agent, 0.5 with a static object, else 1.
        dac: drivable-area compliance: 1 if all four corners stayed on the drivable area.
        ep: ego progress against the reference (`ego_progress`).
        ttc: 1 if no projected collision came up within 0.9 s.
        comfort: 1 if all comfort bounds held at all steps.
        collided: any collision, also those of others' fault.
        at_fault: an at-fault collision, also with static objects.
        off_road_share: share of steps with a corner off the drivable area.
        comfortable_share: share of steps inside the comfort bounds.
        progress: distance made along the route against the reference's, in [0, 1], whatever happened on the way (unlike
            `ep`, which is 0 after an at-fault collision); 1 where the reference is at most 5 m.
        progress_m: distance made along the route [m].
        distance_m: length of the driven path [m].
        mean_speed: [m/s].
        first_collision_s: time of the first collision [s] after the start, None without one.
        impact_speed: of the first collision: how fast the two approached each other [m/s], None without one.
        collision_kinds: how each collision came about, in order.
    """

    episode_pdms: float
    nc: float
    dac: float
    ep: float
    ttc: float
    comfort: float
    collided: bool
    at_fault: bool
    off_road_share: float
    comfortable_share: float
    progress: float
    progress_m: float
    distance_m: float
    mean_speed: float
    first_collision_s: float | None
    impact_speed: float | None
    collision_kinds: tuple[str, ...]

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self) | {"collision_kinds": list(self.collision_kinds)}


def score_episode(rollout: Rollout, reference_progress_m: float) -> EpisodeScore:
    """Score a driven episode.

    Args:
        rollout: what happened, scored steps only.
        reference_progress_m: distance along the route [m] that a reference driver makes in the same scenario (NAVSIM:
            its PDM planner). Evaluation runs no planner, so it is given.

    Raises:
        ValueError: if the ego's motion is not finite or the reference is negative: a crashed planner is no score.
    """
    if not (np.isfinite(rollout.poses).all() and np.isfinite(rollout.speed).all()):
        raise ValueError("the rollout's poses and speeds must be finite")
    collisions = find_collisions(rollout)
    nc = 1.0
    for collision in collisions:
        if collision.at_fault:
            nc = min(nc, 0.0 if rollout.agents.label[collision.agent] in OCC3D.movable else 0.5)
    off_road = off_road_steps(rollout)
    dac = float(not off_road.any())
    station = route_progress(rollout.route, rollout.ego_boxes()[:, :2])
    made_m = float(station[-1] - station[0])
    ep = ego_progress(made_m, reference_progress_m, multiplier=nc * dac)
    ttc = float(not time_to_collision_violated(rollout))
    calm = comfortable_steps(comfort_signals(rollout.poses[:, 2], rollout.speed, rollout.acceleration, rollout.dt_s))
    comfort = float(calm.all())
    return EpisodeScore(
        episode_pdms=pdms(nc, dac, ep, ttc, comfort),
        nc=nc,
        dac=dac,
        ep=ep,
        ttc=ttc,
        comfort=comfort,
        collided=bool(collisions),
        at_fault=any(c.at_fault for c in collisions),
        off_road_share=float(off_road.mean()),
        comfortable_share=float(calm.mean()),
        progress=ego_progress(made_m, reference_progress_m, multiplier=1.0),
        progress_m=made_m,
        distance_m=float(np.linalg.norm(np.diff(rollout.poses[:, :2], axis=0), axis=-1).sum()),
        mean_speed=float(rollout.speed.mean()),
        first_collision_s=collisions[0].step * rollout.dt_s if collisions else None,
        impact_speed=impact_speed(rollout, collisions[0]) if collisions else None,
        collision_kinds=tuple(c.kind.value for c in collisions),
    )


def pdms(nc: float, dac: float, ep: float, ttc: float, comfort: float) -> float:
    """NAVSIM v1's aggregate: `NC * DAC * (5 EP + 5 TTC + 2 C) / 12`."""
    return nc * dac * (5 * ep + 5 * ttc + 2 * comfort) / 12


def impact_speed(rollout: Rollout, collision: Collision) -> float:
    """Norm of the relative velocity of ego and agent [m/s] when they first touch, the ego's of the step before.

    At the step of the collision itself a planner may already have been stopped by it.
    """
    step = max(collision.step - 1, 0)
    yaw, speed = rollout.poses[step, 2], rollout.speed[step]
    own = speed * np.array([np.cos(yaw), np.sin(yaw)])
    return float(np.linalg.norm(own - np.nan_to_num(rollout.agents.velocity[collision.step, collision.agent])))


def ncap_score(impact: float | None, reference: float) -> float:
    """NeuroNCAP's score of an adversarial episode (Ljungbergh et al., 2024): 5 without a collision, else up to 4.

    Args:
        impact: relative velocity at the collision [m/s], None without one.
        reference: the same of an ego that keeps its velocity, in the same episode [m/s].
    """
    if impact is None:
        return 5.0
    if not reference > 0:
        raise ValueError(f"the reference must have collided at a speed > 0 m/s, got {reference}")
    return 4.0 * max(0.0, 1.0 - impact / reference)


def off_road_steps(rollout: Rollout) -> np.ndarray:
    """Steps `(T,)` bool at which a corner of the ego is off the drivable area."""
    return ~rollout.road_map.is_drivable(bev_corners(rollout.ego_boxes())).all(-1)


def ego_progress(progress_m: float, reference_m: float, multiplier: float) -> float:
    """EP: progress times multiplier, against the better of that and the reference; in [0, 1].

    Where nobody gets farther than 5 m there is no progress to judge: 1, or 0 where the own multiplier is 0 (NAVSIM v1).
    """
    if not reference_m >= 0:
        raise ValueError(f"the reference progress must be a distance >= 0 m, got {reference_m}")
    own = max(progress_m, 0.0) * multiplier
    best = max(own, reference_m)
    if best <= _SHORT_PROGRESS_M:
        return float(multiplier > 0)
    return float(own / best)


def route_progress(route: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Arc length `(T,)` [m] along the route `(P, 2)` of a path's nearest points; path `points (T, 2)`, same frame.

    The first is searched on the whole route, each other one near its predecessor.
    """
    start, step = route[:-1], np.diff(route, axis=0)
    length = np.linalg.norm(step, axis=-1)
    along = np.concatenate([[0.0], np.cumsum(length)])
    progress = np.empty(len(points))
    for t, point in enumerate(points):
        share = np.clip(((point - start) * step).sum(-1) / np.maximum(length**2, 1e-12), 0.0, 1.0)
        station = along[:-1] + share * length
        distance = np.linalg.norm(start + share[:, None] * step - point, axis=-1)
        if t:
            away = np.abs(station - progress[t - 1])
            distance = np.where(away <= max(_PROJECTION_WINDOW_M, away.min()), distance, np.inf)
        progress[t] = station[distance.argmin()]
    return progress


def time_to_collision_violated(rollout: Rollout) -> bool:
    """Would the ego, moving straight on for up to 0.9 s, hit an agent that moves straight on too?

    Counted are agents ahead (within 30 degrees), and in intersections, between lanes or off the road all that are not
    behind. An agent that hit the ego through its own fault is dropped; one that comes near in a way that does not
    count (a cut-in from the side) is excused as long as that approach lasts. NAVSIM drops it for the rest of its 4 s,
    too long for an episode, and looks up the agents' recorded future; in a reactive episode that future already holds
    their braking, so they are projected as in nuPlan.
    """
    dropped = {c.agent: c.step for c in find_collisions(rollout) if not c.at_fault}
    excused: dict[int, int] = {}
    hits = np.stack([overlaps(rollout, ahead) for ahead in TTC_HORIZONS_S])
    for step in np.flatnonzero(hits.any((0, 2)) & (rollout.speed >= _TTC_MIN_SPEED)):
        pose = rollout.poses[step]
        for horizon, agent in np.argwhere(hits[:, step]).tolist():
            if dropped.get(agent, len(rollout.poses)) <= step:
                continue
            if excused.get(agent, -2) < step - 1:
                # Seen from the ego: both have moved on, so that only their difference counts.
                ahead_s, velocity = TTC_HORIZONS_S[horizon], np.nan_to_num(rollout.agents.velocity[step, agent])
                ego_velocity = rollout.speed[step] * np.array([np.cos(pose[2]), np.sin(pose[2])])
                position = rollout.agents.boxes[step, agent, :2] + ahead_s * (velocity - ego_velocity)
                if is_ahead(pose, position) or (not is_behind(pose, position) and _in_exposed_area(rollout, step)):
                    return True
            excused[agent] = int(step)
    return False


def _in_exposed_area(rollout: Rollout, step: int) -> bool:
    box = rollout.ego_boxes()[step]
    corners = bev_corners(box)
    return (
        not rollout.road_map.is_drivable(corners).all()
        or in_intersection(rollout.road_map, box[:2])
        or straddles_lanes(rollout.road_map, corners)
    )

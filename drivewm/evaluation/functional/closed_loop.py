"""Closed-loop scores of a driven episode: NAVSIM's PDM score and its extension, taken over the whole episode.

NAVSIM scores a 4 s unroll on a log; here every term looks at all steps of a reactive episode (10 Hz in the town), so
the numbers are called `episode_pdms` and `episode_epdms`: they do not compare with published values of PDMS and EPDMS.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from drivewm.evaluation.functional.aggregate import EPDMS, PDMS
from drivewm.evaluation.functional.collisions import Collision, find_collisions
from drivewm.evaluation.functional.comfort import comfort_signals, comfortable_steps, comfortable_with_history
from drivewm.evaluation.functional.extended_comfort import extended_comfort
from drivewm.evaluation.functional.rules import direction_compliance, lane_keeping, light_compliance, route_steps
from drivewm.evaluation.functional.time_to_collision import time_to_collision_violated
from drivewm.geometry.boxes import bev_corners
from drivewm.structures import OCC3D, Rollout

_SHORT_PROGRESS_M = 5.0
# Between two steps the ego moves less than this along the route, so a route that crosses itself is no ambiguity.
_PROJECTION_WINDOW_M = 20.0


@dataclass(frozen=True)
class EpisodeScore:
    """Scores and terms of one episode. All scores and terms lie in [0, 1], higher is better.

    A term that does not exist is None: DAC, DDC and LK without a map, TLC without a map or lights, HC without a
    warm-up, EC without plans 0.5 s apart. It is left out of the scores, which then have other names.

    Attributes:
        score: `nc * dac * (5 ep + 5 ttc + 2 comfort) / 12`.
        score_name: `episode_pdms`, or what is missing from it: `episode_pdms_without_dac`.
        extended_score: `nc * dac * ddc * tlc * (5 extended_ep + 5 ttc + 2 lk + 2 hc + 2 ec) / 16`.
        extended_name: `episode_epdms`, or what is missing from it.
        nc: no at-fault collision: 0 after one with an agent, 0.5 with a static object, else 1.
        dac: drivable-area compliance: 1 if all four corners stayed on the drivable area.
        ddc: driving-direction compliance (`rules.direction_compliance`).
        tlc: traffic-light compliance (`rules.light_compliance`).
        ep: ego progress against the reference (`ego_progress`), times `nc * dac`.
        extended_ep: the same times all four multipliers of the extended score.
        ttc: 1 if no projected collision came up within 0.9 s.
        lk: lane keeping (`rules.lane_keeping`).
        comfort: 1 if all comfort bounds held at all steps.
        hc: the same, smoothed with the warm-up before them.
        ec: share of plans that agree with the one before (`extended_comfort`).
        excused: terms that count as 1 in the scores because the human driver got them as 0.
        collided: any collision, also those of others' fault.
        at_fault: an at-fault collision, also with static objects.
        off_road_share: share of steps with a corner off the drivable area, None without a map.
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

    score: float
    score_name: str
    extended_score: float
    extended_name: str
    nc: float
    dac: float | None
    ddc: float | None
    tlc: float | None
    ep: float
    extended_ep: float
    ttc: float
    lk: float | None
    comfort: float
    hc: float | None
    ec: float | None
    excused: tuple[str, ...]
    collided: bool
    at_fault: bool
    off_road_share: float | None
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
        return asdict(self) | {"collision_kinds": list(self.collision_kinds), "excused": list(self.excused)}

    @classmethod
    def from_dict(cls, values: dict) -> EpisodeScore:
        """From what `to_dict` gave."""
        return cls(**values | {name: tuple(values[name]) for name in ("collision_kinds", "excused")})


def score_episode(rollout: Rollout, reference_progress_m: float, human: EpisodeScore | None = None) -> EpisodeScore:
    """Score a driven episode.

    Args:
        rollout: what happened, scored steps only.
        reference_progress_m: distance along the route [m] that a reference driver makes in the same scenario (NAVSIM:
            its PDM planner). Evaluation runs no planner, so it is given.
        human: score of the human driver in the same recorded scene. What the human gets as 0 counts as 1 for the
            planner, in both scores (NAVSIM v2's human filter). The terms themselves stay as measured.

    Raises:
        ValueError: if the ego's motion is not finite or the reference is negative: a crashed planner is no score.
    """
    if not all(np.isfinite(a).all() for a in (rollout.poses, rollout.speed, rollout.acceleration, rollout.warm_up)):
        raise ValueError("the rollout's poses, speeds, accelerations and warm-up must be finite")
    collisions = find_collisions(rollout)
    off_road = None if rollout.road_map is None else off_road_steps(rollout)
    calm = comfortable_steps(comfort_signals(rollout.poses[:, 2], rollout.speed, rollout.acceleration, rollout.dt_s))
    calm_with_history = comfortable_with_history(rollout)
    terms: dict[str, float | None] = {
        "nc": _no_collision(rollout, collisions),
        "dac": None if off_road is None else float(not off_road.any()),
        **_rules(rollout),
        "ttc": float(not time_to_collision_violated(rollout)),
        "comfort": float(calm.all()),
        "hc": None if calm_with_history is None else float(calm_with_history.all()),
        "ec": extended_comfort(rollout),
    }
    made_m = made_progress_m(rollout)
    counted = human_filter(terms, human)
    for name, formula in (("ep", PDMS), ("extended_ep", EPDMS)):
        terms[name] = ego_progress(made_m, reference_progress_m, formula.multiplier(counted))
    counted = human_filter(terms, human)
    return EpisodeScore(
        score=PDMS.score(counted),
        score_name=PDMS.score_name(counted),
        extended_score=EPDMS.score(counted),
        extended_name=EPDMS.score_name(counted),
        **terms,
        excused=tuple(name for name in terms if counted[name] != terms[name]),
        collided=bool(collisions),
        at_fault=any(c.at_fault for c in collisions),
        off_road_share=None if off_road is None else float(off_road.mean()),
        comfortable_share=float(calm.mean()),
        progress=ego_progress(made_m, reference_progress_m, multiplier=1.0),
        progress_m=made_m,
        distance_m=float(np.linalg.norm(np.diff(rollout.poses[:, :2], axis=0), axis=-1).sum()),
        mean_speed=float(rollout.speed.mean()),
        first_collision_s=collisions[0].step * rollout.dt_s if collisions else None,
        impact_speed=impact_speed(rollout, collisions[0]) if collisions else None,
        collision_kinds=tuple(c.kind.value for c in collisions),
    )


def human_filter(terms: dict[str, float | None], human: EpisodeScore | None) -> dict[str, float | None]:
    """The terms as they count: 1 for each that the human driver gets as 0. A term that does not exist stays None.

    EP goes by the human's progress alone: the multipliers in it are excused themselves.
    """
    if human is None:
        return terms
    failed = {name: value == 0 for name, value in vars(human).items()}
    failed["ep"] = failed["extended_ep"] = failed["progress"]
    return {name: 1.0 if failed[name] and value is not None else value for name, value in terms.items()}


def _no_collision(rollout: Rollout, collisions: list[Collision]) -> float:
    labels = [rollout.agents.label[collision.agent] for collision in collisions if collision.at_fault]
    return min((0.0 if label in OCC3D.movable else 0.5 for label in labels), default=1.0)


def _rules(rollout: Rollout) -> dict[str, float | None]:
    """DDC, LK and TLC, None where map or lights are not known."""
    if rollout.road_map is None:
        return {"ddc": None, "lk": None, "tlc": None}
    steps = route_steps(rollout)
    return {
        "ddc": direction_compliance(rollout, steps),
        "lk": lane_keeping(rollout, steps),
        "tlc": None if rollout.lights is None else light_compliance(rollout),
    }


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


def made_progress_m(rollout: Rollout) -> float:
    """Distance that the ego's centre made along the route [m], negative if it went back."""
    station = route_progress(rollout.route, rollout.ego_boxes()[:, :2])
    return float(station[-1] - station[0])


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

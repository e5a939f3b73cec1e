"""Time to collision (TTC): would ego and agents collide within a second if all moved straight on?"""

from __future__ import annotations

import numpy as np

from drivewm.evaluation.functional.collisions import (
    find_collisions,
    in_intersection,
    is_ahead,
    is_behind,
    leaves_its_lane,
    overlaps,
)
from drivewm.geometry.boxes import bev_corners
from drivewm.structures import Rollout

TTC_HORIZONS_S = (0.0, 0.3, 0.6, 0.9)
"""Times [s] by which ego and agents are moved straight on."""
_TTC_MIN_SPEED = 0.005


def time_to_collision_violated(rollout: Rollout) -> bool:
    """Would the ego, moving straight on for up to 0.9 s, hit an agent that moves straight on too?

    Counted are agents ahead (within 30 degrees), and in intersections, between lanes or off the road (or where no map
    can tell) all that are not behind. An agent that hit the ego through its own fault is dropped; one that comes near
    in a way that does not count (a cut-in from the side) is excused as long as that approach lasts. NAVSIM drops it for
    the rest of its 4 s, too long for an episode, and looks up the agents' recorded future; in a reactive episode that
    future already holds their braking, so they are projected as in nuPlan.
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
    box, road_map = rollout.ego_boxes()[step], rollout.road_map
    return leaves_its_lane(road_map, bev_corners(box)) or in_intersection(road_map, box[:2])

"""Hindsight: what plans would have led to in the future that was recorded."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from drivewm.layers.draws import rows_of_global_batch
from drivewm.planning.cost import imagined_score
from drivewm.planning.open_loop import driven
from drivewm.planning.proposals import covered_m
from drivewm.planning.protocol import PLAN_STEPS
from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures import EgoState, SceneClip

_LEAST_M = 1.0  # where the driver waited, creeping on is no progress
_FASTER, _FASTER_MPS = 0.4, 2.0  # at most, in relation to the driven speed and beside it


@torch.no_grad()
def hindsight(poses: Tensor, clip: SceneClip, ego: EgoState) -> Tensor:
    """The score of plans against the recorded future, as `imagined_score` scores against an imagined one.

    Others do as they did whatever the ego does, and progress counts in relation to the driver's own.

    Args:
        poses: `(B, M, 8, 3)` in the ego frame at t0.
        clip: its labels of the future and the path that was driven.
        ego: its motion at t0, which need not be the driven one.

    Returns:
        `(B, M)` in [0, 1]; NaN for clips that do not reach over the plan's 8 steps or have no labels.
    """
    path = driven(clip)
    if clip.occupancy is None or clip.num_future < PLAN_STEPS:
        return poses.new_full(poses.shape[:2], torch.nan)
    labels = clip.occupancy[:, clip.num_history :][:, :PLAN_STEPS]
    maps = SceneMaps.of_labels(labels, path.poses.float(), clip.grid)
    reference_m = covered_m(path.poses)[:, -1].clamp_min(_LEAST_M)
    scores = imagined_score(poses, maps, ego, clip.route, reference_m)
    return scores.total.masked_fill(~path.valid.all(1, keepdim=True), torch.nan)


def at_another_speed(ego: EgoState, generator: torch.Generator | None = None) -> EgoState:
    """The egos, had they come faster or more slowly.

    Recorded drivers have slowed down before it gets tight. Who comes too fast meets what they never did, and hindsight
    tells what that leads to, where imitation has nothing to say.
    """
    drawn = rows_of_global_batch(
        lambda n: torch.rand(n, 2, generator=generator, device=ego.speed.device), len(ego.speed)
    )
    share, more = (2 * drawn - 1).to(ego.speed).unbind(1)
    return replace(ego, speed=(ego.speed * (1 + _FASTER * share) + _FASTER_MPS * more).clamp_min(0))

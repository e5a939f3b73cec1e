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

_FASTER, _FASTER_MPS = 0.4, 2.0  # at most, in relation to the driven speed and beside it


class Hindsight:
    """Scores plans against the recorded future, as `imagined_score` scores against an imagined one.

    Others do as they did whatever the ego does, and progress counts in relation to the driver's own.

    Args:
        clip: its labels of the future and the path that was driven.
    """

    def __init__(self, clip: SceneClip) -> None:
        path, self.route, self.maps = driven(clip), clip.route, None
        self.known, self.driven_m = path.valid.all(1, keepdim=True), covered_m(path.poses)[:, -1]
        if clip.occupancy is not None and clip.num_future >= PLAN_STEPS:
            labels = clip.occupancy[:, clip.num_history :][:, :PLAN_STEPS]
            self.maps = SceneMaps.of_labels(labels, path.poses.float(), clip.grid)

    @torch.no_grad()
    def worth(self, poses: Tensor, ego: EgoState) -> Tensor:
        """What plans would have been worth.

        Args:
            poses: `(B, M, 8, 3)` in the ego frame at t0.
            ego: its motion at t0, which need not be the driven one.

        Returns:
            `(B, M)` in [0, 1]; NaN for clips that do not reach over the plan's 8 steps or have no labels.
        """
        if self.maps is None:
            return poses.new_full(poses.shape[:2], torch.nan)
        scores = imagined_score(poses, self.maps, ego, self.route, self.driven_m)
        scores = replace(scores, room=torch.ones_like(scores.room))  # what others might have done, they did not
        return scores.total.masked_fill(~self.known, torch.nan)


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

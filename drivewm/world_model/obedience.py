"""Asks a world model for the future of a clip under several ego motions; `drivewm.evaluation.obedience` scores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from drivewm.evaluation.functional.column_classes import column_classes
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES, STEP_S, STEPS, command
from drivewm.evaluation.obedience import CONTINUED, RECORDED, SHUFFLED, ObedienceSample
from drivewm.geometry import se2
from drivewm.geometry.warp import warp_newest
from drivewm.structures import OCC3D, History, SceneClip
from drivewm.world_model.baselines import copy_last, ego_warped_copy, newly_seen, warp_history
from drivewm.world_model.rollout import roll_out

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

TOLD = (RECORDED, SHUFFLED, *MANOEUVRES)
"""The motions that a clip's future is asked for under, in this order."""
_DRIFT_S = 0.1
_NOT_COVERED = OCC3D.num_classes


def ask(model: WorldModel, clip: SceneClip, other: SceneClip, at_once: int = 11) -> list[ObedienceSample]:
    """What a model and the copies predict for each clip under the motions `TOLD`, for 3 s in steps of 0.5 s.

    Args:
        model: a world model of occupancy.
        clip: history and truth; only its history, its times and the told motions reach the model.
        other: as many clips, whose driven motions are the shuffled ones; of other scenes, to differ.
        at_once: futures that are asked for in one batch: what memory allows.

    Returns:
        one sample a clip, of the model, the copies, and the copy that goes on where nothing was observed.
    """
    if len(other) != len(clip) or min(clip.num_future, other.num_future) < STEPS:
        raise ValueError(
            f"need as many clips of {STEPS} future frames as there are others, got {len(clip)} of {clip.num_future} "
            f"and {len(other)} of {other.num_future}"
        )
    times_s = clip.future_times_s()[:, :STEPS]
    stamps = STEP_S * torch.arange(1, STEPS + 1, device=times_s.device)
    if ((times_s - stamps).abs() > _DRIFT_S).any():
        raise ValueError(f"commands are made of steps of {STEP_S} s, but the frames are at {times_s.tolist()} s")
    T_t0_ego = told_motions(clip, other)
    batch, number = T_t0_ego.shape[:2]
    rows = torch.arange(batch, device=times_s.device).repeat_interleave(number)
    history, told = clip.history().select(rows), T_t0_ego.flatten(0, 1)
    seen = warp_history(history, told)
    predicted = {
        "model": _predict(model, history, told, times_s[rows], at_once),
        "copy_last": copy_last(history, told),
        "ego_warped_copy": ego_warped_copy(history, told, seen),
    }
    maps = {name: _maps(frames).reshape(batch, number, *frames.shape[1:-1]) for name, frames in predicted.items()}
    fresh = newly_seen(seen).all(-1).unflatten(0, (batch, number)).cpu().numpy()
    maps[CONTINUED] = continued(maps["ego_warped_copy"], fresh)
    world, recorded = _maps(recorded_world(clip, T_t0_ego)), _maps(clip.occupancy)
    poses, speed = se2.from_matrix(T_t0_ego.double()).cpu().numpy(), clip.history().motion()[0].tolist()
    return [
        ObedienceSample(
            told=TOLD,
            poses=poses[b],
            observed=recorded[b, clip.num_history - 1],
            truth=recorded[b, clip.num_history : clip.num_history + STEPS],
            predicted={name: found[b] for name, found in maps.items()},
            world=world[b],
            newly_seen=fresh[b],
            grid=clip.grid,
            speed_mps=speed[b],
            scene=clip.scene[b],
            sample_token=clip.sample_token[b],
        )
        for b in range(batch)
    ]


def told_motions(clip: SceneClip, other: SceneClip) -> Tensor:
    """`T_t0_ego (B, K, F, 4, 4)` float32 of the motions `TOLD`. Commands are planar: they stay at the height of t0."""
    speeds = clip.history().motion()[0].tolist()
    commands = np.stack([[command(name, speed) for name in MANOEUVRES] for speed in speeds])
    driven = [c.future_poses()[:, None, :STEPS] for c in (clip, other)]
    return torch.cat([*driven, se2.to_matrix(torch.from_numpy(commands)).to(driven[0])], dim=1)


def continued(copied: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Maps `(..., X, Y)` in which newly seen columns (`fresh`, bool) are like the nearest one that is not.

    The ego-warped copy has nothing there, and so nothing that could obey; streets mostly go on as they were.
    """
    maps = copied.copy()
    for at in np.ndindex(copied.shape[:-2]):
        if fresh[at].any() and not fresh[at].all():
            nearest = distance_transform_edt(fresh[at], return_distances=False, return_indices=True)
            maps[at] = copied[at][tuple(nearest)]
    return maps


def recorded_world(clip: SceneClip, T_t0_ego: Tensor) -> Tensor:
    """What the recording shows at the told poses, history and future: `(B, K, F, X, Y, Z)`.

    Each voxel takes the recorded frame nearest in time that covers it; `num_classes` where none does. What stands still
    is right there; what moves is where it was in that frame.
    """
    T_t0_frame = torch.linalg.inv(clip.T_global_ego[:, clip.num_history - 1, None]) @ clip.T_global_ego
    frames = []
    for f in range(T_t0_ego.shape[2]):
        target = clip.num_history + f
        order = sorted(range(clip.num_frames), key=lambda t, target=target: abs(t - target))
        T_told_frame = torch.linalg.inv(T_t0_ego[:, :, f].double())[:, :, None] @ T_t0_frame[:, None, order]
        frames.append(warp_newest(clip.occupancy[:, order], T_told_frame, clip.grid, _NOT_COVERED))
    return torch.stack(frames, dim=2)


@torch.no_grad()
def _predict(model: WorldModel, history: History, T_t0_ego: Tensor, times_s: Tensor, at_once: int) -> Tensor:
    if "occupancy" not in model.streams:
        raise ValueError(f"obedience is measured in occupancy, but the model forecasts {', '.join(model.streams)}")
    parts = []
    for rows in torch.arange(len(history), device=times_s.device).split(at_once):
        stretches = roll_out(model, history.select(rows), T_t0_ego[rows], times_s[rows], ("occupancy",))
        parts.append(torch.cat([stretch["occupancy"].labels for stretch in stretches], dim=1))
    return torch.cat(parts)


def _maps(frames: Tensor) -> np.ndarray:
    return column_classes(frames.cpu().numpy())

"""What is kept of one clip: the motions measured in the frames that a predictor gave under each motion it was told.

Frames are seen from where the ego was told to be, and what had been observed is moved there exactly. In that part a
predictor obeys by construction. So everything is measured twice: over all columns, and over newly seen ones alone,
which no observed frame covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.functional.column_classes import UNKNOWN
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES
from drivewm.evaluation.functional.scan_matching import match_maps, match_sequence
from drivewm.geometry import VoxelGrid, se2

RECORDED, SHUFFLED, ZERO = "recorded", "shuffled", "stopped"
"""Told motions: the driven one, another clip's, and the manoeuvre in which the ego stands still."""
CONTINUED = "continued_copy"
"""The baseline that others are compared with in newly seen columns: streets go on as they were."""
EVERYTHING, NEWLY_SEEN = "everything", "newly_seen"
"""Columns that are counted."""
LEAST_COLUMNS, LEAST_MARGIN = 200, 0.02
"""A step is measured in newly seen columns where so many are known in both frames and no other place explains them
about as well. On all columns a street nearly always tells, and a measurement that is wrong counts as one."""


@dataclass
class ObedienceSample:
    """What was predicted for a clip under K told motions, as maps of column classes (see `column_classes`).

    Attributes:
        told: K names; `RECORDED` is one of them, others are of `MANOEUVRES` or `SHUFFLED`.
        poses: `(K, F, 3)` the told motions: x, y [m], yaw [rad] in the ego frame at t0, float64.
        observed: `(X, Y)` uint8, the frame at t0.
        truth: `(F, X, Y)` uint8, the recorded future frames, under the recorded motion.
        predicted: predictor -> `(K, F, X, Y)` uint8, each frame seen from its told pose.
        world: `(K, F, X, Y)` uint8, what the recording shows at the told poses; `UNKNOWN` where it shows nothing.
        newly_seen: `(K, F, X, Y)` bool, columns that no observed frame covers.
        grid: of all maps.
        speed_mps: of the ego at t0.
        scene, sample_token: of the clip.
    """

    told: tuple[str, ...]
    poses: np.ndarray
    observed: np.ndarray
    truth: np.ndarray
    predicted: dict[str, np.ndarray]
    world: np.ndarray
    newly_seen: np.ndarray
    grid: VoxelGrid
    speed_mps: float
    scene: str
    sample_token: str

    def __post_init__(self) -> None:
        columns, lead = self.grid.shape[:2], (len(self.told), len(self.truth))
        shapes = {"poses": (*lead, 3), "observed": columns, "truth": (lead[1], *columns)}
        shapes |= {"world": (*lead, *columns), "newly_seen": (*lead, *columns)}
        arrays = {name: getattr(self, name) for name in shapes}
        for name, maps in self.predicted.items():
            arrays[f"predicted[{name!r}]"], shapes[f"predicted[{name!r}]"] = maps, (*lead, *columns)
        for name, array in arrays.items():
            if array.shape != shapes[name]:
                raise ValueError(f"ObedienceSample.{name} must have shape {shapes[name]}, got {array.shape}")
        unknown = [name for name in self.told if name not in (RECORDED, SHUFFLED, *MANOEUVRES)]
        if unknown or RECORDED not in self.told:
            raise ValueError(f"told must name {RECORDED}, {SHUFFLED} or manoeuvres, the first always, got {self.told}")


def record_obedience(sample: ObedienceSample) -> dict:
    """Figures of one clip, of plain types; NaN where something could not be measured.

    Returns:
        - `scene`, `sample_token`, `speed_mps`, `told`, `poses`, `voxel_m` as in the sample;
        - `odometry`: of the recorded frames under the recorded motion: `poses` `(F, 3)` measured, `margin` `(F,)`, and
          `new_steps` `(F, 3)`, each step measured in newly seen columns alone, NaN where it cannot be;
        - `predictors`: for each the same with K first; `changed` `(K,)`, the share of columns of the last frame that
          are not as under the recorded motion; and `told_apart`, see `_told_apart`.
    """
    recorded = sample.told.index(RECORDED)
    return {
        "scene": sample.scene,
        "sample_token": sample.sample_token,
        "speed_mps": float(sample.speed_mps),
        "told": list(sample.told),
        "poses": sample.poses.tolist(),
        "voxel_m": sample.grid.voxel_m,
        "odometry": _measured(sample, sample.truth, recorded),
        "predictors": {name: _predictor(sample, maps, recorded) for name, maps in sample.predicted.items()},
    }


def _predictor(sample: ObedienceSample, predicted: np.ndarray, recorded: int) -> dict:
    rows = [_measured(sample, predicted[k], k) for k in range(len(predicted))]
    figures = {name: [row[name] for row in rows] for name in rows[0]}
    last, reference = predicted[:, -1], predicted[recorded, -1]
    figures["changed"] = (last != reference).mean((1, 2)).tolist()
    figures["told_apart"] = {
        EVERYTHING: _told_apart(sample, predicted, np.ones_like(sample.newly_seen)),
        NEWLY_SEEN: _told_apart(sample, predicted, sample.newly_seen),
    }
    return figures


def _measured(sample: ObedienceSample, frames: np.ndarray, k: int) -> dict:
    """Motion measured in frames `(F, X, Y)` under the told motion k."""
    poses, matches = match_sequence(np.concatenate([sample.observed[None], frames]), sample.grid)
    new = np.where(sample.newly_seen[k], frames, UNKNOWN)
    steps = [np.full(3, np.nan), *(_step(a, b, sample.grid) for a, b in zip(new, new[1:], strict=False))]
    return {
        "poses": poses.tolist(),
        "margin": [match.margin for match in matches],
        "new_steps": [step.tolist() for step in steps],
    }


def _step(a: np.ndarray, b: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """The motion between maps of which little is known, NaN where they do not tell."""
    nothing = np.full(3, np.nan)
    if min((a != UNKNOWN).sum(), (b != UNKNOWN).sum()) < LEAST_COLUMNS:
        return nothing
    match = match_maps(a, b, grid)
    return match.T_a_b if match.margin >= LEAST_MARGIN else nothing


def _told_apart(sample: ObedienceSample, predicted: np.ndarray, columns: np.ndarray) -> list[int]:
    """Of the columns at which two told motions see different things: how many predict what their own one sees.

    For each ordered pair of told motions i and j, each frame, and those `columns` of both that the recording knows from
    both places: where the world looks different from them, it counts what frame i shows. Columns are those of the ego
    frame: the same place beside the ego is another one in the world.

    A predictor that takes no notice of what it is told gets exactly as many right as wrong, whatever it predicts.

    Returns:
        right: shows the world of its own motion; wrong: shows that of the other one; neither.
    """
    counts = np.zeros(3, np.int64)
    for i in range(len(predicted)):
        own = sample.world[i]
        usable = columns[i] & (own != UNKNOWN)
        if not usable.any():
            continue
        shown = predicted[i][usable]
        for j in range(len(predicted)):
            other = sample.world[j][usable]
            telling = columns[j][usable] & (other != UNKNOWN) & (other != own[usable])
            right = int((telling & (shown == own[usable])).sum())
            wrong = int((telling & (shown == other)).sum())
            counts += [right, wrong, int(telling.sum()) - right - wrong]
    return counts.tolist()


def told_steps(poses: np.ndarray) -> np.ndarray:
    """Each step `(..., F, 3)` of poses `(..., F, 3)` that begin at the origin, in the frame before it."""
    before = np.concatenate([np.zeros_like(poses[..., :1, :]), poses[..., :-1, :]], axis=-2)
    return se2.relative(before, poses)

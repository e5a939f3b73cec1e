"""Open-loop planning for mmengine: L2, collision two ways and off-road rate, in both averagings, with sample counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.dynamics.bicycle import RENAULT_ZOE, VehicleParameters
from drivewm.evaluation.forecast.record import to_numpy
from drivewm.evaluation.functional.planning import (
    Mask,
    average_at,
    average_up_to,
    ego_boxes,
    l2_errors,
    off_road,
    polygon_collisions,
)
from drivewm.evaluation.functional.planning_grid import grid_collisions, rasterize
from drivewm.structures.route import Command

_EGO_HEIGHT_M = 1.56  # of no consequence: collisions are judged from above
TRUTH = "ground_truth"
SUBSET = "non_straight"


@METRICS.register_module()
class OpenLoopPlanningMetric(BaseMetric):
    """Distance from the driven path and collision with recorded boxes (a diagnostic: the world does not react).

    Each data sample has under `planning` a dict of

    - `plans`: planner name -> `(F, 3)` rear-axle poses in the ego frame at t0 [m, rad];
    - `truth`: `(F, 3)` the driven poses, with `valid (F,)` bool; steps behind the last horizon are not looked at;
    - `dt_s`: time between poses [s];
    - `scene`: scene name;
    - `boxes` (optional): `(F, M, 7)` recorded boxes in the ego frame *at t0*, with `boxes_valid (F, M)` bool;
    - `command` (optional): a `Command`, read off the route;
    - `road_map` (optional): a `RoadMap`, with `pose (3,)` of the ego at t0 in its frame.

    The flat result has, for HORIZON `1s`, `2s`, `3s` and their `avg`,

    - `NAME/l2_instant/HORIZON`, `NAME/l2_mean/HORIZON` [m]: at the instant over samples with truth there, and mean up
      to it over fully valid samples (VAD); `NAME/l2_instant_zero/HORIZON`: at the instant, steps without truth as 0
      (UniAD);
    - `NAME/collision_instant/HORIZON`, `NAME/collision_mean/HORIZON` [%]: oriented polygons, all steps;
    - `NAME/collision_clean_instant/HORIZON`, `NAME/collision_clean_mean/HORIZON` [%]: without steps in which the driven
      path itself "collides" (as UniAD and VAD count);
    - `NAME/collision_grid_instant/HORIZON` and so on: the same four on the published raster (`planning_grid`);
    - `NAME/off_road_instant/HORIZON`, `NAME/off_road_mean/HORIZON` [%]: where samples have a road map;
    - the same for `ground_truth`: its own rates are the floor of any planner's;
    - `samples_instant/HORIZON`, `samples_mean/HORIZON`: how many samples these are over;
    - all of it with `non_straight/` before it over the samples whose route turns left or right, where samples have a
      command and some of them turn.

    A column is there only where every sample has what it takes.

    Args:
        vehicle: the ego; its size decides what is a collision, but on the raster, which has its own.
        horizons_s: horizons [s].
        collect_device, prefix: as in mmengine.
    """

    def __init__(
        self,
        vehicle: VehicleParameters = RENAULT_ZOE,
        horizons_s: Sequence[float] = (1.0, 2.0, 3.0),
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.ego_size_m = (vehicle.length_m, vehicle.width_m, _EGO_HEIGHT_M)
        self.center_ahead_m = vehicle.rear_axle_to_center_m
        self.horizons_s = tuple(horizons_s)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep errors and events by step, a few numbers a sample."""
        for sample in (data_sample["planning"] for data_sample in data_samples):
            # Steps behind the last horizon are nobody's concern: a sample may lack truth there.
            last = round(max(self.horizons_s) / float(sample["dt_s"]))
            truth, valid = to_numpy(sample["truth"])[:last], to_numpy(sample["valid"])[:last]
            plans = {name: to_numpy(plan)[: len(truth)] for name, plan in sample["plans"].items()}
            paths = {TRUTH: truth} | plans
            command, boxes = sample.get("command"), None
            if sample.get("boxes") is not None:
                boxes = tuple(to_numpy(sample[key])[: len(truth)] for key in ("boxes", "boxes_valid"))
            occupied = None if boxes is None else rasterize(*boxes)
            self.results.append(
                {
                    "scene": sample["scene"],
                    "dt_s": float(sample["dt_s"]),
                    "valid": valid,
                    "turns": None if command is None else int(command) in (Command.LEFT, Command.RIGHT),
                    "l2": {name: l2_errors(path, truth) for name, path in paths.items()},
                    "events": {name: self._events(path, sample, boxes, occupied) for name, path in paths.items()},
                }
            )

    def _events(
        self, path: np.ndarray, sample: dict, boxes: tuple[np.ndarray, np.ndarray] | None, occupied: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """What happens at each step of a path: bool `(F,)` by kind."""
        ego = ego_boxes(path, self.ego_size_m, self.center_ahead_m)
        events = {}
        if boxes is not None:
            events["collision"] = polygon_collisions(ego, *boxes)
            events["collision_grid"] = grid_collisions(path, occupied)
        if sample.get("road_map") is not None:
            events["off_road"] = off_road(ego, to_numpy(sample["pose"]), sample["road_map"])
        return events

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names, see the class."""
        dt_s = {record["dt_s"] for record in results}
        if len(dt_s) != 1:
            raise ValueError(f"plans of one table must share a time step, got {sorted(dt_s)} s")
        steps = {f"{h:g}s": round(h / next(iter(dt_s))) - 1 for h in self.horizons_s}
        count = len(results[0]["valid"])
        if max(steps.values()) >= count:
            raise ValueError(f"{count} steps of {dt_s.pop()} s are too few for a horizon of {max(self.horizons_s)} s")
        out = _table(results, steps)
        if all(record["turns"] is not None for record in results):
            turning = [record for record in results if record["turns"]]
            if turning:
                out |= {f"{SUBSET}/{name}": value for name, value in _table(turning, steps).items()}
            else:
                out |= {f"{SUBSET}/samples_{kind}/{h}": 0 for kind in ("instant", "mean") for h in steps}
        return out


def _table(records: list[dict], steps: dict[str, int]) -> dict[str, float]:
    """All columns over these samples."""
    valid = np.stack([record["valid"] for record in records])
    kinds = set.intersection(*(set(record["events"][TRUTH]) for record in records))
    out: dict[str, float] = {}
    for name in records[0]["l2"]:
        if name != TRUTH:
            l2 = np.stack([record["l2"][name] for record in records])
            for label, function, mask in (
                ("l2_instant", average_at, Mask.VALID),
                ("l2_instant_zero", average_at, Mask.ZERO),
                ("l2_mean", average_up_to, Mask.FULL),
            ):
                _add(out, f"{name}/{label}", {h: function(l2, valid, s, mask).value for h, s in steps.items()})
        for kind in sorted(kinds):
            hit, truth = (np.stack([record["events"][who][kind] for record in records]) for who in (name, TRUTH))
            _add_rates(out, f"{name}/{kind}", hit, valid, steps)
            if kind != "off_road":
                _add_rates(out, f"{name}/{kind}_clean", hit & ~truth, valid, steps)
    for h, step in steps.items():
        out[f"samples_instant/{h}"] = int(valid[:, step].sum())
        out[f"samples_mean/{h}"] = int(valid.all(-1).sum())
    return out


def _add_rates(out: dict[str, float], name: str, hit: np.ndarray, valid: np.ndarray, steps: dict[str, int]) -> None:
    percent = 100.0 * hit
    _add(out, f"{name}_instant", {h: average_at(percent, valid, s).value for h, s in steps.items()})
    _add(out, f"{name}_mean", {h: average_up_to(percent, valid, s).value for h, s in steps.items()})


def _add(out: dict[str, float], name: str, by_horizon: dict[str, float]) -> None:
    out |= {f"{name}/{h}": v for h, v in by_horizon.items()}
    out[f"{name}/avg"] = float(np.mean(list(by_horizon.values())))

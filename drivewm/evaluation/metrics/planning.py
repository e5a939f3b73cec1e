"""Open-loop planning for mmengine: L2 and polygon collision, in both averagings, with sample counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from drivewm.dynamics.bicycle import RENAULT_ZOE, VehicleParameters
from drivewm.evaluation.functional.planning import (
    Mask,
    average_at,
    average_up_to,
    ego_boxes,
    l2_errors,
    polygon_collisions,
)
from drivewm.evaluation.metrics.occupancy import to_numpy

_EGO_HEIGHT_M = 1.56  # of no consequence: collisions are judged from above


@METRICS.register_module()
class OpenLoopPlanningMetric(BaseMetric):
    """Distance from the driven path and collision with recorded boxes (a diagnostic: the world does not react).

    Each data sample has under `planning` a dict of

    - `plans`: planner name -> `(F, 3)` rear-axle poses in the ego frame at t0 [m, rad];
    - `truth`: `(F, 3)` the driven poses, with `valid (F,)` bool; steps behind the last horizon are not looked at;
    - `dt_s`: time between poses [s];
    - `scene`: scene name;
    - `boxes` (optional): `(F, M, 7)` recorded boxes in the ego frame *at t0*, with `boxes_valid (F, M)` bool.

    The flat result has, for HORIZON `1s`, `2s`, `3s` and their `avg`,

    - `NAME/l2_instant/HORIZON`, `NAME/l2_mean/HORIZON` [m]: at the instant over samples with truth there, and mean up
      to it over fully valid samples (VAD); `NAME/l2_instant_zero/HORIZON`: at the instant, steps without truth as 0
      (UniAD);
    - `NAME/collision_instant/HORIZON`, `NAME/collision_mean/HORIZON` [%]: oriented polygons, all steps;
    - `NAME/collision_clean_instant/HORIZON`, `NAME/collision_clean_mean/HORIZON` [%]: without steps in which the driven
      path itself "collides" (as UniAD and VAD count);
    - the same for `ground_truth`: its own collision rate is the floor of any planner's;
    - `samples_instant/HORIZON`, `samples_mean/HORIZON`: how many samples these are over.

    Args:
        vehicle: the ego; its size decides what is a collision.
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
        """Keep errors and collisions by step, a few numbers a sample."""
        for sample in (data_sample["planning"] for data_sample in data_samples):
            # Steps behind the last horizon are nobody's concern: a sample may lack truth there.
            last = round(max(self.horizons_s) / float(sample["dt_s"]))
            truth, valid = to_numpy(sample["truth"])[:last], to_numpy(sample["valid"])[:last]
            plans = {name: to_numpy(plan)[: len(truth)] for name, plan in sample["plans"].items()}
            paths = {"ground_truth": truth} | plans
            record = {
                "scene": sample["scene"],
                "dt_s": float(sample["dt_s"]),
                "valid": valid,
                "l2": {name: l2_errors(path, truth) for name, path in paths.items()},
                "collision": {},
            }
            if sample.get("boxes") is not None:
                boxes, boxes_valid = (to_numpy(sample[key])[: len(truth)] for key in ("boxes", "boxes_valid"))
                for name, path in paths.items():
                    ego = ego_boxes(path, self.ego_size_m, self.center_ahead_m)
                    record["collision"][name] = polygon_collisions(ego, boxes, boxes_valid)
            self.results.append(record)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Flat names, see the class."""
        dt_s = {record["dt_s"] for record in results}
        if len(dt_s) != 1:
            raise ValueError(f"plans of one table must share a time step, got {sorted(dt_s)} s")
        steps = {f"{h:g}s": round(h / next(iter(dt_s))) - 1 for h in self.horizons_s}
        valid = np.stack([record["valid"] for record in results])
        if max(steps.values()) >= valid.shape[1]:
            raise ValueError(
                f"{valid.shape[1]} steps of {dt_s.pop()} s are too few for a horizon of {max(self.horizons_s)} s"
            )
        out: dict[str, float] = {}
        for name in results[0]["l2"]:
            l2 = np.stack([record["l2"][name] for record in results])
            for label, function, mask in (
                ("l2_instant", average_at, Mask.VALID),
                ("l2_instant_zero", average_at, Mask.ZERO),
                ("l2_mean", average_up_to, Mask.FULL),
            ):
                if name != "ground_truth":
                    _add(out, f"{name}/{label}", {h: function(l2, valid, s, mask).value for h, s in steps.items()})
            if all(record["collision"] for record in results):
                self._add_collisions(out, name, results, valid, steps)
        for h, step in steps.items():
            out[f"samples_instant/{h}"] = int(valid[:, step].sum())
            out[f"samples_mean/{h}"] = int(valid.all(-1).sum())
        return out

    @staticmethod
    def _add_collisions(out, name, results, valid, steps) -> None:
        hit = np.stack([record["collision"][name] for record in results])
        clean = hit & ~np.stack([record["collision"]["ground_truth"] for record in results])
        for label, values in (("collision", hit), ("collision_clean", clean)):
            percent = 100.0 * values
            _add(out, f"{name}/{label}_instant", {h: average_at(percent, valid, s).value for h, s in steps.items()})
            _add(out, f"{name}/{label}_mean", {h: average_up_to(percent, valid, s).value for h, s in steps.items()})


def _add(out: dict[str, float], name: str, by_horizon: dict[str, float]) -> None:
    out |= {f"{name}/{h}": v for h, v in by_horizon.items()}
    out[f"{name}/avg"] = float(np.mean(list(by_horizon.values())))

"""Benchmarks: each compares one part of drivewm with another way to the same result, or with the time it may take.

A benchmark is a function without arguments that returns a `measure.Row`; `BENCHMARKS` names them all.
"""

from functools import partial

from benchmarks import counts, driving, forecasts, labels, opening, rays, town

BENCHMARKS = {
    "raycast_open3d": rays.against_open3d,
    "raycast_sampling": rays.against_sampling,
    "confusion_counts": counts.against_class_loops,
    "confusion_counts_uint8_loops": counts.against_uint8_loops,
    "confusion_counts_bincount": counts.against_torch_bincount,
    "confusion_counts_noise": counts.on_noise,
    "occupancy_label": labels.against_numpy,
    "occupancy_label_carved": labels.carved_against_numpy,
    "open_index": opening.against_devkit,
    "forecast_recomputed_history": forecasts.against_recomputed_history,
    "town_lidar": town.lidar_sweep,
    "town_occupancy": town.occupancy_labels,
    "town_cameras": town.six_cameras,
    "town_scene": town.written_scene,
    "closed_loop_idm": partial(driving.rule_based, "idm", 20.0),
    "closed_loop_pdm": partial(driving.rule_based, "pdm", 20.0),
    "closed_loop_lidar": partial(driving.with_lidar, 2.0),
    "closed_loop_two_workers": driving.two_workers,
}
"""Name on the command line and in the result -> benchmark."""

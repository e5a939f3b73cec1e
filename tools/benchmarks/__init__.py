"""Benchmarks: each compares one part of drivewm with another way to the same result, or with the time it may take.

A benchmark is a function without arguments that returns a `measure.Row`; `BENCHMARKS` names them all.
"""

from functools import partial

from benchmarks import (
    clouds,
    counts,
    driving,
    forecasts,
    joint,
    labels,
    lidar,
    loading,
    opening,
    planning,
    rays,
    rollouts,
    tokenizing,
    town,
    trainval,
)
from benchmarks.full_size import TOKENIZERS

BENCHMARKS = {
    "raycast_open3d": rays.against_open3d,
    "raycast_sampling": rays.against_sampling,
    "confusion_counts": counts.against_class_loops,
    "confusion_counts_uint8_loops": counts.against_uint8_loops,
    "confusion_counts_bincount": counts.against_torch_bincount,
    "confusion_counts_noise": counts.on_noise,
    "chamfer_pykdtree": clouds.chamfer_pykdtree,
    "chamfer_scipy": clouds.chamfer_scipy,
    "voxelize_34k": partial(clouds.voxelize, 34_000, 2.0),
    "voxelize_300k": partial(clouds.voxelize, 300_000, 1.3),
    "lidar_encode": lidar.encode,
    "lidar_render": lidar.rendered,
    "lidar_render_skipping": lidar.rendered_without_skipping,
    "occupancy_label": labels.against_numpy,
    "occupancy_label_carved": labels.carved_against_numpy,
    "open_index": opening.against_devkit,
    "forecast_recomputed_history": forecasts.against_recomputed_history,
    **{
        f"tokenizer_{kind}_{dtype}": partial(tokenizing.against_occworld, kind, dtype)
        for dtype in ("fp32", "bf16")
        for kind in TOKENIZERS
    },
    "rollout_fp32": partial(rollouts.rollout, "fp32"),
    "rollout_bf16": partial(rollouts.rollout, "bf16"),
    "rollout_cached": rollouts.rollout_cached,
    "whole_forecast_fp32": partial(rollouts.whole_forecast, "fp32"),
    "whole_forecast_bf16": partial(rollouts.whole_forecast, "bf16"),
    "flops_occworld": rollouts.flops_occworld,
    "flops_dome": rollouts.flops_dome,
    "flops_opendwm": lidar.flops_opendwm,
    "scaling_frames": rollouts.frames_scaling,
    "scaling_grid": rollouts.grid_scaling,
    "scaling_steps": rollouts.steps_scaling,
    "scaling_cameras_geometric": partial(joint.cameras_scaling, "geometric"),
    "scaling_cameras_latents": partial(joint.cameras_scaling, "latents"),
    "exchange_gathered": joint.gathered,
    "load_occ3d_frame": loading.occ3d_frame,
    "load_two_workers": loading.two_workers,
    "open_trainval": trainval.time_to_open,
    "open_trainval_memory": trainval.memory,
    "town_lidar": town.lidar_sweep,
    "town_occupancy": town.occupancy_labels,
    "town_cameras": town.six_cameras,
    "town_scene": town.written_scene,
    "closed_loop_idm": partial(driving.rule_based, "idm", 20.0),
    "closed_loop_pdm": partial(driving.rule_based, "pdm", 20.0),
    "closed_loop_lidar": partial(driving.with_lidar, 2.0),
    "closed_loop_two_workers": driving.two_workers,
    "plan_rank": planning.plan,
    "plan_rank_encode": planning.encode,
    "plan_rank_imagine": planning.imagine,
    "plan_rank_score": planning.rank,
    "plan_cem": partial(planning.plan, method="cem"),
    "plan_gradient": partial(planning.plan, method="gradient"),
    "plan_conditioned_batch": planning.batched_plans,
}
"""Name on the command line and in the result -> benchmark."""

ON_REQUEST = ("flops_opendwm", "open_trainval", "open_trainval_memory")
"""Only run when named: they need gigabytes and, the first time, several minutes."""

QUALITY_GATED = tuple(name for name in BENCHMARKS if name.startswith("tokenizer_"))
"""Speeds that count only at no less quality (`quality.gated`)."""

"""LiDAR world model at paper size, nuScenes: 1 s from 2 keyframes, under the driven motion.

Copilot4D's mix of tasks and number of denoising steps (Zhang et al., 2024). Its transformer is a U-Net of windows, ours
attends to all 64 x 64 patches of 2 x 2 tokens.
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.nuscenes_lidar import *
    from .._base_.runtime import *
    from ..tokenizers.lidar_nuscenes import tokenizer
    from .forecast_occ3d import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import LidarForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = "work_dirs/lidar_nuscenes/last_checkpoint"
model = dict(
    type=WorldModel,
    tokenizer=tokenizer,
    dim=512,
    depth=8,
    heads=8,
    patch=2,
    memory=dict(upscale=2, frame_dim=64, fine_dim=16),
    mix=dict(predict=0.5, denoise=0.4),
    horizon=num_future,
    targets_per_clip=2,
    imagine_steps=10,
    points_per_frame=32_768,
    # Mirrored sweeps would have to be encoded and remembered too.
    data_preprocessor=dict(type=ClipPreprocessor),
)
train_dataloader.merge(dict(batch_size=2))

max_iters = 100_000
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters, batch_size=16))
custom_hooks = [*custom_hooks, averaging]
default_hooks.merge(dict(checkpoint=dict(interval=1000)))
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=LidarForecastMetric, horizons_s=(1.0,), step_s=0.5)

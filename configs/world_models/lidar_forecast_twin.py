"""LiDAR world model of the CPU-size twin: point clouds of 3 s from 3 s, under the driven motion, by nothing but points.

Boxes are loaded for the test alone, which scores what moves apart.
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_lidar import *
    from ..tokenizers.lidar_twin import tokenizer
    from .forecast_twin import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import LidarForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = "work_dirs/lidar_twin/last_checkpoint"
model = dict(
    type=WorldModel,
    tokenizer=tokenizer,
    dim=128,
    depth=4,
    heads=2,
    memory=dict(upscale=2, frame_dim=64, fine_dim=16),
    horizon=6,
    targets_per_clip=2,
    imagine_steps=8,
    guidance=0.5,
    ego_aligned=True,
    decoder_context=True,
    points_per_frame=8192,
    mix=dict(predict=0.5, denoise=0.4),  # Copilot4D's
    # Mirrored sweeps would have to be encoded too, which takes as long as the training itself.
    data_preprocessor=dict(type=ClipPreprocessor),
)
test_dataloader.merge(dict(batch_size=2, dataset=dict(load_boxes=True, stride=10)))

max_iters = 150
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=LidarForecastMetric, horizons_s=(1.0, 3.0))

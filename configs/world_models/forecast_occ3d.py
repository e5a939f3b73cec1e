"""World model of Occ3D-nuScenes: forecasts of 3 s from 2 s, under the driven motion."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.averaging import *
    from .._base_.nuscenes import *
    from .._base_.runtime import *
    from ..tokenizers.occupancy_occ3d_50x50 import tokenizer

from drivewm.engine import Bfloat16OptimWrapper, ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import OccupancyForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = "work_dirs/occupancy_occ3d_50x50/last_checkpoint"
model = dict(
    type=WorldModel,
    tokenizer=tokenizer,
    dim=384,
    depth=8,
    heads=6,
    patch=2,
    motion=dict(horizon_s=3.0, frames=3),
    data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5),
)
train_dataloader.merge(dict(dataset=dict(load_boxes=True)))

max_iters = 30_000
optim_wrapper = dict(
    type=Bfloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=4e-4, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=1000, end=max_iters, eta_min=1e-6),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters, batch_size=32)
custom_hooks = [*custom_hooks, averaging]
default_hooks.merge(dict(checkpoint=dict(interval=1000)))
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=OccupancyForecastMetric)

"""World model of the CPU-size twin: forecasts of 3 s from 2 s, under the driven motion."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin import *
    from ..tokenizers.occupancy_twin import tokenizer

from drivewm.engine import Bfloat16OptimWrapper, ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import OccupancyForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = "work_dirs/occupancy_twin/last_checkpoint"
model = dict(
    type=WorldModel,
    tokenizer=tokenizer,
    dim=128,
    depth=4,
    heads=2,
    memory=dict(upscale=2, frame_dim=64, fine_dim=16),
    motion=dict(horizon_s=3.0, frames=3),
    horizon=6,
    targets_per_clip=2,
    imagine_steps=8,
    imagine_temperature=0.5,
    guidance=0.5,
    ego_aligned=True,
    decoder_context=True,
    score_imagined=False,
    data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5),
)
train_dataloader.merge(dict(dataset=dict(load_boxes=True)))
test_dataloader.merge(dict(batch_size=4, dataset=dict(stride=2)))

max_iters = 650
optim_wrapper = dict(
    type=Bfloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=1.5e-3, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters)
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=OccupancyForecastMetric)

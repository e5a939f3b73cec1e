"""World model of the CPU-size twin over six cameras alone: views of 3 s from 2 s, under the driven motion."""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_cameras import *
    from ..tokenizers.camera_twin import tokenizer
    from .forecast_twin import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import CameraForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = "work_dirs/camera_twin/last_checkpoint"
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
    data_preprocessor=dict(type=ClipPreprocessor),
)
train_dataloader.merge(dict(batch_size=2))
test_dataloader.merge(dict(batch_size=1, dataset=dict(stride=10)))

max_iters = 300
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=CameraForecastMetric)

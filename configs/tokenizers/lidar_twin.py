"""LiDAR tokenizer of the CPU-size twin: 30 x 30 tokens of 4.8 m."""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_lidar import *
    from .occupancy_town import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import LidarReconstructionMetric
from drivewm.tokenizers import LidarTokenizer

tokenizer = dict(
    type=LidarTokenizer,
    grid=grid,
    point_dim=16,
    channels=(64, 96, 128),
    blocks=1,
    vocab_size=1024,
    quantize_after=100,
    raster=dict(rows=32, columns=360, lowest_deg=-30.67, highest_deg=10.67),
)
model = dict(**tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))
train_dataloader.merge(dict(dataset=dict(num_history=1, num_future=3)))
test_dataloader.merge(dict(dataset=dict(num_history=1, num_future=0, stride=20)))

max_iters = 300
param_scheduler[1].update(end=max_iters)
train_cfg.update(max_iters=max_iters)
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=LidarReconstructionMetric)

"""Occupancy tokenizer of the town, sized for two CPU cores."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.runtime import *
    from .._base_.town import *

from drivewm.engine import Bfloat16OptimWrapper, ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import ReconstructionMetric
from drivewm.tokenizers import OccupancyTokenizer

tokenizer = dict(
    grid=grid,
    label_dim=8,
    channels=(64, 128),
    blocks=2,
    code_dim=32,
    vocab_size=1024,
    fsq_levels=None,
    coarse_scales=(),
)
model = dict(type=OccupancyTokenizer, **tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))

# Each keyframe once: reconstruction looks at single frames.
test_dataloader.merge(dict(batch_size=16, dataset=dict(num_history=1, num_future=0, stride=4)))

max_iters = 200
optim_wrapper = dict(
    type=Bfloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=2e-3, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=max_iters, eta_min=2e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters)
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=ReconstructionMetric, per_class=True)

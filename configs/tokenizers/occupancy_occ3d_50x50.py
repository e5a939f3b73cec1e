"""Occupancy tokenizer of Occ3D-nuScenes: 50 x 50 tokens of 1.6 m."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.averaging import *
    from .._base_.nuscenes import *
    from .._base_.runtime import *

from drivewm.engine import Bfloat16OptimWrapper, ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import ReconstructionMetric
from drivewm.tokenizers import OccupancyTokenizer

tokenizer = dict(
    grid=grid, label_dim=8, channels=(64, 128), blocks=2, code_dim=64, vocab_size=1024, lovasz_voxels=16384
)
model = dict(type=OccupancyTokenizer, **tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))

# One frame of each clip is trained on, another one is its decoder's context. Each keyframe is tested once.
train_dataloader.merge(dict(dataset=dict(num_history=1, num_future=5)))
test_dataloader.merge(dict(dataset=dict(num_history=1, num_future=0)))

max_iters = 20_000
optim_wrapper = dict(
    type=Bfloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=500, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters, batch_size=32)
custom_hooks = [*custom_hooks, averaging]
default_hooks.merge(dict(checkpoint=dict(interval=1000)))
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=ReconstructionMetric, per_class=True)

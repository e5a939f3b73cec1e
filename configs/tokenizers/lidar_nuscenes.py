"""LiDAR tokenizer at paper size: 128 x 128 tokens of 1.25 m out of 1024 codes, by Swin blocks (nuScenes).

Range, tokens, codes, width, windows, and how many Swin blocks there are at a quarter and at an eighth of the resolution
are Copilot4D's (Zhang et al., 2024), and so is the batch. Ours differs in the height of voxels, in a convolutional
block at half the resolution, in heads of 32 channels and codes of 64, in learning rate and number of steps, and in what
is learned (docs/lidar.md).
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.nuscenes_lidar import *
    from .._base_.runtime import *
    from .occupancy_occ3d_50x50 import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import LidarReconstructionMetric
from drivewm.tokenizers import LidarTokenizer

tokenizer = dict(
    type=LidarTokenizer,
    grid=grid,
    point_dim=16,
    channels=(64, 128, 256),
    blocks=(1, 2, 6),
    trunk="swin",
    window=8,
    code_dim=64,
    vocab_size=1024,
    quantize_after=1000,
    objective=dict(rays=4096, samples=128, near_samples=32),
)
model = dict(**tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))

# One frame of each clip is trained on, those before it are its decoder's context. Each sweep is tested once.
train_clips, test_clips = dict(num_history=1, num_future=3), dict(num_history=1, num_future=0)
train_dataloader.merge(dict(batch_size=2, dataset=train_clips))
test_dataloader.merge(dict(dataset=dict(**test_clips, load_boxes=False)))

max_iters = 100_000
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters, batch_size=16))
custom_hooks = [*custom_hooks, averaging]
default_hooks.merge(dict(checkpoint=dict(interval=1000)))
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=LidarReconstructionMetric)

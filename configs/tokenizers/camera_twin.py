"""Camera tokenizer of the CPU-size twin: six views of 400 x 224, 25 x 14 tokens each.

In float32: CPUs without bfloat16 units are several times slower at these convolutions in bfloat16.
"""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_cameras import *

from drivewm.engine import ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import CameraReconstructionMetric
from drivewm.tokenizers import CameraTokenizer

tokenizer = dict(
    type=CameraTokenizer,
    image_size=image_size,
    views=len(cameras),
    backbone="convnext_atto",
    channels=(32, 48, 96, 128),
    blocks=(0, 1, 2, 2),
    code_dim=32,
    vocab_size=1024,
    quantize_after=400,
    views_per_step=2,
)
model = dict(**tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))

# Each keyframe once, and a quarter of those of the test.
train_dataloader.merge(dict(dataset=dict(num_history=1, num_future=0)))
test_dataloader.merge(dict(dataset=dict(num_history=1, num_future=0, stride=4)))

max_iters = 3600
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters)
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=CameraReconstructionMetric)
custom_hooks = [*custom_hooks, averaging]

"""Camera tokenizer at full size: nuScenes' six views of 800 x 448, 50 x 28 tokens each out of 4096 codes.

`--cfg-options model.weights=FILE` starts the backbone from a local file of timm's weights; a perceptual term is
`--cfg-options "model.perceptual={'backbone': 'vgg16', 'weights': 'FILE', 'weight': 0.1}"`.
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.nuscenes_cameras import *
    from .._base_.runtime import *
    from .occupancy_occ3d_50x50 import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import CameraReconstructionMetric
from drivewm.tokenizers import CameraTokenizer

tokenizer = dict(
    type=CameraTokenizer,
    image_size=image_size,
    views=len(cameras),
    backbone="convnext_tiny",
    weights=None,
    channels=(64, 128, 256, 512),
    blocks=2,
    code_dim=64,
    vocab_size=4096,
    quantize_after=1000,
    perceptual=None,
)
model = dict(**tokenizer, data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5))

# Each keyframe once.
train_dataloader.merge(dict(batch_size=2, dataset=dict(num_history=1, num_future=0)))
test_dataloader.merge(dict(batch_size=2, dataset=dict(num_history=1, num_future=0)))

max_iters = 100_000
optim_wrapper.merge(dict(optimizer=dict(lr=5e-4)))
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters, batch_size=16))
custom_hooks = [*custom_hooks, averaging]
default_hooks.merge(dict(checkpoint=dict(interval=1000)))
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=CameraReconstructionMetric)

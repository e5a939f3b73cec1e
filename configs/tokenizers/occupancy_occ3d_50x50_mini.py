"""The tokenizer of 50 x 50 tokens, shortly trained on nuScenes' v1.0-mini."""

from mmengine.config import read_base

with read_base():
    from .._base_.nuscenes_mini import *
    from .occupancy_occ3d_50x50 import *

train_dataloader.merge(dict(dataset=train_set))
test_dataloader.merge(dict(dataset=test_set))

max_iters = 1000
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

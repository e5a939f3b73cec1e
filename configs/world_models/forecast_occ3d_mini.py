"""The world model of Occ3D-nuScenes, shortly trained on nuScenes' v1.0-mini."""

from mmengine.config import read_base

with read_base():
    from .._base_.nuscenes_mini import *
    from .forecast_occ3d import *

tokenizer_checkpoint = "work_dirs/occupancy_occ3d_50x50_mini/last_checkpoint"
train_dataloader.merge(dict(dataset=train_set))
test_dataloader.merge(dict(dataset=test_set))

max_iters = 2000
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

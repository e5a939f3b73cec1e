"""The planner's head of the drives, trained on after the joint training on states of the frozen world model."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

tokenizer_checkpoint = None  # the checkpoint of the joint training holds it
start_checkpoint = "work_dirs/motion_drives/last_checkpoint"
model.merge(dict(head_only=True, data_preprocessor=dict(mirrored=0.0)))  # a state is remembered by its clip
train_dataloader.merge(dict(batch_size=32, dataset=dict(stride=3)))

max_iters = 1500
optim_wrapper.merge(dict(optimizer=dict(lr=1.5e-3)))
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
default_hooks.merge(dict(checkpoint=dict(interval=500)))

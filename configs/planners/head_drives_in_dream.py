"""The head of the drives, trained on in the dream: what its own plans lead to teaches it, beside the recorded paths."""

from mmengine.config import read_base

with read_base():
    from .head_drives import *

start_checkpoint = "work_dirs/head_drives/last_checkpoint"
model.merge(dict(name="learned_in_dream", head_only=False, dream_steps=3))
train_dataloader.merge(dict(batch_size=8))

max_iters = 60
optim_wrapper.merge(dict(optimizer=dict(lr=3e-4)))
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
default_hooks.merge(dict(checkpoint=dict(interval=20)))

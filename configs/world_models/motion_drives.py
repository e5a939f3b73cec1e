"""The motion field of the drives' world model, trained on alone: many more examples of how things move."""

from mmengine.config import read_base

with read_base():
    from .driving_drives import *

tokenizer_checkpoint = None  # the checkpoint of the joint training holds it
start_checkpoint = "work_dirs/driving_drives/last_checkpoint"
model.merge(dict(world_model=dict(motion_only=True)))
train_dataloader.merge(dict(batch_size=16))

max_iters = 1000
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

"""World model and planner of the drives, trained together: the town's, trained longer on all situations."""

from mmengine.config import read_base

with read_base():
    from .._base_.averaging import *
    from .driving_town import *

index = "data/drives/index"
train_dataloader.merge(dict(dataset=dict(index=index)))
test_dataloader.merge(dict(dataset=dict(index=index)))

tokenizer_checkpoint = "work_dirs/occupancy_drives/last_checkpoint"
# Dreams go on for many steps: the model has to know what its own forecasts look like.
model.merge(dict(world_model=dict(mix=dict(own_history=0.25)), data_preprocessor=dict(mirrored=0.5)))

max_iters = 800
param_scheduler[1].update(end=max_iters)
train_cfg.update(max_iters=max_iters)
custom_hooks = [*custom_hooks, averaging]

"""Occupancy tokenizer of the drives that planners are trained on: the town's, trained longer on all situations.

python tools/make_town.py --out data/drives --scenes 405 --families all --x-min -12.8 --no-cameras --no-sweeps \\
    --workers 2
"""

from mmengine.config import read_base

with read_base():
    from .._base_.averaging import *
    from .occupancy_town import *

index = "data/drives/index"
train_dataloader.merge(dict(batch_size=16, dataset=dict(index=index, num_history=1, num_future=4)))
test_dataloader.merge(dict(dataset=dict(index=index)))

max_iters = 500
param_scheduler[1].update(end=max_iters)
train_cfg.update(max_iters=max_iters)
custom_hooks = [*custom_hooks, averaging]

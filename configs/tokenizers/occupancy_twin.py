"""Occupancy tokenizer of the CPU-size twin: 25 x 25 tokens of 3.2 m."""

from mmengine.config import read_base

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin import *
    from .occupancy_town import model, optim_wrapper, param_scheduler, test_cfg, test_evaluator, tokenizer, train_cfg

tokenizer.merge(dict(grid=grid))
model.merge(dict(grid=grid))
train_dataloader.merge(dict(dataset=dict(num_history=1, num_future=4)))
test_dataloader.merge(dict(batch_size=16, dataset=dict(num_history=1, num_future=0, stride=4)))

max_iters = 600
param_scheduler[1].update(end=max_iters)
train_cfg.update(max_iters=max_iters)
custom_hooks = [*custom_hooks, averaging]

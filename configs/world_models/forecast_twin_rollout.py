"""The twin's world model, trained on with its own forecasts as history, and tested over 10 s."""

from mmengine.config import read_base

with read_base():
    from .forecast_twin import *

tokenizer_checkpoint = None  # the checkpoint to start from holds it
start_checkpoint = "work_dirs/forecast_twin/last_checkpoint"
model.merge(dict(mix=dict(own_history=0.5), horizon=6, predicted_frames=20))
test_dataloader.merge(dict(dataset=dict(num_future=20, stride=8)))
test_evaluator.update(horizons_s=(1.0, 2.0, 3.0, 5.0, 10.0))

max_iters = 150
optim_wrapper.merge(dict(optimizer=dict(lr=4e-4)))
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

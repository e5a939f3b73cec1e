"""A planner that sees the ego's motion and the route, and nothing of the scene: the yardstick of open-loop scores."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.runtime import *
    from .._base_.town import *

from drivewm.dynamics.bicycle import PACIFICA
from drivewm.engine import ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import OpenLoopPlanningMetric
from drivewm.planning.ego_mlp import EgoMLP

model = dict(
    type=EgoMLP, ego_status=True, num_history=num_history, hidden=256, data_preprocessor=dict(type=ClipPreprocessor)
)
train_dataloader.merge(dict(batch_size=64, dataset=dict(load_occupancy=False)))
test_dataloader.merge(dict(batch_size=64, dataset=dict(load_occupancy=False, load_visible=False)))

max_iters = 1500
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters)
default_hooks.merge(dict(checkpoint=dict(interval=500)))
test_cfg = dict(type=TestLoop)
test_evaluator = [dict(type=OpenLoopPlanningMetric, vehicle=PACIFICA)]

"""World model and planner of the town, trained together, sized for two CPU cores."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import TestLoop
from torch.optim import AdamW

with read_base():
    from .._base_.runtime import *
    from .._base_.town import *
    from ..tokenizers.occupancy_town import tokenizer

from drivewm.dynamics.bicycle import PACIFICA
from drivewm.engine import Bfloat16OptimWrapper, ClipPreprocessor, ResumableTrainLoop
from drivewm.evaluation.metrics import OccupancyForecastMetric, OpenLoopPlanningMetric
from drivewm.planning.joint import DrivingModel

tokenizer_checkpoint = "work_dirs/occupancy_town/last_checkpoint"
model = dict(
    type=DrivingModel,
    tokenizer=tokenizer,
    world_model=dict(
        dim=128,
        depth=3,
        heads=2,
        memory=dict(upscale=2, frame_dim=64, fine_dim=16),
        motion=dict(horizon_s=4.0, frames=3, channels=(16, 32, 64)),
        mix=dict(elsewhere=0.5),
        horizon=8,
        predicted_frames=6,
        targets_per_clip=2,
        imagine_steps=8,
        guidance=0.5,
    ),
    head=dict(hidden=96, use_ego_state=True),
    moments_s=(1.0, 2.0, 3.0, 4.0),
    future=True,
    plan_weight=0.1,
    planned_clips=4,
    data_preprocessor=dict(type=ClipPreprocessor),
)

train_dataloader.merge(dict(dataset=dict(load_boxes=True)))  # the motion field learns from tracks
test_dataloader.merge(dict(dataset=dict(stride=6)))

max_iters = 140
optim_wrapper = dict(
    type=Bfloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=1.5e-3, betas=(0.9, 0.95), weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type=ResumableTrainLoop, max_iters=max_iters)
test_cfg = dict(type=TestLoop)
test_evaluator = [
    dict(type=OccupancyForecastMetric),
    dict(type=OpenLoopPlanningMetric, vehicle=PACIFICA),
]

"""What forecasts in files are scored on: nuScenes' validation scenes with Occ3D's labels. Holds no model.

python tools/test.py configs/evaluation/occupancy_forecast.py --predictions DIR
"""

from mmengine.config import read_base
from mmengine.dataset import DefaultSampler
from mmengine.runner import TestLoop

with read_base():
    from .._base_.runtime import *

from drivewm.data import DriveClips, collate
from drivewm.evaluation.metrics import OccupancyForecastMetric

test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=DriveClips,
        index="data/nuscenes/index",
        split="val",
        num_history=4,  # predictions.json has its own number of observed and predicted keyframes
        num_future=6,
        load_boxes=False,
    ),
    collate_fn=collate,
)
test_cfg = dict(type=TestLoop)
test_evaluator = [dict(type=OccupancyForecastMetric)]

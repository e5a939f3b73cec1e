"""World model of the CPU-size twin over cameras, occupancy and LiDAR together: any of them in, any of them out.

python tools/train.py configs/world_models/joint_cameras_twin.py
python tools/test.py configs/world_models/joint_cameras_twin.py work_dirs/joint_cameras_twin/last_checkpoint \
    --inputs camera --outputs occupancy
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_all import *
    from ..tokenizers.camera_twin import tokenizer as camera_tokenizer
    from .forecast_twin import optim_wrapper, param_scheduler, train_cfg
    from .joint_twin import model, tokenizer_checkpoint

from drivewm.evaluation.metrics import CameraForecastMetric, LidarForecastMetric, OccupancyForecastMetric

tokenizer_checkpoint = dict(**tokenizer_checkpoint, camera="work_dirs/camera_twin/last_checkpoint")
model.merge(dict(streams=dict(camera=dict(tokenizer=camera_tokenizer))))
train_dataloader.merge(dict(dataset=dict(load_boxes=True)))  # the motion field learns from tracks
test_dataloader.merge(dict(dataset=dict(load_boxes=True, stride=10)))

max_iters = 650
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = [
    dict(type=OccupancyForecastMetric),
    dict(type=LidarForecastMetric, horizons_s=(1.0, 3.0)),
    dict(type=CameraForecastMetric),
]

"""World model of the CPU-size twin over occupancy and LiDAR together: any of them in, any of them out.

python tools/train.py configs/world_models/joint_twin.py
python tools/test.py configs/world_models/joint_twin.py work_dirs/joint_twin/last_checkpoint \
    --inputs lidar --outputs occupancy
"""

from mmengine.config import read_base
from mmengine.runner import TestLoop

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_joint import *
    from ..tokenizers.lidar_twin import tokenizer as lidar_tokenizer
    from ..tokenizers.occupancy_twin import tokenizer as occupancy_tokenizer
    from .forecast_twin import optim_wrapper, param_scheduler, train_cfg

from drivewm.engine import ClipPreprocessor
from drivewm.evaluation.metrics import LidarForecastMetric, OccupancyForecastMetric
from drivewm.world_model import WorldModel

tokenizer_checkpoint = dict(
    occupancy="work_dirs/occupancy_twin/last_checkpoint", lidar="work_dirs/lidar_twin/last_checkpoint"
)
start_checkpoint = dict(occupancy=None, lidar=None)  # models in which streams have learned what they can alone
model = dict(
    type=WorldModel,
    streams=dict(
        occupancy=dict(tokenizer=occupancy_tokenizer, motion=dict(horizon_s=3.0, frames=3)),
        lidar=dict(tokenizer=lidar_tokenizer, points_per_frame=8192),
    ),
    exchange=dict(type="geometric"),
    dim=128,
    depth=4,
    heads=2,
    memory=dict(upscale=2, frame_dim=64, fine_dim=16),
    mix=dict(absent=0.3),
    horizon=6,
    targets_per_clip=2,
    imagine_steps=8,
    guidance=0.5,
    inputs=None,
    outputs=None,
    # Mirrored sweeps would have to be encoded too, which takes as long as the training itself.
    data_preprocessor=dict(type=ClipPreprocessor),
)
train_dataloader.merge(dict(dataset=dict(load_boxes=True)))  # the motion field learns from tracks
test_dataloader.merge(dict(batch_size=2, dataset=dict(load_boxes=True, stride=10)))

max_iters = 650
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
custom_hooks = [*custom_hooks, averaging]
test_cfg = dict(type=TestLoop)
test_evaluator = [
    dict(type=OccupancyForecastMetric),
    dict(type=LidarForecastMetric, horizons_s=(1.0, 3.0)),
]

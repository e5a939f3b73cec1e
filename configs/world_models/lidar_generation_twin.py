"""The LiDAR world model of the CPU-size twin, its imagined futures scored as a set of clouds instead of its forecasts.

python tools/test.py configs/world_models/lidar_generation_twin.py work_dirs/lidar_forecast_twin/last_checkpoint
"""

from mmengine.config import read_base

with read_base():
    from .lidar_forecast_twin import *

from drivewm.evaluation.metrics import LidarGenerationMetric

model.merge(dict(score_imagined=True))
test_evaluator = dict(type=LidarGenerationMetric, at_s=3.0)

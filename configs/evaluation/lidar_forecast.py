"""What point-cloud forecasts in files are scored on: nuScenes' validation scenes. Holds no model.

python tools/test.py configs/evaluation/lidar_forecast.py --predictions DIR

Of KITTI odometry and Argoverse 2, 1 s: `--cfg-options test_evaluator.step_s=0.2 test_evaluator.horizons_s=[1.0]`.
"""

from mmengine.config import read_base

with read_base():
    from .occupancy_forecast import *

from drivewm.evaluation.metrics import LidarForecastMetric

test_dataloader.merge(dict(dataset=dict(load_boxes=True)))  # to score what moves apart
test_evaluator = dict(type=LidarForecastMetric, horizons_s=(1.0, 3.0), step_s=0.5)

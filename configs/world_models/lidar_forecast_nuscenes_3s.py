"""LiDAR world model at paper size, nuScenes: 3 s from 6 keyframes, under the driven motion."""

from mmengine.config import read_base

with read_base():
    from .lidar_forecast_nuscenes_1s import *

longer = dict(num_history=6, num_future=6)
model.merge(dict(horizon=6))
train_dataloader.merge(dict(dataset=longer))
test_dataloader.merge(dict(dataset=longer))
test_evaluator.merge(dict(horizons_s=(1.0, 3.0)))

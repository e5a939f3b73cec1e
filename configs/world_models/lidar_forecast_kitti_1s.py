"""LiDAR world model at paper size, KITTI odometry: 1 s from 5 sweeps 0.2 s apart, under the driven motion."""

from mmengine.config import read_base

with read_base():
    from .._base_.kitti import *
    from .lidar_forecast_nuscenes_1s import *

tokenizer_checkpoint = "work_dirs/lidar_kitti/last_checkpoint"
model.merge(dict(horizon=5))
train_dataloader.merge(dict(dataset=train_set))
test_dataloader.merge(dict(dataset=test_set))
test_evaluator.merge(dict(step_s=0.2))

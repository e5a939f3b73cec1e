"""LiDAR world model at paper size, Argoverse 2: 3 s from 5 sweeps 0.6 s apart, under the driven motion."""

from mmengine.config import read_base

with read_base():
    from .lidar_forecast_argoverse2_1s import *

train_dataloader.merge(dict(dataset=dict(frame_step=6)))
test_dataloader.merge(dict(dataset=dict(frame_step=6)))
test_evaluator.merge(dict(horizons_s=(3.0,), step_s=0.6))

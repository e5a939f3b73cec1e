"""LiDAR tokenizer at paper size: 128 x 128 tokens of 1.25 m out of 1024 codes, by Swin blocks (KITTI odometry)."""

from mmengine.config import read_base

with read_base():
    from .._base_.kitti import *
    from .lidar_nuscenes import *

train_dataloader.merge(dict(dataset=dict(train_set, **train_clips)))
test_dataloader.merge(dict(dataset=dict(test_set, **test_clips)))

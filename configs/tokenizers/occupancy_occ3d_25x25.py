"""Occupancy tokenizer of Occ3D-nuScenes: 25 x 25 tokens of 3.2 m."""

from mmengine.config import read_base

with read_base():
    from .occupancy_occ3d_50x50 import *

tokenizer.merge(dict(channels=(64, 128, 192)))
model.merge(dict(channels=(64, 128, 192)))

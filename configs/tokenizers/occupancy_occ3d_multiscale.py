"""Occupancy tokenizer of Occ3D-nuScenes: residual scales of 13 x 13, 25 x 25 and 50 x 50 tokens, coarse to fine."""

from mmengine.config import read_base

with read_base():
    from .occupancy_occ3d_50x50 import *

tokenizer.merge(dict(coarse_scales=((13, 13), (25, 25))))
model.merge(dict(coarse_scales=((13, 13), (25, 25))))

"""Occupancy tokenizer of Occ3D-nuScenes: 50 x 50 tokens by finite scalar quantization, 1,000 codes that cannot die."""

from mmengine.config import read_base

with read_base():
    from .occupancy_occ3d_50x50 import *

tokenizer.merge(dict(fsq_levels=(8, 5, 5, 5)))
model.merge(dict(fsq_levels=(8, 5, 5, 5)))

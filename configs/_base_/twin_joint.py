"""Voxels and sweeps of the CPU-size twin's town together (see `twin.py`): 2 s observed, 3 s ahead."""

from mmengine.config import read_base

with read_base():
    from .twin import *

train_dataloader.merge(dict(dataset=dict(load_points=True)))
test_dataloader.merge(dict(dataset=dict(load_points=True)))

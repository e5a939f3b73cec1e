"""Voxels, sweeps and views of the CPU-size twin's town together (see `twin_cameras.py`): 2 s observed, 3 s ahead."""

from mmengine.config import read_base

with read_base():
    from .twin_cameras import *

every = dict(load_occupancy=None, load_points=True)
train_dataloader.merge(dict(batch_size=2, dataset=every))
test_dataloader.merge(dict(batch_size=1, dataset=every))

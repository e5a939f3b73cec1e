"""Sweeps of the CPU-size twin's town (see `twin.py`): 6 keyframes observed, 6 ahead, as nuScenes' 3 s protocol."""

from mmengine.config import read_base

with read_base():
    from .twin import *

# As far as the published near field, and a little more.
grid = dict(range_m=(-72.0, -72.0, -1.8, 72.0, 72.0, 5.4), voxel_m=0.6)
num_history = 6
num_future = 6
clips = dict(num_history=num_history, num_future=num_future, load_points=True, load_occupancy=False, load_boxes=False)
train_dataloader.merge(dict(dataset=clips))
test_dataloader.merge(dict(dataset=clips))

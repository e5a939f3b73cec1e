"""The CPU-size twin of Occ3D-nuScenes: the town in 100 x 100 x 8 voxels of 0.8 m, 2 s observed, 3 s ahead.

python tools/make_town.py --out data/twin --scenes 400 --families all --grid-size 100 100 8 --voxel 0.8 \
    --no-cameras --no-sweeps --workers 2
"""

from mmengine.config import read_base

with read_base():
    from .town import *

index = "data/twin/index"
grid = dict(range_m=(-40.0, -40.0, -1.0, 40.0, 40.0, 5.4), voxel_m=0.8)
num_history = 4
num_future = 6
clips = dict(index=index, num_history=num_history, num_future=num_future)
train_dataloader.merge(dict(dataset=clips))
test_dataloader.merge(dict(dataset=dict(**clips, stride=1)))

"""nuScenes' LiDAR keyframes, 2 Hz: 2 observed, 2 ahead (1 s of 4D-Occ's protocol), figures on val. See docs/lidar.md.

The grid has Copilot4D's range and width of voxels: 1024 x 1024 columns over 160 x 160 m. Ours are 60 cubes each, in the
ego frame, which hold the published near field (4.5 m above and below the sensor) of nuScenes, KITTI and Argoverse 2
alike; Copilot4D's are 64 voxels 0.14 m high, around the sensor.

Boxes are loaded for the test alone, which scores what moves apart.
"""

from mmengine.config import read_base

with read_base():
    from .nuscenes import *

grid = dict(range_m=(-80.0, -80.0, -2.8125, 80.0, 80.0, 6.5625), voxel_m=0.15625)
num_history = 2
num_future = 2
clips = dict(num_history=num_history, num_future=num_future, frame_step=1, load_points=True, load_occupancy=False)
train_dataloader.merge(dict(dataset=clips))
test_dataloader.merge(dict(batch_size=1, dataset=dict(**clips, stride=1)))

"""nuScenes' six cameras at keyframes, 800 x 448: a cut of 1600 x 896 out of 1600 x 900, at half the size."""

from mmengine.config import read_base

with read_base():
    from .cameras import *
    from .nuscenes import *

image_size = (800, 448)
clips = dict(**views, image_size=image_size)
train_dataloader.merge(dict(dataset=clips))
test_dataloader.merge(dict(dataset=clips))

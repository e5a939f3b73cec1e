"""nuScenes' six cameras at keyframes, 800 x 448: a cut of 1600 x 896 out of 1600 x 900, at half the size."""

from mmengine.config import read_base

with read_base():
    from .nuscenes import *

cameras = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
image_size = (800, 448)
clips = dict(
    load_images=True,
    cameras=cameras,
    image_size=image_size,
    load_occupancy=False,
    load_visible=False,
    load_boxes=False,
)
train_dataloader.merge(dict(dataset=clips))
test_dataloader.merge(dict(dataset=clips))

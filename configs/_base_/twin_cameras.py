"""What the CPU-size twin's six cameras see, 400 x 224, beside its LiDAR and occupancy.

python tools/make_town.py --out data/twin_cameras --scenes 100 --families all --grid-size 100 100 8 --voxel 0.8 \
    --no-sweeps --workers 2
"""

from mmengine.config import read_base

with read_base():
    from .twin import *

index = "data/twin_cameras/index"
cameras = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
image_size = (400, 224)
clips = dict(
    index=index,
    load_images=True,
    cameras=cameras,
    image_size=image_size,
    load_occupancy=False,
    load_visible=False,
    load_boxes=False,
)
train_dataloader.merge(dict(batch_size=1, dataset=clips))
test_dataloader.merge(dict(batch_size=1, dataset=clips))

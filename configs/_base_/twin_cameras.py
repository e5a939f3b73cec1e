"""What the CPU-size twin's six cameras see, 400 x 224, beside its LiDAR and occupancy.

python tools/make_town.py --out data/twin_cameras --scenes 100 --families all --grid-size 100 100 8 --voxel 0.8 \
    --no-sweeps --workers 2
"""

from mmengine.config import read_base

with read_base():
    from .cameras import *
    from .twin import *

index = "data/twin_cameras/index"
image_size = (400, 224)
clips = dict(**views, index=index, image_size=image_size)
train_dataloader.merge(dict(batch_size=1, dataset=clips))
test_dataloader.merge(dict(batch_size=1, dataset=clips))

"""The town's LiDAR world model on a real drive, nuScenes' scene-0001: tuned on 6 of 16 keyframes, tested on 5 windows.

No window has a keyframe of the first 6, on which it is tuned (3 from 3), among those that it is to forecast (6 from 6).

python tools/create_index.py --recording nuscenes_scene-0001_kf00-15.npz --out data/nuscenes_clip
"""

from mmengine.config import read_base

with read_base():
    from .lidar_forecast_twin import *

tokenizer_checkpoint = None  # the checkpoint to start from holds it
start_checkpoint = "work_dirs/lidar_forecast_twin/last_checkpoint"
# As the tokenizer.
model.merge(dict(tokenizer=dict(raster=None), data_preprocessor=dict(mirrored=0.5, hills_m=0.4)))
clip = dict(index="data/nuscenes_clip/index", split="val")
train_dataloader.merge(dict(batch_size=2, dataset=dict(**clip, within=(0, 6), num_history=3, num_future=3)))
test_dataloader.merge(dict(batch_size=1, dataset=dict(**clip, stride=1)))

max_iters = 120
optim_wrapper.merge(dict(optimizer=dict(lr=1e-3)))
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

"""The same as `lidar_nuscenes_clip.py` on PandaSet's sequence 002 at 10 Hz: tuned on 5 of 16 sweeps.

python tools/create_index.py --recording pandaset_002_f40-55.npz --keyframe-s 0.1 --out data/pandaset_clip
"""

from mmengine.config import read_base

with read_base():
    from .lidar_nuscenes_clip import *

clip = dict(index="data/pandaset_clip/index", split="val")
train_dataloader.merge(dict(batch_size=2, dataset=dict(**clip, within=(0, 5))))
test_dataloader.merge(dict(dataset=dict(**clip, within=(5, None))))

max_iters = 80
param_scheduler[1].update(end=max_iters)
train_cfg.update(max_iters=max_iters)

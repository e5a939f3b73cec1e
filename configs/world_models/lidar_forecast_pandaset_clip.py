"""The same as `lidar_forecast_nuscenes_clip.py` on PandaSet's sequence 002 at 10 Hz: 0.5 s from 0.5 s, 4 windows.

It is tuned on the first 5 of 16 sweeps (2 from 3).

python tools/create_index.py --recording pandaset_002_f40-55.npz --keyframe-s 0.1 --out data/pandaset_clip
"""

from mmengine.config import read_base

with read_base():
    from .lidar_forecast_nuscenes_clip import *

clip = dict(index="data/pandaset_clip/index", split="val")
train_dataloader.merge(dict(dataset=dict(**clip, within=(0, 5), num_history=3, num_future=2)))
test_dataloader.merge(dict(dataset=dict(**clip, num_history=5, num_future=5, stride=2)))
test_evaluator.update(horizons_s=(0.5,), step_s=0.1)

max_iters = 60
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))

"""World model of the CPU-size twin over cameras, occupancy and LiDAR together: any of them in, any of them out.

python tools/train.py configs/world_models/joint_cameras_twin.py
python tools/test.py configs/world_models/joint_cameras_twin.py work_dirs/joint_cameras_twin/last_checkpoint \
    --inputs camera --outputs occupancy
"""

from mmengine.config import read_base

with read_base():
    from .._base_.averaging import *
    from .._base_.runtime import *
    from .._base_.twin_all import *
    from ..tokenizers.camera_twin import tokenizer as camera_tokenizer
    from .joint_twin import (
        model,
        optim_wrapper,
        param_scheduler,
        start_checkpoint,
        test_cfg,
        test_evaluator,
        tokenizer_checkpoint,
        train_cfg,
    )

from drivewm.evaluation.metrics import CameraForecastMetric

tokenizer_checkpoint = dict(**tokenizer_checkpoint, camera="work_dirs/camera_twin/last_checkpoint")

# What streams can tell of each other is most of what there is to learn; views are dear to predict.
mix = dict(predict=0.8, denoise=0.1, absent=0.75, unasked=0.75)
start_checkpoint = dict(**start_checkpoint, camera=None)
model.merge(dict(streams=dict(camera=dict(tokenizer=camera_tokenizer)), mix=mix))
train_dataloader.merge(dict(dataset=dict(load_boxes=True)))  # the motion field learns from tracks
test_dataloader.merge(dict(dataset=dict(load_boxes=True, stride=10)))

max_iters = 1500
param_scheduler[1].merge(dict(end=max_iters))
train_cfg.merge(dict(max_iters=max_iters))
custom_hooks = [*custom_hooks, averaging]
test_evaluator = [*test_evaluator, dict(type=CameraForecastMetric)]

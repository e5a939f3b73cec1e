"""What all runs share: hooks, logging, randomness."""

from mmengine.hooks import LoggerHook
from mmengine.runner import LogProcessor

from drivewm.engine import DataCheckHook, ProgressHook, SaveCheckpointHook

default_hooks = dict(
    logger=dict(type=LoggerHook, interval=50),
    checkpoint=dict(type=SaveCheckpointHook, interval=100),
)
custom_hooks = [dict(type=DataCheckHook), dict(type=ProgressHook)]
log_processor = dict(type=LogProcessor, by_epoch=False, window_size=20)
log_level = "INFO"
randomness = dict(seed=0)
env_cfg = dict(cudnn_benchmark=True)
load_from = None
resume = False

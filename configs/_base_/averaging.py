"""Weights averaged over the last steps: they are what checkpoints give to tests and to later stages.

The average spans a tenth of the steps so far, at most about the last thousand. The codebook is averaged as the encoder
is, whose outputs it stands for. Resuming goes on with both the weights and their average.
"""

from mmengine.hooks import EMAHook
from mmengine.model import MomentumAnnealingEMA

averaging = dict(
    type=EMAHook, ema_type=MomentumAnnealingEMA, momentum=0.001, gamma=10, update_buffers=True, strict_load=True
)

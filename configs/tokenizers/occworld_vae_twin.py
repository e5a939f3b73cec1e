"""OccWorld's tokenizer in the place of the twin's, with the same recipe: the yardstick. Widths are the published ones.

It takes several times as long a step. To train it as long as ours by the clock, set fewer steps:
--cfg-options train_cfg.max_iters=N param_scheduler.1.end=N
"""

from mmengine.config import read_base

with read_base():
    from .occupancy_twin import *

from drivewm.engine import ClipPreprocessor
from drivewm.tokenizers import OccWorldVAE

model = dict(
    type=OccWorldVAE,
    grid=grid,
    channels=(64, 128, 256),
    data_preprocessor=dict(type=ClipPreprocessor, mirrored=0.5),
)

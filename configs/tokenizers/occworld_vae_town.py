"""OccWorld's tokenizer on the town, with the recipe of ours: the yardstick. Widths are the published ones.

To train it as long as ours by the clock, set `train_cfg.max_iters` and the `end` and `T_max` of the schedule together.
"""

from mmengine.config import read_base

with read_base():
    from .occupancy_town import *

from drivewm.engine import ClipPreprocessor
from drivewm.tokenizers import OccWorldVAE

model = dict(type=OccWorldVAE, grid=grid, channels=(64, 128, 256), data_preprocessor=dict(type=ClipPreprocessor))

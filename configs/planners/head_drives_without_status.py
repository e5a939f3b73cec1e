"""The same head without the ego's speed: it has to see how fast it goes."""

from mmengine.config import read_base

with read_base():
    from .head_drives import *

model.merge(dict(name="learned_without_status", head=dict(use_ego_state=False)))

"""The same head without the expected future: it reads the state of the past alone."""

from mmengine.config import read_base

with read_base():
    from .head_drives import *

model.merge(dict(name="learned_without_future", future=False))

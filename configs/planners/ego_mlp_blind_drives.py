"""The same without the ego's motion: what the route alone tells, on the drives."""

from mmengine.config import read_base

with read_base():
    from .ego_mlp_drives import *

model.merge(dict(ego_status=False))

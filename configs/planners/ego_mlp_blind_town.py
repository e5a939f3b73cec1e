"""The same planner without the ego's motion: what the route alone tells."""

from mmengine.config import read_base

with read_base():
    from .ego_mlp_town import *

model.merge(dict(ego_status=False))

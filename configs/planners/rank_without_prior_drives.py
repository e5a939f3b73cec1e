"""The head's proposals, ranked by what the world model expects alone: the head's own opinion does not count."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="rank_without_prior", prior=0.0)

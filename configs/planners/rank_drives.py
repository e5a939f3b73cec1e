"""The head's proposals, ranked in the future that the world model expects."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="rank")

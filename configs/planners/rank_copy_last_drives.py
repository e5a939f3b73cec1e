"""The head's proposals, ranked as if everything stayed where it is: what a world model has to beat."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="rank_copy_last", world="copy_last")

"""Any proposal of the head: what choosing well has to beat."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="random", method="random")

"""The best proposal, improved along the gradient of its imagined score."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="gradient", method="gradient", search=dict(steps=4))

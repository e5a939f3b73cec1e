"""The learned planner, too slow by a third: for measuring measures."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.disturbed import DisturbedPlanner

planner = dict(type=DisturbedPlanner, name="learned_slow", pace=0.65)

"""The learned planner, a third too fast: for measuring measures."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.disturbed import DisturbedPlanner

planner = dict(type=DisturbedPlanner, name="learned_fast", pace=1.35)

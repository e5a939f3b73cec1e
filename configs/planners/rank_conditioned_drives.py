"""The head's proposals, each ranked in a future of its own, imagined under its motion."""

from mmengine.config import read_base

with read_base():
    from ..world_models.driving_drives import *

from drivewm.planning.imagining import ImaginingPlanner

planner = dict(type=ImaginingPlanner, name="rank_conditioned", world="conditioned")

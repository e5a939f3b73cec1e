"""The planner that sees nothing of the scene, trained on the drives."""

from mmengine.config import read_base

with read_base():
    from .ego_mlp_town import *

index = "data/drives/index"
train_dataloader.merge(dict(dataset=dict(index=index)))
test_dataloader.merge(dict(dataset=dict(index=index)))

"""Occ3D-nuScenes: 200 x 200 x 16 voxels of 0.4 m, 2 Hz, 2 s observed, 3 s ahead. See docs/training.md."""

from mmengine.dataset import DefaultSampler

from drivewm.data import DriveClips, collate
from drivewm.engine import ResumableSampler

index = "data/nuscenes/index"
grid = dict(range_m=(-40.0, -40.0, -1.0, 40.0, 40.0, 5.4), voxel_m=0.4)
num_history = 5
num_future = 6
clips = dict(type=DriveClips, index=index, num_history=num_history, num_future=num_future)

# What one GPU holds at once; train_cfg.batch_size says how many clips make a step.
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    sampler=dict(type=ResumableSampler),
    dataset=dict(**clips, split="train", load_boxes=False, load_visible=False, tokens=None),
    collate_fn=collate,
)
test_dataloader = dict(
    batch_size=4,
    num_workers=8,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(**clips, split="val"),
    collate_fn=collate,
)

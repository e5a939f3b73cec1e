"""The generated town: 64 x 64 x 8 voxels of 0.8 m, 2 Hz, 1 s of history, 4 s of future.

The grid reaches 38.4 m ahead of the ego and 12.8 m behind it: who plans looks ahead.

python tools/make_town.py --out data/town --scenes 50 --x-min -12.8 --no-cameras --no-sweeps --workers 2
"""

from mmengine.dataset import DefaultSampler

from drivewm.data import DriveClips, collate
from drivewm.engine import ResumableSampler

index = "data/town/index"
grid = dict(range_m=(-12.8, -25.6, -1.0, 38.4, 25.6, 5.4), voxel_m=0.8)
num_history = 3
num_future = 8

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type=ResumableSampler),
    dataset=dict(
        type=DriveClips,
        index=index,
        split="train",
        num_history=num_history,
        num_future=num_future,
        load_boxes=False,
        load_visible=False,
        tokens=None,  # see tools/extract_tokens.py
    ),
    collate_fn=collate,
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(type=DriveClips, index=index, split="val", num_history=num_history, num_future=num_future, stride=4),
    collate_fn=collate,
)

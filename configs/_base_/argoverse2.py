"""Argoverse 2's sensor logs, every second sweep of 10 Hz: 5 observed, 5 ahead (1 s of 4D-Occ's protocol).

Figures are of val: split test has no boxes that tell what moves. The code of 4D-Occ reads Argoverse 2's LiDAR data set,
which is larger and has none at all.
"""

index = "data/argoverse2/index"
windows = dict(index=index, num_history=5, num_future=5, frame_step=2)
train_set = dict(**windows, split="train")
test_set = dict(**windows, split="val")

"""KITTI odometry, every second sweep of 10 Hz: 5 observed, 5 ahead (1 s of 4D-Occ's protocol).

Figures are of sequences 08 to 10. There are no boxes that tell what moves.
"""

index = "data/kitti/index"
windows = dict(index=index, num_history=5, num_future=5, frame_step=2)
train_set = dict(**windows, split="train")
test_set = dict(**windows, split="test", load_boxes=False)

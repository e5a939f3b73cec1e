"""The ten scenes of nuScenes' v1.0-mini, to see within minutes that everything runs on the real thing."""

index = "data/nuscenes/index-mini"
train_set = dict(index=index, split="mini_train")
test_set = dict(index=index, split="mini_val")

"""Occupancy labels from LiDAR sweeps, poses, boxes and point classes: sweeps -> cloud -> votes and rays -> labels."""

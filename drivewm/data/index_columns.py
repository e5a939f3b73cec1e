"""The columns of an index: each one's type, the shape of one entry, and its meaning. S: bytes of fixed width."""

from __future__ import annotations

COLUMNS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "scene_name": ("S", (), "name of each scene"),
    "scene_location": ("S", (), "location of each scene"),
    "scene_frame_ptr": ("i8", (), "S + 1: scene s has the keyframes ptr[s] to ptr[s + 1]"),
    "scene_route_ptr": ("i8", (), "S + 1: scene s has the route points ptr[s] to ptr[s + 1]"),
    "scene_in_split": ("b1", (-1,), "(S, splits): is the scene in the split of that position in schema.json"),
    "route_xy": ("f8", (2,), "route polylines [m, global]"),
    "frame_token": ("S", (), "sample token of each keyframe"),
    "frame_time_us": ("i8", (), "timestamp of its LiDAR sweep [microseconds]"),
    "frame_T_global_ego": ("f8", (4, 4), "ego pose at that time"),
    "frame_T_ego_lidar": ("f8", (4, 4), "calibration of the LiDAR"),
    "frame_lidar_file": ("S", (), "the sweep, relative to the data root"),
    "frame_lidar_bytes": ("i8", (), "its size"),
    "frame_sweep_ptr": ("i8", (), "F + 1: between the keyframe before and f lie the sweeps ptr[f] to ptr[f + 1]"),
    "sweep_time_us": ("i8", (), "timestamp of each sweep that is no keyframe [microseconds]"),
    "sweep_T_global_ego": ("f8", (4, 4), "ego pose at that time"),
    "sweep_T_ego_lidar": ("f8", (4, 4), "calibration of the LiDAR"),
    "sweep_lidar_file": ("S", (), "the sweep, relative to the data root"),
    "sweep_lidar_bytes": ("i8", (), "its size"),
    "frame_occupancy_file": ("S", (), "labels.npz, relative to the data root; empty where the scene has none"),
    "frame_light_ptr": ("i8", (), "F + 1: keyframe f has the red lights ptr[f] to ptr[f + 1]"),
    "light_xy": (
        "f8",
        (2,),
        "stop lines at lights that were not green [m, global]; none if not recorded",
    ),
    "frame_box_ptr": ("i8", (), "F + 1: keyframe f has the boxes ptr[f] to ptr[f + 1]"),
    "box_center": ("f4", (3,), "[m, ego frame of the keyframe]"),
    "box_size": ("f4", (3,), "length, width, height [m]"),
    "box_yaw": ("f4", (), "[rad, ego frame]"),
    "box_velocity": ("f4", (2,), "[m/s, ego frame's axes] by the devkit's centred difference; NaN where unknown"),
    "box_velocity_past": ("f4", (2,), "the same from the previous annotation alone: knows nothing of the future"),
    "box_label": ("u1", (), "OCC3D class"),
    "box_track": ("i8", (), "number of the instance, unique in the data set"),
    "box_lidar_points": ("i4", (), "number of LiDAR points inside"),
}
"""Of every index."""

IMAGE_COLUMNS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "frame_image_ptr": ("i8", (), "F + 1: keyframe f has the images ptr[f] to ptr[f + 1]"),
    "image_channel": ("S", (), "camera that took it"),
    "image_file": ("S", (), "relative to the data root"),
    "image_size": ("i4", (2,), "width and height [px]"),
    "image_K": ("f8", (3, 3), "intrinsics [px]"),
    "image_T_ego_cam": ("f8", (4, 4), "calibration of the camera"),
    "image_T_global_ego": ("f8", (4, 4), "ego pose when it was taken"),
}
"""Of an index of a data set with cameras."""

"""Excerpts of nuScenes: keyframes as range images with 11 classes a point, poses by ICP, no boxes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from drivewm.data.nuscenes_schema import LIDARSEG_CATEGORIES
from drivewm.data.recording import Recording, load_npz, split_sweeps
from drivewm.data.sweeps import SWEEP_FORMATS
from drivewm.geometry import se3
from drivewm.structures import OCC3D

# nuScenes scene-0061's calibration of LIDAR_TOP; the vehicles of one fleet differ by millimetres.
T_EGO_LIDAR = se3.from_quaternion(
    np.array([0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817]),
    np.array([0.943713, 0.0, 1.84023]),
)

_CATEGORY = (
    "flat.driveable_surface",
    "flat.sidewalk",
    "static.manmade",
    "static.manmade",
    "static.vegetation",
    "human.pedestrian.adult",
    "vehicle.bicycle",
    "vehicle.car",
    "vehicle.truck",
    "vehicle.bus.rigid",
    "static.other",
)
"""Of the excerpt's classes: road, sidewalk, building, pole, vegetation, person, two-wheeler, car, truck, bus, none."""
_NUMBER = np.array([list(LIDARSEG_CATEGORIES).index(c) for c in _CATEGORY], np.uint8)
_LABEL = np.array([OCC3D.index(LIDARSEG_CATEGORIES[c]) for c in _CATEGORY], np.uint8)


def read_nuscenes(file: Path) -> Recording:
    """The excerpt `nuscenes_scene-NNNN_*.npz`: all sweeps are keyframes; points keep their LiDAR frame.

    The world frame is the first keyframe's ego frame.
    """
    arrays = load_npz(file)
    pointer = arrays["frame_ptr"]
    T_world_ego = arrays["T_world_lidar"] @ se3.inverse(T_EGO_LIDAR)
    sweeps = split_sweeps(arrays["points"], pointer)
    keep = [~SWEEP_FORMATS["nuscenes"].is_own_vehicle(points) for points in sweeps]

    def kept(values: list[np.ndarray]) -> list[np.ndarray]:
        return [v[k] for v, k in zip(values, keep, strict=True)]

    labels = kept(split_sweeps(np.minimum(arrays["label"], len(_CATEGORY) - 1), pointer))
    return Recording(
        name=re.search(r"scene-\d{4}", file.name).group(),
        T_ego_lidar=T_EGO_LIDAR,
        T_global_ego=se3.inverse(T_world_ego[0]) @ T_world_ego,
        stamps_us=np.round(arrays["t"] * 1e6).astype(np.int64),
        sweeps=kept(sweeps),
        intensity=kept(split_sweeps(arrays["intensity"], pointer)),
        classes=[_LABEL[c] for c in labels],
        solid=[np.ones(len(c), bool) for c in labels],
        keyframes=np.arange(len(sweeps)),
        numbers=[_NUMBER[c] for c in labels],
    )

"""Data on disk: nuScenes' format read and written, other data sets read, the index, clips."""

from drivewm.data.argoverse2_index import build_argoverse2_index
from drivewm.data.clips import DriveClips, collate
from drivewm.data.errors import (
    DataError,
    DatasetExistsError,
    IncompleteDatasetError,
    MissingFileError,
    StaleIndexError,
    UnsafePathError,
)
from drivewm.data.index import Index
from drivewm.data.kitti_index import build_kitti_index
from drivewm.data.nuscenes_index import build_index

__all__ = [
    "DataError",
    "DatasetExistsError",
    "Index",
    "IncompleteDatasetError",
    "MissingFileError",
    "DriveClips",
    "StaleIndexError",
    "UnsafePathError",
    "build_argoverse2_index",
    "build_index",
    "build_kitti_index",
    "collate",
]

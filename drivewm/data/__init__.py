"""Data on disk: nuScenes' format read and written, the index, clips."""

from drivewm.data.errors import (
    DataError,
    DatasetExistsError,
    IncompleteDatasetError,
    MissingFileError,
    StaleIndexError,
    UnsafePathError,
)
from drivewm.data.index import Index
from drivewm.data.nuscenes import NuScenesClips, collate
from drivewm.data.nuscenes_index import build_index

__all__ = [
    "DataError",
    "DatasetExistsError",
    "Index",
    "IncompleteDatasetError",
    "MissingFileError",
    "NuScenesClips",
    "StaleIndexError",
    "UnsafePathError",
    "build_index",
    "collate",
]

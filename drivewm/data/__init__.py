"""Data on disk: nuScenes' format read and written, the index, clips."""

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
    "build_index",
    "collate",
]

"""Streams: all that a world model has to know of a modality. The model itself knows tokens alone."""

from drivewm.world_model.streams.camera import CameraForecast, CameraStream
from drivewm.world_model.streams.lidar import LidarForecast, LidarStream
from drivewm.world_model.streams.occupancy import OccupancyStream
from drivewm.world_model.streams.options import StreamOptions, listed_streams
from drivewm.world_model.streams.protocol import Stream

__all__ = [
    "CameraForecast",
    "CameraStream",
    "LidarForecast",
    "LidarStream",
    "OccupancyStream",
    "Stream",
    "StreamOptions",
    "listed_streams",
]

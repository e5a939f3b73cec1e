"""mmengine metrics: one small record a sample, scores from their sum."""

from drivewm.evaluation.metrics.camera import CameraReconstructionMetric
from drivewm.evaluation.metrics.camera_forecast import CameraForecastMetric
from drivewm.evaluation.metrics.generation import LidarGenerationMetric
from drivewm.evaluation.metrics.lidar import LidarForecastMetric, LidarReconstructionMetric
from drivewm.evaluation.metrics.occupancy import OccupancyForecastMetric, ReconstructionMetric
from drivewm.evaluation.metrics.planning import OpenLoopPlanningMetric

__all__ = [
    "CameraForecastMetric",
    "CameraReconstructionMetric",
    "LidarForecastMetric",
    "LidarGenerationMetric",
    "LidarReconstructionMetric",
    "OccupancyForecastMetric",
    "OpenLoopPlanningMetric",
    "ReconstructionMetric",
]

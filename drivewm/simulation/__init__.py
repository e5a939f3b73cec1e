"""The procedural town and its simulator: roads, scenery, traffic, LiDAR, cameras and labels. It knows no model."""

from drivewm.simulation.cameras import CameraConfig, CameraImage, Cameras, nuscenes_rig
from drivewm.simulation.families import ADVERSARIAL, FAMILIES, NoPlaceError, make_family
from drivewm.simulation.lidar import LidarConfig, LidarSweep
from drivewm.simulation.motion import Moment, between
from drivewm.simulation.scenario import Scenario, make_scenarios
from drivewm.simulation.simulator import AgentBoxes, TownSimulator
from drivewm.simulation.town import Town
from drivewm.simulation.variants import vary

__all__ = [
    "AgentBoxes",
    "ADVERSARIAL",
    "FAMILIES",
    "CameraConfig",
    "CameraImage",
    "Cameras",
    "LidarConfig",
    "LidarSweep",
    "Moment",
    "NoPlaceError",
    "Scenario",
    "Town",
    "TownSimulator",
    "between",
    "make_family",
    "make_scenarios",
    "nuscenes_rig",
    "vary",
]

"""The procedural town and its simulator: roads, scenery, traffic, LiDAR and labels. It knows no model."""

from drivewm.simulation.lidar import LidarConfig, LidarSweep
from drivewm.simulation.scenario import Scenario, make_scenarios
from drivewm.simulation.simulator import AgentBoxes, TownSimulator
from drivewm.simulation.town import Town

__all__ = ["AgentBoxes", "LidarConfig", "LidarSweep", "Scenario", "Town", "TownSimulator", "make_scenarios"]

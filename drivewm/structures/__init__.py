"""The contracts between all parts: what data is, and who may see which of it."""

from drivewm.structures.boxes import BoxTracks
from drivewm.structures.clip import History, SceneClip
from drivewm.structures.forecast import OccupancyForecast, most_likely
from drivewm.structures.labels import OCC3D, LabelSet
from drivewm.structures.planning import EgoState, Oracle, PlanningInput
from drivewm.structures.ray_raster import RayRaster
from drivewm.structures.rays import Rays
from drivewm.structures.road_map import Lane, RoadMap
from drivewm.structures.rollout import AgentTracks, LightStates, Rollout
from drivewm.structures.route import Command, Route
from drivewm.structures.tokens import TokenGrid, TokenSpec
from drivewm.structures.trajectory import Trajectory

__all__ = [
    "OCC3D",
    "AgentTracks",
    "BoxTracks",
    "Command",
    "EgoState",
    "History",
    "LabelSet",
    "Lane",
    "LightStates",
    "OccupancyForecast",
    "Oracle",
    "PlanningInput",
    "RayRaster",
    "Rays",
    "RoadMap",
    "Rollout",
    "Route",
    "SceneClip",
    "TokenGrid",
    "TokenSpec",
    "Trajectory",
    "most_likely",
]

"""One scene of the town: drive it, sense it, write it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from drivewm.data.can_bus import CanBus
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import SceneRecord
from drivewm.data.town_plan import HELD_OUT, KEYFRAME_HZ, LEAD_S, PHYSICS_HZ, SWEEP_HZ, ScenePlan, TownOptions
from drivewm.data.town_recorder import TownRecorder
from drivewm.simulation import Cameras, NoPlaceError, Scenario, Town, TownSimulator, between, make_family, nuscenes_rig

_SCENE_SPACING_US = 100_000_000  # scenes begin at different times: the devkit sorts them by it
_ROUTE_BEHIND_M, _ROUTE_AHEAD_M = 10.0, 90.0
_STEPS_A_KEYFRAME = PHYSICS_HZ // KEYFRAME_HZ
_LEAD_STEPS, _SWEEP_US = round(LEAD_S * PHYSICS_HZ), 1_000_000 // SWEEP_HZ


@lru_cache(maxsize=4)
def town_at(seed: int, location: str) -> Town:
    """The town of a data set with that seed at one of its locations."""
    return Town.generate(seed, location)


def write_scene(writer: NuScenesWriter, options: TownOptions, plan: ScenePlan) -> None:
    """Drives the expert through a scene and writes what its sensors see, labels, CAN bus and record.

    Step 0 of the physics leads to the first keyframe. A step holds two revolutions of the LiDAR; where all is between
    them is interpolated.
    """
    town = town_at(options.seed, plan.location)
    scenario = scenario_of(options, plan)
    simulator = TownSimulator(town, cameras=Cameras(nuscenes_rig(*options.sensors.image_size)))
    simulator.reset(scenario, lead_s=(_LEAD_STEPS + 1) / PHYSICS_HZ)  # a sweep begins before its stamp
    offset_us = plan.number * _SCENE_SPACING_US
    recorder, bus = TownRecorder(writer, options, plan, simulator), CanBus(simulator, offset_us)
    now, stations = simulator.moment(), []
    for step in range(-_LEAD_STEPS, _STEPS_A_KEYFRAME * (options.keyframes - 1) + 1):
        simulator.step(simulator.expert_control())
        before, now = now, simulator.moment()
        middle, stamp = between(before, now, 0.5), simulator.timestamp_us + offset_us
        if options.sensors.sweeps and step > -_LEAD_STEPS:
            recorder.sweep(before, middle, stamp - _SWEEP_US)
        if step >= 0 and step % _STEPS_A_KEYFRAME == 0:
            recorder.keyframe(middle, stamp)
        elif options.sensors.sweeps:
            recorder.sweep(middle, now, stamp)
        if step >= 0:
            bus.listen()
            stations.append(simulator.progress_m)
    writer.write_can_bus(plan.name, bus.messages())
    ahead = np.arange(stations[0] - _ROUTE_BEHIND_M, stations[-1] + _ROUTE_AHEAD_M, 0.5)
    writer.finish_scene(
        SceneRecord(
            name=plan.name,
            location=plan.location,
            split=plan.split,
            description=f"Procedural town, {scenario.description}",
            sensors=list(recorder.sensors.values()),
            frames=recorder.frames,
            route=_at_stations(simulator.route_points(), ahead).round(3).tolist(),
        )
    )


def scenario_of(options: TownOptions, plan: ScenePlan) -> Scenario:
    """What happens in a scene; nominal driving, where the town has no place for the planned situation."""
    town, held_out = town_at(options.seed, plan.location), plan.split == HELD_OUT
    for family in (plan.family, "nominal"):
        try:
            found = make_family(town, family, plan.index + 1, options.seed, options.duration_s, held_out)
        except NoPlaceError:
            continue
        return replace(found[plan.index], density=options.density)
    raise AssertionError("every town has a place for nominal driving")


def _at_stations(polyline: np.ndarray, stations: np.ndarray) -> np.ndarray:
    """Points `(N, 2)` at arc lengths of a polyline, those beyond its ends left out."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(polyline, axis=0), axis=1))])
    stations = stations[(stations >= 0) & (stations <= along[-1])]
    return np.stack([np.interp(stations, along, polyline[:, axis]) for axis in range(2)], axis=-1)

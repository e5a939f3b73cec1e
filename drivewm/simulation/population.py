"""Who is on the road when an episode begins: vehicles on the lanes around the route, people on the sidewalks."""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.bicycle import VehicleParameters
from drivewm.simulation import paths
from drivewm.simulation.kinds import BICYCLE, CAR, KINDS, draw_sizes
from drivewm.simulation.scenario import Scenario
from drivewm.simulation.town import Town
from drivewm.simulation.traffic import Traffic
from drivewm.simulation.walkers import Walkers
from drivewm.simulation.walkways import CROSSING, SIDEWALK

_AROUND_M = 85.0
_EGO_HEIGHT_M = 1.75
_SPACING_M, _ROUTE_SPACING_M = (40.0, 130.0), (9.0, 40.0)
_PEOPLE_PER_M = 1 / 28.0
_CROSSERS = 3


def populate(town: Town, scenario: Scenario, vehicle: VehicleParameters) -> tuple[Traffic, Walkers]:
    """Traffic (the ego in row 0) and people, drawn from the scenario's seed."""
    rng = np.random.default_rng([scenario.seed, 1])
    line = town.lanes.route_polyline(scenario.route)
    along = paths.arc_length(line)
    ahead = (along > scenario.start_m - 40.0) & (
        along < scenario.start_m + scenario.desired_speed * scenario.duration_s
    )
    corridor = line[ahead][::8]
    return _vehicles(rng, town, scenario, vehicle, corridor), _people(rng, town, scenario, corridor)


def _near(polyline: np.ndarray, corridor: np.ndarray) -> bool:
    gap = polyline[::8, None] - corridor[None]
    return bool((gap**2).sum(-1).min() < _AROUND_M**2)


def _vehicles(rng, town, scenario, vehicle, corridor):
    lanes, shares = town.lanes, np.array([k.share for k in KINDS])
    ego_lane, rows = scenario.route[0], []
    streets = {int(lanes.street[lane]) for lane in scenario.route[:7:2]}
    for lane in np.flatnonzero(~lanes.is_connector):
        polyline = lanes.table.polyline(lane)
        if scenario.density == 0 or lane in scenario.clear_lanes or not _near(polyline, corridor):
            continue
        # The ego's streets are busy in both directions; side streets less, or junctions would clog.
        on_route = lanes.street[lane] in streets
        low, high = (v / scenario.density for v in (_ROUTE_SPACING_M if on_route else _SPACING_M))
        if lane == ego_lane:
            lead_m = rng.uniform(7.0, 22.0) if rng.random() < 0.7 else rng.uniform(25.0, 60.0)
            station = scenario.start_m + vehicle.length_m / 2 + lead_m
            _fill(rng, rows, lane, station, lanes.table.length[lane], low, high, shares, 0.8)
            _fill(rng, rows, lane, rng.uniform(6.0, 14.0), scenario.start_m - 16.0, low, high, shares, 0.3)
        else:
            _fill(
                rng,
                rows,
                lane,
                rng.uniform(6.0, high),
                lanes.table.length[lane],
                low,
                high,
                shares,
                0.6 if on_route else 0.2,
            )
    cast = [(d.lane, d.station_m, d.kind, scenario.desired_speed, scenario.initial_speed, 1) for d in scenario.drivers]
    spawned = np.array(cast + rows, np.float64).reshape(-1, 6)
    kind = np.concatenate([[CAR], spawned[:, 2]]).astype(np.int64)
    size = draw_sizes(np.random.default_rng([scenario.seed, 2]), kind)
    size[0] = vehicle.length_m, vehicle.width_m, _EGO_HEIGHT_M
    return Traffic(
        town,
        scenario.seed,
        scenario.route,
        scenario.drivers,
        lane=np.concatenate([[ego_lane], spawned[:, 0]]).astype(np.int64),
        station=np.concatenate([[scenario.start_m], spawned[:, 1]]),
        speed=np.concatenate([[scenario.initial_speed], spawned[:, 4]]),
        desired=np.concatenate([[scenario.desired_speed], spawned[:, 3]]),
        size=size,
        kind=kind,
        shift=np.where(kind == BICYCLE, -1.0, 0.0),
        loyal=np.concatenate([[True], spawned[:, 5] > 0]),
    )


def _fill(rng, rows, lane, station, end, low, high, shares, loyal_share):
    """Put vehicles on a lane: lane, station, kind, desired speed, speed, loyal."""
    while station < end - 9.0:
        kind = int(rng.choice(len(KINDS), p=shares / shares.sum()))
        desired = rng.uniform(*KINDS[kind].speed) * (0.7 if rng.random() < 0.12 else 1.0)
        rows.append((lane, station, kind, desired, desired * rng.uniform(0.4, 0.9), rng.random() < loyal_share))
        station += rng.uniform(low, high) + KINDS[kind].size_m[0][1]


def _people(rng, town, scenario, corridor):
    walks = town.walks
    near = np.array([_near(walks.table.polyline(w), corridor) for w in range(len(walks.table))], bool)
    sidewalks = np.flatnonzero(near & (walks.kind == SIDEWALK))
    # Each sidewalk is in the table twice, once in each direction.
    count = int(round(scenario.density * _PEOPLE_PER_M * walks.table.length[sidewalks].sum() / 2))
    way, plan = np.zeros(0, np.int64), np.full(count, -1)
    if len(sidewalks) and count:
        weight = walks.table.length[sidewalks]
        way = sidewalks[rng.choice(len(sidewalks), count, p=weight / weight.sum())]
    station = rng.random(len(way)) * walks.table.length[way]
    crossers = _crossers(rng, town, scenario) if scenario.density > 0 else []
    way = np.concatenate([way, [c[0] for c in crossers]]).astype(np.int64)
    station = np.concatenate([station, [c[1] for c in crossers]])
    plan = np.concatenate([plan[: len(way) - len(crossers)], [c[2] for c in crossers]]).astype(np.int64)
    return Walkers(walks, scenario.seed, way, station, plan)


def _crossers(rng, town, scenario):
    """People who come to a crossing of the route at about the time when the ego does: way, station, crossing way."""
    walks, lengths = town.walks, town.lanes.table.length
    begin, found = -scenario.start_m, []
    for lane in scenario.route:
        for station, crossing, _ in walks.lane_crossings[lane]:
            arrival = (begin + station) / (0.7 * scenario.desired_speed)
            if not 2.0 < arrival < scenario.duration_s or rng.random() < 0.5:
                continue
            over = int(rng.choice(np.flatnonzero((walks.kind == CROSSING) & (walks.crossing == crossing))))
            leading = [w for w in range(len(walks.table)) if over in walks.successors[w] and walks.kind[w] == SIDEWALK]
            if leading:
                way = leading[rng.integers(len(leading))]
                distance = 1.3 * max(arrival + rng.uniform(-5.0, 2.0), 0.5)
                found.append((way, max(walks.table.length[way] - distance, 0.0), over))
        begin += lengths[lane]
    return found[:_CROSSERS]

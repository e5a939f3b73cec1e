"""Where vehicles have to stop: before people on crossings, before junctions that are taken, at red lights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivewm.simulation.rights import Approach, RightOfWay
from drivewm.simulation.signals import RED, YELLOW
from drivewm.simulation.town import Town
from drivewm.simulation.walkers import Walkers, in_lane
from drivewm.simulation.walkways import AT_JUNCTION_M

if TYPE_CHECKING:
    from drivewm.simulation.traffic import Traffic

CROSSING_STOP_M = 2.3
"""Vehicles stop this far before the middle of a crossing."""
JUNCTION_STOP_M = 1.0
"""They stop this far before a junction whose entry has no crossing."""
REACH_M = 55.0
PASSED_M = -1.0
"""A vehicle whose bumper is this far before a stop line has passed it and need not heed it any more."""
_EXIT_CROSSING_M = 6.0
_ASK_M = 6.0
_COMFORTABLE_BRAKING, _HARD_BRAKING = 2.2, 4.5
_YELLOW_BRAKING = 3.0


class Stops:
    """The stop lines of a town, and who waits for whom at them."""

    def __init__(self, town: Town) -> None:
        lanes = town.lanes
        self.town, self.rights = town, RightOfWay(lanes)
        self._crossings = [
            (lane, station, crossing, left)
            for lane in range(len(lanes))
            for station, crossing, left in town.walks.lane_crossings[lane]
        ]
        self.line_m = stop_lines(town)

    def gaps(self, traffic: Traffic, walkers: Walkers, lights: np.ndarray) -> np.ndarray:
        """From each front bumper to where the vehicle has to stop `(N,)` [m], inf where it may go on.

        Args:
            traffic: all vehicles.
            walkers: all people.
            lights: `(L,)` states of the connectors' lights.
        """
        walking, waiting = walkers.crossing_traffic()
        signalled = self.town.signals.crossing_lane >= 0
        waiting = {crossing for crossing in waiting if not signalled[crossing]}
        return np.minimum(self._crossing_gap(traffic, walking, waiting), self._junction_gap(traffic, walking, lights))

    def _crossing_gap(self, traffic, walking, waiting):
        gap = np.full(len(traffic), np.inf)
        for lane, station, crossing, left in self._crossings:
            busy = in_lane(left, walking.get(crossing, []))
            if not busy and crossing not in waiting:
                continue
            rows, to_middle = traffic.way_to(lane, station)
            to_line = to_middle - CROSSING_STOP_M
            care = (to_line > -1.5) & (to_line < REACH_M)
            if not busy:
                care &= traffic.speed[rows] ** 2 < 2 * _COMFORTABLE_BRAKING * np.maximum(to_line, 0.0)
            np.minimum.at(gap, rows[care], np.maximum(to_line[care], 0.05))
        return gap

    def _junction_gap(self, traffic, walking, lights):
        lanes = self.town.lanes
        room = np.full(len(lanes), np.inf)
        np.minimum.at(room, traffic.paths[:, 1], traffic.station - traffic.size[:, 0] / 2 + 1.2 * traffic.speed)
        busy = np.zeros(len(lanes), bool)
        for lane, station, crossing, left in self._crossings:
            busy[lane] |= station < _EXIT_CROSSING_M and in_lane(left, walking.get(crossing, []))
        approaches, lines = [], {}
        for i in range(len(traffic)):
            previous, current, following = traffic.paths[i, :3]
            if following < 0:
                continue
            length, half = traffic.size[i, 0], traffic.size[i, 0] / 2
            if lanes.is_connector[current]:
                approaches.append(Approach(i, int(current), -traffic.station[i] - half, True, True, length))
            elif lanes.is_connector[previous] and traffic.station[i] < half:
                inside = -traffic.station[i] - half - lanes.table.length[previous]
                approaches.append(Approach(i, int(previous), inside, True, True, length))
            else:
                to_entry = lanes.table.length[current] - traffic.station[i] - half
                to_line = to_entry - self.line_m[current]
                asks, committed = _wants(to_line, traffic.speed[i], lights[following])
                approaches.append(Approach(i, int(following), to_entry, asks, committed, length))
                lines[i] = (int(following), to_line)
        self.rights.update(approaches, room, busy)
        gap = np.full(len(traffic), np.inf)
        for i, (connector, to_line) in lines.items():
            if not self.rights.may_enter(i, connector) and to_line < REACH_M:
                gap[i] = max(to_line, 0.05)
        return gap


def stop_lines(town: Town) -> np.ndarray:
    """How far before the end of each lane vehicles stop `(L,)` [m]: before the crossing, if the junction has one."""
    lanes = town.lanes
    line_m = np.full(len(lanes), JUNCTION_STOP_M)
    for lane in range(len(lanes)):
        for station, _, _ in town.walks.lane_crossings[lane]:
            to_end = lanes.table.length[lane] - station
            if to_end < AT_JUNCTION_M:
                line_m[lane] = to_end + CROSSING_STOP_M
    return line_m


def _wants(to_line: float, speed: float, light: int) -> tuple[bool, bool]:
    """Does a vehicle ask for its connector, and can it no longer stop?"""
    committed = to_line < PASSED_M or speed**2 > 2 * _HARD_BRAKING * max(to_line, 0.0) + 0.3
    asks = to_line < _ASK_M + speed + speed**2 / (2 * _COMFORTABLE_BRAKING)
    if light == YELLOW:
        asks = speed**2 > 2 * _YELLOW_BRAKING * max(to_line, 0.0) + 0.3
    elif light == RED:
        asks = False
    return bool(asks or committed), bool(committed)

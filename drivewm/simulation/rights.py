"""Right of way: who may enter a junction, first come first served."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drivewm.simulation.lanes import LaneNet

_EXIT_ROOM_M = 3.0
_LONG_M = 6.0


@dataclass
class Approach:
    """A vehicle on its way to or through a junction.

    Attributes:
        vehicle: its number.
        connector: the one that it wants to take.
        to_entry_m: from its front bumper to the junction [m]; negative when inside.
        asks: is it near enough to ask for the connector?
        committed: can it no longer stop before the junction?
        length_m: its length.
    """

    vehicle: int
    connector: int
    to_entry_m: float
    asks: bool
    committed: bool
    length_m: float


@dataclass
class RightOfWay:
    """Reservations of connectors. Conflicting connectors are never granted together.

    A vehicle is let in only if it can leave the junction again, so that waiting vehicles never lock each other.
    """

    lanes: LaneNet
    holders: dict[int, int] = field(default_factory=dict)
    _asked: dict[tuple[int, int], int] = field(default_factory=dict)
    _clock: int = 0

    def update(self, approaches: list[Approach], room_m: np.ndarray, crossing_busy: np.ndarray) -> None:
        """One step.

        Args:
            approaches: at most one a vehicle; vehicles that are absent or no longer ask give back what they held.
            room_m: `(L,)` free length at the start of each lane [m].
            crossing_busy: `(L,)` bool, do people cross the start of that lane?
        """
        self._clock += 1
        present = {a.vehicle: a for a in approaches}
        for vehicle in list(self.holders):
            approach = present.get(vehicle)
            if approach is None or approach.connector != self.holders[vehicle] or not approach.asks:
                del self.holders[vehicle]
        waiting = [a for a in approaches if a.asks]
        self._asked = {key: self._asked.get(key, self._clock) for key in ((a.vehicle, a.connector) for a in waiting)}
        for approach in waiting:
            if approach.committed:
                self.holders[approach.vehicle] = approach.connector
        first_without = self._heads(approaches)
        blocked: list[int] = []
        # Those that already are in the lane behind the junction are counted in its room.
        promised = {
            v: present[v].length_m + _EXIT_ROOM_M
            for v, c in self.holders.items()
            if -present[v].to_entry_m < self.lanes.table.length[c]
        }
        for approach in sorted(waiting, key=lambda a: (self._asked[a.vehicle, a.connector], a.vehicle)):
            if approach.vehicle in self.holders:
                continue
            wanted = approach.connector
            if approach.vehicle not in first_without:
                continue
            exit_lane = self.lanes.successors[wanted][0]
            taken = sum(need for v, need in promised.items() if self.lanes.successors[self.holders[v]][0] == exit_lane)
            if room_m[exit_lane] - taken < approach.length_m + _EXIT_ROOM_M or crossing_busy[exit_lane]:
                continue
            if any(self._in_way(present[v], approach) for v in self.holders) or any(
                self.lanes.conflicts[c, wanted] >= 0 for c in blocked
            ):
                # Later ones must not overtake it for ever.
                blocked.append(wanted)
                continue
            self.holders[approach.vehicle] = wanted
            promised[approach.vehicle] = approach.length_m + _EXIT_ROOM_M

    def _heads(self, approaches: list[Approach]) -> set[int]:
        """The first vehicle of each lane that does not hold its connector: those behind it could not use theirs."""
        heads: dict[int, Approach] = {}
        for approach in approaches:
            if approach.vehicle not in self.holders:
                lane = self.lanes.predecessors[approach.connector][0]
                if lane not in heads or approach.to_entry_m < heads[lane].to_entry_m:
                    heads[lane] = approach
        return {a.vehicle for a in heads.values()}

    def _in_way(self, holder: Approach, other: Approach) -> bool:
        """Is the holder's rear still before the place where its connector leaves the other one?"""
        wide = max(holder.length_m, other.length_m) > _LONG_M
        until = (self.lanes.wide_conflicts if wide else self.lanes.conflicts)[holder.connector, other.connector]
        rear = -holder.to_entry_m - holder.length_m
        return bool(until >= 0.0 and rear < until)

    def may_enter(self, vehicle: int, connector: int) -> bool:
        """Does this vehicle hold that connector?"""
        return self.holders.get(vehicle) == connector

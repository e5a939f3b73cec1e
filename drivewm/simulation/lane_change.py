"""Lane changes: who moves over to the lane beside, and where a vehicle is between the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.dynamics.idm import IDMParameters, idm_acceleration

DURATION_S = 3.5
_FULL_SPEED = 4.0  # slower vehicles need longer: they cannot slip sideways
_SHY_M = 0.8


@dataclass(frozen=True)
class MOBILParameters:
    """When a lane change is worth it and safe (Kesting, Treiber and Helbing, 2007).

    Attributes:
        threshold: gain in acceleration from which a driver moves over [m/s^2].
        politeness: weight of what the follower in the new lane loses.
        safe_braking: the new follower is never made to brake harder [m/s^2].
    """

    threshold: float = 0.4
    politeness: float = 0.3
    safe_braking: float = 2.0


def worth_changing(
    speed: float,
    acceleration: float,
    desired: float,
    ahead: tuple[float, float],
    behind: tuple[float, float, float],
    idm: IDMParameters,
    parameters: MOBILParameters = MOBILParameters(),  # noqa: B008
) -> bool:
    """MOBIL's incentive and safety criteria for one vehicle and one lane.

    Args:
        speed, acceleration, desired: of the vehicle where it is [m/s], [m/s^2], [m/s].
        ahead: gap to the leader that it would get [m] and that one's speed [m/s].
        behind: gap from the follower that it would get [m], that one's speed and desired speed [m/s].
        idm: how both drive.
        parameters: of the decision.
    """
    if min(ahead[0], behind[0]) < _SHY_M:
        return False
    own = float(idm_acceleration(speed, ahead[0], ahead[1], idm, desired))
    follower = float(idm_acceleration(behind[1], behind[0], speed, idm, behind[2]))
    loss = float(idm_acceleration(behind[1], np.inf, 0.0, idm, behind[2])) - follower
    safe = follower > -parameters.safe_braking and own > -parameters.safe_braking
    return safe and own - acceleration - parameters.politeness * max(loss, 0.0) > parameters.threshold


class Drift:
    """How far vehicles still are from the middle of the lane that they move to; arrays `(N,)`.

    Attributes:
        offset_m: to the left of the lane [m].
        rate: how fast it changes [m/s].
    """

    def __init__(self, count: int) -> None:
        self._from_m, self._progress = np.zeros(count), np.ones(count)
        self.offset_m, self.rate = np.zeros(count), np.zeros(count)

    @property
    def active(self) -> np.ndarray:
        """Who is changing lanes: bool `(N,)`."""
        return self._progress < 1.0

    def begin(self, vehicle: int, offset_m: float) -> None:
        """A vehicle now belongs to another lane, from whose middle it is `offset_m` to the left."""
        self._from_m[vehicle], self._progress[vehicle], self.offset_m[vehicle] = offset_m, 0.0, offset_m

    def step(self, dt_s: float, speed: np.ndarray) -> None:
        """Move over for `dt_s`, at speeds `(N,)` [m/s]."""
        pace = np.minimum(speed / _FULL_SPEED, 1.0) / DURATION_S
        done = np.minimum(self._progress + pace * dt_s, 1.0)
        share, slope = 1.0 - done**2 * (3.0 - 2.0 * done), -6.0 * done * (1.0 - done)
        self._progress, self.offset_m, self.rate = done, self._from_m * share, self._from_m * slope * pace

    def remaining_m(self, speed: np.ndarray) -> np.ndarray:
        """About how far vehicles still drive until they are in their lane `(N,)` [m]."""
        return (1.0 - self._progress) * DURATION_S * np.maximum(speed, _FULL_SPEED)

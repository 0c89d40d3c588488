"""Passes of the satellite: what all scenes of one orbit share."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zlib import crc32

import numpy as np

LATITUDE: Final = math.radians(-42)


@dataclass(frozen=True, slots=True)
class Pass:
    """One orbit over the island: a date, a sun, an air, a sky of clouds."""

    number: int
    when: datetime
    seed: int

    @property
    def day(self) -> int:
        """Of the year, from 1."""
        return self.when.timetuple().tm_yday

    @property
    def green(self) -> float:
        """How far the growing season is, 0 to 1."""
        return self._wave(205)

    @property
    def thaw(self) -> float:
        """How far the snow has drawn back, 0 to 1."""
        return self._wave(232)

    def _wave(self, trough: int) -> float:
        """0 on day `trough` of the year, 1 half a year later."""
        return 0.5 - 0.5 * math.cos(2 * math.pi * (self.day - trough) / 365.25)

    @property
    def sun(self) -> tuple[float, float, float]:
        """Unit vector to the sun, east, north, up, two hours after noon."""
        declination = math.radians(-23.44) * math.cos(2 * math.pi * (self.day + 10) / 365.25)
        hour = math.radians(31)
        up = math.sin(LATITUDE) * math.sin(declination)
        up += math.cos(LATITUDE) * math.cos(declination) * math.cos(hour)
        east = -math.cos(declination) * math.sin(hour)
        return east, math.sqrt(max(0.0, 1 - up * up - east * east)), up

    def draw(self, name: str) -> float:
        """A number in [0, 1) that belongs to this pass."""
        salt = crc32(f"{self.seed} {name} {self.number}".encode())
        return float(np.random.default_rng(salt).random())

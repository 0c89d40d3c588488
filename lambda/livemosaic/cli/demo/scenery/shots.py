"""Shots: where and when each scene is taken."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.polygon import orient

from livemosaic.cli.demo.scenery.noise import GroundView, Mask
from livemosaic.cli.demo.scenery.passes import Pass

CRS: Final = "EPSG:32757"
ORIGIN: Final = (380_000, 5_350_000)
"""Easting and northing of the island's middle, m: open sea, so no basemap disagrees."""
PATHS, ROWS = 4, 3
PATH_ORDER: Final = (1, 3, 0, 2)
PATH_STEP_M, ROW_STEP_M = 20_800, 22_800
BOX_M: Final = 30_720
"""Side of a scene's raster."""
SWATH_M: Final = 26_000
"""Side of a scene's ground, a square turned by `TILT`: it just fits the raster."""
TILT: Final = math.radians(11)
"""Of an ascending orbit's track, west of north."""
FIRST_PASS: Final = datetime(2025, 9, 6, 3, 31, 12, tzinfo=UTC)
"""Early afternoon of a southern spring: the sun stands north-west, where map readers expect it."""
DAYS_BETWEEN_PASSES: Final = 13


@dataclass(frozen=True, slots=True)
class Shot:
    """One scene to be made."""

    number: int
    path: int
    row: int
    over: Pass
    when: datetime
    arrival: datetime

    @property
    def id(self) -> str:
        """When and where, in the words of the ground segment."""
        return f"demo-1_{self.when:%Y%m%dT%H%M%S}_p{self.path + 1:02}r{self.row + 1:02}"

    @property
    def center(self) -> tuple[float, float]:
        """Metres east and north of `ORIGIN`; rows count from the north and drift west with it."""
        east, north = self.path - (PATHS - 1) / 2, (ROWS - 1) / 2 - self.row
        return east * PATH_STEP_M - north * ROW_STEP_M * math.tan(TILT), north * ROW_STEP_M

    def view(self, size: int) -> GroundView:
        """Pixel centres, on one pixel grid for all scenes."""
        gsd = BOX_M / size
        x, y = self.center
        left, top = round((x - BOX_M / 2) / gsd) * gsd, round((y + BOX_M / 2) / gsd) * gsd
        steps = (np.arange(size, dtype=np.float64) + 0.5) * gsd
        return GroundView(left + steps, top - steps, gsd)

    def inside(self, view: GroundView) -> Mask:
        """Pixels whose centre is on the swath."""
        x, y = view.x - self.center[0], view.y[:, None] - self.center[1]
        c, s = math.cos(TILT), math.sin(TILT)
        out: Mask = np.maximum(np.abs(x * c + y * s), np.abs(y * c - x * s)) < SWATH_M / 2
        return out

    def footprint(self, gsd: float) -> Polygon:
        """The swath in longitude and latitude, counter-clockwise, to a tenth of a pixel."""
        c, s, half = math.cos(TILT), math.sin(TILT), SWATH_M / 2
        x, y = self.center
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        corners = [(x + half * (i * c - j * s), y + half * (i * s + j * c)) for i, j in signs]
        ring = Polygon([(east + ORIGIN[0], north + ORIGIN[1]) for east, north in corners])
        # Straight edges bend on the way to degrees, so they are split before.
        lonlat = shape(transform_geom(CRS, "OGC:CRS84", mapping(ring.segmentize(1_000))))
        return orient(lonlat.simplify(0.1 * gsd / 111_000))


def nth_shot(number: int, seed: int) -> Shot:
    """The n-th scene in order of acquisition: the satellite comes from the south.

    Now and then one arrives weeks late.
    """
    turn, step = divmod(number, ROWS)
    over = Pass(turn, FIRST_PASS + timedelta(days=DAYS_BETWEEN_PASSES * turn), seed)
    when = over.when + timedelta(seconds=3.4 * step)
    luck = np.random.default_rng([seed, number])
    late = 15 + 10 * luck.random() if luck.random() < 0.15 else 0
    arrival = when + timedelta(hours=3 + 4 * luck.random(), days=late)
    return Shot(number, PATH_ORDER[turn % PATHS], ROWS - 1 - step, over, when, arrival)

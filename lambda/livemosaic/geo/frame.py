"""Frames: where the pixels of a raster lie in its CRS, and where that CRS repeats."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from affine import Affine
from rasterio.crs import CRS

WEB_MERCATOR_WORLD: Final = 40075016.685578488
"""Metres around the equator in EPSG:3857."""

WEB_MERCATOR: Final = CRS.from_epsg(3857)


@dataclass(frozen=True, slots=True)
class Frame:
    """The CRS, transform and size of a raster."""

    crs: CRS
    transform: Affine
    """Pixel corner (column, row) → CRS (x, y)."""
    width: int
    height: int

    @property
    def period(self) -> float | None:
        """Pixels around the world, where columns run along it and x repeats."""
        if self.transform.b or self.transform.d:
            return None
        turn = around(self.crs)
        return None if turn is None else turn / abs(self.transform.a)


def around(crs: CRS) -> float | None:
    """Returns the units of x around the world; None for a CRS in which x does not repeat."""
    if crs.is_geographic:
        # GeoTIFF stores nearly every geographic CRS in degrees; the factor is radians per unit.
        return float(2 * np.pi / crs.units_factor[1])
    return WEB_MERCATOR_WORLD if crs == WEB_MERCATOR else None


def level_frame(frame: Frame, width: int, height: int) -> Frame:
    """Returns the frame of an overview of that size."""
    scale = Affine.scale(frame.width / width, frame.height / height)
    return Frame(frame.crs, frame.transform @ scale, width, height)

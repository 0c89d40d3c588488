"""Frames: where the pixels of a raster lie in its CRS, and where that CRS repeats."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from livemosaic.geo.gcps import Floats, GcpTransform

WEB_MERCATOR_WORLD: Final = 40075016.685578488
"""Metres around the equator in EPSG:3857."""

WEB_MERCATOR: Final = CRS.from_epsg(3857)


@dataclass(frozen=True, slots=True)
class Frame:
    """The CRS, transform and size of a raster."""

    crs: CRS
    transform: Affine
    """Pixel corner (column, row) → CRS (x, y); only roughly so where there are `gcps`."""
    width: int
    height: int
    gcps: GcpTransform | None = None
    """Where pixels lie, of a raster that has ground control points instead of a transform."""

    @property
    def period(self) -> float | None:
        """Pixels around the world, where columns run along it and x repeats."""
        if self.transform.b or self.transform.d or self.gcps:
            return None
        turn = around(self.crs)
        return None if turn is None else turn / abs(self.transform.a)

    @classmethod
    def of_gcps(cls, gcps: GcpTransform, width: int, height: int) -> "Frame":
        """Returns the frame of a raster with ground control points."""
        return cls(gcps.crs, gcps.affine, width, height, gcps)

    def to_map(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Returns x and y of pixels; longitudes may run on beyond ±180."""
        return self.gcps.to_map(cols, rows) if self.gcps else _applied(self.transform, cols, rows)

    def to_pixel(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Returns columns and rows of places; NaN where no pixel of the raster can be."""
        return self.gcps.to_pixel(x, y) if self.gcps else _applied(~self.transform, x, y)


def _applied(to: Affine, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    return to.a * x + to.b * y + to.c, to.d * x + to.e * y + to.f


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

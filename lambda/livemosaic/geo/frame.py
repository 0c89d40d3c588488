"""Frames: where the pixels of a raster lie in its CRS, and where that CRS repeats."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from livemosaic.geo.crs import LONLAT, lonlat_of, proj_crs, transformer
from livemosaic.geo.gcps import Floats, GcpTransform

WEB_MERCATOR_WORLD: Final = 40075016.685578488
"""Metres around the equator in EPSG:3857."""

WEB_MERCATOR: Final = CRS.from_epsg(3857)
_CYLINDERS: Final = ("Mercator", "Popular Visualisation Pseudo Mercator", "Equidistant Cylindrical")
"""Beginnings of the names of projections in which x follows longitude alone."""
_SAME_M: Final = 1e-3


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


@lru_cache(maxsize=256)
def around(crs: CRS) -> float | None:
    """Returns the units of x around the world; None for a CRS in which x does not repeat."""
    if crs.is_geographic:
        # GeoTIFF stores nearly every geographic CRS in degrees; the factor is radians per unit.
        return float(2 * np.pi / crs.units_factor[1])
    if crs == WEB_MERCATOR:
        return WEB_MERCATOR_WORLD
    # On Earth, others are read as GDAL reads them: x ends at the edge of the map.
    return None if lonlat_of(crs) == LONLAT else around_cylinder(crs)


def around_cylinder(crs: CRS) -> float | None:
    """Returns the units of x around a body in its Mercator or equirectangular projection.

    None for other projections, and where x is not zero in the middle of the map.
    """
    operation = proj_crs(crs).coordinate_operation
    if operation is None or not operation.method_name.startswith(_CYLINDERS):
        return None
    to_crs = transformer(lonlat_of(crs), crs)
    middle, _ = to_crs.transform(0.0, 0.0, direction="INVERSE")
    west, east = to_crs.transform([middle - 45, middle + 45], [0.0, 0.0])[0]
    return 4 * (east - west) if abs(east + west) < _SAME_M else None


def is_cylinder(crs: CRS) -> bool:
    """Whether x repeats around the world in a CRS in metres, in which the poles may be endless."""
    return not crs.is_geographic and around(crs) is not None


def level_frame(frame: Frame, width: int, height: int) -> Frame:
    """Returns the frame of an overview of that size."""
    scale = Affine.scale(frame.width / width, frame.height / height)
    return Frame(frame.crs, frame.transform @ scale, width, height)

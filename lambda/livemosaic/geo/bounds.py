"""Bounds in longitude and latitude."""

from typing import Final

import numpy as np

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, transformer
from livemosaic.model.raster import BBox, Grid

_SAMPLES: Final = 33
"""Points along each axis of a raster that decide its extent in longitude and latitude."""


def lonlat_bounds(grid: Grid) -> BBox:
    """Returns west, south, east, north of a grid, in degrees; west > east across ±180.

    From points all over the grid, not from its corners: a box around a pole has the pole inside and
    all longitudes. Grown by the distance between points, so nothing between two of them is lost.
    """
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(np.linspace(left, right, _SAMPLES), np.linspace(bottom, top, _SAMPLES))
    lon, lat = transformer(grid.crs, LONLAT).transform(x.ravel(), y.ravel())
    seen = np.isfinite(lon) & np.isfinite(lat)
    if not seen.any():
        raise InvalidRequestError("that place is not on the globe")
    lon, lat = lon[seen], lat[seen]
    lon = np.sort(np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon))  # of boxes across ±180
    grow = 1.5 * float(np.ptp(lat)) / _SAMPLES
    south, north = max(-90.0, float(lat.min()) - grow), min(90.0, float(lat.max()) + grow)
    gaps = np.diff(np.append(lon, lon[0] + 360))
    widest = int(gaps.argmax())
    if gaps[widest] < 30 or any(_holds_pole(grid, pole) for pole in (-90.0, 90.0)):
        return -180.0, _reach(grid, -90.0, south), 180.0, _reach(grid, 90.0, north)
    west, east = float(lon[(widest + 1) % len(lon)]), float(lon[widest])
    grow = 1.5 * ((east - west) % 360) / _SAMPLES
    if west <= east:
        return max(-180.0, west - grow), south, min(180.0, east + grow), north
    return west - grow, south, east + grow, north


def _holds_pole(grid: Grid, latitude: float) -> bool:
    # A geographic CRS has a whole edge for a pole, which a box there may only touch.
    if grid.crs.is_geographic:
        return False
    x, y = transformer(LONLAT, grid.crs).transform(0.0, latitude)
    left, bottom, right, top = grid.bounds
    return bool(left <= x <= right and bottom <= y <= top)


def _reach(grid: Grid, pole: float, latitude: float) -> float:
    return pole if _holds_pole(grid, pole) else latitude

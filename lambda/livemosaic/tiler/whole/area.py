"""The true area of pixels, on the ellipsoid of the body that a grid lies on."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.geo.crs import EARTH_M, lonlat_of, proj_crs, transformer
from livemosaic.geo.frame import around
from livemosaic.model.raster import Grid

_MESH: Final = 8
"""Pixels of an edge of the blocks that share one area, where it changes along both axes."""


def pixel_areas(grid: Grid) -> NDArray[np.float32]:
    """Returns the area of each pixel in km², shape (height, width); 0 where there is no place.

    On a Mercator map and in degrees each row has its own; on other maps blocks of 8 × 8 pixels do.
    """
    in_rows = around(grid.crs) is not None
    down, across = (1, grid.width) if in_rows else (_MESH, _MESH)
    rows = np.arange(0, grid.height, down) + down / 2
    columns = np.arange(0, grid.width, across) + across / 2
    areas = _areas_at(grid, *np.meshgrid(columns, rows))
    whole = areas.repeat(down, axis=0).repeat(across, axis=1)[: grid.height, : grid.width]
    return whole.astype(np.float32)


def _areas_at(
    grid: Grid, columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The area of a pixel around places, by the distances between the middles of its edges."""
    lonlat = lonlat_of(grid.crs)
    to_lonlat = transformer(grid.crs, lonlat).transform

    def at(column: float, row: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        to_map = grid.transform  # north up, as all grids
        lon, lat = to_lonlat(
            to_map.c + to_map.a * (columns + column), to_map.f + to_map.e * (rows + row)
        )
        return lon, lat

    (west, south_of_west), (east, north_of_east) = at(-0.5, 0), at(0.5, 0)
    (upper, north), (lower, south) = at(0, -0.5), at(0, 0.5)
    across = _turned(east - west) * (north - south)
    along = _turned(upper - lower) * (north_of_east - south_of_west)
    areas = np.abs(across - along) * np.radians(1) ** 2 * _radii(lonlat, at(0, 0)[1])
    return np.where(np.isfinite(areas), areas, 0.0)


def _turned(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return (degrees + 180) % 360 - 180


def _radii(lonlat: Any, latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """The km² of a square radian at latitudes: both radii of curvature and the cosine."""
    ellipsoid = proj_crs(lonlat).ellipsoid
    a = ellipsoid.semi_major_metre if ellipsoid else EARTH_M
    b = (ellipsoid.semi_minor_metre if ellipsoid else None) or a
    squared = 1 - (b / a) ** 2
    with np.errstate(invalid="ignore"):
        sine = np.sin(np.radians(latitude))
        curved = 1 - squared * sine**2
        # Meridian radius a(1 - e²) / W³ times normal radius a / W, with W² = 1 - e² sin².
        return (a / 1000) ** 2 * (1 - squared) / curved**2 * np.cos(np.radians(latitude))

"""Where the pixels of a raster lie on the globe, as GeoJSON."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from rasterio.transform import array_bounds
from shapely.geometry import box, mapping

from livemosaic.geo.crs import lonlat_of, transformer
from livemosaic.geo.frame import Frame
from livemosaic.geo.rasterize import traced
from livemosaic.model.raster import Grid
from livemosaic.storage.objects import ObjectError

_STEPS: Final = (4, 8, 16, 32, 64)
"""Points on each side of an outline that are tried: as many as its curvature needs."""
_STRAIGHT: Final = 0.5
"""Pixels by which a side may leave the line between two points of it."""
_EDGE: Final = 512
"""Pixels of the longer side of the image in which data are looked for."""
_PARTS: Final = 32
"""Points, at least, around an outline of data, were it a rectangle."""

_LEAST: Final = 4
"""Points of a ring at least: the first is the last too."""

_Points = NDArray[np.float64]
"""Shape (points, 2), x before y. Of a ring the first point is the last too."""


def outline(frame: Frame) -> Mapping[str, Any]:
    """Returns the outline of all pixels as a GeoJSON Polygon, longitude first.

    Its longitudes jump by more than 180° where it crosses the antimeridian, as `geo.footprint`
    reads them. Its sides get as many points as bring the lines between them within half a pixel.
    On another body they are its own (`geo.crs.lonlat_of`). Raises ObjectError if no pixel is on the
    globe.
    """
    to_lonlat = transformer(frame.crs, lonlat_of(frame.crs))
    for steps in _STEPS:
        pixels = _sides(frame, steps)
        ring = _moved(np.stack(frame.to_map(*pixels.T), axis=1), to_lonlat)
        if _has_straight_sides(frame, to_lonlat, pixels, ring):
            break
    geometry: Mapping[str, Any] = mapping(_polygon(ring))
    return geometry


def _sides(frame: Frame, steps: int) -> _Points:
    """Returns columns and rows of an outline, with that many points on each side."""
    along, ones = np.arange(steps) / steps, np.ones(steps)
    cols = np.concatenate([along, ones, 1 - along, 0 * ones, [0]])
    rows = np.concatenate([0 * ones, along, ones, 1 - along, [0]])
    return np.stack([frame.width * cols, frame.height * rows], axis=1)


def _moved(xy: _Points, to_lonlat: pyproj.Transformer) -> _Points:
    return np.stack(to_lonlat.transform(xy[:, 0], xy[:, 1]), axis=1)


def _has_straight_sides(
    frame: Frame, to_lonlat: pyproj.Transformer, pixels: _Points, ring: _Points
) -> bool:
    """Whether lines between the points of a ring are the sides of a frame, nearly."""
    if not np.isfinite(ring).all():
        return False
    if frame.period is not None:
        return True  # on Mercator and equirectangular grids: lines of longitude are columns
    whole = np.stack([np.unwrap(ring[:, 0], period=360), ring[:, 1]], axis=1)
    lon, lat = _halfway(whole).T
    x, y = to_lonlat.transform(lon, lat, direction="INVERSE")
    off = np.stack(frame.to_pixel(x, y), axis=1) - _halfway(pixels)
    return bool((np.abs(off) < _STRAIGHT).all())


def _halfway(points: _Points) -> _Points:
    """Returns the points in the middle of two neighbors."""
    return (points[1:] + points[:-1]) / 2


def _polygon(ring: _Points) -> shapely.Polygon:
    """Returns the polygon of a ring, without the points that are not on the globe."""
    seen = ring[np.isfinite(ring).all(axis=1)]
    if len(seen) < _LEAST:
        raise ObjectError("has no pixel that is on the globe")
    return shapely.Polygon(seen)


def searched(frame: Frame) -> Grid:
    """Returns the grid on which data are looked for: the whole raster, north up, made small."""
    left, bottom, right, top = array_bounds(frame.height, frame.width, frame.transform)
    scale = min(1.0, _EDGE / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    return Grid(frame.crs, (left, bottom, right, top), width, height)


def outline_of_data(frame: Frame, grid: Grid, valid: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Returns the outline of the valid pixels of a grid as a GeoJSON geometry.

    `valid` has the shape (height, width). Grown by a pixel of the grid, and without holes: too
    large rather than too small. Raises ObjectError if no pixel is valid.
    """
    pixel = max(abs(grid.transform.a), abs(grid.transform.e))
    found: Any = traced(valid, grid.transform, connectivity=8)
    parts = [shapely.Polygon(part.exterior) for part in found]
    if not parts:
        raise ObjectError("has no valid pixel, so there is nothing to put on the map")
    grown = shapely.union_all(parts).simplify(pixel / 2).buffer(pixel, join_style="mitre")
    cut = grown.intersection(box(*grid.bounds))
    longest = max(cut.bounds[2] - cut.bounds[0], cut.bounds[3] - cut.bounds[1])
    fine = shapely.segmentize(cut, longest / _PARTS)
    to_lonlat = transformer(frame.crs, lonlat_of(frame.crs))
    rings = [shapely.get_coordinates(part.exterior) for part in shapely.get_parts(fine)]
    moved = [_polygon(_moved(ring, to_lonlat)) for ring in rings]
    geometry: Mapping[str, Any] = mapping(shapely.MultiPolygon(moved))
    return geometry

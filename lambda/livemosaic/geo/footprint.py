"""Footprints from GeoJSON (RFC 7946): valid on a flat map, antimeridian and poles included."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeGuard

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidItemError
from livemosaic.geo.antimeridian import eastwards, enclosed, wrapped
from livemosaic.model.raster import BBox, LonLat

MAX_VERTICES: Final = 5_000
"""Beyond it polygons become hulls: what GEOS asks of a ring takes time with the square of it, and
every vertex 16 bytes of the scene's head."""
_HULL_STEPS: Final = 4096
"""Corners of a hull lie on a lattice of as many steps, so a hull has some hundreds at most."""


def footprint(geometry: object, bbox: object = None) -> MultiPolygon:
    """Converts a GeoJSON Polygon or MultiPolygon to one that is valid on a flat map of the globe.

    A ring that jumps more than 180° in longitude crosses the antimeridian (RFC 7946 3.1.9 asks for
    two parts, few producers do it) and is split there; one that goes around a pole is closed along
    it. A rectangle from pole to pole that jumps is meant as it stands: the whole globe.
    Longitudes beyond ±180 wrap. Where there is no geometry, the `bbox` is one.

    What is not valid is repaired to too much, never too little: that costs a reader requests, not
    pixels. Raises `InvalidItemError` for anything else.
    """
    if geometry is None and bbox is not None:
        return _of_bbox(bbox)
    if not isinstance(geometry, Mapping):
        raise InvalidItemError("has no geometry, so there is nowhere to put it on the map")
    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise InvalidItemError(
            f"geometry is a {str(geometry.get('type'))[:40]!r}; a Polygon or MultiPolygon is needed"
        )
    try:
        with np.errstate(invalid="ignore"):  # GEOS warns of NaN, which is refused below
            flat = shapely.force_2d(shape(geometry))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidItemError(
            f"geometry has coordinates that do not make a {geometry['type']}: {str(error)[:200]}"
        ) from error
    _check_coordinates(flat)
    many = len(shapely.get_coordinates(flat)) > MAX_VERTICES
    try:
        parts = [part for one in _polygons(flat) for part in _polygons(_flattened(one, hull=many))]
        found = _united(parts)
    except ShapelyError as error:
        raise InvalidItemError(f"geometry cannot be made valid: {str(error)[:200]}") from error
    if found.area == 0:
        raise InvalidItemError(f"geometry has no area: it is a line within {_rounded(flat.bounds)}")
    return found


def centre(found: MultiPolygon) -> LonLat:
    """Returns the centroid, rounded to a metre; near ±180 for a footprint that crosses it."""
    west, _, east, _ = found.bounds
    whole = eastwards(found) if east - west > 180 else found
    lon, lat = whole.centroid.coords[0]
    return round(lon - 360 if lon > 180 else lon, 5), round(lat, 5)


def check_axes(found: MultiPolygon, hints: Mapping[str, object]) -> None:
    """Refuses a footprint that meets a hint about its place only with its axes swapped.

    Hints, by name, are boxes as west, south, east, north; any other value is ignored.
    """
    bounds = found.bounds
    for name, hint in hints.items():
        if not _is_bbox(hint):
            continue
        west, south, east, north = _corners(hint)
        if _meet(bounds, (south, west, north, east)) and not _meet(
            bounds, (west, south, east, north)
        ):
            raise InvalidItemError(
                f"geometry is within {_rounded(bounds)} and {name} within {_rounded(hint)}: one of "
                "them has longitude and latitude swapped; longitude comes first"
            )


def _of_bbox(bbox: object) -> MultiPolygon:
    if not _is_bbox(bbox):
        raise InvalidItemError(
            f"has no geometry, and bbox {str(bbox)[:80]} is not west, south, east, north"
        )
    west, south, east, north = _corners(bbox)
    rectangle = shapely.box(west, south, east + 360 if west > east else east, north)
    # Cut, lest an edge of more than 180° be taken for one across the antimeridian.
    return footprint(mapping(shapely.segmentize(rectangle, 90)))


def _is_bbox(value: object) -> TypeGuard[Sequence[float]]:
    return (
        isinstance(value, Sequence)
        and len(value) in (4, 6)
        and all(isinstance(number, int | float) for number in value)
        and all(abs(degree) <= 360 for degree in _corners(value))
    )


def _corners(bbox: Sequence[float]) -> BBox:
    """Returns the corners without the heights of RFC 7946's box of six numbers."""
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def _rounded(bounds: Sequence[float]) -> list[float]:
    return [round(float(degree), 4) for degree in bounds]


def _meet(a: BBox, b: BBox) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _check_coordinates(geometry: BaseGeometry) -> None:
    xy = shapely.get_coordinates(geometry)
    if len(xy) == 0 or not np.isfinite(xy).all():
        raise InvalidItemError("geometry has no coordinates, or some that are not finite")
    worst_lat, worst_lon = xy[np.abs(xy[:, 1]).argmax(), 1], xy[np.abs(xy[:, 0]).argmax(), 0]
    if abs(worst_lat) > 90 + 1e-9:
        raise InvalidItemError(
            f"geometry has latitude {worst_lat:g}, beyond ±90; are longitude and latitude swapped?"
        )
    if abs(worst_lon) > 360 + 1e-9:
        raise InvalidItemError(
            f"geometry has longitude {worst_lon:g}, beyond ±360; coordinates are in degrees"
        )


def _polygons(geometry: BaseGeometry) -> Iterator[Polygon]:
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon" and not part.is_empty:
            yield part
        elif part.geom_type in ("MultiPolygon", "GeometryCollection"):
            yield from _polygons(part)


def _flattened(polygon: Polygon, *, hull: bool) -> BaseGeometry:
    """Splits a polygon, or its hull, at the antimeridian, or closes it along the pole inside it."""
    if _is_globe(polygon):
        return polygon
    shell = enclosed(polygon.exterior)
    if hull:
        return wrapped(_hull([shell]))
    whole = wrapped(shell if shell.is_valid else shell.convex_hull)
    # A hole that crosses itself is none: which side of it is inside, nothing tells.
    holes = [wrapped(hole) for hole in map(enclosed, polygon.interiors) if hole.is_valid]
    return whole.difference(shapely.union_all(holes)) if holes else whole


def _hull(polygons: Sequence[Polygon]) -> BaseGeometry:
    xy = np.concatenate([shapely.get_coordinates(polygon.exterior) for polygon in polygons])
    start, step = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-9) / _HULL_STEPS
    return shapely.multipoints(start + np.rint((xy - start) / step) * step).convex_hull


def _is_globe(polygon: Polygon) -> bool:
    """A plain rectangle of nearly all longitudes and more latitudes than any swath of 4 corners."""
    west, south, east, north = polygon.bounds
    return (
        len(polygon.exterior.coords) == 5
        and math.isclose(polygon.area, polygon.envelope.area)
        and east - west > 180
        and north - south > 90
    )


def _united(parts: list[Polygon]) -> MultiPolygon:
    if sum(shapely.get_num_coordinates(parts)) > MAX_VERTICES:
        halves = [p for p in parts if p.centroid.x < 0], [p for p in parts if p.centroid.x >= 0]
        parts = [part for half in halves if half for part in _polygons(_hull(half))]
    whole = MultiPolygon(parts)
    if not whole.is_valid:  # parts that overlap each other: harmless, they are one footprint
        whole = MultiPolygon(list(_polygons(shapely.union_all(parts))))
    return shapely.orient_polygons(whole)

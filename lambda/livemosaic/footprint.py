"""GeoJSON geometries become footprints: valid on a flat map of the globe, antimeridian and poles
included (RFC 7946).
"""

import math
import warnings
from collections.abc import Iterator, Mapping

import antimeridian
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidItemError


def footprint(geometry: object) -> MultiPolygon:
    """A GeoJSON Polygon or MultiPolygon as one that is valid on a flat map of the globe.

    A ring that jumps more than 180° in longitude crosses the antimeridian (RFC 7946 3.1.9 asks for
    two parts, few producers do it) and is split there; one that goes around a pole is closed along
    it. A rectangle from pole to pole that jumps is meant as it stands: the whole globe.
    Longitudes beyond ±180 wrap. `InvalidItemError` for anything else.
    """
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
            f"geometry has coordinates that are not those of a {geometry['type']}: "
            f"{str(error)[:200]}"
        ) from error
    _check_coordinates(flat)
    parts = [part for polygon in _polygons(flat) for part in _polygons(_flattened(polygon))]
    return _united(parts)


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
        if part.geom_type == "Polygon":
            yield part
        elif part.geom_type in ("MultiPolygon", "GeometryCollection"):
            yield from _polygons(part)


def _flattened(polygon: Polygon) -> BaseGeometry:
    """One polygon, split at the antimeridian and closed along a pole it goes around."""
    unwrapped = _unwrapped(polygon)
    if unwrapped is not None:
        if not unwrapped.is_valid:
            raise InvalidItemError(
                f"geometry is not a valid polygon: {shapely.is_valid_reason(unwrapped)[:200]}"
            )
        west, _, east, _ = unwrapped.bounds
        if (west >= -180 and east <= 180) or _is_globe(polygon):
            return shapely.orient_polygons(polygon)
    # Of the two sides of a ring around the globe the footprint is the one with the nearer pole:
    # winding, which should tell, is wrong in too many catalogues.
    north = unwrapped is None and polygon.centroid.y > 0
    south = unwrapped is None and polygon.centroid.y < 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", antimeridian.FixWindingWarning)
        return antimeridian.fix_polygon(
            polygon, force_north_pole=north, force_south_pole=south, great_circle=False
        )


def _unwrapped(polygon: Polygon) -> Polygon | None:
    """With longitudes that run on past ±180 instead of jumping; None if it goes around a pole."""
    rings = [_run_on(ring) for ring in (polygon.exterior, *polygon.interiors)]
    if any(abs(ring[0, 0] - ring[-1, 0]) > 180 for ring in rings):
        return None
    return Polygon(rings[0], rings[1:])


def _run_on(ring: BaseGeometry) -> NDArray[np.float64]:
    xy = shapely.get_coordinates(ring)
    steps = np.diff(xy[:, 0])
    jumps = (np.abs(steps) > 180) & (np.abs(steps) != 360)  # −180 to 180 is the map's whole width
    xy[1:, 0] -= np.cumsum(np.where(jumps, np.sign(steps) * 360, 0))
    return np.asarray(xy)


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
    whole = MultiPolygon(parts)
    if not whole.is_valid:  # parts that overlap each other: harmless, they are one footprint
        whole = MultiPolygon(list(_polygons(shapely.union_all(parts))))
    if whole.area == 0:
        raise InvalidItemError("geometry has no area")
    if not whole.is_valid:
        raise InvalidItemError(f"geometry is not valid: {shapely.is_valid_reason(whole)[:200]}")
    return whole

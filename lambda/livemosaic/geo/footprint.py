"""Footprints from GeoJSON (RFC 7946): valid on a flat map, antimeridian and poles included."""

import json
import math
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final, TypeGuard

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidItemError
from livemosaic.geo.antimeridian import PoleHint, eastwards, enclosed, no_hint, wrapped
from livemosaic.geo.crs import NoTransformError, lonlat_of, transformer
from livemosaic.model.raster import BBox, LonLat

MAX_VERTICES: Final = 5_000
"""Beyond it polygons become hulls: what GEOS asks of a ring takes time with the square of it, and
every vertex 16 bytes of the scene's head."""
_BEYOND_POLE: Final = (0.5, 0.02, 0.1)
"""How far a footprint may reach beyond a pole, as one does whose producer took the centres of
pixels for corners, or grew it by some pixels: degrees, or part of its height if that is more, but
never more than the second part of it. Swapped axes reach farther."""
_BEYOND_TURN: Final = 30.0
"""Degrees by which longitudes may exceed a turn, as of a scene that starts just below 360."""
_STRIP: Final = 0.02
"""Width over height of a strip that is too thin for a scene."""
_HOLDERS: Final = 50
"""Assets at most that are asked for their projected bounds."""
_POLAR: Final = 0.01
"""Degrees from a pole at which a bbox ends there."""
_HULL_STEPS: Final = 4096
"""Corners of a hull lie on a lattice of as many steps, so a hull has some hundreds at most."""


def footprint(geometry: object, bbox: object = None, held: PoleHint = no_hint) -> MultiPolygon:
    """Converts a GeoJSON Polygon or MultiPolygon to one that is valid on a flat map of the globe.

    A ring that jumps more than 180° in longitude crosses the antimeridian (RFC 7946 3.1.9 asks for
    two parts, few producers do it) and is split there; one that goes around a pole is closed along
    it, by `held` or by its shape. A rectangle from pole to pole that jumps is meant as it stands:
    the whole globe. Longitudes beyond ±180 wrap, latitudes a few pixels beyond a pole are clamped.
    Where there is no geometry, the `bbox` is one.

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
            flat = shapely.force_2d(_shaped(geometry))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidItemError(
            f"geometry has coordinates that do not make a {geometry['type']}: {str(error)[:200]}"
        ) from error
    flat = _checked(flat)
    many = len(shapely.get_coordinates(flat)) > MAX_VERTICES
    try:
        parts = [
            part for one in _polygons(flat) for part in _polygons(_flattened(one, held, hull=many))
        ]
        found = _united(parts)
    except ShapelyError as error:
        raise InvalidItemError(f"geometry cannot be made valid: {str(error)[:200]}") from error
    if found.area == 0:
        raise InvalidItemError(f"geometry has no area: it is a line within {_rounded(flat.bounds)}")
    return found


def _shaped(geometry: Mapping[str, Any]) -> BaseGeometry:
    """Builds a geometry; of positions that shapely refuses, such as of mixed lengths, the first two
    numbers count (RFC 7946, 3.1.1)."""
    try:
        return shape(geometry)
    except (ShapelyError, ValueError, TypeError):
        levels = 2 if geometry["type"] == "Polygon" else 3
        return shape({**geometry, "coordinates": _flat(geometry["coordinates"], levels)})


def _flat(coordinates: Any, levels: int) -> Any:
    if levels == 0:
        return coordinates[:2]
    return [_flat(part, levels - 1) for part in coordinates]


def centre(found: MultiPolygon) -> LonLat:
    """Returns the centroid, rounded to a metre; near ±180 for a footprint that crosses it."""
    west, _, east, _ = found.bounds
    whole = eastwards(found) if east - west > 180 else found
    lon, lat = whole.centroid.coords[0]
    return round(lon - 360 if lon > 180 else lon, 5), round(lat, 5)


def inside(found: MultiPolygon, middle: LonLat) -> LonLat | None:
    """Returns a place within a footprint that does not hold its `centre`; None where it does."""
    if shapely.intersects_xy(found, *middle):
        return None
    lon, lat = found.representative_point().coords[0]
    return round(lon, 7), round(lat, 7)


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


def held_pole(item: Mapping[str, Any]) -> float | None:
    """Returns the latitude of the pole, 90 or -90, that a STAC Item names as within it.

    By the projected bounds of the Item or of an asset (projection extension), else by a `bbox` that
    ends at one pole, or by a `proj:centroid` close to one. None if nothing names just one of them.
    """
    properties, assets = item.get("properties"), item.get("assets")
    named = [properties, *(assets.values() if isinstance(assets, Mapping) else ())]
    holders = [holder for holder in named if isinstance(holder, Mapping)][:_HOLDERS]
    for holder in holders:
        held = _poles_within(ChainMap(dict(holder), dict(properties or {})))
        if len(held) == 1:
            return held[0]
    return _pole_at(item.get("bbox")) or _pole_near((properties or {}).get("proj:centroid"))


def _poles_within(proj: Mapping[str, Any]) -> list[float]:
    """Returns the poles inside the projected bounds of an Item or asset."""
    crs, bounds = projection(proj), _projected_bounds(proj)
    if crs is None or bounds is None or crs.is_geographic:
        return []
    with suppress(NoTransformError):
        x, y = transformer(lonlat_of(crs), crs).transform([0.0, 0.0], [-90.0, 90.0])
        left, bottom, right, top = bounds
        inside = [left <= x[i] <= right and bottom <= y[i] <= top for i in (0, 1)]
        return [pole for pole, held in zip((-90.0, 90.0), inside, strict=True) if held]
    return []


def projection(proj: Mapping[str, Any]) -> CRS | None:
    """Returns the CRS that the projection extension of an Item or asset names, if it is known."""
    code = proj.get("proj:code") or proj.get("proj:epsg")
    spelled = code or proj.get("proj:wkt2") or proj.get("proj:projjson")
    with suppress(RasterioError, ValueError, TypeError):
        return _named(spelled if isinstance(spelled, str | int) else json.dumps(spelled))
    return None


@lru_cache(256)
def _named(spelled: str | int) -> CRS | None:
    return None if spelled in ("null", "") else CRS.from_user_input(spelled)


def _projected_bounds(proj: Mapping[str, Any]) -> BBox | None:
    box, shape, to_map = (proj.get(f"proj:{name}") for name in ("bbox", "shape", "transform"))
    with suppress(ValueError, TypeError):
        if box:
            return _corners([float(edge) for edge in box])
        if shape and to_map:
            height, width = (int(side) for side in shape)
            to_crs = Affine(*(float(number) for number in to_map[:6]))
            return _corners(array_bounds(height, width, to_crs))
    return None


def _pole_at(bbox: object) -> float | None:
    """Returns the pole at which a bbox ends, if it is one of them."""
    if not _is_bbox(bbox):
        return None
    _, south, _, north = _corners(bbox)
    ends = [pole for pole, end in ((-90.0, -south), (90.0, north)) if end > 90 - _POLAR]
    return ends[0] if len(ends) == 1 else None


def _pole_near(centroid: object) -> float | None:
    lat = centroid.get("lat") if isinstance(centroid, Mapping) else None
    return math.copysign(90, lat) if isinstance(lat, int | float) and abs(lat) > 75 else None


def _of_bbox(bbox: object) -> MultiPolygon:
    if not _is_bbox(bbox):
        raise InvalidItemError(
            f"has no geometry, and bbox {str(bbox)[:80]} is not west, south, east, north"
        )
    west, south, east, north = _corners(bbox)
    turn = 360 * math.floor((west + 180) / 360) if west > east else 0
    rectangle = shapely.box(west - turn, south, east - turn + 360 * (west > east), north)
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


def _checked(geometry: BaseGeometry) -> BaseGeometry:
    """Returns a geometry whose latitudes are clamped; raises for coordinates off the globe."""
    xy = shapely.get_coordinates(geometry)
    if len(xy) == 0 or not np.isfinite(xy).all():
        raise InvalidItemError("geometry has no coordinates, or some that are not finite")
    worst_lat, worst_lon = xy[np.abs(xy[:, 1]).argmax(), 1], xy[np.abs(xy[:, 0]).argmax(), 0]
    degrees, part, most = _BEYOND_POLE
    height = float(np.ptp(xy[:, 1]))
    if abs(worst_lat) > 90 + min(max(degrees, part * height), most * height + 1e-9):
        raise InvalidItemError(
            f"geometry has latitude {worst_lat:g}, beyond ±90; are longitude and latitude swapped?"
        )
    if abs(worst_lon) > 360 + _BEYOND_TURN:
        raise InvalidItemError(
            f"geometry has longitude {worst_lon:g}, beyond ±360; coordinates are in degrees"
        )
    if abs(worst_lat) <= 90:
        return geometry
    return shapely.transform(
        geometry, lambda xy: np.column_stack([xy[:, 0], xy[:, 1].clip(-90, 90)])
    )


def _polygons(geometry: BaseGeometry) -> Iterator[Polygon]:
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon" and not part.is_empty:
            yield part
        elif part.geom_type in ("MultiPolygon", "GeometryCollection"):
            yield from _polygons(part)


def _flattened(polygon: Polygon, held: PoleHint, *, hull: bool) -> BaseGeometry:
    """Splits a polygon, or its hull, at the antimeridian, or closes it along the pole inside it."""
    if _is_wide(polygon):
        return wrapped(polygon)
    shell = enclosed(polygon.exterior, held)
    if hull:
        return wrapped(_hull([shell]))
    whole = wrapped(shell if shell.is_valid else shell.convex_hull)
    # A hole that crosses itself is none: which side of it is inside, nothing tells.
    rings = (enclosed(ring, partial(_pole_of, whole)) for ring in polygon.interiors)
    holes = [wrapped(hole) for hole in rings if hole.is_valid]
    return whole.difference(shapely.union_all(holes)) if holes else whole


def _pole_of(shell: BaseGeometry) -> float | None:
    """Returns the pole that a shell holds, which a hole around the globe holds, too."""
    _, south, _, north = shell.bounds
    held = [pole for pole, edge in ((-90.0, south), (90.0, north)) if edge == pole]
    return held[0] if len(held) == 1 else None


def _hull(polygons: Sequence[Polygon]) -> BaseGeometry:
    xy = np.concatenate([shapely.get_coordinates(polygon.exterior) for polygon in polygons])
    start, step = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-9) / _HULL_STEPS
    return shapely.multipoints(start + np.rint((xy - start) / step) * step).convex_hull


def _is_wide(polygon: Polygon) -> bool:
    """A rectangle of most longitudes as it stands, and not one across the antimeridian.

    It has more latitudes than any swath of four corners, or touches a pole, or the way across the
    antimeridian would be a thin strip.
    """
    west, south, east, north = polygon.bounds
    return (
        len(polygon.exterior.coords) == 5
        and math.isclose(polygon.area, polygon.envelope.area)
        and east - west > 180
        and (
            north - south > 90
            or max(-south, north) >= 90
            or abs(360 - (east - west)) < _STRIP * (north - south)
        )
    )


def _united(parts: list[Polygon]) -> MultiPolygon:
    if sum(shapely.get_num_coordinates(parts)) > MAX_VERTICES:
        halves = [p for p in parts if p.centroid.x < 0], [p for p in parts if p.centroid.x >= 0]
        parts = [part for half in halves if half for part in _polygons(_hull(half))]
    whole = MultiPolygon(parts)
    if not whole.is_valid:  # parts that overlap each other: harmless, they are one footprint
        whole = MultiPolygon(list(_polygons(shapely.union_all(parts))))
    return shapely.orient_polygons(whole)

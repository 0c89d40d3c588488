"""Geometries and spatial references in ArcGIS's JSON. Pure.

Source: "Geometry objects" in the ArcGIS REST API. Exterior rings of Esri run clockwise.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from rasterio.crs import CRS
from shapely.geometry import LineString, MultiLineString, MultiPoint, MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.api.routes.arcgis.values.asked import Asked, number_of, parse_json
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import FARTHEST
from livemosaic.geo.crs import NoTransformError, authority_of, transformer
from livemosaic.geo.feature import Shape
from livemosaic.geo.polygons.even_odd import even_odd
from livemosaic.tiler.rules.spatial_reference import crs_of_reference

_WEB_MERCATOR: Final = 3857
_ESRI_WEB_MERCATOR: Final = 102100
_MOST_RINGS: Final = 100
_NUMBER: Final = re.compile(r"\s*\d{1,9}\s*", re.ASCII)
_TYPES: Final = {
    "esrigeometrypoint": "point",
    "esrigeometrymultipoint": "multipoint",
    "esrigeometrypolyline": "polyline",
    "esrigeometrypolygon": "polygon",
    "esrigeometryenvelope": "envelope",
}


def reference_of(crs: CRS) -> dict[str, Any]:
    """Returns a CRS as a spatial reference: `wkid` and `latestWkid`, or `wkt` without a number."""
    authority, code = authority_of(crs) or ("", "")
    if not code.isdecimal():
        return {"wkt": crs.to_wkt(version="WKT1_ESRI")}
    number = int(code)
    if authority == "EPSG" and number == _WEB_MERCATOR:
        return {"wkid": _ESRI_WEB_MERCATOR, "latestWkid": _WEB_MERCATOR}
    return {"wkid": number, "latestWkid": number}


def crs_param(asked: Asked, name: str, default: CRS) -> CRS:
    """Returns the CRS of a parameter: a number, or a spatial reference in JSON."""
    text = asked.get(name)
    return default if text is None else crs_of(name, text, default)


def crs_of(name: str, text: str, default: CRS) -> CRS:
    """Parses a spatial reference, of which `{}` is the default; raises `InvalidRequestError`."""
    reference = int(text) if _NUMBER.fullmatch(text) else parse_json(name, text)
    return crs_of_reference(reference) or default


def envelope(bounds: Sequence[float], crs: CRS) -> dict[str, Any]:
    """Returns left, bottom, right, top as an envelope."""
    names = ("xmin", "ymin", "xmax", "ymax")
    edges = dict(zip(names, map(float, bounds), strict=True))
    return {**edges, "spatialReference": reference_of(crs)}


def point(x: float, y: float, crs: CRS) -> dict[str, Any]:
    """Returns a point."""
    return {"x": x, "y": y, "spatialReference": reference_of(crs)}


def polygon(shape: BaseGeometry) -> dict[str, Any]:
    """Returns polygons as one Esri polygon, without its spatial reference."""
    rings: list[Any] = []
    for part in shapely.get_parts(shape):
        clockwise = shapely.orient_polygons(part, exterior_cw=True)
        rings += [shapely.get_coordinates(ring).tolist() for ring in _rings(clockwise)]
    return {"rings": rings}


def _rings(part: Polygon) -> list[BaseGeometry]:
    return [part.exterior, *part.interiors]


def geometry_of(asked: Asked, default: CRS, name: str = "geometry") -> Shape | None:
    """Returns the geometry of a request, with its CRS; None if it is not given.

    Points and envelopes may be numbers between commas, the CRS is its own or that of `inSR`, and
    the type is what it looks like: clients often leave `geometryType` out. Rings fill by the
    even-odd rule; a long one takes a while, so it is nothing for the event loop.
    """
    text = asked.get(name)
    if text is None:
        return None
    crs = crs_param(asked, "inSR", default)
    if text.lstrip()[:1] == "{":
        given = parse_json(name, text)
        crs = crs_of_reference(given.get("spatialReference")) or crs
    else:
        given = _of_numbers(asked, name)
    kind = _TYPES.get((asked.get("geometryType") or "").lower())
    shape = _shape(name, given, kind)
    xy = shapely.get_coordinates(shape)
    most = asked.services.settings.max_vertices
    if len(xy) > most:
        raise InvalidRequestError(
            f"{name} has {len(xy):,} vertices, at most {most:,} are read; simplify it"
        )
    if not len(xy) or not (np.abs(xy) < FARTHEST).all():
        raise InvalidRequestError(f"{name} has no coordinates, or some far off the globe")
    return Shape(crs, even_odd(shape))


def _of_numbers(asked: Asked, name: str) -> dict[str, Any]:
    numbers = asked.numbers(name)
    if len(numbers) == 2:
        return {"x": numbers[0], "y": numbers[1]}
    if len(numbers) == 4:
        return dict(zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=True))
    raise InvalidRequestError(f"{name} must be JSON, x,y or xmin,ymin,xmax,ymax")


def _shape(name: str, given: Mapping[str, Any], kind: str | None) -> BaseGeometry:
    try:
        if "x" in given:
            return shapely.Point(number_of(name, given["x"]), number_of(name, given.get("y")))
        if "points" in given:
            return MultiPoint(_positions(given["points"]))
        if "paths" in given:
            return MultiLineString([LineString(_positions(path)) for path in given["paths"]])
        if "rings" in given:
            return _polygons(given["rings"])
        if "xmin" in given:
            edges = (number_of(name, given.get(edge)) for edge in ("xmin", "ymin", "xmax", "ymax"))
            return box(*edges)
    except (
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        shapely.errors.ShapelyError,
    ) as error:
        raise InvalidRequestError(f"{name} makes no {kind or 'geometry'}: {error}") from error
    raise InvalidRequestError(f"{name} must be a point, points, paths, rings or an envelope")


def _positions(given: Any) -> list[tuple[float, float]]:
    return [(number_of("coordinate", at[0]), number_of("coordinate", at[1])) for at in given]


def _polygons(rings: Any) -> BaseGeometry:
    """Returns each ring as a polygon: the even-odd rule, whichever way they run, is for later."""
    if len(rings) > _MOST_RINGS:
        raise InvalidRequestError(f"a polygon of {len(rings):,} rings: it may have {_MOST_RINGS}")
    return MultiPolygon([Polygon(_positions(ring)) for ring in rings])


def moved(shape: BaseGeometry, source: CRS, target: CRS) -> BaseGeometry:
    """Projects the vertices of a shape; ones without a place become infinite.

    Raises `InvalidRequestError` where the CRSs are of different bodies.
    """
    if source == target:
        return shape
    try:
        way = transformer(source, target)
    except NoTransformError as error:
        raise InvalidRequestError(
            f"{source.to_string()[:40]} and {target.to_string()[:40]} are of different bodies"
        ) from error
    return shapely.transform(shape, lambda xy: np.column_stack(way.transform(*xy.T)))

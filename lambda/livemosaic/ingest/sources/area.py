"""Areas of a search, as people give them: GeoJSON, WKT or a box, in a file or as text."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import lonlat_boxes, wrapped
from livemosaic.geo.polygons.even_odd import even_odd

_WKT: Final = re.compile(
    r"(POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION)\s*Z?M?"
    r"\s*\(",
    re.IGNORECASE,
)
_NUMBER: Final = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"
_BOX: Final = re.compile(rf"{_NUMBER}(,{_NUMBER}){{3}}", re.ASCII)
_FORMS: Final = "a GeoJSON file, GeoJSON, WKT, or west,south,east,north in degrees"


def parse_area(text: str) -> BaseGeometry:
    """Parses an area, or the file of one that `text` names, in degrees within ±180.

    A Feature is its geometry, a FeatureCollection the union of its Features. Of a box west may
    exceed east: it crosses the antimeridian. Longitudes up to 360 wrap. Raises
    `InvalidRequestError` for anything else.
    """
    found = _parsed(text)
    if found is None:
        found = _parsed(_contents(text))
    if found is None:
        raise InvalidRequestError(f"{text[:80]!r} holds neither GeoJSON nor WKT")
    return _checked(found, text)


def _parsed(text: str) -> BaseGeometry | None:
    """Returns the geometry of a text; None if it is neither GeoJSON, WKT nor a box."""
    text = text.strip()
    if _BOX.fullmatch(text):
        west, south, east, north = (float(number) for number in text.split(","))
        return shapely.union_all(lonlat_boxes((west, south, east, north)))
    try:
        if _WKT.match(text):
            return shapely.from_wkt(text)
        if text.startswith("{"):
            return shapely.union_all([shape(part) for part in _geometries(json.loads(text))])
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidRequestError(
            f"area {text[:80]!r} cannot be read: {str(error)[:200]}"
        ) from error
    return None


def _geometries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    match document.get("type"):
        case "FeatureCollection":
            for feature in document["features"]:
                yield from _geometries(feature)
        case "Feature":
            if document["geometry"] is not None:
                yield document["geometry"]
        case _:
            yield document


def _contents(name: str) -> str:
    try:
        return Path(name).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"area {name[:80]!r} is not {_FORMS}: {error}") from error


def _checked(found: BaseGeometry, text: str) -> BaseGeometry:
    xy = shapely.get_coordinates(found)
    if len(xy) == 0:
        raise InvalidRequestError(f"area {text[:80]!r} is empty")
    if not (np.abs(xy) <= (360.0, 90.0)).all():
        raise InvalidRequestError(
            f"area {text[:80]!r} has places beyond ±360 and ±90: it must be in degrees, longitude "
            "first"
        )
    flat = shapely.force_2d(found)
    return wrapped(even_odd(flat))

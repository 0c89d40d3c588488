"""Items of a mosaic as rows of ArcGIS's catalogue: fields and attributes."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import shapely
from rasterio.crs import CRS

from livemosaic.api.routes.arcgis.values.geometry import moved, polygon
from livemosaic.api.routes.arcgis.values.rules import CATEGORY, NAME, OBJECT_ID, PRIMARY
from livemosaic.errors import InvalidRequestError
from livemosaic.index.object_ids.numbers import number_of_scene
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.model.time import parse_time
from livemosaic.services import Services
from livemosaic.tiler.views import lonlat_on

_LISTED: Final = 50
"""Items by which the types of properties are known."""
_TIMED: Final = 1000
_STRING: Final = "esriFieldTypeString"
_LENGTH: Final = 512
TIME: Final = "datetime"
_BASE: Final[dict[str, str]] = {
    OBJECT_ID: "esriFieldTypeOID",
    NAME: _STRING,
    "collection": _STRING,
    TIME: "esriFieldTypeDate",
    CATEGORY: "esriFieldTypeInteger",
}


def fields_of(services: Services, mosaic: Mosaic) -> list[dict[str, Any]]:
    """Returns the fields: the ones of every mosaic, and the properties that this one keeps.

    A property has the type of its values in some Items: numbers, or else text.
    """
    scenes, _ = services.index.list_scenes(mosaic, limit=_LISTED) if mosaic.reach else ([], None)
    kept = [name for name in mosaic.fields if name not in _BASE]
    types = _BASE | {name: _type(scene.properties.get(name) for scene in scenes) for name in kept}
    return [_field(name, kind) for name, kind in types.items()]


def _type(values: Iterable[object]) -> str:
    given = [value for value in values if value is not None]
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    return "esriFieldTypeDouble" if given and is_number else _STRING


def _field(name: str, kind: str) -> dict[str, Any]:
    length = {"length": _LENGTH} if kind == _STRING else {}
    return {"name": name, "type": kind, "alias": name, "domain": None, **length}


def names_of(fields: Iterable[Mapping[str, Any]], wanted: str | None) -> list[str]:
    """Returns the fields that `outFields` names, in any case; raises for one that is not there."""
    known = {str(field["name"]).lower(): str(field["name"]) for field in fields}
    if wanted is None:
        return [OBJECT_ID]
    asked = [name.strip() for name in wanted.split(",") if name.strip()]
    if "*" in asked:
        return list(known.values())
    if strange := [name for name in asked if name.lower() not in known]:
        raise InvalidRequestError(
            f"there is no field {strange[0][:80]!r}; there are {', '.join(known.values())}"
        )
    return [known[name.lower()] for name in asked]


def attributes_of(scene: Scene, names: Collection[str]) -> dict[str, Any]:
    """Returns some attributes of an item by name; times in milliseconds since 1970."""
    found: dict[str, Any] = {}
    for name in names:
        value = attribute_of(scene, name)
        is_plain = isinstance(value, str | int | float | None) and not isinstance(value, bool)
        is_finite = not isinstance(value, float) or math.isfinite(value)
        found[name] = value if is_plain and is_finite else str(value)
    return found


def attribute_of(scene: Scene, name: str) -> Any:
    """Returns one attribute; None where the item has none."""
    if name == OBJECT_ID:
        return number_of_scene(scene)
    if name == NAME:
        return scene.id
    if name == "collection":
        return scene.collection
    if name == CATEGORY:
        return PRIMARY
    if name == TIME:
        return None if scene.datetime is None else milliseconds(scene.datetime)
    return scene.properties.get(name)


def milliseconds(time: str) -> int:
    """Returns a time of RFC 3339 in milliseconds since 1970."""
    return round(parse_time(time).timestamp() * 1000)


def footprint_of(scene: Scene, mosaic: Mosaic, crs: CRS) -> dict[str, Any] | None:
    """Returns the footprint in a CRS as an Esri polygon; None where it has no place there."""
    shape = moved(scene.footprint, lonlat_on(mosaic), crs)
    if not all(map(abs_is_finite, shapely.get_coordinates(shape).ravel())):
        return None
    return polygon(shape)


def abs_is_finite(number: float) -> bool:
    """Whether a coordinate has a place."""
    return abs(number) < 1e12


def time_extent(services: Services, mosaic: Mosaic) -> list[int] | None:
    """Returns the first and the last time of up to a thousand items, in milliseconds since 1970.

    None without any. An index does not know the times of all of its items.
    """
    scenes, _ = services.index.list_scenes(mosaic, limit=_TIMED) if mosaic.reach else ([], None)
    times = sorted(milliseconds(scene.datetime) for scene in scenes if scene.datetime)
    return [times[0], times[-1]] if times else None

"""Parameters of STAC API searches, of a query (GET) or a body (POST)."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, shape
from shapely.geometry.base import BaseGeometry

from livemosaic.api.params.box import lonlat_bbox
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.geo.polygons.even_odd import even_odd
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.stac.search import SceneSearch

MAX_LIMIT: Final = 500
_MAX_IDS: Final = 100
_MAX_COLLECTIONS: Final = 100
_MAX_VERTICES: Final = 10_000
_TIME: Final = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
_TIMES: Final = re.compile(rf"{_TIME}|{_TIME}/(\.\.)?|(\.\.)?/{_TIME}|{_TIME}/{_TIME}", re.ASCII)

Language = Literal["cql2-text", "cql2-json"]


class SearchBody(BaseModel):
    """A search (STAC API - Item Search)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collections: list[str] | None = Field(None, max_length=_MAX_COLLECTIONS)
    ids: list[str] | None = Field(None, max_length=_MAX_IDS)
    bbox: list[float] | None = Field(
        None, description="West, south, east, north in degrees; or six numbers, with heights"
    )
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON geometry")
    datetime: str | None = Field(
        None, max_length=100, description="RFC 3339 time or interval; one end may be `..`"
    )
    limit: int = Field(10, ge=1, description=f"Items of a page; at most {MAX_LIMIT} are returned")
    filter: str | dict[str, Any] | None = Field(None, description="CQL2 filter")
    filter_lang: Language | None = Field(
        None, alias="filter-lang", description="By default as `filter` is text or an object"
    )
    token: str = Field("", max_length=1200, description="Page token, from a `next` link")

    def search(self) -> SceneSearch:
        """Returns the search; raises `InvalidRequestError` where it is invalid."""
        if self.bbox is not None and self.intersects is not None:
            raise InvalidRequestError("bbox and intersects are given at once: give one of them")
        place = None if self.bbox is None else _box(self.bbox)
        if self.intersects is not None:
            place = geometry_of(self.intersects)
        times = {} if self.datetime is None else {"datetime": _times(self.datetime)}
        return SceneSearch(ids=tuple(self.ids or ()), place=place, rule=times | self._filter())

    def _filter(self) -> dict[str, str]:
        if self.filter is None:
            return {}
        is_text = isinstance(self.filter, str)
        language = self.filter_lang or ("cql2-text" if is_text else "cql2-json")
        text = self.filter if isinstance(self.filter, str) else json.dumps(self.filter)
        if language == "cql2-text" and not is_text:
            raise InvalidRequestError("filter is an object, and filter-lang cql2-text")
        _ = Cql2Filter.parse(text) if language == "cql2-text" else Cql2Filter.parse_json(text)
        return {"filter": text, "filter_lang": language}


def search_body(**values: Any) -> SearchBody:
    """Returns the search of a query, without the values that are None."""
    given = {name: value for name, value in values.items() if value is not None}
    if "filter" not in given:
        given.pop("filter_lang", None)
    try:
        return SearchBody(**given)
    except ValidationError as error:
        problems = (f"{p['loc'][0]}: {p['msg']}" for p in error.errors()[:5])
        raise InvalidRequestError("; ".join(problems)) from error


def listed(text: str | None) -> list[str] | None:
    """Returns the values of a list in a query; None without one."""
    return None if text is None else [part for part in text.split(",") if part]


def box_numbers(text: str | None) -> list[float] | None:
    """Returns the numbers of a box in a query; None without one."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidRequestError(f"bbox {text!s:.80} must be four or six numbers") from error


def json_object(text: str | None) -> dict[str, Any] | None:
    """Returns the JSON object of a geometry in a query; None without one."""
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"intersects {text!s:.80} is not JSON") from error
    if text is not None and not isinstance(found, dict):
        raise InvalidRequestError(f"intersects {text!s:.80} is no GeoJSON geometry")
    return found


def geometry_of(document: Mapping[str, Any]) -> BaseGeometry:
    """Parses a GeoJSON geometry of any type, in degrees; raises `InvalidRequestError`."""
    kind = str(document.get("type"))[:40]
    try:
        with np.errstate(invalid="ignore"):
            found: BaseGeometry = shapely.force_2d(shape(document))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidRequestError(f"intersects, a {kind}, is no GeoJSON geometry") from error
    places = shapely.get_coordinates(found)
    if not 0 < len(places) <= _MAX_VERTICES:
        raise InvalidRequestError(
            f"intersects has {len(places):,} vertices; it must have 1 to {_MAX_VERTICES:,}"
        )
    if not (np.abs(places) <= (180.0, 90.0)).all():
        raise InvalidRequestError("intersects has places that are not within ±180 and ±90 degrees")
    return even_odd(found)


def _box(given: Sequence[float]) -> BaseGeometry:
    if len(given) == 6:
        given = [*given[:2], *given[3:5]]
    boxes = lonlat_boxes(lonlat_bbox(",".join(map(repr, given))))
    return boxes[0] if len(boxes) == 1 else MultiPolygon(boxes)


def _times(text: str) -> str:
    if not _TIMES.fullmatch(text):
        raise InvalidRequestError(
            f"datetime {text[:80]!r} must be an RFC 3339 time, or two of them around a slash, of "
            "which one may be `..`"
        )
    return text

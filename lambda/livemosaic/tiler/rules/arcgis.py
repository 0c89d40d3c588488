"""Translates ArcGIS's mosaic rules to request parameters. Pure.

Sources: "Mosaic rules" in the ArcGIS REST API; `esriMosaicMethod` and `rstMosaicOperatorType` of
the ArcGIS Enterprise SDK; "Standardized queries" of ArcGIS Server for `where`. Names of methods are
also taken as services list them (`ByAttribute`), and as ArcGIS's SDK for JavaScript writes them
(`lock-raster`).
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, NoTransformError, body_of, transformer
from livemosaic.model.raster import LonLat
from livemosaic.model.rule import Method, Operation
from livemosaic.model.time import parse_period, utc_text
from livemosaic.tiler.rules.spatial_reference import crs_of_reference

_METHODS: Final[dict[str, Method]] = {
    "none": "default",
    "center": "center",
    "nadir": "nadir",
    "viewpoint": "viewpoint",
    "attribute": "attribute",
    "lockraster": "lock",
    "northwest": "northwest",
    "seamline": "seamline",
}
_OPERATIONS: Final[dict[str, Operation]] = {
    "first": "first",
    "last": "last",
    "min": "min",
    "max": "max",
    "mean": "mean",
    "blend": "blend",
    "sum": "sum",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS: Final = re.compile(r"-?\d{5,}", re.ASCII)
"""More digits than a year has."""
_YEARS: Final = range(1000, 10_000)
"""Numbers that are rather years than the first seconds of 1970."""
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<time>(?:DATE|TIMESTAMP)\s*'(?P<moment>[^']*)')
      | (?P<text>'(?:[^']|'')*')
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
      | (?P<function>(?!(?:IN|AND|OR|NOT|BETWEEN|LIKE)\b)[A-Za-z_][\w:.]*)\s*\(
      | (?P<name>[A-Za-z_][\w:.]*|"[^"]+")
      | (?P<sign><>|!=|<=|>=|[=<>(),-])
    )""",
    re.VERBOSE | re.IGNORECASE,
)


def parameters(text: str, lonlat: CRS = LONLAT) -> dict[str, Any]:
    """Returns the parameters, as `parse` takes them, that mean the same as a mosaic rule in JSON.

    `lonlat` is longitude and latitude on the body of the mosaic, which a viewpoint must be on, too.
    Raises `InvalidRequestError` for what is not understood. Fields that a method does not use are
    ignored: clients send them whatever the method is.
    """
    rule = {name: value for name, value in _read(text).items() if value is not None}
    named = rule.get("mosaicMethod")
    method = None if named is None else _named("mosaicMethod", named, _METHODS)
    found: dict[str, Any] = {} if method is None else {"method": method}
    fields = _FIELDS | {"viewpoint": partial(_viewpoint, lonlat=lonlat)}
    for name, value in rule.items():
        read = fields.get(name)
        if read is None:
            raise InvalidRequestError(
                f"mosaicRule has {name[:80]!r}, which is not known here; known are "
                f"{', '.join(fields)}"
            )
        if method is None or _OF_METHOD.get(name, method) == method:
            found |= read(value)
    if "sortby" in found and "sort_value" in found:
        found["sort_value"] = _base(found["sortby"], found["sort_value"])
    return found


def _read(text: str) -> Mapping[str, Any]:
    try:
        rule = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"mosaicRule {text[:80]!r} is not JSON: {error}") from error
    if not isinstance(rule, dict):
        raise InvalidRequestError(f"mosaicRule {text[:80]!r} is not a JSON object")
    return rule


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a member twice")
    return found


def _named(what: str, given: object, known: Mapping[str, Any]) -> Any:
    plain = re.sub(r"^esrimosaic|^mt_|^by(?=attribute)|[-_ ]", "", str(given).lower())
    if plain not in known:
        raise InvalidRequestError(
            f"{what} {str(given)[:80]!r} is not known; known are {', '.join(known)}"
        )
    return known[plain]


def _sort_field(value: object) -> dict[str, Any]:
    return {"sortby": f"+{_text('sortField', value)}"}


def _sort_value(value: object) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidRequestError(f"sortValue {str(value)[:80]!r} must be a number or text")
    return {"sort_value": value}


def _base(sortby: str, value: str | float) -> str | float:
    """Converts milliseconds since 1970, as ArcGIS writes times, to a time."""
    if sortby != "+datetime" or (isinstance(value, str) and not _MILLISECONDS.fullmatch(value)):
        return value
    return utc_text(_moment("sortValue", int(value) if isinstance(value, str) else value))


def _moment(what: str, milliseconds: object) -> datetime:
    given = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    number: Any = milliseconds if given else None
    try:
        time = _EPOCH + timedelta(milliseconds=number)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"{what} {str(milliseconds)[:80]!r} must be a time in milliseconds since 1970"
        ) from error
    if number in _YEARS:
        raise InvalidRequestError(f"{what} {number} must be in milliseconds since 1970, not a year")
    return time


def _time(value: object) -> dict[str, Any]:
    """Reads a time instant, or an extent of two: `[start, end]` or `"start, end"`, null is open.

    As exportImage's parameter `time` has them (ArcGIS REST API). Both ends are included.
    """
    given = _numbers(value) if isinstance(value, str) else value
    ends = given if isinstance(given, list) else [given, given]
    if len(ends) == 1:
        ends *= 2
    if len(ends) != 2:
        raise InvalidRequestError(f"time {str(value)[:80]!r} must be an instant or [start, end]")
    since, until = (None if end is None else _moment("time", end) for end in ends)
    if since is None and until is None:
        return {}
    first = "" if since is None else utc_text(since)
    # Times have microseconds here, of which a millisecond has a thousand.
    last = "" if until is None else utc_text(until + timedelta(microseconds=999))
    return {"datetime": f"{first}/{last}"}


def _numbers(text: str) -> list[object]:
    try:
        found: list[object] = json.loads(f"[{text.lower()}]")  # NULL
    except (ValueError, RecursionError):
        found = [text]
    return found


def _ascending(value: object) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"ascending {str(value)[:80]!r} must be true or false")
    return {"ascending": value}


def _ids(name: str, value: object) -> list[str]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str | int) for one in given):
        raise InvalidRequestError(f"{name} {str(value)[:80]!r} must be a list of Item ids")
    return [str(one).strip() for one in given]


def _viewpoint(value: object, lonlat: CRS) -> dict[str, Any]:
    point = value if isinstance(value, dict) else {}
    x, y = point.get("x"), point.get("y")
    if not (isinstance(x, int | float) and isinstance(y, int | float)):
        raise InvalidRequestError(
            f'viewpoint {str(value)[:80]!r} must be a point: {{"x": …, "y": …}}'
        )
    lon, lat = _to_lonlat(crs_of_reference(point.get("spatialReference")) or lonlat, x, y, lonlat)
    return {"viewpoint": f"{lon!r},{lat!r}"}


def _to_lonlat(crs: CRS, x: float, y: float, lonlat: CRS) -> LonLat:
    if crs == lonlat:
        return x, y
    try:
        lon, lat = transformer(crs, lonlat).transform(x, y)
    except NoTransformError as error:
        raise InvalidRequestError(
            f"viewpoint is on another body, {body_of(crs)}: the mosaic is of {body_of(lonlat)}"
        ) from error
    except (ProjError, OverflowError):
        lon = lat = math.nan
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise InvalidRequestError(
            f"viewpoint {x!r}, {y!r} is no place on the globe in {crs.to_string()[:80]}"
        )
    return float(lon), float(lat)


def _item_render(value: object) -> dict[str, Any]:
    function = value.get("rasterFunction") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(function, str) or len(value) > 1:
        raise InvalidRequestError(
            f"itemRenderingRule {str(value)[:80]!r} must name a render of the mosaic, and no more: "
            '{"rasterFunction": "NAME"}'
        )
    return {"item_render": function}


def _where(value: object) -> dict[str, Any]:
    text = _text("where", value)
    return {"filter": " ".join(_cql2(text))} if text.strip() else {}


def _cql2(sql: str) -> Iterator[str]:
    """Yields the words of CQL2 text equivalent to an SQL where clause."""
    end = 0
    rest = sql.rstrip()
    while end < len(rest):
        found = _TOKEN.match(rest, end)
        if found is None or found["function"]:
            strange = found["function"] + "(…)" if found else rest[end:].strip()[:20]
            raise InvalidRequestError(
                f"where has {strange!r}, which is not read; comparisons of properties with "
                "numbers, text, date '2026-01-31' and timestamp '2026-01-31 12:00:00' are, and "
                "AND, OR, NOT, IN, LIKE, BETWEEN, IS NULL"
            )
        end = found.end()
        yield _word(found)


def _word(found: re.Match[str]) -> str:
    if found["time"]:
        return f"TIMESTAMP('{utc_text(_day_or_time(found['moment']))}')"
    return "<>" if found["sign"] == "!=" else found[0].strip()


def _day_or_time(text: str) -> datetime:
    """Parses a time, or a day, of which SQL compares the midnight."""
    try:
        first, last = parse_period(text)
    except ValueError:
        first, last = _EPOCH, datetime.max.replace(tzinfo=UTC)
    if last - first >= timedelta(days=1):
        raise InvalidRequestError(
            f"where has the time {text[:80]!r}, which must be like '2026-01-31' or "
            "'2026-01-31 12:00:00'"
        )
    return first


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name} {str(value)[:80]!r} must be text")
    return value


def _refused(value: object) -> dict[str, Any]:
    raise InvalidRequestError(
        f"multidimensionalDefinition {str(value)[:80]!r} is not read: Items of a mosaic have no "
        "dimensions beside place and time; filter by `where`"
    )


_FIELDS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "mosaicMethod": lambda _: {},
    "where": _where,
    "sortField": _sort_field,
    "sortValue": _sort_value,
    "ascending": _ascending,
    "lockRasterIds": lambda ids: {"lock": _ids("lockRasterIds", ids)},
    "fids": lambda ids: {"ids": _ids("fids", ids)},
    "mosaicOperation": lambda name: {
        "operation": _named("mosaicOperation", name, _OPERATIONS),
    },
    "itemRenderingRule": _item_render,
    "time": _time,
    "multidimensionalDefinition": _refused,
}
_OF_METHOD: Final[dict[str, Method]] = {
    "sortField": "attribute",
    "sortValue": "attribute",
    "lockRasterIds": "lock",
    "viewpoint": "viewpoint",
}
"""Fields that only one method uses."""

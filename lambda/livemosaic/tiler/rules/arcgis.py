"""Translates ArcGIS's mosaic rules to request parameters. Pure.

Sources: "Mosaic rules" in the ArcGIS REST API; `esriMosaicMethod` and `rstMosaicOperatorType` of
the ArcGIS Enterprise SDK; "Standardized queries" of ArcGIS Server for `where`. Names of methods are
also taken as services list them (`ByAttribute`), and as ArcGIS's SDK for JavaScript writes them
(`lock-raster`).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rasterio.crs import CRS
from rasterio.errors import CRSError

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, NoTransformError, transformer
from livemosaic.model.raster import LonLat
from livemosaic.model.rule import Method, Operation
from livemosaic.model.time import parse_time, utc_text

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
_WEB_MERCATOR: Final = (102100, 102113)
"""Esri's numbers of EPSG:3857."""
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


def parameters(text: str) -> dict[str, Any]:
    """Returns the parameters, as `parse` takes them, that mean the same as a mosaic rule in JSON.

    Raises `InvalidRequestError` for what is not understood. Fields that a method does not use are
    ignored: clients send them whatever the method is.
    """
    rule = {name: value for name, value in _read(text).items() if value is not None}
    named = rule.get("mosaicMethod")
    method = None if named is None else _named("mosaicMethod", named, _METHODS)
    found: dict[str, Any] = {} if method is None else {"method": method}
    for name, value in rule.items():
        read = _FIELDS.get(name)
        if read is None:
            raise InvalidRequestError(
                f"mosaicRule has {name[:80]!r}, which is not known here; known are "
                f"{', '.join(_FIELDS)}"
            )
        if method is None or _OF_METHOD.get(name, method) == method:
            found |= read(value)
    if "sortby" in found and "sort_value" in found:
        found["sort_value"] = _base(found["sortby"], found["sort_value"])
    return found


def _read(text: str) -> Mapping[str, Any]:
    try:
        rule = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"mosaicRule {text[:80]!r} is not JSON: {error}") from error
    if not isinstance(rule, dict):
        raise InvalidRequestError(f"mosaicRule {text[:80]!r} is not a JSON object")
    return rule


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
    """Converts times as ArcGIS writes them: with slashes, or in milliseconds since 1970."""
    if isinstance(value, str):
        return re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", value)
    if sortby != "+datetime":
        return value
    try:
        return utc_text(datetime.fromtimestamp(value / 1000, UTC))
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidRequestError(
            f"sortValue {str(value)[:80]} must be a time: text, or milliseconds since 1970"
        ) from error


def _ascending(value: object) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"ascending {str(value)[:80]!r} must be true or false")
    return {"ascending": value}


def _ids(name: str, value: object) -> list[str]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str | int) for one in given):
        raise InvalidRequestError(f"{name} {str(value)[:80]!r} must be a list of Item ids")
    return [str(one).strip() for one in given]


def _viewpoint(value: object) -> dict[str, Any]:
    point = value if isinstance(value, dict) else {}
    x, y = point.get("x"), point.get("y")
    if not (isinstance(x, int | float) and isinstance(y, int | float)):
        raise InvalidRequestError(
            f'viewpoint {str(value)[:80]!r} must be a point: {{"x": …, "y": …}}'
        )
    reference = point.get("spatialReference") or {}
    if not isinstance(reference, dict):
        raise InvalidRequestError(
            f'spatialReference {str(reference)[:80]!r} must be an object, such as {{"wkid": 4326}}'
        )
    wkid = reference.get("latestWkid") or reference.get("wkid") or 4326
    lon, lat = (x, y) if wkid == 4326 else _to_lonlat(wkid, x, y)
    return {"viewpoint": f"{lon!r},{lat!r}"}


def _to_lonlat(wkid: object, x: float, y: float) -> LonLat:
    code = 3857 if wkid in _WEB_MERCATOR else wkid
    try:
        lon, lat = transformer(CRS.from_epsg(code), LONLAT).transform(x, y)
    except (CRSError, NoTransformError, TypeError, ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"viewpoint is in spatialReference {str(wkid)[:80]!r}, which is not known; give "
            "longitude and latitude, wkid 4326"
        ) from error
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
        try:
            return f"TIMESTAMP('{utc_text(parse_time(found['moment']))}')"
        except ValueError as error:
            raise InvalidRequestError(
                f"where has the time {found['moment'][:80]!r}, which is none"
            ) from error
    return "<>" if found["sign"] == "!=" else found[0].strip()


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
    "viewpoint": _viewpoint,
    "fids": lambda ids: {"ids": _ids("fids", ids)},
    "mosaicOperation": lambda name: {
        "operation": _named("mosaicOperation", name, _OPERATIONS),
    },
    "itemRenderingRule": _item_render,
    "multidimensionalDefinition": _refused,
}
_OF_METHOD: Final[dict[str, Method]] = {
    "sortField": "attribute",
    "sortValue": "attribute",
    "lockRasterIds": "lock",
    "viewpoint": "viewpoint",
}
"""Fields that only one method uses."""

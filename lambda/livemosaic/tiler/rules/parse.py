"""Parses the parameters of a mosaic rule, one by one, and refuses what they cannot mean.

`asked` are the parameters of a request or of a mosaic's default, as `parameters.RuleQuery` has
them. All raise `InvalidRequestError`, which names the value.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from livemosaic.errors import InvalidRequestError
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.names import suggested
from livemosaic.model.raster import LonLat
from livemosaic.model.rule import Method, Operation, PixelSelection
from livemosaic.model.time import parse_period, utc_text
from livemosaic.tiler.rules.filter import check_filter
from livemosaic.tiler.rules.literals import with_times

_RENAMED: Final[dict[PixelSelection, Operation]] = {"highest": "max", "lowest": "min"}
"""The pixel selections that are not named as operations are."""
_MAX_NAMES: Final = 100
_MAX_NAME: Final = 1000
"""Bytes of a collection and an id: a table's key takes 1,024."""
_OPEN: Final = ("", "..")
_SLASHED: Final = re.compile(r"\d{4}/\d\d(/\d\d)?", re.ASCII)
"""A month or a day with slashes; no interval, as no year has two digits."""


def method(asked: Mapping[str, Any]) -> Method:
    """Returns the method named, or implied by a parameter that only one method has."""
    implied = [m for name, m in _IMPLIED.items() if name in asked]
    named: Method | None = asked.get("method")
    named = "default" if asked.get("method") == "none" else named
    for one in implied:
        if one != (named or implied[0]):
            raise InvalidRequestError(
                f"parameters of the methods {one!r} and {named or implied[0]!r} are given at "
                "once; a rule has one method"
            )
    return named or (implied[0] if implied else "default")


_IMPLIED: Final[dict[str, Method]] = {
    "sortby": "attribute",
    "viewpoint": "viewpoint",
    "lock": "lock",
}


def sort(asked: Mapping[str, Any], method: Method, mosaic: Mosaic) -> tuple[str, bool]:
    """Returns the property to sort by, and whether ascending."""
    ascending = asked.get("ascending", True)
    if method != "attribute":
        if "sort_value" in asked:
            raise InvalidRequestError("sort_value needs sortby: what of a scene is near it")
        return "", ascending
    text = re.sub("^ ", "+", asked.get("sortby", ""))  # a plus sign that a query means as a space
    field = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if not field:
        raise InvalidRequestError("method 'attribute' needs sortby=PROPERTY, or sortby=-PROPERTY")
    if field != mosaic.sortby.lstrip("+-") or mosaic.rules.fields:
        _check_field(field, mosaic)
    return field, ascending != text.startswith("-")


def base(value: str | float, field: str) -> str | float:
    """Parses the value that scenes are sorted by nearness to: a time where `field` is datetime."""
    if field == "datetime":
        return _base_time(value)
    try:
        finite = math.isfinite(float(value))
    except ValueError:  # a time, or other text
        return value
    except OverflowError:
        finite = False
    if not finite:
        raise InvalidRequestError(f"sort_value {str(value)[:80]!r} must be finite")
    return value


def _base_time(value: str | float) -> str:
    """Returns the start of a year, month or day, or a time, as RFC 3339."""
    whole = isinstance(value, float) and value.is_integer()
    try:
        return utc_text(parse_period(f"{value:.0f}" if whole else str(value))[0])
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"sort_value {str(value)[:80]!r} must be a time, as sortby is datetime: 2026, 2026-01, "
            "2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error


def _check_field(field: str, mosaic: Mosaic) -> None:
    known = _fields(mosaic)
    if "," in field and field not in known:
        raise InvalidRequestError(
            f"sortby {field[:80]!r} has several keys; scenes are sorted by one property, and equal "
            "ones keep the stored order"
        )
    if field not in known:
        raise InvalidRequestError(
            f"sortby {suggested(field[:80], known)} is not a property that can be sorted by; in "
            f"mosaic {mosaic.id!r} there are: {', '.join(known)}"
        )


def _fields(mosaic: Mosaic) -> tuple[str, ...]:
    return mosaic.rules.fields or ("datetime", *mosaic.properties)


def viewpoint(asked: Mapping[str, Any], method: Method) -> LonLat | None:
    """Parses longitude and latitude, where the method has a viewpoint."""
    text = asked.get("viewpoint")
    if method != "viewpoint":
        return None
    try:
        lon, lat = (float(part) for part in (text or "").split(","))
    except ValueError as error:
        raise InvalidRequestError(
            f"viewpoint {(text or '')[:80]!r} must be two numbers: viewpoint=longitude,latitude"
        ) from error
    if not (math.isfinite(lon) and abs(lon) <= 360 and -90 <= lat <= 90):
        raise InvalidRequestError(f"viewpoint {lon:g},{lat:g} must be within ±360 and ±90 degrees")
    return lon, lat


def lock(asked: Mapping[str, Any], method: Method) -> tuple[str, ...]:
    """Parses the scenes of a lock, top first; `id` or `collection/id`."""
    found = items("lock", asked.get("lock", ()))
    if method == "lock" and not found:
        raise InvalidRequestError("method 'lock' needs lock=ID,ID: the scenes to show, top first")
    return found


def items(what: str, given: Iterable[str]) -> tuple[str, ...]:
    """Parses lists of Items between commas, `id` or `collection/id`, for the parameter `what`."""
    names = dict.fromkeys(name for text in given for name in text.split(",") if name)
    if given and not names:
        raise InvalidRequestError(f"{what} names no Item: give ids, or leave it out")
    if len(names) > _MAX_NAMES:
        raise InvalidRequestError(f"{what} names {len(names)} scenes, at most {_MAX_NAMES} can be")
    for name in names:
        if len(name.encode(errors="replace")) > _MAX_NAME or not name.isprintable():
            raise InvalidRequestError(
                f"{what} {name[:80]!r} is no Item id, which has at most {_MAX_NAME} bytes"
            )
    return tuple(names)


def interval(text: str) -> tuple[str | None, str | None]:
    """Parses an instant or interval of STAC API, of times or of whole years, months and days."""
    start, slash, end = text.partition("/")
    try:
        if not slash or _SLASHED.fullmatch(text):
            first, last = parse_period(text)
            return utc_text(first), utc_text(last)
        since = None if start in _OPEN else utc_text(_hyphened(start)[0])
        until = None if end in _OPEN else utc_text(_hyphened(end)[1])
    except (ValueError, OverflowError) as error:
        raise _bad_interval(text) from error
    if (since is None and until is None) or (since and until and since > until):
        raise _bad_interval(text)
    return since, until


def _hyphened(end: str) -> tuple[datetime, datetime]:
    """Parses an end of an interval, where a slash separates the ends and nothing else."""
    if "/" in end:
        raise ValueError(f"{end!r} holds another slash")
    return parse_period(end)


def _bad_interval(text: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"datetime {text[:80]!r} must be a time: 2026, 2026-01, 2026-01-31 or "
        "2026-01-31T12:00:00Z; or two of them around a slash, the earlier first, of which one may "
        "be `..`"
    )


def where(asked: Mapping[str, Any], mosaic: Mosaic) -> Mapping[str, Any] | None:
    """Parses a CQL2 filter to CQL2-JSON, with times as RFC 3339; None without one."""
    text = asked.get("filter")
    if text is None and "filter_lang" in asked:
        raise InvalidRequestError("filter-lang needs a filter: the text that is in this language")
    if text is None:
        return None
    is_json = asked.get("filter_lang") == "cql2-json"
    where = Cql2Filter.parse_json(text) if is_json else Cql2Filter.parse(text)
    check_filter(where, _fields(mosaic), f"mosaic {mosaic.id!r} can be filtered by")
    document: Mapping[str, Any] = with_times(where.document)
    return document


def operation(asked: Mapping[str, Any]) -> Operation:
    """Returns the operation, which may be named as a pixel selection of rio-tiler."""
    if "pixel_selection" in asked and "operation" in asked:
        raise InvalidRequestError("operation and pixel_selection say the same: give one of them")
    named: Any = asked.get("pixel_selection", asked.get("operation", "first"))
    operation: Operation = _RENAMED.get(named, named)
    return operation

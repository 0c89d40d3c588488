"""Parses the rule of a request, completed by the mosaic's default and held to its policy."""

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
from livemosaic.model.rule import DEFAULT, Method, Operation, PixelSelection, Rule
from livemosaic.model.time import parse_period, utc_text
from livemosaic.tiler.rules.filter import check_filter
from livemosaic.tiler.rules.literals import with_times

_RENAMED: Final[dict[PixelSelection, Operation]] = {"highest": "max", "lowest": "min"}
"""The pixel selections that are not named as operations are."""
_ORDER: Final = frozenset({"method", "sortby", "sort_value", "ascending", "viewpoint", "lock"})
"""Parameters of one decision: who names one of them takes none of the others from a default."""
_OPERATION: Final = frozenset({"operation", "pixel_selection"})
_FILTER: Final = frozenset({"filter", "filter_lang"})
_MAX_NAMES: Final = 100
_MAX_NAME: Final = 1000
"""Bytes of a collection and an id: a table's key takes 1,024."""
_OPEN: Final = ("", "..")
_SLASHED: Final = re.compile(r"\d{4}/\d\d(/\d\d)?", re.ASCII)
"""A month or a day with slashes; no interval, as no year has two digits."""


def rule_of(asked: Mapping[str, Any], mosaic: Mosaic) -> Rule:
    """The rule of a request, by its parameters as `api.rule.RuleParameters` types them.

    What it does not name is as the mosaic's `rules` have it. `InvalidRequestError` for what cannot
    be, and for what the mosaic does not allow.
    """
    rules = mosaic.rules
    if not asked and not rules.default and rules.max_scenes is None:
        return DEFAULT
    usual = _parsed(rules.default, mosaic)
    rule = _parsed(_with_default(asked, rules.default), mosaic) if asked else usual
    _check_allowed("method", rule.method, rules.methods, usual.method, mosaic)
    _check_allowed("operation", rule.operation, rules.operations, usual.operation, mosaic)
    return rule


def check_rules(mosaic: Mosaic) -> None:
    """Refuses `rules` that name properties the mosaic does not keep, and an invalid default."""
    rules = mosaic.rules
    for name in filter(None, (*rules.fields, rules.nadir, rules.seamline)):
        if name not in (*mosaic.properties, "datetime"):
            raise InvalidRequestError(
                f"rules name the property {name[:80]!r}, which the mosaic does not keep; it keeps: "
                f"{', '.join(('datetime', *mosaic.properties))}"
            )
    _parsed(rules.default, mosaic)


def _with_default(asked: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    decided = [group for group in (_ORDER, _OPERATION, _FILTER) if not group.isdisjoint(asked)]
    kept = {k: v for k, v in default.items() if not any(k in group for group in decided)}
    return kept | dict(asked)


def _parsed(asked: Mapping[str, Any], mosaic: Mosaic) -> Rule:
    method = _method(asked)
    field, up = _sort(asked, method, mosaic)
    base = _base(asked["sort_value"], field) if "sort_value" in asked else None
    stored = mosaic.sortby.removeprefix("+")
    if method == "attribute" and base is None and (field if up else f"-{field}") == stored:
        method, field, up = "default", "", True
    rules, limits = mosaic.rules, (asked.get("max_scenes"), mosaic.rules.max_scenes)
    kept_in = {"nadir": rules.nadir, "viewpoint": rules.nadir, "seamline": rules.seamline}
    return Rule(
        method=method,
        ascending=up,
        sort_field=field,
        sort_value=base,
        viewpoint=_viewpoint(asked, method),
        kept_in=kept_in.get(method, ""),
        lock=_lock(asked, method),
        datetime=_interval(asked["datetime"]) if "datetime" in asked else None,
        where=_where(asked, mosaic),
        ids=_names("ids", asked.get("ids", ())),
        max_scenes=min((n for n in limits if n is not None), default=None),
        operation=_operation(asked),
        clip=asked.get("clip", False) or method == "seamline",
        min_pixels=asked.get("min_pixels", 0),
        nodata_inside=asked.get("nodata_inside", False),
        item_render=asked.get("item_render", ""),
    )


def _check_allowed(
    what: str, name: str, allowed: Iterable[str], usual: str, mosaic: Mosaic
) -> None:
    if allowed and name not in (usual, *allowed):
        raise InvalidRequestError(
            f"{what} {name!r} is not allowed in mosaic {mosaic.id!r}; allowed are "
            f"{', '.join(dict.fromkeys((usual, *allowed)))}"
        )


def _method(asked: Mapping[str, Any]) -> Method:
    """Returns the method named, or implied by a parameter that only one method has."""
    implied = [m for name, m in _IMPLIED.items() if name in asked]
    named: Method | None = asked.get("method")
    named = "default" if asked.get("method") == "none" else named
    for method in implied:
        if method != (named or implied[0]):
            raise InvalidRequestError(
                f"parameters of the methods {method!r} and {named or implied[0]!r} are given at "
                "once; a rule has one method"
            )
    return named or (implied[0] if implied else "default")


_IMPLIED: Final[dict[str, Method]] = {
    "sortby": "attribute",
    "viewpoint": "viewpoint",
    "lock": "lock",
}


def _sort(asked: Mapping[str, Any], method: Method, mosaic: Mosaic) -> tuple[str, bool]:
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


def _base(value: str | float, field: str) -> str | float:
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


def _viewpoint(asked: Mapping[str, Any], method: Method) -> LonLat | None:
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


def _lock(asked: Mapping[str, Any], method: Method) -> tuple[str, ...]:
    names = _names("lock", asked.get("lock", ()))
    if method == "lock" and not names:
        raise InvalidRequestError("method 'lock' needs lock=ID,ID: the scenes to show, top first")
    return names


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
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


def _interval(text: str) -> tuple[str | None, str | None]:
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


def _where(asked: Mapping[str, Any], mosaic: Mosaic) -> Mapping[str, Any] | None:
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


def _operation(asked: Mapping[str, Any]) -> Operation:
    if "pixel_selection" in asked and "operation" in asked:
        raise InvalidRequestError("operation and pixel_selection say the same: give one of them")
    named: Any = asked.get("pixel_selection", asked.get("operation", "first"))
    operation: Operation = _RENAMED.get(named, named)
    return operation

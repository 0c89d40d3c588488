"""Mosaic rules of ArcGIS requests, whose scenes have numbers."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from livemosaic.api.params.items import find_items
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.errors import InvalidRequestError
from livemosaic.index.object_ids.lookup import scene_numbered
from livemosaic.index.object_ids.numbers import place_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import Method, Operation, Rule
from livemosaic.model.scene import Scene
from livemosaic.services import Services
from livemosaic.tiler.rules.parameters import MAX_RULE_LENGTH, MosaicRuleQuery
from livemosaic.tiler.views import area_of

OBJECT_ID: Final = "OBJECTID"
NAME: Final = "Name"
CATEGORY: Final = "Category"
PRIMARY: Final = 1
"""Category of an item that is no overview."""
_MOST_IDS: Final = 100
_DIGITS: Final = 16
"""Of the largest object id."""
_GROWN: Final = 1e-6
"""Degrees around the cell of a number: its scene may begin on an edge."""
_OPERATIONS_OF: Final[Mapping[Method, tuple[Operation, ...]]] = {
    "seamline": ("first", "blend"),
}
"""Operations of methods that do not go with all of them ("Mosaic rules", ArcGIS REST API)."""
_PLAIN: Final = MosaicRuleQuery.model_validate({})
_WORDS: Final = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|"(?P<quoted>[^"]+)"|(?P<name>[A-Za-z_][\w:.]*)"""
)
_ID: Final = r"\"?objectid\"?"
_ONE_ID: Final = re.compile(
    rf"""'(?:[^']|'')*'|{_ID}\s*(?:(?P<every>>=?\s*-?[01]\b|is\s+not\s+null|<>\s*0\b)
    |=\s*(?P<number>[0-9]+)|in\s*\((?P<list>[0-9\s,]+)\))""",
    re.IGNORECASE | re.VERBOSE,
)


async def rule_param(asked: Asked, mosaic: Mosaic) -> Rule:
    """Returns the rule of `mosaicRule` and `time`; the mosaic's default where they are not given.

    Raises `InvalidRequestError` for what is not understood, and for an operation that does not go
    with the method.
    """
    _check_length("mosaicRule", asked.get("mosaicRule") or "")
    given = asked.object("mosaicRule")
    if given is not None and not isinstance(given, dict):
        raise InvalidRequestError(f"mosaicRule {str(given)[:80]!r} must be a JSON object")
    return await rule_of_arcgis(asked, mosaic, given or {})


async def rule_of_arcgis(asked: Asked, mosaic: Mosaic, given: Mapping[str, Any]) -> Rule:
    """Returns the rule of a mosaic rule, and of the parameter `time` where it has none."""
    if given.get("fids") == []:
        raise InvalidRequestError("fids are empty: leave them out to show every item")
    plain = {name: value for name, value in given.items() if value not in (None, "", [])}
    time = asked.get("time")
    if time is not None and "time" not in plain:
        plain["time"] = time
    if not plain:
        return _PLAIN.to_rule(mosaic)
    plain = await run_in_threadpool(_with_names, asked.services, mosaic, plain)
    written = json.dumps(plain)
    _check_length("the mosaic rule, with names in place of object ids,", written)
    query = MosaicRuleQuery.model_validate({"mosaicRule": written})
    rule = query.to_rule(mosaic)
    _check_operation(rule)
    if named := query.items_named(mosaic, rule):
        await run_in_threadpool(find_items, asked.request, mosaic, named)
    return _as_there(rule, mosaic)


def _check_length(what: str, text: str) -> None:
    if len(text) > MAX_RULE_LENGTH:
        raise InvalidRequestError(
            f"{what} has {len(text):,} characters; it may have {MAX_RULE_LENGTH:,}"
        )


def _check_operation(rule: Rule) -> None:
    allowed = _OPERATIONS_OF.get(rule.method)
    if allowed and rule.operation not in allowed:
        shown = ", ".join(f"MT_{name.upper()}" for name in allowed)
        raise InvalidRequestError(
            f"mosaicOperation MT_{rule.operation.upper()} does not go with the mosaic method "
            f"{rule.method}; {shown} do"
        )


def _as_there(rule: Rule, mosaic: Mosaic) -> Rule:
    """Orders by the distance from the northwestern corner of the service, as ArcGIS does."""
    if rule.method != "northwest" or mosaic.bounds is None:
        return rule
    west, _, _, north = mosaic.bounds
    return replace(rule, viewpoint=(west, north))


def _with_names(services: Services, mosaic: Mosaic, given: Mapping[str, Any]) -> dict[str, Any]:
    """Names scenes in a mosaic rule by the ids of their Items, in place of numbers."""
    found = dict(given)
    for name in ("lockRasterIds", "fids"):
        if name in found:
            found[name] = _names(services, mosaic, name, found[name])
    if isinstance(found.get("where"), str):
        found["where"] = sql_of(services, mosaic, found["where"])
    return found


def _names(services: Services, mosaic: Mosaic, what: str, given: object) -> list[Any]:
    ids = given.split(",") if isinstance(given, str) else given
    if not isinstance(ids, list) or len(ids) > _MOST_IDS:
        raise InvalidRequestError(
            f"{what} {str(given)[:80]!r} must be a list of at most {_MOST_IDS} object ids"
        )
    return [_name(services, mosaic, one) for one in ids]


def _name(services: Services, mosaic: Mosaic, given: object) -> Any:
    number = as_number(given)
    return given if number is None else name_of(scene_of_number(services, mosaic, number))


def as_number(given: object) -> int | None:
    """Returns an object id, of JSON or of text; None for what is none."""
    if isinstance(given, str) and re.fullmatch(r"\s*\d{1,16}\s*", given, re.ASCII):
        return int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def scene_of_number(services: Services, mosaic: Mosaic, number: int) -> Scene:
    """Returns the scene of an object id; raises `InvalidRequestError` where there is none."""
    found = find_scene(services, mosaic, number)
    if found is None:
        raise InvalidRequestError(f"service {mosaic.id!r} has no item of object id {number}")
    return found


def find_scene(services: Services, mosaic: Mosaic, number: int) -> Scene | None:
    """Returns the scene of an object id; None where there is none, as of one that was deleted."""
    place = place_of(number)
    if place is None or mosaic.reach is None:
        return None
    west, south, east, north = place
    grown = west - _GROWN, south - _GROWN, east + _GROWN, north + _GROWN
    area = area_of(mosaic, (max(-180, grown[0]), grown[1], min(180, grown[2]), grown[3]))
    return scene_numbered(services.index, mosaic, area, number, services.settings.max_rows)


def name_of(scene: Scene) -> str:
    """Returns the name by which rules know a scene: `collection/id`, or `id`."""
    return f"{scene.collection}/{scene.id}" if scene.collection else scene.id


def sql_of(services: Services, mosaic: Mosaic, where: str) -> str:
    """Returns an SQL condition with the ids of Items in place of `OBJECTID` and `Name`.

    Raises `InvalidRequestError` for comparisons of `OBJECTID` other than with numbers, and for too
    many of them in the whole condition.
    """
    _check_length("where", where)
    there = _there(services, mosaic, chain.from_iterable(map(_ids, _ONE_ID.finditer(where))))

    def by_name(found: re.Match[str]) -> str:
        if found["every"]:
            return "1 = 1"
        if not (found["number"] or found["list"]):
            return found[0]
        return _sql_of_scenes(there[one] for one in dict.fromkeys(_ids(found)) if one in there)

    return _WORDS.sub(_named, _ONE_ID.sub(by_name, where))


def _ids(found: re.Match[str]) -> list[int]:
    """Returns the object ids of a comparison; a longer number is none of an item."""
    parts = map(str.strip, (found["number"] or found["list"] or "").split(","))
    return [int(one) for one in parts if 0 < len(one) <= _DIGITS]


def _there(services: Services, mosaic: Mosaic, numbers: Iterable[int]) -> dict[int, Scene]:
    wanted = set(numbers)
    if len(wanted) > _MOST_IDS:
        raise InvalidRequestError(f"{len(wanted)} object ids, at most {_MOST_IDS} are looked for")
    found = {number: find_scene(services, mosaic, number) for number in wanted}
    return {number: scene for number, scene in found.items() if scene is not None}


def _sql_of_scenes(scenes: Iterable[Scene]) -> str:
    each = (f"(id = {_quoted(s.id)} AND collection = {_quoted(s.collection)})" for s in scenes)
    return f"({' OR '.join(each) or '1 = 0'})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _named(found: re.Match[str]) -> str:
    name = found["quoted"] or found["name"]
    if name is None:
        return found[0]
    if name.lower() == OBJECT_ID.lower():
        raise InvalidRequestError(
            f"where compares {OBJECT_ID} in a way that is not read: = and IN with numbers are"
        )
    if name == CATEGORY:
        return str(PRIMARY)
    return "id" if name.lower() == NAME.lower() else found[0]

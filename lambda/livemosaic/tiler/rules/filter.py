"""Which scenes a rule lets take part: by time, by name, and by a CQL2 filter. Pure.

A filter (OGC 21-065r2) is asked of what a scene keeps: the mosaic's properties, `datetime`, `id`
and `collection`. A comparison with what a scene does not have is not true.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from cql2 import Expr

from livemosaic.errors import InvalidRequestError
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.model.time import parse_time, utc_text

ALWAYS: Final = ("datetime", "id", "collection")
"""What any filter may name."""
_MAX_FILTER: Final = 4000
"""Characters."""
_MAX_DEPTH: Final = 100
"""Brackets within each other, and minus signs in a row: the parser of the text goes as deep, and
takes the process along with it where they are thousands."""
_MINUS_SIGNS: Final = re.compile(rf"(?:-\s*){{{_MAX_DEPTH}}}")
_MAX_NODES: Final = 500
_OPERATORS: Final = frozenset(
    (
        *("and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/"),
        *("between", "in", "like", "isNull", "casei"),
        *("a_equals", "a_contains", "a_containedBy", "a_overlaps"),
        *("t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals"),
        *("t_finishedBy", "t_finishes", "t_intersects", "t_meets", "t_metBy"),
        *("t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts"),
    )
)
"""Those that `cql2` evaluates, and that ask nothing of a geometry."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What decides it, made ready once for all scenes of a request."""

    ids: frozenset[str]
    since: str
    until: str
    where: Expr | None
    names: tuple[str, ...]
    """Properties that the filter asks for."""

    @classmethod
    def of(cls, rule: Rule) -> "Selection | None":
        """That of a rule; None where all scenes take part."""
        if rule.datetime is None and rule.where is None and not rule.ids:
            return None
        since, until = rule.datetime or (None, None)
        where = None if rule.where is None else Expr(_without_between(rule.where))
        names = tuple(names_of(rule.where)) if rule.where else ()
        return cls(frozenset(rule.ids), since or "", until or "", where, names)

    def takes(self, scene: IndexedScene) -> bool:
        """Whether a scene takes part."""
        if self.ids and self.ids.isdisjoint((scene.id, f"{scene.collection}/{scene.id}")):
            return False
        if (self.since or self.until) and not self._in_time(scene.datetime):
            return False
        return self.where is None or self._passes(self.where, scene)

    def _in_time(self, text: str | None) -> bool:
        if text is None:
            return False
        time = utc_text(parse_time(text))
        return self.since <= time and (not self.until or time <= self.until)

    def _passes(self, where: Expr, scene: IndexedScene) -> bool:
        kept = {name: scene.properties[name] for name in self.names if name in scene.properties}
        if scene.datetime is not None:
            kept["datetime"] = scene.datetime
        document = {"id": scene.id, "collection": scene.collection, "properties": kept}
        try:
            return bool(where.matches(document))
        except Exception:  # noqa: BLE001 (cql2 raises bare Exception where a property is missing)
            return False


def check_text(text: str) -> None:
    """Refuse CQL2 text that is too long, or too deep, to be parsed."""
    if len(text) > _MAX_FILTER:
        raise InvalidRequestError(
            f"the filter has {len(text):,} characters; of CQL2 text at most {_MAX_FILTER:,} are "
            "read"
        )
    depths = accumulate({"(": 1, ")": -1}.get(character, 0) for character in text)
    if max(depths, default=0) > _MAX_DEPTH or _MINUS_SIGNS.search(text):
        raise InvalidRequestError(
            f"the filter nests brackets, or minus signs, more than {_MAX_DEPTH} deep"
        )


def parse_text(text: str) -> Mapping[str, Any]:
    """CQL2 text as JSON; `InvalidRequestError` says what is wrong with it."""
    check_text(text)
    return _as_json(text)


def parse_json(text: str) -> Mapping[str, Any]:
    """CQL2-JSON of a query parameter; `InvalidRequestError` says what is wrong with it."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"filter {text[:80]!r} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidRequestError(f"filter {text[:80]!r} is not an object of CQL2-JSON")
    return _as_json(given)


def _as_json(cql2: str | dict[str, Any]) -> Mapping[str, Any]:
    try:
        found = Expr(cql2).to_json()
    except Exception as error:  # cql2 raises bare Exception
        raise InvalidRequestError(f"filter is not valid CQL2: {str(error)[:500]}") from error
    if not isinstance(found, dict):
        raise InvalidRequestError(f"filter {str(cql2)[:80]!r} compares nothing")
    return found


def check_filter(where: Mapping[str, Any], known: Collection[str], why: str) -> None:
    """Refuse operators that are not evaluated, and names beyond those known and `ALWAYS`.

    `why` tells what the known ones are.
    """
    for count, node in enumerate(_nodes(where), 1):
        if count > _MAX_NODES:
            raise InvalidRequestError(f"the filter has more than {_MAX_NODES} parts")
        if isinstance(node, float) and not math.isfinite(node):
            raise InvalidRequestError(f"the filter has the number {node}, which is not finite")
        if isinstance(node, Mapping) and node.get("op", "=") not in _OPERATORS:
            raise InvalidRequestError(
                f"the filter's operator {str(node['op'])[:80]!r} is not known; known are "
                f"{', '.join(sorted(_OPERATORS))}"
            )
    for name in names_of(where):
        if name not in known and name not in ALWAYS:
            raise InvalidRequestError(
                f"the filter asks for {name[:80]!r}; {why}: {', '.join([*ALWAYS, *known])}"
            )


def names_of(where: Mapping[str, Any]) -> list[str]:
    """The properties that a filter names, each once."""
    nodes = (node for node in _nodes(where) if isinstance(node, Mapping))
    return list(dict.fromkeys(str(node["property"]) for node in nodes if "property" in node))


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    for one in inner:
        yield from _nodes(one)


def _without_between(node: Any) -> Any:
    """A filter with each `between` as two comparisons: `cql2` lets no time be between two."""
    if isinstance(node, Mapping) and node.get("op") == "between":
        value, low, high = map(_without_between, node["args"])
        return {
            "op": "and",
            "args": [{"op": ">=", "args": [value, low]}, {"op": "<=", "args": [value, high]}],
        }
    if isinstance(node, Mapping):
        return {name: _without_between(one) for name, one in node.items()}
    return [_without_between(one) for one in node] if isinstance(node, list) else node

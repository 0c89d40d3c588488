"""CQL2 filters (OGC 21-065r2), of mosaics and of requests.

`cql2` is imported when the first filter is parsed or evaluated: most tiles have none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.model.scene import IndexedScene, Scene

if TYPE_CHECKING:
    from cql2 import Expr

_MAX_TEXT: Final = 4000
"""Characters."""
_MAX_DEPTH: Final = 100
"""Brackets within each other, and minus signs in a row: the parser of CQL2 text recurses as deep,
and where they are thousands it crashes the process."""
_MINUS_SIGNS: Final = re.compile(rf"(?:-\s*){{{_MAX_DEPTH}}}")


@dataclass(frozen=True, eq=False)
class Cql2Filter:
    """A filter, ready to be evaluated."""

    document: Mapping[str, Any]
    """CQL2-JSON, as `parse` returns it; it is not validated again."""

    @classmethod
    def parse(cls, cql2: str | Mapping[str, Any], *, strict: bool = False) -> "Cql2Filter":
        """Parses CQL2 text or JSON; `strict` also validates it by the standard's schema, in 13 ms.

        Raises `InvalidRequestError` for what is not valid, and for text too long or nested too deep
        to be parsed.
        """
        from cql2 import Expr

        if isinstance(cql2, str):
            _check_text(cql2)
        try:
            expr = Expr(cql2 if isinstance(cql2, str) else dict(cql2))
            if strict:
                expr.validate()
            document = expr.to_json()
        except Exception as error:  # cql2 raises bare Exception
            raise InvalidRequestError(f"filter is not valid CQL2: {str(error)[:500]}") from error
        if not isinstance(document, dict):
            raise InvalidRequestError(f"filter {str(cql2)[:80]!r} compares nothing")
        return cls(document)

    @classmethod
    def parse_json(cls, text: str) -> "Cql2Filter":
        """Parses text that holds CQL2-JSON; raises `InvalidRequestError` as `parse` does."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError(f"filter {text[:80]!r} is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise InvalidRequestError(f"filter {text[:80]!r} is not an object of CQL2-JSON")
        return cls.parse(given)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The properties that the filter names, each once."""
        mappings = (node for node in self.nodes() if isinstance(node, Mapping))
        return tuple(dict.fromkeys(str(n["property"]) for n in mappings if "property" in n))

    def nodes(self) -> Iterator[Any]:
        """Every value within the document, itself first."""
        return _nodes(self.document)

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Whether a STAC Item passes; a comparison with a property that it does not have is false.

        Raises `InvalidItemError` for text or numbers that `cql2` cannot read, `InvalidRequestError`
        for a document that `parse` did not return and that is no filter.
        """
        expr = self._expr
        try:
            return bool(expr.matches(dict(item)))
        except (ValueError, OverflowError) as error:  # half a surrogate pair, a long number
            raise InvalidItemError(f"holds what no filter can read: {error}") from error
        except Exception:  # noqa: BLE001 (cql2 raises bare Exception where a property is missing)
            return False  # CQL2: a comparison with null is not true

    @cached_property
    def _expr(self) -> "Expr":
        from cql2 import Expr

        try:
            return Expr(dict(self.document))
        except Exception as error:  # cql2 raises bare Exception
            raise InvalidRequestError(f"filter is not valid CQL2: {str(error)[:500]}") from error


def passes(where: Cql2Filter, scene: IndexedScene | Scene) -> bool:
    """Whether what is kept of a scene passes a filter made by `of_scenes`."""
    kept = {name: scene.properties[name] for name in where.names if name in scene.properties}
    if scene.datetime is not None:
        kept["datetime"] = scene.datetime
    try:
        return where.matches({"id": scene.id, "collection": scene.collection, "properties": kept})
    except InvalidItemError:
        return False


def of_scenes(document: Mapping[str, Any]) -> Cql2Filter:
    """A filter of what is kept of scenes: each `between` becomes two comparisons, as `cql2`
    evaluates no `between` of times."""
    return Cql2Filter(_without_between(document))


def _of_between(args: Any) -> list[Any]:
    """Returns value, low and high; drafts of CQL2, and clients, have the latter in a list."""
    flat = list(args) if isinstance(args, list) else []
    if len(flat) == 2 and isinstance(flat[1], list):
        flat = [flat[0], *flat[1]]
    if len(flat) != 3:
        raise InvalidRequestError("the filter's `between` needs three arguments: value, low, high")
    return flat


def _without_between(node: Any) -> Any:
    if isinstance(node, Mapping) and node.get("op") == "between":
        value, low, high = map(_without_between, _of_between(node["args"]))
        return {
            "op": "and",
            "args": [{"op": ">=", "args": [value, low]}, {"op": "<=", "args": [value, high]}],
        }
    if isinstance(node, Mapping):
        return {name: _without_between(one) for name, one in node.items()}
    return [_without_between(one) for one in node] if isinstance(node, list) else node


def _check_text(text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise InvalidRequestError(
            f"the filter has {len(text):,} characters; of CQL2 text at most {_MAX_TEXT:,} are read"
        )
    depths = accumulate({"(": 1, ")": -1}.get(character, 0) for character in text)
    if max(depths, default=0) > _MAX_DEPTH or _MINUS_SIGNS.search(text):
        raise InvalidRequestError(
            f"the filter nests brackets, or minus signs, more than {_MAX_DEPTH} deep"
        )


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    for one in inner:
        yield from _nodes(one)

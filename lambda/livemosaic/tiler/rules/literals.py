"""Literals of CQL2 filters: times in every form that requests may use, and values of a wrong kind.

`cql2` compares a time with text as text, and a number with text never: either selects scenes that
were not asked for, or none, without a word.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from livemosaic.errors import InvalidRequestError
from livemosaic.model.time import parse_period, utc_text

_TIME: Final = "datetime"
_TEXTS: Final = ("id", "collection")
_FLIPPED: Final = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""Comparisons, as they are with their sides exchanged."""
_LOGIC: Final = ("and", "or", "not")


def with_times(node: Any) -> Any:
    """Returns CQL2-JSON whose comparisons of `datetime` are with times, whole periods included.

    `'2026-01'`, `DATE('2026-01-31')` and other periods count whole: `=` is within, `>` after, `<=`
    until their end. Raises `InvalidRequestError` for what is no time.
    """
    if isinstance(node, list):
        return [with_times(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    ends = node.get("interval") or [node[kind] for kind in ("date", "timestamp") if kind in node]
    for end in ends if isinstance(ends, list) else ():
        if end != ".." and not _is_computed(end):
            _period(end)
    operator, args = node.get("op"), node.get("args")
    if isinstance(args, list) and args:
        if operator in _FLIPPED and len(args) == 2 and _is_time(args[1]) and not _is_time(args[0]):
            operator, args = _FLIPPED[str(operator)], args[::-1]
        if _is_time(args[0]) and (compared := _compared(str(operator), args)):
            return compared
    return {name: with_times(one) for name, one in node.items()}


def _is_time(node: object) -> bool:
    return isinstance(node, Mapping) and node.get("property") == _TIME


def _compared(operator: str, args: Sequence[Any]) -> Any:
    """Returns a comparison of `datetime` with whole periods; None for anything else."""
    literals = args[1] if operator == "in" and isinstance(args[-1], list) else args[1:]
    count = {"between": 2, "in": len(literals)}.get(operator, 1 if operator in _FLIPPED else 0)
    if not count or len(literals) != count or any(map(_is_computed, literals)):
        return None
    periods = [_period(literal) for literal in literals]
    start, end = periods[0]
    if operator == "between":
        return _join("and", [_at(">=", start), _at("<=", periods[1][1])])
    if operator == "in":
        return _join("or", [_within(*period) for period in periods])
    if operator in ("=", "<>"):
        inside = _within(start, end)
        return inside if operator == "=" else {"op": "not", "args": [inside]}
    return _at(operator, start if operator in ("<", ">=") else end)


def _is_computed(node: object) -> bool:
    """Whether an operand is no literal: a property, or a function."""
    return isinstance(node, list) or (
        isinstance(node, Mapping) and not node.keys() & {"date", "timestamp"}
    )


def _period(literal: Any) -> tuple[datetime, datetime]:
    given = (
        literal.get("date", literal.get("timestamp")) if isinstance(literal, Mapping) else literal
    )
    try:
        return parse_period(given if isinstance(given, str) else "")
    except ValueError as error:
        raise InvalidRequestError(
            f"the filter has {str(given)[:80]!r} for a time, which must be like '2026', "
            "'2026-01-31' or '2026-01-31T12:00:00Z'"
        ) from error


def _at(operator: str, time: datetime) -> dict[str, Any]:
    return {"op": operator, "args": [{"property": _TIME}, {"timestamp": utc_text(time)}]}


def _within(start: datetime, end: datetime) -> dict[str, Any]:
    if start == end:
        return _at("=", start)
    return _join("and", [_at(">=", start), _at("<=", end)])


def _join(operator: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"op": operator, "args": parts}


def check_literals(node: Any) -> None:
    """Raises `InvalidRequestError` for comparisons that can never be true.

    With null, with a range that is empty, and of an id with a number.
    """
    for name, kind, literal in _compared_literals(node):
        if literal is None:
            raise InvalidRequestError(f"the filter compares {name[:80]!r} with null: write IS NULL")
        if name in _TEXTS and kind != "text":
            raise InvalidRequestError(
                f"the filter compares {name!r} with a {kind}: it is text, write '{literal}'"
            )
    for low, high in _ranges(node):
        if low > high:
            raise InvalidRequestError(
                f"the filter has BETWEEN {low!r} AND {high!r}, which nothing is: the smaller first"
            )


def _ranges(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, list):
        for one in node:
            yield from _ranges(one)
    elif isinstance(node, Mapping):
        args = node.get("args")
        if node.get("op") == "between" and isinstance(args, list) and len(args) == 3:
            kinds = {_kind_of_literal(end) for end in args[1:]}
            if kinds in ({"number"}, {"text"}):
                yield args[1], args[2]
        yield from _ranges(list(node.values()))


def _kind_of_literal(literal: object) -> str | None:
    """Returns the kind of a literal; `null` for None, and None for what is computed."""
    if literal is None:
        return "null"
    if isinstance(literal, bool):
        return "boolean"
    if isinstance(literal, int | float):
        return "number"
    if isinstance(literal, str):
        return "text"
    return (
        "time" if isinstance(literal, Mapping) and literal.keys() & {"date", "timestamp"} else None
    )


def _compared_literals(node: Any, *, logical: bool = True) -> Iterator[tuple[str, str, Any]]:
    """Yields the property, the kind of literal and the literal of each comparison in a filter.

    A property that stands alone where a condition is expected is compared with true.
    """
    if not isinstance(node, Mapping):
        return
    operator, args = node.get("op"), node.get("args")
    if "property" in node and logical:
        yield str(node["property"]), "boolean", True
    if not isinstance(args, list):
        return
    names = [a["property"] for a in args if isinstance(a, Mapping) and "property" in a]
    if operator in (*_FLIPPED, "between", "in", "like") and len(names) == 1:
        rest = [b for a in args for b in (a if isinstance(a, list) else [a])]
        for literal in rest:
            if kind := _kind_of_literal(literal):
                yield str(names[0]), "text" if operator == "like" else kind, literal
    for one in args:
        yield from _compared_literals(one, logical=operator in _LOGIC)


@dataclass(slots=True, eq=False)
class ComparedKinds:
    """The kinds of values that a filter compares with properties, and that scenes have."""

    literals: tuple[tuple[str, str], ...]
    """Property and kind of literal."""
    passed: bool = False
    """Whether a scene passed the filter."""
    met: dict[str, set[str]] = field(default_factory=dict)
    """The kinds of values of each property in the scenes that did not pass."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ComparedKinds":
        """Returns the kinds of the literals in a filter, as CQL2-JSON."""
        found = _compared_literals(document)
        return cls(tuple((name, kind) for name, kind, _ in found if name not in (_TIME, *_TEXTS)))

    def note(self, properties: Mapping[str, Any], *, passed: bool) -> None:
        """Notes a scene, and whether it passed."""
        self.passed |= passed
        if self.passed:
            return
        for name, _ in self.literals:
            kind = _kind_of_literal(properties.get(name))
            if kind not in (None, "null"):
                self.met.setdefault(name, set()).add(str(kind))

    def check(self) -> None:
        """Raises `InvalidRequestError` where no scene passed, and none has comparable values."""
        for name, kind in self.literals if not self.passed else ():
            met = self.met.get(name, set())
            if met and (kind if kind != "time" else "text") not in met:
                raise InvalidRequestError(
                    f"the filter takes {name[:80]!r} for a {kind}, but it is a {sorted(met)[0]} of "
                    "the scenes: no scene can pass"
                )

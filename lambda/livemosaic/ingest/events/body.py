"""JSON bodies of messages, parsed strictly, and their members."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from livemosaic.errors import InvalidItemError
from livemosaic.model.order import Order
from livemosaic.model.scene import is_utf8
from livemosaic.model.time import parse_time

Body: TypeAlias = Mapping[str, Any]

MAX_DEPTH: Final = 100
"""Levels of arrays and objects; an Item has about ten. Python's own limit changes with its version,
and a document parsed at that limit may be too deep to serialize."""
_TOO_DEEP: Final = f"JSON nested more than {MAX_DEPTH} levels deep"


def parse(text: str | bytes) -> Body:
    """Parses a JSON object; `InvalidItemError` for any other text, as `parse_any` has it."""
    body = parse_any(text)
    if not isinstance(body, Mapping):
        raise InvalidItemError(f"a JSON {type(body).__name__}, not an object")
    return body


def parse_any(text: str | bytes) -> Any:
    """Parses JSON.

    Raises `InvalidItemError` for any other text, and for duplicate members, `NaN`, `Infinity` and
    nesting deeper than `MAX_DEPTH`: of duplicates one reader takes the first and another the last.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        body = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except ValueError as error:
        raise InvalidItemError(f"not JSON: {str(error)[:200]}") from error
    except RecursionError as error:
        raise InvalidItemError(_TOO_DEEP) from error
    if _is_deep(body):
        raise InvalidItemError(_TOO_DEEP)
    return body


def text(body: Body, name: str) -> str:
    """Returns a member; `InvalidItemError` unless it is a string, not empty, and valid Unicode."""
    value = body.get(name)
    if not isinstance(value, str) or not value or not is_utf8(value):
        raise InvalidItemError(f"{name} {str(value)[:80]!r} is not a text")
    return value


def time_member(body: Body, name: str, default: datetime) -> datetime:
    """Returns a member that is an RFC 3339 time, aware; the default where it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    try:
        return parse_time(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidItemError(f"{name} {str(value)[:80]!r} is not an RFC 3339 time") from error


def order_member(body: Body, name: str, default: Order) -> Order:
    """Returns the order of a message that states its time; the default where it does not."""
    time = time_member(body, name, default.moment)
    return default if body.get(name) is None else Order(time)


def is_text(body: Body, *names: str) -> bool:
    """Returns whether all the named members are strings."""
    return all(isinstance(body.get(name), str) for name in names)


def is_object(body: Body, *names: str) -> bool:
    """Returns whether all the named members are objects."""
    return all(isinstance(body.get(name), Mapping) for name in names)


def _is_deep(body: Any) -> bool:
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return any(isinstance(value, dict | list) for value in level)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"an object has the member {twice[:80]!r} twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")

"""Parameters of images, points and statistics, by their names in the HTTP API."""

import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import datetime
from typing import Any, Final, Literal, TypedDict
from urllib.parse import urlencode

from livemosaic.errors import InvalidRequestError
from livemosaic.model.names import suggested
from livemosaic.model.render import Resampling
from livemosaic.model.rule import Method, Operation, PixelSelection

Time = str | datetime | tuple[datetime | str | None, datetime | str | None]
"""RFC 3339 text, an interval of it (`2026-01-01/..`), a datetime, or both ends; None is open."""


class RuleParameters(TypedDict, total=False):
    """Which scenes take part, in which order, and how they are combined (docs/rules.md)."""

    method: Method | Literal["none"] | None
    sortby: str | None
    sort_value: str | float | None
    ascending: bool | None
    viewpoint: str | tuple[float, float] | None
    lock: str | Sequence[str] | None
    datetime: Time | None
    filter: str | Mapping[str, Any] | None
    filter_lang: Literal["cql2-text", "cql2-json"] | None
    ids: str | Sequence[str] | None
    max_scenes: int | None
    operation: Operation | None
    pixel_selection: PixelSelection | None
    clip: bool | None
    min_pixels: int | None
    nodata_inside: bool | None
    item_render: str | None
    mosaicRule: str | Mapping[str, Any] | None


class PixelParameters(RuleParameters, total=False):
    """A rule, and how the pixels of each scene are read."""

    render: str | None
    assets: str | Sequence[str] | None
    bidx: int | Sequence[int] | None
    expression: str | None
    nodata: float | None
    unscale: bool | None
    resampling: Resampling | None
    reproject: Resampling | None
    overviews: bool | None


class ImageParameters(PixelParameters, total=False):
    """How pixels are read, and how values become colors."""

    algorithm: str | None
    algorithm_params: str | Mapping[str, Any] | None
    rescale: str | tuple[float, float] | Sequence[str | tuple[float, float]] | None
    color_formula: str | None
    colormap_name: str | None
    colormap: str | Mapping[Any, Any] | Sequence[Any] | None


class StatisticsParameters(PixelParameters, total=False):
    """How pixels are read and counted."""

    algorithm: str | None
    algorithm_params: str | Mapping[str, Any] | None
    categorical: bool | None
    c: float | Sequence[float] | None
    p: int | Sequence[int] | None
    histogram_bins: int | str | Sequence[float] | None
    histogram_range: str | tuple[float, float] | None
    cover_scale: int | None


_RENAMED: Final = {"filter_lang": "filter-lang"}
_JOINED: Final = frozenset({"viewpoint", "histogram_bins", "histogram_range"})
"""Parameters of several numbers that one value holds."""
_SELECTING: Final = frozenset({"ids", "lock"})
_DOCUMENTS: Final = frozenset({"filter", "mosaicRule", "colormap", "algorithm_params"})
"""Parameters that may be given as objects, and are sent as JSON."""


def query_of(parameters: Mapping[str, Any], known: type) -> str:
    """Returns the query of a request, with `?`; empty without parameters.

    None leaves a parameter out. Raises `InvalidRequestError` for a name that is not one of `known`.
    """
    names = known.__annotations__
    for name in parameters:
        if name not in names:
            raise InvalidRequestError(f"there is no parameter {suggested(name, names)}")
    given = {name: _plain(value) for name, value in parameters.items() if value is not None}
    return encoded({_RENAMED.get(name, name): _texts(name, v) for name, v in given.items()})


def encoded(query: Mapping[str, Any]) -> str:
    """Returns parameters as a query, with `?`; None is left out, a list repeats its parameter."""
    given = {name: value for name, value in query.items() if value is not None}
    try:
        text = urlencode(given, doseq=True)
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{error.object[:80]!r} is no Unicode text") from error
    return f"?{text}" if text else ""


def joined(*queries: str) -> str:
    """Returns several queries as one, with `?`; empty where all of them are."""
    parts = [query.lstrip("?") for query in queries if query]
    return f"?{'&'.join(parts)}" if parts else ""


def json_text(what: str, value: Any) -> str:
    """Returns a value as JSON; raises `InvalidRequestError`, which names `what` it is."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{what} cannot be JSON: {error}") from error


def _plain(value: Any) -> Any:
    """Returns numbers and arrays of numpy as Python's."""
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.tolist() if hasattr(value, "tolist") else value


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, Sized) and not len(value) and name in _SELECTING:
        raise InvalidRequestError(f"{name} names no Item: give ids, or None for every Item")
    if name in _DOCUMENTS and not isinstance(value, str):
        return [json_text(name, value)]
    if name == "datetime":
        return _interval(value)
    if isinstance(value, Sequence) and (name in _JOINED or (name == "rescale" and _is_pair(value))):
        return [_text(value)]
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return [_text(one) for one in (value if several else [value])]


def _is_pair(value: Sequence[Any]) -> bool:
    return len(value) == 2 and not any(isinstance(one, str | Sequence) for one in value)


def _interval(value: Any) -> list[str]:
    if not isinstance(value, tuple | list):
        return [_text(value)]
    ends = [".." if end is None else _text(end) for end in value]
    return [] if ends == ["..", ".."] else ["/".join(ends)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return ",".join(map(_text, value))
    return str(value)

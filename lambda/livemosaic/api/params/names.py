"""Names of query parameters: misspelled ones are refused, unknown ones are listed in a header.

A parameter that a route does not read may be meant for something else on the way: a cache, a proxy,
a browser's map. So it is ignored, and the response names it. One that is nearly a parameter of the
route is refused, as the image would not be what was asked for.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin
from urllib.parse import parse_qsl, quote

from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.params.items import MISSING
from livemosaic.errors import InvalidRequestError
from livemosaic.model.names import nearest

UNKNOWN: Final = "X-Unknown-Parameters"
"""Header with the query parameters that the route ignored, percent-encoded."""
_OF_OTHER_TOOLS: Final = frozenset({"center"})
"""Parameters of other tools that are similar to one of ours, and harmless when ignored."""
_MAY_BE_EMPTY: Final = frozenset({TOKEN_PARAMETER, "collection", "source", "token"})
"""Parameters for which no value means something: no token, no collection, the first page."""
_MAX_NAMES: Final = 20
_MAX_NAME: Final = 80
"""Unknown names, and characters of each, that are looked at."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The query parameters of a route."""

    names: frozenset[str]
    lists: frozenset[str] = frozenset()
    """The ones of `names` that may be repeated."""
    any_case: frozenset[str] = frozenset()
    """Further parameters, in lower case, that are read in any case (OGC 06-121r9, 11.5.2)."""
    elsewhere: frozenset[str] = frozenset()
    """Parameters of other routes: unknown to this one, and not misspelled."""

    def check(self, query: bytes) -> list[str]:
        """Returns the names in a query that are not known.

        Raises `InvalidRequestError` for a name that is nearly known, for known ones without a
        value, and for ones that are given twice with different values.
        """
        given: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            given[name].append(value)
        unknown = [n for n in given if not (n in self.names or n.lower() in self.any_case)]
        self._refuse_misspelled(unknown)
        self._refuse_unclear(given)
        return unknown

    def _refuse_misspelled(self, unknown: Sequence[str]) -> None:
        for name in unknown[:_MAX_NAMES]:
            if len(name) > _MAX_NAME or name.lower() in _OF_OTHER_TOOLS or name in self.elsewhere:
                continue
            if meant := nearest(name, self.names):
                raise InvalidRequestError(
                    f"there is no parameter {name!r}; did you mean {meant!r}?"
                )

    def _refuse_unclear(self, given: Mapping[str, Sequence[str]]) -> None:
        for name, values in given.items():
            if name not in self.names:
                continue
            if name not in self.lists and len(set(values)) > 1:
                shown = ", as " + " and ".join(repr(value[:80]) for value in values[:2])
                shown = "" if name == TOKEN_PARAMETER else shown  # a credential
                raise InvalidRequestError(f"{name} is given more than once{shown}")
            if "" in values and name not in _MAY_BE_EMPTY:
                raise InvalidRequestError(f"{name} '' has no value: give it one, or leave it out")


def names_of(model: type[BaseModel]) -> KnownNames:
    """Returns the query parameters that the fields of a model are."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    lists = [name for name, field in fields.items() if is_list(field.annotation)]
    return KnownNames(frozenset(fields), frozenset(lists))


def is_list(annotation: Any) -> bool:
    """Whether a parameter of this type, which may be optional, takes all of its values."""
    return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))


class CheckedQuery:
    """ASGI application that checks the names in the query before the application of a route."""

    def __init__(
        self, app: ASGIApp, known: Callable[[], KnownNames], *, is_strict: bool = False
    ) -> None:
        """`known` is called at the first request with a query; a strict route refuses others."""
        self.app, self.known, self.is_strict = app, known, is_strict
        self._names: KnownNames | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds `X-Unknown-Parameters` and `X-Missing-Items`; raises as `KnownNames.check`."""
        query = scope.get("query_string", b"")
        if query:
            self._names = self._names or self.known()
            unknown = self._names.check(query)
            if unknown and self.is_strict:
                raise InvalidRequestError(
                    f"there is no parameter {unknown[0][:_MAX_NAME]!r}; there are "
                    f"{', '.join(sorted(self._names.names))}"
                )
            send = _naming(unknown, scope, send)
        await self.app(scope, receive, send)


def _naming(unknown: Sequence[str], scope: Scope, send: Send) -> Send:
    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for header, names in ((UNKNOWN, unknown), (MISSING, scope.get(MISSING))):
                if names:
                    headers[header] = listed(names)
        await send(message)

    return send_named


def listed(names: Sequence[str]) -> str:
    """Returns names as a header has them, percent-encoded; a long list is cut."""
    quoted = [quote(name[:_MAX_NAME], safe="/:") for name in names[:_MAX_NAMES]]
    return ",".join([*quoted, *(["..."] if len(names) > _MAX_NAMES else [])])

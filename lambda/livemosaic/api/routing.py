"""Routes that look only for the query parameters that a request has."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import Any, Final

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.params import Param
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_MAX_HANDLERS: Final = 64
"""Of one route: requests name some parameters together, and most of them never."""


class SparseParamsRoute(APIRoute):
    """For routes with many parameters, of which a request names few.

    FastAPI looks each of them up and validates its default, which for all of a tile's takes longer
    than finding its scenes. Those that are not named have their defaults of Python.
    """

    def get_route_handler(self) -> Handler:
        """See `APIRoute`."""
        known = _names(self.dependant)

        @lru_cache(_MAX_HANDLERS)
        def handler(named: frozenset[str]) -> Handler:
            route = copy(self)
            route.dependant = _less(self.dependant, known - named)
            return APIRoute.get_route_handler(route)

        async def handle(request: Request) -> Response:
            return await handler(known.intersection(request.query_params))(request)

        return handle


def _names(dependant: Dependant) -> frozenset[str]:
    """Of the query parameters that may be left out."""
    own = {f.alias for f in dependant.query_params if _is_optional(dependant.call, f.name)}
    return frozenset(own).union(*map(_names, dependant.dependencies))


def _is_optional(call: Callable[..., Any] | None, name: str) -> bool:
    default = inspect.signature(call).parameters[name].default if call else inspect.Parameter.empty
    return default is not inspect.Parameter.empty and not isinstance(default, Param)


def _less(dependant: Dependant, names: frozenset[str]) -> Dependant:
    return replace(
        dependant,
        dependencies=[_less(one, names) for one in dependant.dependencies],
        query_params=[field for field in dependant.query_params if field.alias not in names],
    )


class LazyRoutes(BaseRoute):
    """Stands for routes that come after it in a list, once they are wanted.

    A tile needs few routes, and FastAPI takes milliseconds to make each: a sixth of a cold start.
    """

    def __init__(self, routes: list[BaseRoute], make: Callable[[], Sequence[BaseRoute]]) -> None:
        self._routes, self._make = routes, make
        self._lock: Final = Lock()
        self._done = False

    def load(self) -> None:
        """Put the routes where they belong."""
        with self._lock:
            if not self._done:
                after = self._routes.index(self) + 1
                self._routes[after:after] = self._make()
                self._done = True

    def matches(self, scope: Scope) -> tuple[Match, Scope]:  # noqa: ARG002
        """Nothing; but whoever goes on looking finds the routes."""
        self.load()
        return Match.NONE, {}

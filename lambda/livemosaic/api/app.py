"""The application: tiles by plain routes, everything else by FastAPI."""

from functools import cached_property
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from livemosaic.api.middleware import middleware
from livemosaic.api.responses.errors import HANDLERS
from livemosaic.api.routes import tiles
from livemosaic.services import Services

if TYPE_CHECKING:
    from fastapi import FastAPI


class App:
    """The API over the given services, as a server takes it (ASGI).

    FastAPI is imported, and its application made, when something other than a tile is first asked
    for: that takes a fifth of a cold start.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tiles = Starlette(
            routes=tiles.ROUTES,
            middleware=middleware(services.settings),
            exception_handlers=HANDLERS,
        )
        self._tiles.state.services = services

    @cached_property
    def api(self) -> "FastAPI":
        """The application of FastAPI: all routes, with their OpenAPI document."""
        from livemosaic.api.routing import create_api

        return create_api(self._services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._tiles if scope["type"] != "http" or _is_tile(scope) else self.api
        await app(scope, receive, send)


def _is_tile(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is not Match.NONE for route in tiles.ROUTES)

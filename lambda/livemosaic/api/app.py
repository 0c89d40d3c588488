"""The ASGI application: plain Starlette routes for tiles, WMS and ArcGIS's image services, FastAPI
for everything else."""

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.edge.origin import OriginGate
from livemosaic.api.edge.public_url import PublicUrls
from livemosaic.api.middleware import middleware
from livemosaic.api.responses.errors import HANDLERS
from livemosaic.api.routes import tiles
from livemosaic.api.routes.ogc import wms
from livemosaic.cog.budget import ClientGoneError, LargeTurns, most_in
from livemosaic.process import memory
from livemosaic.services import Services
from livemosaic.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

_ARCGIS: Final = "/arcgis/"


class App:
    """ASGI application that serves the whole API.

    FastAPI is imported, and its application created, at the first request for anything but a tile
    or a WMS: both take a fifth of a cold start.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._images = Starlette(
            routes=[*tiles.ROUTES, *wms.ROUTES],
            middleware=middleware(services.settings),
            exception_handlers=HANDLERS,
        )
        self._images.state.services = services
        self._gate = OriginGate.of(services.settings)
        self._public_urls = PublicUrls.of(services.settings)
        self._turns = LargeTurns(services.settings.max_large_images or most_in(memory()))
        self._answering = _traced(self._answer, services.settings)

    @cached_property
    def api(self) -> "FastAPI":
        """The FastAPI application with all routes and their OpenAPI document."""
        from livemosaic.api.routing import create_api

        return create_api(self._services)

    @cached_property
    def arcgis(self) -> Starlette:
        """The application of image services; loaded when one is first asked for."""
        from livemosaic.api.routes.arcgis.app import create_arcgis

        return create_arcgis(self._services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, and traces it if that is asked for."""
        await self._answering(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatches a request to one of the three applications."""
        if scope["type"] != "http":
            await self._images(scope, receive, send)
            return
        if refusal := await self._gate.refusal(scope):
            await refusal(scope, receive, send)
            return
        scope = self._public_urls(scope)

        async def is_gone() -> bool:
            # What is received first may be the body that a GET has not.
            client = Request(scope, receive)
            return await client.is_disconnected() or await client.is_disconnected()

        async with self._turns.request(is_gone) as turn:

            async def send_after_turn(message: Message) -> None:
                await turn.end()
                await send(message)

            with suppress(ClientGoneError):
                await self._application(scope)(scope, receive, send_after_turn)

    def _application(self, scope: Scope) -> ASGIApp:
        if tiles.route_of(scope) or wms.is_map(scope):
            return self._images
        return self.arcgis if get_route_path(scope).startswith(_ARCGIS) else self.api


def _traced(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Returns the application, traced where the settings say so."""
    if not settings.traces:
        return app
    from livemosaic.api.edge.tracing import Traced

    return Traced(app, settings)

"""Traces requests: one span of the server, in which all others are."""

import asyncio
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.routes import tiles
from livemosaic.settings import Settings
from livemosaic.telemetry.otlp import tracer_of
from livemosaic.traces import Span, Trace, recording

_FAILED: Final = 500
_MAX_PATH: Final = 500


class Traced:
    """Application that traces the requests that another one answers.

    Paths are recorded and queries are not, as they may hold credentials.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._tracer = tracer_of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, and then sends its trace, if it has one."""
        trace = self._tracer.begin() if scope["type"] == "http" else None
        if trace is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._recorded(trace, scope, receive, send)
        finally:
            await asyncio.to_thread(self._tracer.end, trace)

    async def _recorded(self, trace: Trace, scope: Scope, receive: Receive, send: Send) -> None:
        route = tiles.route_of(scope)
        name = f"{scope['method']} {route}" if route else scope["method"]
        with recording(trace, name, "server") as root:
            root.attributes["http.request.method"] = scope["method"]
            root.attributes["url.path"] = scope["path"][:_MAX_PATH]
            if route:
                root.attributes["http.route"] = route
            await self._app(scope, receive, partial(_send, root, send))


async def _send(root: Span, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        root.attributes["http.response.status_code"] = message["status"]
        if message["status"] >= _FAILED:
            root.error = str(message["status"])
    await send(message)

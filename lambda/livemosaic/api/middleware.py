"""ASGI middleware: limits, HEAD, and answers that no shared cache may keep."""

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.access import OPENED
from livemosaic.api.responses import picture
from livemosaic.api.responses.errors import answer
from livemosaic.settings import Settings


def middleware(settings: Settings) -> list[Middleware]:
    """What every request goes through, whichever application answers it; the first is outermost."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match"],
        expose_headers=[
            *("ETag", picture.SCENES, picture.SKIPPED, picture.TRUNCATED, picture.TIMING),
            *(picture.CONTENT_BBOX, picture.CONTENT_CRS),
        ],
    )
    return [cors, Middleware(HeadAsGet), Middleware(KeptByHolder), Middleware(_Limits, settings)]


class HeadAsGet:
    """Answers HEAD on every route as GET, less the body (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let all else through as it is."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_bodiless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_bodiless)


class KeptByHolder:
    """Lets no shared cache keep what a credential has opened (RFC 6750, 2.3; RFC 9111, 5.2.2.7)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever route it was that answers."""

        async def send_private(message: Message) -> None:
            if OPENED in scope and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                said = headers.get("Cache-Control", "no-cache").split(", ")
                own = [word for word in said if word not in ("public", "private")]
                headers["Cache-Control"] = ", ".join(["private", *own])
            await send(message)

        await self.app(scope, receive, send_private)


class _Limits:
    """Refuses what is too long before anything parses it."""

    # Not by `app.middleware`, which adds a task and two streams to every request.

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        settings = self.settings
        query = len(request.scope.get("query_string", b""))
        if query > settings.max_query_bytes:
            return answer(
                414,
                f"the query is {query:,} bytes long, at most {settings.max_query_bytes:,} are read",
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > settings.max_body_bytes:
            return answer(
                413,
                f"the body is {length[:20]} bytes long, at most {settings.max_body_bytes:,} are "
                "read; send the items in several requests",
            )
        if request.method in ("POST", "PUT") and "content-length" not in request.headers:
            return answer(411, "a body needs a Content-Length header")
        return None

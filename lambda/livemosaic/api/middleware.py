"""ASGI middleware: limits, HEAD, and what caches may do with responses."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.access import MISSING, PRIVATE
from livemosaic.api.params import items, names
from livemosaic.api.responses import picture
from livemosaic.api.responses.errors import error_response
from livemosaic.api.responses.ranges import ByteRanges
from livemosaic.settings import Settings

_IS_HEAD: Final = "livemosaic.is_head"
ALLOWED_METHODS: Final = ("GET", "HEAD", "POST")
ALLOWED_HEADERS: Final = (
    *("Authorization", "Content-Type", "If-None-Match", "If-Range", "Range"),
    "X-Esri-Authorization",
)
EXPOSED_HEADERS: Final = (
    *("Accept-Ranges", "Content-Range"),
    *("ETag", picture.SCENES, picture.SKIPPED, picture.GRAY, picture.TRUNCATED, picture.MISSING),
    *(picture.OVERVIEW, picture.TIMING, picture.CONTENT_BBOX, picture.CONTENT_CRS),
    picture.CONTENT_DATETIME,
    *(names.UNKNOWN, items.MISSING),
)
"""Response headers that pages of other origins may read."""
_WITH_BODY: Final = ("POST", "PUT", "PATCH")
"""Methods of routes that read a body."""


def middleware(settings: Settings) -> list[Middleware]:
    """Returns the middleware of both applications (`app.App`), outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=ALLOWED_METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
    )
    return [
        cors,
        Middleware(ByteRanges),
        Middleware(HeadAsGet),
        Middleware(CacheControl),
        Middleware(_Limits, settings),
    ]


class HeadAsGet:
    """Handles HEAD on every route as GET without the body (RFC 9110, 9.3.2); see `is_head`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests of all other methods through."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_bodiless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET", _IS_HEAD: True}, receive, send_bodiless)


def is_head(scope: Scope) -> bool:
    """Returns whether a request that is handled as GET is a HEAD."""
    return _IS_HEAD in scope


class CacheControl:
    """Sets Cache-Control where a route does not, and makes it private where access needed a
    credential (RFC 6750, 2.3; RFC 9111, 5.2.2.7): nothing is left to the heuristics of caches.

    QGIS shows what its cache holds for good, whatever its age and whatever ETag it has: it is kept
    from storing anything, so that a mosaic is live there. No other client, and no cache on the way,
    is asked to store less.

    Every response about a derived mosaic names the sources that it lacks, a 304, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything but the start of a response through."""

        async def send_controlled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                usual = "no-store" if message["status"] >= 400 else "no-cache"
                control = headers.get("Cache-Control", usual)
                control = _private(control) if PRIVATE in scope else control
                headers["Cache-Control"] = "no-store" if _is_qgis(scope) else control
                if (missing := scope.get(MISSING)) and message["status"] < 400:
                    headers[picture.MISSING] = picture.reason_list(missing)
            await send(message)

        await self.app(scope, receive, send_controlled)


def _is_qgis(scope: Scope) -> bool:
    """Whether QGIS's own client asks: `Mozilla/5.0 QGIS/32216`; not GDAL within it."""
    return any(name == b"user-agent" and b"QGIS/" in value for name, value in scope["headers"])


def _private(control: str) -> str:
    kept = [
        each
        for each in control.split(", ")
        if each not in ("public", "private") and not each.startswith("s-maxage=")
    ]
    return ", ".join(["private", *kept])


class _Limits:
    """Refuses queries and bodies that are too long, before anything parses them."""

    # Not by `app.middleware`, which adds a task and two streams to every request.

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            request = Request(scope)
            refusal = self._refusal(request)
            if request.method in _WITH_BODY and "content-length" not in request.headers:
                receive = _of_unknown_length(receive)
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        settings = self.settings
        query = len(request.scope.get("query_string", b""))
        if query > settings.max_query_bytes:
            return error_response(
                414,
                f"the query is {query:,} bytes long; the limit is {settings.max_query_bytes:,}",
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > settings.max_body_bytes:
            return error_response(
                413,
                f"the body is {length[:20]} bytes long; the limit is {settings.max_body_bytes:,}: "
                "send the items in several requests",
            )
        return None


def _of_unknown_length(receive: Receive) -> Receive:
    """Refuses a body without a length where it is read, so that a path without bodies says so."""

    async def receive_nothing() -> Message:
        message = await receive()
        if message["type"] == "http.request" and (message.get("body") or message.get("more_body")):
            raise HTTPException(411, "a body needs a Content-Length header")
        return message

    return receive_nothing

"""The application: routers, the status of each error, limits on every request."""

import logging
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

import livemosaic
from livemosaic import errors
from livemosaic.api import health, images, tiles
from livemosaic.api.access import KeptByHolder, say_how
from livemosaic.api.head import HeadAsGet
from livemosaic.api.later import Later
from livemosaic.api.params import encodable
from livemosaic.api.refusals import say_refusals
from livemosaic.api.rule import say_rules
from livemosaic.services import Services
from livemosaic.settings import Settings

log = logging.getLogger(__name__)

STATUS: Final[dict[type[errors.LivemosaicError], int]] = {
    errors.InvalidRequestError: 400,
    errors.InvalidItemError: 400,
    errors.UnauthorizedError: 401,
    errors.KeysUnavailableError: 503,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.TooLargeError: 413,
    errors.UnreadableAssetError: 502,
    errors.TableBusyError: 503,
    errors.TableUnavailableError: 503,
}
"""The status of each error, and of those derived from it; 500 for the rest."""


def create_app(services: Services) -> FastAPI:
    """The API over the given services."""
    app = _Api(
        title="livemosaic",
        version=livemosaic.__version__,
        description="Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, tiles come out.",
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,  # see pages: FastAPI's own are made of another host's files
        redoc_url=None,
    )
    app.state.services = services
    # Not include_router, by which the first request would make all routes before its own anew.
    app.router.routes += [*health.router.routes, *tiles.router.routes, app.later]
    app.add_exception_handler(errors.LivemosaicError, _known_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Exception, _unknown_error)
    app.add_middleware(_Limits, settings=services.settings)
    app.add_middleware(KeptByHolder)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=services.settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match"],
        expose_headers=[
            *("ETag", images.SCENES, images.SKIPPED, images.TRUNCATED, images.TIMING),
            *(images.CONTENT_BBOX, images.CONTENT_CRS),
        ],
    )
    return app


class _Api(FastAPI):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.later = Later(self.router.routes, _others)

    @property
    def routes(self) -> list[BaseRoute]:
        """All of them."""
        self.later.load()
        return self.router.routes

    def openapi(self) -> dict[str, Any]:
        """See `FastAPI`."""
        known = self.openapi_schema is not None
        document = super().openapi()
        if not known:
            say_how(document)
            say_rules(document, self.routes)
            say_refusals(document)
        return document


def _others() -> list[BaseRoute]:
    """What a tile does not need. Of two routes that fit a path, that of the first one answers."""
    from livemosaic.api import (
        boxes,
        catalogues,
        describe,
        features,
        items,
        landing,
        maps,
        mosaics,
        pages,
        point,
        renders,
        statistics,
        tilesets,
        tokens,
        wmts,
    )

    modules = (
        *(landing, mosaics, tokens, items, boxes, features, maps, point, statistics),
        *(renders, tilesets, catalogues, wmts, describe, pages),
    )
    routes = [route for module in modules for route in module.router.routes]
    return [*routes, Mount("/static", pages.static_files(), name="static")]


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
            return _answer(
                414,
                f"the query is {query:,} bytes long, at most {settings.max_query_bytes:,} are read",
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > settings.max_body_bytes:
            return _answer(
                413,
                f"the body is {length[:20]} bytes long, at most {settings.max_body_bytes:,} are "
                "read; send the items in several requests",
            )
        if request.method in ("POST", "PUT") and "content-length" not in request.headers:
            return _answer(411, "a body needs a Content-Length header")
        return None


async def _known_error(_: Request, error: Exception) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return await _unknown_error(_, error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    return _answer(status, str(error), headers)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (as registered)
    problems = error.errors()[:5]
    told = "; ".join(map(_told, problems))
    if any(p["loc"][0] == "body" for p in problems) and not _says_json(request):
        told += "; send it with the header Content-Type: application/json"
    return _answer(400, told)


def _says_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")


def _told(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    value = problem.get("input")
    given = f" (it is {str(value)[:80]!r})" if isinstance(value, str | int | float) else ""
    return f"{place}: {problem['msg']}{given}"


async def _unknown_error(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return _answer(500, "something went wrong here; it was logged")


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"detail": encodable(detail)},
        status,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )

"""The application: routers, the status of each error, limits on every request."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount

import livemosaic
from livemosaic import errors
from livemosaic.api.middleware import HeadAsGet, KeptByHolder, _Limits
from livemosaic.api.openapi import say_how, say_refusals
from livemosaic.api.responses import picture
from livemosaic.api.responses.errors import _invalid_request, _known_error, _unknown_error
from livemosaic.api.routes import health, tiles
from livemosaic.api.routing import LazyRoutes
from livemosaic.services import Services


def create_app(services: Services) -> FastAPI:
    """The API over the given services."""
    app = _Application(
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
            *("ETag", picture.SCENES, picture.SKIPPED, picture.TRUNCATED, picture.TIMING),
            *(picture.CONTENT_BBOX, picture.CONTENT_CRS),
        ],
    )
    return app


class _Application(FastAPI):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.later = LazyRoutes(self.router.routes, _others)

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
            say_refusals(document)
        return document


def _others() -> list[BaseRoute]:
    """What a tile does not need. Of two routes that fit a path, that of the first one answers."""
    from livemosaic.api.routes import (
        bbox,
        items,
        mosaics,
        pages,
        point,
        renders,
        statistics,
        tilejson,
        tokens,
    )
    from livemosaic.api.routes.ogc import landing, maps, registries, tilesets, wmts

    modules = (
        *(landing, mosaics, tokens, items, bbox, maps, point, statistics),
        *(renders, tilesets, registries, wmts, tilejson, pages),
    )
    routes = [route for module in modules for route in module.router.routes]
    return [*routes, Mount("/static", pages.static_files(), name="static")]

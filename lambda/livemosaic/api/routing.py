"""The FastAPI application: every route, and the OpenAPI document."""

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.routing import Mount

import livemosaic
from livemosaic.api.middleware import middleware
from livemosaic.api.openapi import describe_credentials, describe_refusals, documented_route
from livemosaic.api.responses import errors
from livemosaic.api.routes import (
    bbox,
    items,
    mosaics,
    pages,
    point,
    renders,
    statistics,
    tile_assets,
    tilejson,
    tiles,
    tokens,
)
from livemosaic.api.routes.ogc import landing, maps, registries, tilesets, wmts
from livemosaic.services import Services

_MODULES: Final = (
    *(tile_assets, landing, mosaics, tokens, items, bbox, maps, point, statistics),
    *(renders, tilesets, registries, wmts, tilejson, pages),
)
"""Modules of routes; where two routes match a path, the earlier module's answers."""


def create_api(services: Services) -> FastAPI:
    """Creates the whole API over the given services; `app.App` serves its tiles faster."""
    api = _Api(
        title="livemosaic",
        version=livemosaic.__version__,
        description="Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, tiles come out.",
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,  # see pages: FastAPI's own load files from another host
        redoc_url=None,
        middleware=middleware(services.settings),
        exception_handlers=errors.HANDLERS | {RequestValidationError: _invalid_request},
    )
    api.state.services = services
    # Not include_router: the first request would then recreate all routes before its own.
    api.router.routes += map(documented_route, tiles.ROUTES)
    api.router.routes += [route for module in _MODULES for route in module.router.routes]
    api.router.routes += [Mount("/static", pages.static_files(), name="static")]
    return api


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """See `FastAPI`."""
        if self.openapi_schema is None:
            document = super().openapi()
            describe_credentials(document)
            describe_refusals(document)
        return super().openapi()


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (as registered)
    found = error.errors()
    detail = errors.describe_errors([{**e, "loc": e["loc"][1:] or e["loc"]} for e in found])
    if any(e["loc"][0] == "body" for e in found[:5]) and not _is_json(request):
        detail += "; send it with the header Content-Type: application/json"
    return errors.error_response(400, detail)


def _is_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")

"""The FastAPI application: every route, and the OpenAPI document."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.routing import BaseRoute, Mount, Route, request_response

import livemosaic
from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.middleware import middleware
from livemosaic.api.openapi.clients import describe_for_clients
from livemosaic.api.openapi.document import (
    describe_credentials,
    describe_refusals,
    documented_route,
    documented_wms,
)
from livemosaic.api.params.names import CheckedQuery, KnownNames, is_list, names_of
from livemosaic.api.responses import errors
from livemosaic.api.routes import (
    bbox,
    items,
    mosaics,
    pages,
    point,
    renders,
    statistics,
    tilejson,
    tiles,
    tokens,
)
from livemosaic.api.routes.gdal import files
from livemosaic.api.routes.ogc import landing, maps, registries, tilesets, wms, wmts
from livemosaic.api.routes.scenes import changes, mosaic_json, tile_assets
from livemosaic.api.routes.stac import catalog
from livemosaic.api.routes.stac import search as stac_search
from livemosaic.api.routes.vector import tiles as vector_tiles
from livemosaic.api.routes.vector import tilesets as vector_tilesets
from livemosaic.api.routes.whole import archive, boundary
from livemosaic.api.routes.whole import statistics as whole_statistics
from livemosaic.api.urls import KVP, tile_urls
from livemosaic.export.tiles.store import MEDIA_TYPE as PMTILES
from livemosaic.render.encode import MEDIA_TYPES
from livemosaic.render.parameters import RenderParameters
from livemosaic.services import Services

_MODULES: Final = (
    *(tile_assets, landing, mosaics, tokens, items, changes, bbox, maps, point, statistics),
    *(boundary, whole_statistics, archive),
    *(mosaic_json, renders, tilesets, registries, wmts, files, tilejson, pages),
    *(catalog, stac_search, vector_tiles, vector_tilesets),
)
"""Modules of routes; where two routes match a path, the earlier module's answers."""

_DOCUMENTED: Final = (*map(documented_route, tiles.ROUTES), *map(documented_wms, wms.ROUTES))
"""Routes of Starlette with what the OpenAPI document says of them."""

_COMPRESSED: Final = Middleware(
    GZipMiddleware,
    minimum_size=1_000,
    compresslevel=5,
    exclude_content_types=(*(*DEFAULT_EXCLUDED_CONTENT_TYPES, *MEDIA_TYPES.values(), PMTILES),),
)
"""Compresses text; images have a compression of their own, and byte ranges. Of this application
alone, so that a tile takes no step more."""


def create_api(services: Services) -> FastAPI:
    """Creates the whole API over the given services; `app.App` serves its tiles faster."""
    api = _Api(
        title="livemosaic",
        version=livemosaic.__version__,
        description="Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, tiles come out.",
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,  # see pages: FastAPI's own load files from another host
        redoc_url=None,
        middleware=[*middleware(services.settings), _COMPRESSED],
        separate_input_output_schemas=False,
        exception_handlers=errors.HANDLERS | {RequestValidationError: _invalid_request},
    )
    api.state.services = services
    # Not include_router: the first request would then recreate all routes before its own.
    api.router.routes += _DOCUMENTED
    api.router.routes += map(
        _checked, [route for module in _MODULES for route in module.router.routes]
    )
    api.router.routes += [Mount("/static", pages.static_files(), name="static")]
    _name_openapi(api)
    return api


def _name_openapi(api: FastAPI) -> None:
    """Makes the OpenAPI document's media type that of the link to it; FastAPI's is plain JSON."""
    routes = (route for route in api.router.routes if isinstance(route, Route))
    route = next(route for route in routes if route.path == api.openapi_url)

    async def described(request: Request) -> Response:
        response: Response = await route.endpoint(request)
        response.headers["Content-Type"] = landing.OPENAPI
        return response

    route.app = request_response(described)


_ALSO_READ: Final = {
    tiles.tile: tiles.QUERY,
    tile_urls: tiles.QUERY,
    wmts.kvp: KnownNames(frozenset(), any_case=KVP),
}
"""Query parameters that endpoints and dependencies read by themselves."""


_PASS_ON: Final = frozenset(
    (
        *(pages.map_page, pages.map_page_of_tiles, pages.map_page_of_tms),
        *(tilejson.tilejson_of_titiler, wmts.capabilities_of_titiler),
    )
)
"""Endpoints that pass their query on to a route that checks it, or to a page that does."""


_WITHOUT_EFFECT: Final[Mapping[Any, frozenset[str]]] = {
    statistics.statistics: frozenset(RenderParameters.model_fields)
    - {"algorithm", "algorithm_params"},
}
"""Query parameters that an endpoint takes along, and that change nothing in its response."""


def _checked(route: BaseRoute) -> BaseRoute:
    """Makes a route check the names in its query, unless it only passes them on."""
    wrapped = isinstance(route, APIRoute) and not isinstance(route.app, CheckedQuery)
    if isinstance(route, APIRoute) and wrapped and route.endpoint not in _PASS_ON:
        # OGC API - Features, 17-069r4, requirement 8: a parameter that is not known is an error.
        is_strict = stac_search.router.tags[0] in route.tags
        known = partial(_names_in, route.dependant)
        route.app = CheckedQuery(route.app, known, is_strict=is_strict)
    return route


def _names_in(root: Dependant) -> KnownNames:
    names, lists, any_case = {TOKEN_PARAMETER}, set[str](), set[str]()
    for known in _read_by(root):
        names |= known.names - _WITHOUT_EFFECT.get(root.call, frozenset())
        lists |= known.lists
        any_case |= known.any_case
    # Of Items and of WMTS: `collections` is of searches, `zoom` of boundaries.
    elsewhere = tiles.QUERY.names | {"collection", "zooms"}
    sets = map(frozenset[str], (names, lists, any_case, elsewhere))
    return KnownNames(*sets)


def _read_by(dependant: Dependant) -> Iterator[KnownNames]:
    """Yields the query parameters of an endpoint, or a dependency, and of its dependencies."""
    for field in dependant.query_params:
        kind, name = field.field_info.annotation, frozenset({field.alias})
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield names_of(kind)
        else:
            yield KnownNames(name, name if is_list(kind) else frozenset())
    if dependant.call in _ALSO_READ:
        yield _ALSO_READ[dependant.call]
    for inner in dependant.dependencies:
        yield from _read_by(inner)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """See `FastAPI`."""
        if self.openapi_schema is None:
            document = super().openapi()
            describe_credentials(document)
            describe_refusals(document)
            describe_for_clients(document)
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

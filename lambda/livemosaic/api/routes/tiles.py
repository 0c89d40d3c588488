"""Map tiles, as plain Starlette routes.

Importing FastAPI and creating a route with so many parameters takes longer than drawing most tiles,
so a cold start for a tile avoids both.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from livemosaic.api.access import TOKEN_PARAMETER, mosaic_of, services_of
from livemosaic.api.params.items import find_items
from livemosaic.api.params.names import CheckedQuery, KnownNames, names_of
from livemosaic.api.params.pixels import Appearance, EdgeQuery, ReadQuery, RenderQuery, format_of
from livemosaic.api.responses.errors import describe_errors
from livemosaic.api.responses.picture import image
from livemosaic.errors import InvalidRequestError
from livemosaic.tiler.rules.parameters import MosaicRuleQuery
from livemosaic.tiler.views import TileAddress

PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


class TilePath(BaseModel):
    """Path parameters of a tile; the query may give `scale` and `format` if the path does not."""

    mosaic: str
    tms: str
    z: int
    x: int
    y: int
    scale: int = 1
    format: str = "auto"


class TileRequest(EdgeQuery, TilePath, MosaicRuleQuery, RenderQuery, ReadQuery):
    """All parameters in the path and the query of a tile."""

    @classmethod
    def of(cls, request: Request, path: Mapping[str, Any] | None = None) -> "TileRequest":
        """Parses a request, with its own path or another one.

        Raises `InvalidRequestError`, which names the values of the wrong type.
        """
        query = request.query_params
        given = {
            name: query.getlist(name) if name in _NAMES.lists else query[name] for name in query
        }
        try:
            return cls.model_validate({**given, **(path or request.path_params)})
        except ValidationError as error:
            raise InvalidRequestError(describe_errors(error.errors())) from error


_NAMES: Final = names_of(TileRequest)
QUERY: Final = KnownNames(
    _NAMES.names - TilePath.model_fields.keys() | {TOKEN_PARAMETER}, _NAMES.lists
)
"""Query parameters of all tiles."""


async def tile(request: Request) -> Response:
    """Renders a map tile with the newest pixels on top.

    The `ETag` changes when the scenes in the tile do; `If-None-Match` is answered from the index
    alone. `X-Scenes` lists the visible scenes, `X-Skipped-Scenes` the scenes that could not be read
    and why, `X-Gray-Scenes` scenes of one band among scenes of several, `X-Truncated` the limit
    that left scenes out.
    At low zooms `X-Overview` names the overviews that stand for the scenes, when they were made and
    how many scenes they are behind.
    """
    services = services_of(request)
    mosaic = await run_in_threadpool(mosaic_of, request.path_params["mosaic"], request)
    params = TileRequest.of(request)
    rule = params.to_rule(mosaic)
    read, render = Appearance.of(mosaic, rule, params).look(format_of(params.format))
    if named := params.items_named(mosaic, rule):
        await run_in_threadpool(find_items, request, mosaic, named)
    size = params.edge(params.scale, services.settings)
    view = TileAddress(params.tms, params.z, params.x, params.y).view(
        mosaic, size, params.buffer or 0
    )
    etags = request.headers.getlist("If-None-Match")
    fills = params.buffer is None
    return await image(services, mosaic, view, read, render, rule, etags, fills=fills)


def query_of(route: Route) -> KnownNames:
    """Returns the query parameters of a tile whose path may lack the scale or the format."""
    not_in_path = {"scale", "format"} - route.param_convertors.keys()
    return KnownNames(QUERY.names | not_in_path, QUERY.lists)


ROUTES: Final = [
    Route(PATH + suffix, tile) for suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", "")
]
for _route in ROUTES:
    _route.methods = {"GET"}  # the middleware turns HEAD into GET, and a 405 names GET alone
    _route.app = CheckedQuery(_route.app, partial(query_of, _route))


def route_of(scope: Scope) -> str | None:
    """Returns the path of the tile route, with its placeholders, that a request is for, or None."""
    found = (r.path for r in ROUTES if r.matches(scope)[0] is not Match.NONE)
    return next(found, None)

"""Map tiles, as plain routes of Starlette.

FastAPI takes longer to import, and to make a route with so many parameters, than most tiles take to
draw; a cold start for a tile does without it.
"""

from dataclasses import replace
from typing import Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from livemosaic.api.access import mosaic_of, services_of
from livemosaic.api.params.pixels import EdgeQuery, ReadQuery, RenderQuery, format_of
from livemosaic.api.params.rule import AskedRule
from livemosaic.api.responses.errors import problems
from livemosaic.api.responses.picture import image
from livemosaic.errors import InvalidRequestError
from livemosaic.tiler.views import TileAddress

PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


class TilePath(BaseModel):
    """What the path of a tile says. The query may say the last two, where the path does not."""

    mosaic: str
    tms: str
    z: int
    x: int
    y: int
    scale: int = 1
    format: str = "auto"


class TileRequest(EdgeQuery, TilePath, AskedRule, RenderQuery, ReadQuery):
    """All that the path and the query of a tile may say."""

    @classmethod
    def of(cls, request: Request) -> "TileRequest":
        """The values of a request; `InvalidRequestError` names those of the wrong type."""
        query = request.query_params
        given = {name: query.getlist(name) if name in _LISTS else query[name] for name in query}
        try:
            return cls.model_validate(given | request.path_params)
        except ValidationError as error:
            raise InvalidRequestError(problems(error.errors())) from error


_LISTS: Final = frozenset(
    field.alias or name
    for name, field in TileRequest.model_fields.items()
    if any(get_origin(kind) is list for kind in get_args(field.annotation))
)
"""Parameters that may be repeated; of any other, the last one counts."""


async def tile(request: Request) -> Response:
    """A map tile: the newest pixels on top.

    Its `ETag` changes when scenes that it is made of do; `If-None-Match` is answered from the index
    alone. `X-Scenes` names the scenes that show, `X-Skipped-Scenes` those that could not be read
    and why, `X-Truncated` the limit that left scenes out.
    """
    services = services_of(request)
    mosaic = await run_in_threadpool(mosaic_of, request.path_params["mosaic"], request)
    asked = TileRequest.of(request)
    read, render, rule = asked.to_read(mosaic), asked.to_render(mosaic), asked.to_rule(mosaic)
    size = asked.edge(asked.scale, services.settings)
    render = replace(render, format=format_of(asked.format))
    view = TileAddress(asked.tms, asked.z, asked.x, asked.y).view(mosaic, size, asked.buffer)
    held = request.headers.getlist("If-None-Match")
    return await image(services, mosaic, view, read, render, rule, held=held)


ROUTES: Final = [
    Route(PATH + suffix, tile) for suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", "")
]
for _route in ROUTES:
    _route.methods = {"GET"}  # the middleware makes GET of HEAD, and a 405 names GET alone

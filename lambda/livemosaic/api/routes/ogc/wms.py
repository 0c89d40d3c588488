"""Web Map Services of mosaics, as plain Starlette routes: a map needs no FastAPI, as no tile does.

`livemosaic.api.wms` answers; it is imported when the first request comes.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

PATH: Final = "/mosaics/{mosaic}/wms"
PATH_OF_ALL: Final = "/wms"


async def wms(request: Request) -> Response:
    """Answers requests of WMS 1.3.0 and 1.1.1: GetCapabilities, GetMap, GetFeatureInfo and
    GetLegendGraphic.

    The layer is the mosaic, its styles are the named renders. Our own parameters of images may be
    added as vendor-specific ones; names are read in any case. Failed requests have a service
    exception, with status 200 where the client can correct them.
    """
    from livemosaic.api.wms.service import respond

    return await respond(request)


async def wms_of_all(request: Request) -> Response:
    """Answers requests of WMS for all mosaics that the caller may see, each of them a layer."""
    from livemosaic.api.wms.service import respond

    return await respond(request)


ROUTES: Final = [Route(PATH, wms), Route(PATH_OF_ALL, wms_of_all)]
for _route in ROUTES:
    _route.methods = {"GET"}  # the middleware turns HEAD into GET, and a 405 names GET alone


def is_map(scope: Scope) -> bool:
    """Whether a request is for a WMS."""
    return any(route.matches(scope)[0] is not Match.NONE for route in ROUTES)

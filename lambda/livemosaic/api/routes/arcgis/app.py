"""The application of all image services."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from livemosaic import errors
from livemosaic.api.middleware import middleware
from livemosaic.api.routes.arcgis import (
    about,
    catalog,
    export,
    identify,
    measures,
    service,
)
from livemosaic.api.routes.arcgis.values import answers
from livemosaic.api.routes.arcgis.values.samples import ServiceSamples
from livemosaic.services import Services

ROOT: Final = "/arcgis/rest"
SERVICE: Final = f"{ROOT}/services/{{mosaic}}/ImageServer"


class BoundedConvertor(IntegerConvertor):
    """Whole numbers in paths, of no more digits than an object id; Python parses no long ones."""

    regex = "[0-9]{1,16}"


register_url_convertor("bounded", BoundedConvertor())

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]

OPERATIONS: Final[dict[str, Endpoint]] = {
    "exportImage": export.export_image,
    "export": export.export_image,  # as GDAL's AGS names it, of map services
    "identify": identify.identify,
    "getSamples": identify.get_samples,
    "query": catalog.query,
    "legend": about.legend,
    "keyProperties": about.key_properties,
    "rasterFunctionInfos": about.raster_function_infos,
    "computeStatisticsHistograms": measures.compute_statistics_histograms,
    "computeHistograms": measures.compute_histograms,
    "statistics": measures.statistics,
    "histograms": measures.histograms,
    "{objectid:bounded}": catalog.item,
    "{objectid:bounded}/info": catalog.item_info,
    "{objectid:bounded}/thumbnail": catalog.thumbnail,
}
"""Operations of a service by name; GET and POST mean the same."""
TILE: Final = f"{SERVICE}/tile/{{level:bounded}}/{{row:bounded}}/{{col:bounded}}"
_METHODS: Final = ["GET", "POST"]


def create_arcgis(services: Services) -> Starlette:
    """Creates the application over the given services."""
    app = Starlette(
        routes=_routes(),
        middleware=middleware(services.settings),
        exception_handlers={
            errors.LivemosaicError: answers.handle_known,
            HTTPException: answers.handle_http,
            Exception: answers.handle_unknown,
        },
    )
    app.state.services = services
    app.state.samples = ServiceSamples()
    return app


def _routes() -> list[Route]:
    """Returns all routes; some clients end the path of a service with a slash."""
    resources: dict[str, Endpoint] = {
        f"{ROOT}/info": service.info,
        f"{ROOT}/services": service.services,
        f"{ROOT}/services/": service.services,
        SERVICE: service.describe,
        f"{SERVICE}/": service.describe,
        **{f"{SERVICE}/{name}": operation for name, operation in OPERATIONS.items()},
    }
    found = [Route(path, endpoint, methods=_METHODS) for path, endpoint in resources.items()]
    return [*found, Route(TILE, export.tile, methods=["GET"])]

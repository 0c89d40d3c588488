"""The service: finds the operation of a request, and answers failed ones by exceptions."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import mosaic_of, services_of
from livemosaic.api.params.items import MISSING
from livemosaic.api.params.names import UNKNOWN, listed
from livemosaic.api.responses.errors import status_of
from livemosaic.api.wms.exceptions import (
    ExceptionForm,
    ServiceError,
    blank_image,
    report,
    report_in_image,
)
from livemosaic.api.wms.operations.capabilities import get_capabilities
from livemosaic.api.wms.operations.info import get_feature_info
from livemosaic.api.wms.operations.legend import get_legend_graphic
from livemosaic.api.wms.operations.maps import get_map
from livemosaic.api.wms.request import WmsRequest, canonical_query, exception_form, version_of
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.model.mosaic import Mosaic
from livemosaic.settings import Settings

Operation = Callable[[Request, WmsRequest, Mosaic | None], Awaitable[Response]]

_OPERATIONS: Final[Mapping[str, Operation]] = {
    "getcapabilities": get_capabilities,
    "capabilities": get_capabilities,  # of WMS 1.0
    "getmap": get_map,
    "map": get_map,
    "getfeatureinfo": get_feature_info,
    "getlegendgraphic": get_legend_graphic,
}
_NAMES: Final = ("GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic")


async def respond(request: Request) -> Response:
    """Answers a request for the mosaic of the path, or without one for all that everybody may see.

    Requests that the client can correct have an exception with status 200: QGIS and GDAL show the
    message of no other. A missing or private mosaic is a 404, an index that is busy a 503.
    """
    canonical_query(request.scope)
    try:
        only = await _mosaic(request)
        asked = WmsRequest.of(request.scope["query_string"])
        response = await _operation(asked)(request, asked, only)
    except LivemosaicError as error:
        return await run_in_threadpool(_refusal, request, error)
    for header, names in ((UNKNOWN, asked.unknown), (MISSING, request.scope.get(MISSING))):
        if names:
            response.headers[header] = listed(names)
    return response


async def _mosaic(request: Request) -> Mosaic | None:
    name = request.path_params.get("mosaic")
    return None if name is None else await run_in_threadpool(mosaic_of, name, request)


def _operation(asked: WmsRequest) -> Operation:
    service, name = asked.get("service"), asked.need("request")
    if service and service.upper() != "WMS":
        raise InvalidRequestError(f"SERVICE {service[:80]!r} is not offered here: this is WMS")
    found = _OPERATIONS.get(name.lower())
    if found is None:
        raise ServiceError(
            "OperationNotSupported",
            f"REQUEST {name[:80]!r} is not offered; there are {', '.join(_NAMES)}",
        )
    return found


def _refusal(request: Request, error: LivemosaicError) -> Response:
    values = _first_values(request)
    status = status_of(error)
    if status == 400:
        status = 200
    elif status == 500:
        raise error
    form = exception_form(values) if status == 200 and _is_of_map(values) else "xml"
    if form == "xml":
        return report(version_of(values), error, status)
    return _image_of(form, values, error, services_of(request).settings)


def _first_values(request: Request) -> dict[str, str]:
    """Returns the first value of each parameter: a request may be refused for having two."""
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return dict(reversed(pairs))


def _is_of_map(values: Mapping[str, str]) -> bool:
    return values.get("request", "").lower() in ("getmap", "map")


def _image_of(
    form: ExceptionForm, values: Mapping[str, str], error: LivemosaicError, settings: Settings
) -> Response:
    asked = WmsRequest(values, (), ())
    try:
        image_format, background = asked.format(), asked.background()
        width, height = asked.size(settings)
        if form == "blank":
            return blank_image(image_format, width, height, background)
        return report_in_image(error, image_format, width, height)
    except InvalidRequestError:  # of formats that have no image of this size, too
        return report(asked.version, error)

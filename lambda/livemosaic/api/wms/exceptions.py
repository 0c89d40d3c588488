"""Service exceptions: as XML of each version, as an image with the message, or as a blank image."""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from livemosaic.api.documents.xml import written
from livemosaic.api.wms.text import drawn
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Format, Render
from livemosaic.render.encode import encode

Version = Literal["1.3.0", "1.1.1"]
ExceptionForm = Literal["xml", "inimage", "blank"]

MEDIA_TYPES: Final[dict[Version, str]] = {
    "1.3.0": "text/xml",
    "1.1.1": "application/vnd.ogc.se_xml",
}
"""Media types of exceptions in XML."""
_NEVER_STORED: Final = {"Cache-Control": "no-store"}
_HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
_INK: Final = 0
_PAPER: Final = 255


class ServiceError(InvalidRequestError):
    """A request that the standard has a code for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """A code of OGC 06-042, table E.1; `InvalidCRS` is `InvalidSRS` in WMS 1.1.1."""


def report(version: Version, error: Exception, status: int = 200) -> Response:
    """Returns an exception as XML; with status 200, as clients show the message of no other."""
    code = error.code if isinstance(error, ServiceError) else ""
    if version == "1.1.1" and code == "InvalidCRS":
        code = "InvalidSRS"
    body = written(f"wms_exception_{version}.xml", code=code, message=str(error))
    kind = MEDIA_TYPES[version]
    return Response(body, status, headers=_NEVER_STORED | _HEADERS.get(status, {}), media_type=kind)


def report_in_image(error: Exception, image_format: Format, width: int, height: int) -> Response:
    """Returns an opaque image with the message of an exception, in black on white."""
    ink = drawn(str(error), width, height)
    return _response(np.where(ink, _INK, _PAPER), image_format, is_opaque=True)


def blank_image(
    image_format: Format, width: int, height: int, background: tuple[int, int, int] | None
) -> Response:
    """Returns an image of the background alone; transparent where there is none."""
    if background is None:
        return _response(np.zeros((height, width)), image_format, is_opaque=False)
    color = np.array(background).reshape(3, 1, 1)
    return _response(np.broadcast_to(color, (3, height, width)), image_format, is_opaque=True)


def _response(values: NDArray[np.generic], image_format: Format, *, is_opaque: bool) -> Response:
    data = np.atleast_3d(values.T).T.astype(np.uint8)
    names = tuple(f"b{number}" for number in range(1, len(data) + 1))
    height, width = data.shape[1:]
    pixels = Pixels(data, np.full((height, width), is_opaque), names)
    grid = Grid(LONLAT, (0, 0, width, height), width, height)
    encoded = encode(pixels, Render(format=image_format), grid)
    return Response(encoded.body, media_type=encoded.media_type, headers=_NEVER_STORED)

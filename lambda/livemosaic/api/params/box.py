"""Boxes in longitude and latitude, as the query of a request gives them."""

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import BBox


def lonlat_bbox(text: str) -> BBox:
    """Parses west,south,east,north in degrees; west > east crosses ±180."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidRequestError(
            f"bbox {text[:80]!r} must be four numbers: west,south,east,north"
        ) from error
    if not (abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90):
        raise InvalidRequestError(
            f"bbox {text[:80]!r} must be within ±180 and ±90 degrees, the south first"
        )
    return west, south, east, north

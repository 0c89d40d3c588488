"""Preview images: the address of a small image of a whole mosaic, where one is cheap to draw."""

import math
from typing import Final

from livemosaic.api.params.pixels import like_format
from livemosaic.model.mosaic import Mosaic

MAX_CELLS: Final = 256
"""Index cells in the bounds of a mosaic without overviews, up to which it has a preview: each may
have scenes of its own, which a preview would read."""
_TILE: Final = 256


def preview_path(mosaic: Mosaic, size: int) -> str | None:
    """Returns the path of an image of a whole mosaic below the root of the API, with its size.

    `size` is the longer side in pixels. None for a mosaic without scenes, for one that is not drawn
    at so low a zoom, and for one whose preview would read many scenes.
    """
    if mosaic.bounds is None or not mosaic.levels:
        return None
    west, south, east, north = mosaic.bounds
    width, height = (east - west) % 360 or 360, north - south
    zoom = math.log2(360 / max(width, height, 1e-9) * size / _TILE)
    if zoom < mosaic.minzoom or not (_is_small(mosaic, width, height) or mosaic.shown_overviews):
        return None
    box = ",".join(f"{degrees:.7g}" for degrees in mosaic.bounds)
    extension = like_format(mosaic, "png")
    return f"mosaics/{mosaic.id}/bbox/{box}.{extension}?max_size={size}"


def _is_small(mosaic: Mosaic, width: float, height: float) -> bool:
    cells = 1 << max(mosaic.levels)
    return (width / 360 * cells + 1) * (height / 360 * cells + 1) <= MAX_CELLS

"""The layer of coverage: where the image of a tile has valid pixels."""

from typing import Final

import numpy as np
import shapely
from affine import Affine

from livemosaic.geo.rasterize import traced
from livemosaic.model.raster import Mask
from livemosaic.vector.frame import BUFFER
from livemosaic.vector.mvt import EXTENT, TileLayer

NAME: Final = "coverage"
SIZE: Final = 256
"""Pixels of the edge of the image."""
_UNITS: Final = EXTENT // SIZE
MARGIN: Final = BUFFER // _UNITS
"""Pixels on each side of the image that lie in the tile's buffer."""
_TO_UNITS: Final = Affine.scale(_UNITS) * Affine.translation(-MARGIN, -MARGIN)
"""From corners of pixels, columns and rows."""


def coverage(valid: Mask) -> TileLayer:
    """Returns the outline of valid pixels; shape of `valid`: `SIZE` and both margins, squared."""
    found = traced(valid, _TO_UNITS)
    if not found:
        return TileLayer(NAME, np.array([], np.object_), [])
    drawn = shapely.orient_polygons(shapely.multipolygons(found))
    return TileLayer(NAME, np.array([drawn], np.object_), [{}])

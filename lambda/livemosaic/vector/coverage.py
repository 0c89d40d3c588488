"""The layer of coverage: where the image of a tile has valid pixels."""

from typing import Final

import numpy as np
import shapely
from rasterio.features import shapes
from shapely.geometry import shape

from livemosaic.model.raster import Mask
from livemosaic.vector.frame import BUFFER
from livemosaic.vector.mvt import EXTENT, TileLayer

NAME: Final = "coverage"
SIZE: Final = 256
"""Pixels of the edge of the image."""
_UNITS: Final = EXTENT // SIZE
MARGIN: Final = BUFFER // _UNITS
"""Pixels on each side of the image that lie in the tile's buffer."""


def coverage(valid: Mask) -> TileLayer:
    """Returns the outline of valid pixels; shape of `valid`: `SIZE` and both margins, squared."""
    found = [shape(each) for each, _ in shapes(valid.astype(np.uint8), mask=valid)]
    if not found:
        return TileLayer(NAME, np.array([], np.object_), [])
    drawn = shapely.transform(shapely.multipolygons(found), lambda xy: (xy - MARGIN) * _UNITS)
    return TileLayer(NAME, np.array([shapely.orient_polygons(drawn)], np.object_), [{}])

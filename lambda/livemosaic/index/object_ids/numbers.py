"""The number of a scene: where it lies and a hash of its key, in 53 bits. Pure.

Nothing is stored: the number follows from the key of the scene (collection and id) and from the
westernmost vertex of its footprint, so it stays when the Item is added again, to this mosaic or to
another one, and changes only where the footprint begins in another cell of some 10 km. The cell is
what a number is found by: the scenes of the index there are few. From the highest bit, a number has
12 bits of longitude, 12 of latitude and 29 of the hash; at most 2⁵³ - 1, as JavaScript counts.
"""

import hashlib
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from livemosaic.model.raster import BBox
from livemosaic.model.scene import Scene

MOST: Final = 2**53 - 1
"""The largest number."""
_AXIS_BITS: Final = 12
_HASH_BITS: Final = 29
_CELLS: Final = 1 << _AXIS_BITS
_HASH: Final = (1 << _HASH_BITS) - 1


def number_of_scene(scene: Scene) -> int:
    """Returns the number of a scene; two in one cell share it by a chance of 1 in 2²⁹."""
    lon, lat = _first_vertex(scene.footprint)
    column, row = _cell(lon + 180, 360), _cell(lat + 90, 180)
    return ((column << _AXIS_BITS | row) << _HASH_BITS) | hash_of_key(scene.key)


def hash_of_key(key: str) -> int:
    """Returns the part of a number that follows from the key of its scene; never 0."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest) & _HASH or 1


def place_of(number: int) -> BBox | None:
    """Returns west, south, east, north of the cell in which the scene of a number begins.

    None for a number that no scene has.
    """
    if not 0 < number <= MOST or number & _HASH == 0:
        return None
    column, row = number >> _HASH_BITS >> _AXIS_BITS, number >> _HASH_BITS & _CELLS - 1
    width, height = 360 / _CELLS, 180 / _CELLS
    west, south = column * width - 180, row * height - 90
    return west, south, west + width, south + height


def hash_in(number: int) -> int:
    """Returns the hash in a number, as `hash_of_key`."""
    return number & _HASH


def _cell(degrees: float, world: float) -> int:
    return min(_CELLS - 1, max(0, int(degrees * _CELLS / world)))


def _first_vertex(footprint: BaseGeometry) -> tuple[float, float]:
    """Returns the westernmost vertex, of several the southernmost, whatever order they are in."""
    xy = shapely.get_coordinates(footprint)
    lon, lat = xy[np.lexsort((xy[:, 1], xy[:, 0]))[0]]
    return float(lon), float(lat)

"""Numbers of tiles in an archive: along a Hilbert curve, from one zoom to the next. Pure."""

from typing import Final

MAX_ZOOM: Final = 31
"""The deepest zoom of which all tiles have numbers of 64 bits."""


def tile_number(zoom: int, x: int, y: int) -> int:
    """Returns the number of a tile; raises `ValueError` where there is no such tile.

    Columns count from the west, rows from the north, as in WebMercatorQuad.
    """
    if not 0 <= zoom <= MAX_ZOOM or not (0 <= x < 1 << zoom and 0 <= y < 1 << zoom):
        raise ValueError(f"there is no tile {zoom}/{x}/{y}")
    number = first_number(zoom)
    for bit in range(zoom - 1, -1, -1):
        right, below = x >> bit & 1, y >> bit & 1
        number += (3 * right ^ below) << 2 * bit
        x, y = _turned(1 << bit, x, y, right, below)
    return number


def first_number(zoom: int) -> int:
    """Returns the number of the first tile of a zoom: as many tiles are at all zooms above it."""
    return ((1 << 2 * zoom) - 1) // 3


def numbers_below(zoom: int, x: int, y: int, below: int) -> tuple[int, int]:
    """Returns the half-open run of numbers of a deeper zoom's tiles within a tile."""
    place = tile_number(zoom, x, y) - first_number(zoom)
    deeper = 2 * (below - zoom)
    start = first_number(below) + (place << deeper)
    return start, start + (1 << deeper)


def zoom_of_number(number: int) -> int:
    """Returns the zoom of the tile with a number."""
    return ((3 * number + 1).bit_length() - 1) // 2


def _turned(size: int, x: int, y: int, right: int, below: int) -> tuple[int, int]:
    """Returns a place in a quarter of a square, as the part of the curve there runs through it."""
    if below:
        return x, y
    if right:
        x, y = size - 1 - x, size - 1 - y
    return y, x

"""The overview cells and blocks below changed index cells, as quadkeys. Pure."""

from collections.abc import Collection, Iterable, Iterator
from itertools import product


def within(quadkey: str, changed: Iterable[str]) -> set[str]:
    """Returns the changed cells that share area with a cell."""
    return {other for other in changed if other.startswith(quadkey) or quadkey.startswith(other)}


def descendants(quadkey: str, zooms: int) -> Iterator[str]:
    """Yields the cells that many zooms below a cell, in the order of their quadkeys."""
    for digits in product("0123", repeat=zooms):
        yield quadkey + "".join(digits)


def blocks_under(quadkey: str, changed: Collection[str], step: int) -> list[str]:
    """Returns the blocks of a cell, as tiles `step` zooms deeper, that changed cells touch."""
    zoom = len(quadkey) + step
    found: set[str] = set()
    for other in within(quadkey, changed):
        deepest = max((quadkey, other), key=len)[:zoom]
        found.update(descendants(deepest, zoom - len(deepest)))
    return sorted(found)


def top_rung(minzoom: int, step: int) -> int:
    """Returns the zoom of the coarsest overview cells of a mosaic: tiles below are refused."""
    return minzoom - minzoom % step


def place_of(suffix: str) -> tuple[int, int]:
    """Returns column and row of a block in its cell, by the last digits of its quadkey."""
    column = row = 0
    for digit in suffix:
        column, row = column << 1 | int(digit) & 1, row << 1 | int(digit) >> 1
    return column, row

"""The overview cells and blocks below changed index cells, as quadkeys. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import product


def within(quadkey: str, changed: Sequence[str]) -> list[str]:
    """Returns the changed cells that share area with a cell; both lists are sorted."""
    around = (quadkey[:zoom] for zoom in range(len(quadkey)))
    inside = slice(bisect_left(changed, quadkey), bisect_left(changed, quadkey + "4"))
    return [*(other for other in around if _has(changed, other)), *changed[inside]]


def _has(changed: Sequence[str], quadkey: str) -> bool:
    at = bisect_left(changed, quadkey)
    return at < len(changed) and changed[at] == quadkey


def descendants(quadkey: str, zooms: int) -> Iterator[str]:
    """Yields the cells that many zooms below a cell, in the order of their quadkeys."""
    for digits in product("0123", repeat=zooms):
        yield quadkey + "".join(digits)


def blocks_under(quadkey: str, changed: Sequence[str], step: int) -> list[str]:
    """Returns the blocks of a cell, as tiles `step` zooms deeper, that changed cells touch.

    The changed cells are sorted.
    """
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

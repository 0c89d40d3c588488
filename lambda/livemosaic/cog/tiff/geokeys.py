"""GeoKeys (OGC 19-008r4, 7.1) and the CRS that GDAL makes of them.

A code alone does not decide: GDAL heeds units, citations and parameters beside it.
"""

import struct
from functools import lru_cache
from typing import Final

from rasterio.crs import CRS

from livemosaic.cog.tiff.directories import BrokenHeaderError, Directory
from livemosaic.cog.tiff.written import Value, open_written, shorts

KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
_TAGS: Final = (KEYS, DOUBLES, TEXTS)
_KINDS: Final = {KEYS: 3, DOUBLES: 12, TEXTS: 2}
"""Types of the tags: shorts, doubles, text."""
_HEADER: Final = 4
"""Numbers before the keys, and numbers of each."""


def read_keys(directory: Directory) -> dict[int, int | None]:
    """Returns the keys that hold a number themselves; others have None.

    BrokenHeaderError if they are of a version that async-tiff panics at, or point beyond the tags
    that hold their values.
    """
    numbers = [int(n) for n in directory.numbers(KEYS)]
    rows = [numbers[i : i + _HEADER] for i in range(0, len(numbers), _HEADER)]
    if not rows:
        return {}
    if rows[0][:2] != [1, 1] or len(rows[0]) < _HEADER:
        raise BrokenHeaderError("keys of another version")
    wanted = rows[1 : 1 + rows[0][3]]
    texts = directory.body(TEXTS).split(b"\0")[0]  # async-tiff ends it there
    sizes = {DOUBLES: len(directory.numbers(DOUBLES)), TEXTS: len(texts)}
    if len(wanted) != rows[0][3] or not all(_is_within(row, sizes) for row in wanted):
        raise BrokenHeaderError("keys that are cut short")
    return {key: value if place == 0 else None for key, place, _, value in wanted}


def _is_within(row: list[int], sizes: dict[int, int]) -> bool:
    return len(row) == _HEADER and row[3] + row[2] <= sizes.get(row[1], 1 << 17)


def read_crs(directory: Directory) -> CRS | None:
    """Returns the CRS of the first directory, as GDAL understands its keys; None if it does not.

    Files of one collection have the same keys: GDAL, which takes a millisecond, is asked once.
    """
    return crs_of(tuple(value_of(directory, tag) for tag in _TAGS))


def value_of(directory: Directory, tag: int) -> Value:
    """Returns the value of one of the three tags of GeoKeys, in little-endian order."""
    kind, count, _ = directory.fields.get(tag, (0, 0, 0))
    if kind == _KINDS[tag] and directory.order == "<":
        return kind, count, directory.body(tag)
    numbers, code = directory.numbers(tag), {KEYS: "H", DOUBLES: "d", TEXTS: "B"}[tag]
    cast = numbers if tag == DOUBLES else map(int, numbers)
    return _KINDS[tag], len(numbers), struct.pack(f"<{len(numbers)}{code}", *cast)


# Entries never go stale: their keys are all that the CRS is made of.
@lru_cache(maxsize=512)
def crs_of(values: tuple[Value, ...]) -> CRS | None:
    """Returns the CRS that GDAL makes of keys, doubles and texts, in this order; None if of none.

    An absent tag is a value of count 0.
    """
    tags = {tag: value for tag, value in zip(_TAGS, values, strict=True) if value[1]}
    pixel = {256: shorts(1), 257: shorts(1), 258: shorts(8), 262: shorts(1), 278: shorts(1)}
    with open_written(pixel | tags, [b"\0"]) as dataset:
        return dataset.crs

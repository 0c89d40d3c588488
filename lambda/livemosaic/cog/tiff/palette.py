"""Palettes (TIFF 6.0, section 5), scaled as GDAL has them."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.tiff.directories import Directory

BITS, COLORS = 258, 320
_MOST_BITS: Final = 16


def has_palette(directory: Directory) -> bool:
    """Whether the tag has a color for each value: libtiff ignores one of another length."""
    bits, count = directory.number(BITS, 1), directory.fields.get(COLORS, (0, 0, 0))[1]
    return bits <= _MOST_BITS and count == 3 << bits


def read_palette(directory: Directory) -> NDArray[np.uint8] | None:
    """Returns colors, shape (entries, 3), red, green, blue; None for an image without a palette.

    As in GDAL, which adds them to images that it wrote as gray, the colors count, not the
    photometric interpretation. They have 16 bits, of which writers make 8 in different ways: times
    257, as GDAL does, times 256, or not at all.
    """
    if not has_palette(directory):
        return None
    numbers: NDArray[Any] = np.array(directory.numbers(COLORS), np.uint16).reshape(3, -1).T
    if numbers.max(initial=0) < 256:
        return numbers.astype(np.uint8)
    scale = 257 if (numbers % 256).any() else 256
    return (numbers // scale).astype(np.uint8)

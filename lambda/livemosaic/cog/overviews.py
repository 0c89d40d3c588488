"""The levels of a COG, full resolution and overviews, and the one to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from livemosaic.geo.frame import Frame

_OVERVIEW_EPSILON: Final = 0.1
WindowTuple = tuple[int, int, int, int]
"""First column, first row, width, height."""


@dataclass(frozen=True, slots=True)
class Level:
    """The full resolution or one overview."""

    frame: Frame
    block: tuple[int, int]
    """Width and height of a block, in pixels."""

    def samples(self, window: WindowTuple, bands: int) -> int:
        """Returns the samples decoded to read a window: whole blocks count."""
        (left, top, width, height), (w, h) = window, self.block
        across = (left + width - 1) // w - left // w + 1
        down = (top + height - 1) // h - top // h + 1
        return across * w * down * h * bands


def choose_level(levels: Sequence[Level], step: float) -> int:
    """Returns the coarsest level not coarser than `step` source pixels, as GDAL's `-ovr AUTO`.

    GDAL's tolerance of a tenth is kept, so that 2 source pixels per output pixel, give or take
    the curvature of the Earth, is the first overview. Unlike GDAL's, `step` is measured on the
    tile, not the whole file, and by area: degrees on Mercator far from the equator are read
    somewhat coarser in y than shown, not many times finer in x.
    """
    width = levels[0].frame.width
    fits = [i for i, at in enumerate(levels) if width / at.frame.width < step + _OVERVIEW_EPSILON]
    return max(fits, default=0)

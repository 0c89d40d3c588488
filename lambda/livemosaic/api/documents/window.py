"""Data windows: the part of a TileMatrixSet that a mosaic covers, as GDAL's drivers see it.

GDAL makes overviews by halving: tile x at a zoom is tile x / 2 at the zoom above. A window begins
at a tile of its coarsest zoom, so that this is so at each of them.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from morecantile import Tile, TileMatrixSet

from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import Reach

_MOST_PIXELS: Final = 2**31 - 1
"""Width or height of a raster in GDAL."""
_SAME: Final = 1e-6
"""Part of a pixel, or of what a TileMatrixSet states, by which numbers may be off."""


@dataclass(frozen=True, slots=True)
class PixelRect:
    """A rectangle of a window's pixels."""

    left: int
    top: int
    size_x: int
    size_y: int
    transform: tuple[float, float, float, float, float, float]
    """GDAL's geotransform: x, width and 0 of a pixel; y, 0 and height, which is negative."""


@dataclass(frozen=True, slots=True)
class DataWindow:
    """Whole pixels of the deepest zoom, in GDAL's terms."""

    level: int
    """The deepest zoom."""
    tile_x: int
    """Column of the first tile, at `level`."""
    tile_y: int
    size_x: int
    """Width in pixels."""
    size_y: int
    bounds: BBox
    """In the CRS of the TileMatrixSet, x before y."""
    overviews: int
    """Zooms above `level`, each of which halves the one below."""

    @classmethod
    def of(cls, reach: Reach, edge: int) -> "DataWindow":
        """Returns the window around the extent of a reach; `edge` is pixels of a tile's edge.

        `level` is the deepest zoom of the reach at which GDAL can count the pixels.
        """
        level = reach.maxzoom
        while level > reach.minzoom and max(_tiles(reach, level)) * edge > _MOST_PIXELS:
            level -= 1
        halvings = _halvings(reach, level)
        fits = (n for n in range(halvings) if min(_tiles(reach, level - n)) <= 1)
        overviews = next(fits, halvings)
        return cls._at(reach, edge, level, overviews)

    def cut(self, extent: BBox) -> "PixelRect":
        """Returns the pixels that an extent touches, in the CRS of the TileMatrixSet."""
        left, bottom, right, top = self.bounds
        width, height = (right - left) / self.size_x, (top - bottom) / self.size_y
        x0 = max(0, floor((extent[0] - left) / width + _SAME))
        y0 = max(0, floor((top - extent[3]) / height + _SAME))
        x1 = min(self.size_x, ceil((extent[2] - left) / width - _SAME))
        y1 = min(self.size_y, ceil((top - extent[1]) / height - _SAME))
        corner = left + x0 * width, top - y0 * height
        transform = (corner[0], width, 0.0, corner[1], 0.0, -height)
        return PixelRect(x0, y0, max(1, x1 - x0), max(1, y1 - y0), transform)

    @classmethod
    def _at(cls, reach: Reach, edge: int, level: int, overviews: int) -> "DataWindow":
        (coarsest,) = reach.between(level - overviews, level - overviews).limits()
        origin = reach.tms.xy_bounds(Tile(0, 0, level))
        pixel = (origin.right - origin.left) / edge
        tile_x, tile_y = coarsest.columns[0] << overviews, coarsest.rows[0] << overviews
        left, top = origin.left + tile_x * edge * pixel, origin.top - tile_y * edge * pixel
        _, bottom, right, _ = reach.extent
        step = 1 << overviews  # so that overviews have whole pixels, too
        size_x = step * max(1, ceil((right - left) / pixel / step - _SAME))
        size_y = step * max(1, ceil((top - bottom) / pixel / step - _SAME))
        bounds = left, top - size_y * pixel, left + size_x * pixel, top
        return cls(level, tile_x, tile_y, size_x, size_y, bounds, overviews)

    def is_within(self, tms: TileMatrixSet, edge: int) -> bool:
        """Whether all of its tiles, at each of its zooms, are tiles of the TileMatrixSet."""
        for above in range(self.overviews + 1):
            matrix = tms.matrix(self.level - above)
            right = (self.tile_x >> above) + ceil((self.size_x >> above) / edge)
            bottom = (self.tile_y >> above) + ceil((self.size_y >> above) / edge)
            if right > matrix.matrixWidth or bottom > matrix.matrixHeight:
                return False
        return True


def _tiles(reach: Reach, zoom: int) -> tuple[float, float]:
    """Returns the width and the height of an extent in tiles of a zoom."""
    matrix, (left, bottom, right, top) = reach.tms.matrix(zoom), reach.extent
    return (
        (right - left) / matrix.cellSize / matrix.tileWidth,
        (top - bottom) / matrix.cellSize / matrix.tileHeight,
    )


def _halvings(reach: Reach, level: int) -> int:
    """Returns how many zooms above a level halve the one below."""
    above = range(level, reach.minzoom, -1)
    return next((level - zoom for zoom in above if not _halves(reach.tms, zoom)), len(above))


def _halves(tms: TileMatrixSet, zoom: int) -> bool:
    """Whether four tiles of a zoom are one of the zoom above."""
    here, above = tms.matrix(zoom), tms.matrix(zoom - 1)
    corners = zip(here.pointOfOrigin, above.pointOfOrigin, strict=True)
    return (
        abs(above.cellSize / here.cellSize - 2) < _SAME
        and (here.tileWidth, here.tileHeight) == (above.tileWidth, above.tileHeight)
        and all(abs(one - other) < _SAME * max(1, abs(one)) for one, other in corners)
    )

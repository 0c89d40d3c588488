"""Which tiles of a mosaic may show something, by its index alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.index.overviews import RUNG
from livemosaic.index.partitions import Area, is_reached
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic

WORLD: Final = Cell(0, 0, 0)
_PIXELS: Final = 256


@dataclass(frozen=True, slots=True)
class TilePyramid:
    """Tiles of some zooms of a mosaic's own TileMatrixSet."""

    index: Index
    mosaic: Mosaic
    zooms: range
    """Not above the mosaic's minzoom."""

    def groups(self, top: Cell = WORLD) -> Iterator[list[Cell]]:
        """Yields the tiles within one that may show scenes, a few zooms at a time.

        The tiles that one overview cell shows come soon after each other.
        """
        below = _next_rung(top.zoom)
        shown = [zoom for zoom in range(top.zoom, below) if zoom in self.zooms]
        if shown:
            yield [tile for zoom in shown for tile in _tiles(top, zoom)]
        if below <= self.zooms[-1]:
            for tile in _tiles(top, below):
                if self._may_show(tile):
                    yield from self.groups(tile)

    def tops(self, zoom: int, top: Cell = WORLD) -> Iterator[Cell]:
        """Yields the tiles of a zoom that may show scenes, or tiles below which do."""
        below = min(_next_rung(top.zoom), zoom)
        if top.zoom == zoom:
            yield top
            return
        for tile in _tiles(top, below):
            if self._may_show(tile):
                yield from self.tops(zoom, tile)

    def _may_show(self, tile: Cell) -> bool:
        """Whether a scene shares an index cell with a tile within the mosaic's bounds; above the
        minzoom, whether one may.

        Below the cells of the index, bounds leave few of the tiles of a small mosaic.
        """
        grid, mosaic = cell_grid(self.mosaic.tms), self.mosaic
        left, bottom, right, top = bounds = grid.bounds(tile)
        pixel = (right - left) / _PIXELS  # the index rounds what lies at the edge of a tile
        around = left - pixel, bottom - pixel, right + pixel, top + pixel
        if not is_reached(mosaic, Area(grid, (around,), tile.zoom)):
            return False
        area = Area(grid, (bounds,), tile.zoom)
        return tile.zoom < mosaic.minzoom or any(True for _ in self.index.find(mosaic, area))


def _next_rung(zoom: int) -> int:
    return zoom + RUNG - zoom % RUNG


def _tiles(top: Cell, zoom: int) -> Iterator[Cell]:
    """Yields the tiles of a zoom within a tile."""
    deeper = zoom - top.zoom
    for y in range(top.y << deeper, top.y + 1 << deeper):
        for x in range(top.x << deeper, top.x + 1 << deeper):
            yield Cell(zoom, x, y)

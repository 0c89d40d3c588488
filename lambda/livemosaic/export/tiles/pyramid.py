"""Which tiles of a mosaic may show something, by its index alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.index.overviews import RUNG
from livemosaic.index.partitions import Area, is_reached
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic


@dataclass(frozen=True, slots=True)
class TilePyramid:
    """Tiles of some zooms of a mosaic's own TileMatrixSet."""

    index: Index
    mosaic: Mosaic
    zooms: range
    """Not above the mosaic's minzoom."""

    def groups(self) -> Iterator[list[Cell]]:
        """Yields the tiles that may show scenes, all of three zooms within one at a time.

        The tiles that one overview cell shows come soon after each other.
        """
        yield from self._within(Cell(0, 0, 0))

    def _within(self, top: Cell) -> Iterator[list[Cell]]:
        below = top.zoom + RUNG
        shown = [zoom for zoom in range(top.zoom, below) if zoom in self.zooms]
        if shown:
            yield [tile for zoom in shown for tile in _tiles(top, zoom)]
        if below <= self.zooms[-1]:
            for tile in _tiles(top, below):
                if self._may_show(tile):
                    yield from self._within(tile)

    def _may_show(self, tile: Cell) -> bool:
        """Whether a scene shares an index cell with a tile; above the minzoom, whether one may."""
        grid, mosaic = cell_grid(self.mosaic.tms), self.mosaic
        area = Area(grid, (grid.bounds(tile),), tile.zoom)
        if tile.zoom < mosaic.minzoom:
            return is_reached(mosaic, area)
        return any(True for _ in self.index.find(mosaic, area))


def _tiles(top: Cell, zoom: int) -> Iterator[Cell]:
    """Yields the tiles of a zoom within a tile."""
    deeper = zoom - top.zoom
    for y in range(top.y << deeper, top.y + 1 << deeper):
        for x in range(top.x << deeper, top.x + 1 << deeper):
            yield Cell(zoom, x, y)

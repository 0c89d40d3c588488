"""What a reader looks at, and the partitions of the index that hold all scenes there. Pure."""

from dataclasses import dataclass
from typing import Final

from shapely.geometry import MultiPolygon, box

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import CellGrid
from livemosaic.geo.covering import floor_rung
from livemosaic.index.schema import partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox

_MAX_AREA_CELLS: Final = 64
"""Cells that one request may read per level."""
_FEW_CELLS: Final = 4
"""More of them are looked through for those that the mosaic reaches: that takes a projection."""


@dataclass(frozen=True, slots=True)
class Area:
    """What a reader looks at, as cells of the mosaic's own grid: one for a tile of its own."""

    grid: CellGrid
    """The mosaic's, of its TileMatrixSet."""
    boxes: tuple[BBox, ...]
    """In the CRS of `grid`; two where the area crosses the antimeridian."""
    zoom: int
    """The zoom of a tile of that size."""


def partitions(mosaic: Mosaic, area: Area) -> list[str]:
    """The partitions that hold every scene of an area: base cells at or above, coarse below."""
    rung = floor_rung(mosaic.quadkey_zoom, max(area.zoom, mosaic.minzoom))
    wanted = [("cell", level) for level in mosaic.levels if level <= rung]
    if any(level > rung for level in mosaic.levels):
        wanted.append(("coarse", rung))
    return [
        partition(mosaic, kind, quadkey)
        for kind, zoom in wanted
        for quadkey in _area_cells(mosaic, area, zoom)
    ]


def _area_cells(mosaic: Mosaic, area: Area, zoom: int) -> list[str]:
    count = sum(area.grid.count(bounds, zoom) for bounds in area.boxes)
    if count > _MAX_AREA_CELLS:
        raise InvalidRequestError(
            f"the area takes {count:,} index cells at zoom {zoom}, at most {_MAX_AREA_CELLS} can "
            f"be read at once; ask for a smaller one (the mosaic's minzoom is {mosaic.minzoom})"
        )
    cells = {c.quadkey for bounds in area.boxes for c in area.grid.cells_of(bounds, zoom)}
    return sorted(cells & _reached(mosaic, area.grid, zoom) if len(cells) > _FEW_CELLS else cells)


def _reached(mosaic: Mosaic, grid: CellGrid, zoom: int) -> set[str]:
    """The cells of a zoom that the mosaic's bounds reach, and perhaps some more."""
    extent = grid.project(MultiPolygon([box(*mosaic.bounds)])) if mosaic.bounds else None
    if extent is None or extent.is_empty:
        return set()
    return {cell.quadkey for cell in grid.cells_of(extent.bounds, zoom)}

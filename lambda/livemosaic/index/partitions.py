"""The area that a reader requests, and the partitions that hold all of its scenes. Pure."""

from dataclasses import dataclass
from typing import Final

from livemosaic.errors import AreaTooLargeError
from livemosaic.geo.cells import CellGrid
from livemosaic.geo.covering import coarse_rungs, floor_rung
from livemosaic.index.schema import partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox

_MAX_AREA_CELLS: Final = 64
"""The largest number of cells that one request may read per level."""
_FEW_CELLS: Final = 4
"""More cells than these are intersected with the mosaic's reach, which takes a projection."""


@dataclass(frozen=True, slots=True)
class Area:
    """The area that a reader requests, as boxes on the mosaic's cell grid.

    A tile of the mosaic's own TileMatrixSet is one cell.
    """

    grid: CellGrid
    """The grid of the mosaic's TileMatrixSet."""
    boxes: tuple[BBox, ...]
    """In the CRS of `grid`; two where the area crosses the antimeridian."""
    zoom: int
    """The zoom of a tile as large as the area."""
    scale: float | None = None
    """The zoom of tiles of 256 pixels that are as fine as the image that is requested; None where
    none is, so that scenes of all scales are meant."""


def partitions(mosaic: Mosaic, area: Area) -> list[str]:
    """The partitions that hold every scene of an area: base cells at or above, coarse below."""
    if mosaic.sources:
        shown = (m.mosaic for m in mosaic.members if m.is_in_scale(area.scale))
        return [key for member in shown for key in partitions(member, area)]
    rung = _rung(mosaic, area)
    wanted = [("cell", level) for level in mosaic.levels if level <= rung]
    if any(level > rung for level in mosaic.levels):
        wanted.append(("coarse", rung))
    return [
        partition(mosaic, kind, quadkey)
        for kind, zoom in wanted
        for quadkey in _area_cells(mosaic, area, zoom)
    ]


def is_reached(mosaic: Mosaic, area: Area) -> bool:
    """Whether the mosaic's reach meets an area; where it does not, there is no scene."""
    extents = area.grid.from_lonlat(mosaic.reach) if mosaic.reach else []
    return any(_meet(box, extent) for box in area.boxes for extent in extents)


def _meet(one: BBox, other: BBox) -> bool:
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


def _rung(mosaic: Mosaic, area: Area) -> int:
    """The coarse rung to read: the one that fits the area's zoom, unless it takes too many cells.

    Around a pole, where all meridians meet, an area takes the cells of all longitudes.
    """
    rung = floor_rung(mosaic.quadkey_zoom, max(area.zoom, mosaic.minzoom))
    lowest = floor_rung(mosaic.quadkey_zoom, mosaic.minzoom)
    coarser = [zoom for zoom in coarse_rungs(mosaic.quadkey_zoom) if lowest <= zoom <= rung]
    few = (zoom for zoom in coarser if _count(area, zoom) <= _MAX_AREA_CELLS)
    return next(few, lowest)


def _count(area: Area, zoom: int) -> int:
    return sum(area.grid.count(bounds, zoom) for bounds in area.boxes)


def _area_cells(mosaic: Mosaic, area: Area, zoom: int) -> list[str]:
    count = _count(area, zoom)
    if count > _MAX_AREA_CELLS:
        raise AreaTooLargeError(
            f"the area takes {count:,} index cells at zoom {zoom}, at most {_MAX_AREA_CELLS} can "
            f"be read at once; request a smaller one (the mosaic's minzoom is {mosaic.minzoom})"
        )
    cells = {c.quadkey for bounds in area.boxes for c in area.grid.cells_of(bounds, zoom)}
    return sorted(cells & reached(mosaic, area.grid, zoom) if len(cells) > _FEW_CELLS else cells)


def reached(mosaic: Mosaic, grid: CellGrid, zoom: int) -> set[str]:
    """The cells of a zoom that the mosaic's reach intersects, and perhaps some more."""
    extents = grid.from_lonlat(mosaic.reach) if mosaic.reach else []
    return {cell.quadkey for bounds in extents for cell in grid.cells_of(bounds, zoom)}

"""What a picture shows: pixels in some CRS, and where they lie in a mosaic's own grid."""

import math
from dataclasses import dataclass, field

import morecantile
import numpy as np
from numpy.typing import NDArray

from livemosaic.areas import Area
from livemosaic.cells import cell_grid, lonlat_bounds, tile_matrix_set
from livemosaic.errors import NotFoundError
from livemosaic.model import BBox, Grid, Mosaic


@dataclass(frozen=True, slots=True)
class View:
    """The pixels of a picture of a mosaic."""

    grid: Grid
    area: Area
    what: str
    """How messages call its scale: `zoom 3`."""
    mask: NDArray[np.bool_] | None = field(default=None, compare=False)
    """Shape of the grid; True where pixels are wanted. None: all are."""

    def check_scale(self, mosaic: Mosaic) -> None:
        """`NotFoundError` below the mosaic's minzoom."""
        if self.area.zoom < mosaic.minzoom:
            raise NotFoundError(
                f"{self.what} is below the minzoom {mosaic.minzoom} of mosaic {mosaic.id!r}"
            )


@dataclass(frozen=True, slots=True)
class TileAddress:
    """A tile of a TileMatrixSet (OGC 17-083r4): z is the tile matrix, x the column, y the row."""

    tms: str
    z: int
    x: int
    y: int

    def grid(self, size: int, buffer: float = 0.0) -> Grid:
        """Its pixels, and those of a buffer around them; `NotFoundError` outside the TileMatrixSet.

        The buffer is in pixels, a multiple of a half: in all it adds twice as many.
        """
        tms = tile_matrix_set(self.tms)
        if not tms.minzoom <= self.z <= tms.maxzoom:
            raise NotFoundError(
                f"zoom {self.z} is outside {self.tms}, which has {tms.minzoom} to {tms.maxzoom}"
            )
        matrix = tms.matrix(self.z)
        if not (0 <= self.x < matrix.matrixWidth and 0 <= self.y < matrix.matrixHeight):
            raise NotFoundError(
                f"tile {self.z}/{self.x}/{self.y} is outside {self.tms}, which has "
                f"{matrix.matrixWidth} × {matrix.matrixHeight} tiles at zoom {self.z}"
            )
        left, bottom, right, top = tms.xy_bounds(morecantile.Tile(self.x, self.y, self.z))
        if buffer:
            x, y = buffer * (right - left) / size, buffer * (top - bottom) / size
            left, bottom, right, top = left - x, bottom - y, right + x, top + y
            size += int(2 * buffer)
        return Grid(tms.rasterio_crs, (left, bottom, right, top), size, size)

    def view(self, mosaic: Mosaic, size: int, buffer: float = 0.0) -> View:
        """It as a picture of `size` × `size` pixels, and those of a buffer around them.

        `NotFoundError` outside the TileMatrixSet.
        """
        grid = self.grid(size, buffer)
        if self.tms == mosaic.tms:
            return View(grid, Area((grid.bounds,), self.z), f"zoom {self.z}")
        area = area_of(mosaic, lonlat_bounds(grid))
        return View(grid, area, f"zoom {self.z} of {self.tms}, like {area.zoom} in {mosaic.tms},")


def area_of(mosaic: Mosaic, bbox_lonlat: BBox) -> Area:
    """A box in longitude and latitude (west > east crosses the antimeridian) in a mosaic's grid."""
    grid = cell_grid(mosaic.tms)
    boxes = tuple(grid.from_lonlat(bbox_lonlat))
    zooms = [grid.zoom_of(bounds) for bounds in boxes]
    return Area(boxes, max(0, math.floor(min(24.0, *zooms) + 0.2)) if zooms else 24)

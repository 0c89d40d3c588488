"""Where shapes lie in a tile: their vertices in its units, clipped, valid and wound right."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.geo.box import lonlat_bounds
from livemosaic.geo.cells import CellGrid
from livemosaic.geo.frame import around
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.raster import BBox, Grid
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.mvt import EXTENT, Shapes

BUFFER: Final = 64
"""Units around a tile in which shapes go on, so that maps draw no line where a tile ends."""
_THIN: Final = 0.75
"""Units around what has no area when it is rounded: something of it stays."""
Places = NDArray[np.float64]
"""Shape (n, 2): x, y."""


@dataclass(frozen=True)
class TileFrame:
    """A tile with its units."""

    address: TileAddress
    bounds: BBox
    """Left, bottom, right, top, in the CRS of its TileMatrixSet."""

    @classmethod
    def of(cls, address: TileAddress) -> "TileFrame":
        """Returns the frame of a tile; `NotFoundError` outside its TileMatrixSet."""
        return cls(address, address.grid(1).bounds)

    @cached_property
    def projection(self) -> CellGrid:
        """Projects longitude and latitude to the TileMatrixSet, also where that is no quadtree."""
        tms = tile_matrix_set(self.address.tms)
        left, bottom, right, top = tms.xy_bbox
        return CellGrid(tms, tms.rasterio_crs, (left, bottom, right, top))

    @property
    def crs(self) -> CRS:
        """Of `bounds`."""
        return self.projection.crs

    @property
    def reach(self) -> BBox:
        """The bounds with the buffer around them."""
        left, bottom, right, top = self.bounds
        x, y = (right - left) * BUFFER / EXTENT, (top - bottom) * BUFFER / EXTENT
        return left - x, bottom - y, right + x, top + y

    @property
    def near(self) -> BaseGeometry | None:
        """Longitudes and latitudes around the tile; None where x repeats around the world.

        Other projections show places far away somewhere else, or nowhere.
        """
        if around(self.crs) is not None:
            return None
        bounds = lonlat_bounds(Grid(self.crs, self.reach, 1, 1), self.projection.lonlat)
        return shapely.union_all(lonlat_boxes(bounds))

    def units(self, xy: Places) -> Places:
        """Returns places in the CRS in units of the tile, from its upper left corner."""
        left, bottom, right, top = self.bounds
        found: Places = (xy - (left, top)) * (EXTENT / (right - left), -EXTENT / (top - bottom))
        return found

    def drawn(self, shapes: Shapes) -> Shapes:
        """Returns shapes in units as a layer has them, each in one piece; empty where outside.

        Where x repeats with each turn around the world, shapes go on beyond the edge of the map.
        """
        left, _, right, _ = self.reach
        world = around(self.crs)
        found = clipped(shapes)
        if world is not None and (left < -world / 2 or right > world / 2):
            turn = world * EXTENT / (self.bounds[2] - self.bounds[0])
            turns = [clipped(shapely.transform(shapes, _moved(by))) for by in (-turn, turn)]
            found = _together(found, *turns)
        return rounded(found)


def _moved(by: float) -> Callable[[Places], Places]:
    def moved(xy: Places) -> Places:
        found: Places = xy + np.array([by, 0.0])
        return found

    return moved


def clipped(shapes: Shapes) -> Shapes:
    """Returns the parts of shapes within a tile and its buffer."""
    low, high = -BUFFER, EXTENT + BUFFER
    try:
        found: Shapes = shapely.clip_by_rect(shapes, low, low, high, high)
    except shapely.GEOSException:  # of a corner that reaches in by no more than rounding
        found = shapely.intersection(shapely.make_valid(shapes), shapely.box(low, low, high, high))
    return found


def _together(*turns: Shapes) -> Shapes:
    """Returns the pieces of each shape as one multipolygon, which may touch each other."""
    pieces, of_shape = shapely.get_parts(np.concatenate(turns), return_index=True)
    of_shape %= len(turns[0])
    order = np.argsort(of_shape, kind="stable")
    found = np.full(len(turns[0]), shapely.MultiPolygon(), np.object_)
    shapely.multipolygons(pieces[order], indices=of_shape[order], out=found)
    return found


def rounded(shapes: Shapes) -> Shapes:
    """Returns shapes with integers as vertices: valid, without repeated vertices, wound right.

    Pieces that touch become one. Thin ones stay visible; without any area they become empty.
    """
    found = shapely.transform(shapes, np.rint)
    broken = ~shapely.is_valid(found)
    if broken.any():
        whole = shapely.make_valid(found[broken], method="structure", keep_collapsed=False)
        found[broken] = shapely.set_precision(whole, 1.0)
    thin = (shapely.area(found) == 0) & (shapely.area(shapes) > 0)
    if thin.any():
        thick = shapely.buffer(shapes[thin], _THIN, cap_style="square", join_style="mitre")
        found[thin] = shapely.set_precision(thick, 1.0)
    wound: Shapes = shapely.orient_polygons(shapely.simplify(found, 0.0))
    return wound

"""Views: the pixels of an image in some CRS, and their area in a mosaic's own cell grid."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

import morecantile
import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.geo.box import Box, OffGlobeError, lonlat_bounds
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.crs import NoTransformError, body_of, transformer
from livemosaic.geo.frame import around
from livemosaic.geo.polygons.inside import clip_area
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.index.partitions import Area
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox, Grid, LonLat

_TILE: Final = 256
"""Pixels of the edge of a tile at its nominal zoom."""
ROUNDED: Final = 0.2
"""Part of a zoom by which an image may be coarser than a tile of the minzoom."""
_DEGREES: Final = 1e-9
_METRES: Final = 1e-4
"""Sides of a pixel around a place: far smaller than any scene's, so that the scene is read at its
full resolution, and far larger than the last digits of coordinates."""


@dataclass(frozen=True, slots=True)
class View:
    """The pixels of an image of a mosaic."""

    grid: Grid
    area: Area
    what: str
    """The scale as messages name it: `zoom 3`."""
    mask: NDArray[np.bool_] | None = field(default=None, compare=False)
    """Shape of the grid; True where pixels are wanted. None: all are."""
    detail: float = 1
    """How many times finer overview cells are read than the image is."""
    canvas: Grid | None = None
    """A larger grid on which the image lies, with nothing around it."""

    def widened(self, mosaic: Mosaic, margin: int) -> "View":
        """Returns the view with so many pixels more on each side, as coarse as these.

        None of them is wanted where there is a mask, and nothing is beyond the poles.
        """
        if not margin:
            return self
        sides = margin, margin, margin, margin
        grid = self.grid.grown(*sides)
        world = around(grid.crs)
        is_beyond = world is not None and max(-grid.bounds[0], grid.bounds[2]) > world / 2
        boxes: tuple[BBox, ...] = (grid.bounds,)
        if is_beyond or self.area.boxes != (self.grid.bounds,):
            boxes = area_of(mosaic, lonlat_bounds(_in_world(grid, world), lonlat_on(mosaic))).boxes
        return replace(
            self,
            grid=replace(grid, world=world) if is_beyond else grid,
            area=replace(self.area, boxes=boxes),
            mask=None if self.mask is None else np.pad(self.mask, margin),
            canvas=self.canvas and self.canvas.grown(*sides),
        )

    def check_scale(self, mosaic: Mosaic) -> None:
        """Raises `NotFoundError` below the mosaic's minzoom."""
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
        """Returns the tile's pixels and a buffer; `NotFoundError` outside the TileMatrixSet.

        The buffer is in pixels on each side, a multiple of a half.
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
        """Returns the tile as a view of `size` × `size` pixels and a buffer; raises as `grid`."""
        grid = self.grid(size, buffer)
        if self.tms == mosaic.tms:
            area = Area(cell_grid(mosaic.tms), (grid.bounds,), self.z)
            area = replace(area, scale=self.z + math.log2(size / _TILE))
            return View(grid, area, f"zoom {self.z}")
        try:
            area = area_of(mosaic, lonlat_bounds(grid, lonlat_on(mosaic)))
        except NoTransformError as error:
            raise NotFoundError(_elsewhere(self.tms, grid.crs, mosaic)) from error
        what = f"zoom {self.z} of {self.tms}, like {area.zoom} in {mosaic.tms},"
        return _scaled(View(grid, area, what))


def lonlat_on(mosaic: Mosaic) -> CRS:
    """Returns longitude and latitude on the body of a mosaic."""
    return cell_grid(mosaic.tms).lonlat


def _elsewhere(what: str, crs: CRS, mosaic: Mosaic) -> str:
    here = body_of(lonlat_on(mosaic))
    return f"{what} is not on {here}, which mosaic {mosaic.id!r} shows, but on {body_of(crs)}"


def area_of(mosaic: Mosaic, bbox_lonlat: BBox) -> Area:
    """Returns a box in degrees (west > east crosses ±180) as an area of the mosaic's grid."""
    grid = cell_grid(mosaic.tms)
    boxes = tuple(grid.from_lonlat(bbox_lonlat))
    zooms = [grid.zoom_of(bounds) for bounds in boxes]
    return Area(grid, boxes, max(0, math.floor(min(24.0, *zooms) + 0.2)) if zooms else 24)


def lonlat_view(mosaic: Mosaic, bbox_lonlat: BBox) -> View:
    """Returns a box in degrees, however thin, as a view of one pixel; west > east crosses ±180."""
    west, south, east, north = bbox_lonlat
    grid = Grid(lonlat_on(mosaic), (west, south, east if west <= east else east + 360, north), 1, 1)
    return View(grid, area_of(mosaic, bbox_lonlat), "bbox")


def box_view(box: Box, mosaic: Mosaic, width: int, height: int) -> View:
    """Returns a box as a view of `width` × `height` pixels, however coarse; see `check_zoom`."""
    return extent_view(Grid(box.crs, box.bounds, width, height), mosaic, str(box))


def canvas_view(grid: Grid, mosaic: Mosaic, what: str) -> View:
    """Returns a grid that may reach beyond the poles, and any times around the world, as a view.

    Nothing is beyond the poles, nor beyond three worlds. Raises as `extent_view`.
    """
    world = around(grid.crs)
    left, bottom, right, top = grid.bounds
    if world is None or max(-left, right) <= 1.5 * world:
        return extent_view(grid, mosaic, what)
    shift = world * round((left + right) / 2 / world)
    moved = replace(grid, bounds=(left - shift, bottom, right - shift, top))
    first, last = (_column(moved, edge * world) for edge in (-1.5, 1.5))
    if first >= last:
        raise OffGlobeError(f"{what} shows the world in less than a pixel")
    (west, _), (east, _) = moved.transform @ (first, 0), moved.transform @ (last, 0)
    part = replace(moved, bounds=(west, bottom, east, top), width=last - first)
    return replace(extent_view(part, mosaic, what), canvas=moved)


def _column(grid: Grid, x: float) -> int:
    """Returns the edge of columns nearest to the middle of a grid from x, or its own edge."""
    at = (x - grid.bounds[0]) / grid.transform.a
    return min(grid.width, max(0, math.ceil(at) if x < 0 else math.floor(at)))


def extent_view(grid: Grid, mosaic: Mosaic, what: str) -> View:
    """Returns a grid as a view, also beyond the poles, where nothing is.

    Raises `OffGlobeError` where no part of it is a place, and `InvalidRequestError` where they are
    of another body than the mosaic's.
    """
    left, _, right, _ = grid.bounds
    world = around(grid.crs)
    if world is not None and max(-left, right) > world / 2:
        grid = replace(grid, world=world)
    try:
        area = area_of(mosaic, lonlat_bounds(_in_world(grid, world), lonlat_on(mosaic)))
    except NoTransformError as error:
        raise InvalidRequestError(_elsewhere(what, grid.crs, mosaic)) from error
    # The zoom is that of a tile as large as the box, and what a box may take of the index has a
    # limit of its own.
    return _scaled(View(grid, replace(area, zoom=max(area.zoom, mosaic.minzoom)), what))


def _scaled(view: View) -> View:
    """Returns a view of an image whose area has its scale; off the grid there is none."""
    scale = zoom_like(view) if view.area.boxes else None
    return replace(view, area=replace(view.area, scale=scale))


def _in_world(grid: Grid, world: float | None) -> Grid:
    """Returns the part of a grid between the poles, and once around the world at most."""
    if world is None:
        return grid
    left, bottom, right, top = grid.bounds
    if right - left > world:
        left, right = -world / 2, world / 2
    if grid.crs.is_geographic:
        bottom, top = max(bottom, -world / 4), min(top, world / 4)
    if bottom >= top:
        raise OffGlobeError(f"latitudes {grid.bounds[1]:g} to {grid.bounds[3]:g} are beyond a pole")
    return replace(grid, bounds=(left, bottom, right, top))


def clipped(mosaic: Mosaic, view: View) -> View:
    """Returns a view of the pixels within the boundary to which a mosaic is clipped."""
    inside = clip_area(mosaic.clip_to_boundary).mask(view.grid, lonlat_on(mosaic))
    if inside is None:
        return view
    return replace(view, mask=inside if view.mask is None else view.mask & inside)


def check_zoom(mosaic: Mosaic, view: View) -> None:
    """Raises `InvalidRequestError` for a view coarser than tiles of the mosaic's minzoom."""
    zoom, grid = zoom_like(view), view.grid
    if zoom < mosaic.minzoom - ROUNDED:
        raise InvalidRequestError(
            f"{view.what} with {grid.width} × {grid.height} pixels is like zoom {zoom:.1f}, below "
            f"the minzoom {mosaic.minzoom} of mosaic {mosaic.id!r}; ask for a smaller box or for "
            "more pixels"
        )


def zoom_like(view: View) -> float:
    """Returns the zoom at which tiles are as coarse as a view of a box; endless off the grid."""
    pixels = math.log2(max(view.grid.width, view.grid.height) / _TILE)
    return min((view.area.grid.zoom_of(box) for box in view.area.boxes), default=math.inf) + pixels


@dataclass(frozen=True, slots=True)
class Point:
    """A place in some CRS, x before y."""

    crs: CRS
    x: float
    y: float

    @classmethod
    def on_any_turn(cls, crs: CRS, x: float, y: float) -> "Point":
        """Returns a place on a map that shows several worlds, as it is in the one of ±180°."""
        world = around(crs)
        return cls(crs, x if world is None else x - round(x / world) * world, y)

    def lonlat(self, mosaic: Mosaic) -> LonLat:
        """Returns longitude and latitude; raises `OffGlobeError` off the globe, and
        `InvalidRequestError` on another body."""
        try:
            lon, lat = transformer(self.crs, lonlat_on(mosaic)).transform(self.x, self.y)
        except NoTransformError as error:
            where = f"point {self.x:.12g},{self.y:.12g}"
            raise InvalidRequestError(_elsewhere(where, self.crs, mosaic)) from error
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            raise OffGlobeError(
                f"point {self.x:.12g},{self.y:.12g} must be a place on the globe: longitude within "
                "±180 and latitude within ±90 degrees, or coordinates of coord_crs"
            )
        return lon, lat

    def view(self, mosaic: Mosaic) -> View:
        """Returns a view of one pixel, with the point in its centre.

        180° is read as -180°: scenes begin with their western edge, and end before their eastern.
        """
        world, x = around(self.crs), self.x
        if world is not None and x == world / 2:
            x = -x
        lon, lat = replace(self, x=x).lonlat(mosaic)
        half = (_DEGREES if self.crs.is_geographic else _METRES) / 2
        bounds = x - half, self.y - half, x + half, self.y + half
        area = area_of(mosaic, (lon, lat, lon, lat))
        return View(Grid(self.crs, bounds, 1, 1), area, f"point {self.x:.12g},{self.y:.12g}")

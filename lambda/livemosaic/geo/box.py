"""Boxes in any CRS, and the size in pixels of their images, which is rio-tiler's."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import rasterio
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio._err import CPLE_BaseError  # what GDAL raises; it has no public name
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.session import DummySession
from rasterio.transform import array_bounds
from rasterio.warp import calculate_default_transform

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import NoTransformError, lonlat_of, transformer
from livemosaic.geo.frame import Frame, around, around_cylinder, is_cylinder
from livemosaic.model.raster import BBox, Grid

FARTHEST: Final = 1e9
"""No place has larger coordinates, in any CRS."""
THINNEST: Final = 1e-10
"""Part of the largest coordinate, or of a unit: a shorter side has no room for pixels."""
_EDGE_POINTS: Final = 21
"""Points along each side of a box that is transformed."""
_MERCATOR_LATITUDE: Final = 85.06
"""Latitude at which rasters are cut before their resolution on a Mercator map is computed."""
_SAMPLES: Final = 33
"""Points along each axis of a raster that decide its extent in longitude and latitude."""
_LONGER_SIDE: Final = 256
"""Pixels of a box's longer side by default."""

Step = tuple[float, float]
"""Width and height of a pixel, in units of a CRS."""


class OffGlobeError(InvalidRequestError):
    """A point, or all of a box, that is no place on the globe."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a CRS. Where x repeats it may go on beyond the edge: from 170 to 190 degrees.

    Raises `InvalidRequestError` for a box without area, beyond a pole or wider than the world.
    """

    crs: CRS
    bounds: BBox
    """Left, bottom, right, top; x before y."""

    def __post_init__(self) -> None:
        left, bottom, right, top = self.bounds
        farthest = max(map(abs, self.bounds))
        if not farthest < FARTHEST:
            raise InvalidRequestError(f"{self} must be finite numbers, of places on a globe")
        if not min(right - left, top - bottom) > THINNEST * max(1.0, farthest):
            raise InvalidRequestError(f"{self} is empty or inverted; give minx,miny,maxx,maxy")
        world = around(self.crs)
        if world is None:
            return
        if max(-left, right) > 1.5 * world or right - left > world * (1 + 1e-9):
            raise InvalidRequestError(f"{self} reaches more than once around the world")
        if self.crs.is_geographic and max(-bottom, top) > world / 4:
            raise InvalidRequestError(f"{self} reaches beyond a pole; x is longitude, y latitude")

    def __str__(self) -> str:
        return f"box {','.join(f'{edge:.12g}' for edge in self.bounds)}"

    @classmethod
    def of(cls, crs: CRS, bounds: BBox) -> "Box":
        """Makes a box; in degrees, west > east crosses the antimeridian (RFC 7946, 5.2)."""
        left, bottom, right, top = bounds
        world = around(crs) if crs.is_geographic and left > right else None
        return cls(crs, (left, bottom, right + world if world else right, top))

    def to(self, crs: CRS) -> "Box":
        """Returns the bounding box in another CRS, where the sides of this one are bent."""
        if crs == self.crs:
            return self
        if is_cylinder(crs) and around(self.crs) is None:
            lonlat = self.to(lonlat_of(crs))
            if lonlat.bounds[2] > 180:  # PROJ would say: all around the world
                return lonlat.to(crs)
        parts = [self._moved(part, crs, turns) for part, turns in self._in_world()]
        left, bottom, right, top = zip(*parts, strict=True)
        whole = min(left), min(bottom), max(right), max(top)
        if whole[2] - whole[0] > 2 * sum(part[2] - part[0] for part in parts):
            raise InvalidRequestError(
                f"{self} crosses the antimeridian, where {crs.to_string()[:40]} is cut; ask for "
                "its two sides, or in another CRS"
            )
        return Box(crs, whole)

    def _in_world(self) -> Iterator[tuple[BBox, int]]:
        """Yields the box cut at the edges of the world, with the turns of each part."""
        left, bottom, right, top = self.bounds
        world = around(self.crs)
        if world is None:
            yield self.bounds, 0
            return
        first, last = math.floor(left / world + 0.5), math.ceil(right / world - 0.5)
        for turns in range(first, last + 1):
            west, east = (turns - 0.5) * world, (turns + 0.5) * world
            shift = turns * world
            yield (max(left, west) - shift, bottom, min(right, east) - shift, top), turns

    def _moved(self, part: BBox, crs: CRS, turns: int) -> BBox:
        try:
            moved = transformer(self.crs, crs).transform_bounds(*part, densify_pts=_EDGE_POINTS)
        except (NoTransformError, ProjError):
            moved = (math.nan,) * 4
        left, bottom, right, top = moved
        world = around(crs)
        if world and is_cylinder(crs):  # at the poles it is endless
            edge = world / 2
            bottom, top = max(bottom, -edge), min(top, edge)
        elif world and left > right:
            right += world
        if not (all(map(math.isfinite, (left, bottom, right, top))) and bottom < top):
            raise InvalidRequestError(f"{self} has no place in {crs.to_string()[:40]}")
        shift = turns * world if world else 0.0
        return left + shift, bottom, right + shift, top


@dataclass(frozen=True, slots=True)
class Size:
    """The requested size in pixels; by default as many as the scenes have."""

    width: int | None = None
    height: int | None = None
    max_size: int | None = None
    """Pixels of the longer side; ignored where a side is given."""

    @property
    def given(self) -> bool:
        """Whether both sides are given."""
        return bool(self.width and self.height)

    def of(self, box: Box, step: Step | None) -> tuple[int, int]:
        """Returns width and height of a box's image; `step` is a pixel of its scenes, if any."""
        if self.width and self.height:
            return self.width, self.height
        across, down = _native(box, step)
        if self.width:
            return self.width, _side(self.width * down / across)
        if self.height:
            return _side(self.height * across / down), self.height
        if step and max(across, down) <= (self.max_size or math.inf):
            return round(across), round(down)
        most = self.max_size or _LONGER_SIDE
        if across < down:
            return _side(most * across / down), most
        return most, _side(most * down / across)


def _native(box: Box, step: Step | None) -> tuple[float, float]:
    left, bottom, right, top = box.bounds
    if step is None:
        return right - left, top - bottom
    return max(1, round((right - left) / step[0])), max(1, round((top - bottom) / step[1]))


def _side(pixels: float) -> int:
    return max(1, math.ceil(pixels))


def step_of(frame: Frame, crs: CRS) -> Step | None:
    """Returns the pixel size of a raster warped by GDAL to another CRS; None if it cannot be."""
    to_map = warped(frame, crs)
    return (abs(to_map.a), abs(to_map.e)) if to_map else None


def warped(frame: Frame, crs: CRS) -> Affine | None:
    """Returns GDAL's default transform of a raster warped to a CRS; None if it cannot be.

    Pixel corner (column, row) → CRS (x, y), north up.
    """
    to_map = frame.transform
    if frame.crs == crs and not (to_map.b or to_map.d):
        return to_map
    left, bottom, right, top = array_bounds(frame.height, frame.width, to_map)
    height = frame.height
    if is_cylinder(crs) and frame.crs.is_geographic:
        whole = top - bottom
        bottom, top = max(bottom, -_MERCATOR_LATITUDE), min(top, _MERCATOR_LATITUDE)
        height = round(height * (top - bottom) / whole)
    bounds = left, bottom, right, top
    if across := _across_edge(frame.crs, crs, bounds, frame.width, height):
        return across
    to_crs: Affine
    try:
        with rasterio.Env(DummySession()):
            to_crs, _, _ = calculate_default_transform(frame.crs, crs, frame.width, height, *bounds)
    except (RasterioError, CPLE_BaseError, ValueError):
        return None
    return to_crs


def _across_edge(source: CRS, crs: CRS, bounds: BBox, width: int, height: int) -> Affine | None:
    """Returns what GDAL would if the map went on beyond its edge; None of what does not cross it.

    To GDAL a raster across ±180° is as wide as the world, and its pixels are as coarse. As GDAL
    does, by the distance of the upper left corner from the lower right one. None also of a raster
    around a pole, which is that wide, and of one that reaches beyond the CRS.
    """
    turn = around(crs) or around_cylinder(crs)
    if turn is None:
        return None
    left, bottom, right, top = bounds
    along, back = np.linspace(0, 1, _EDGE_POINTS), np.linspace(1, 0, _EDGE_POINTS)
    x = left + (right - left) * np.concatenate([along, along**0, back, 0 * back])
    y = top + (bottom - top) * np.concatenate([0 * along, along, along**0, back])
    try:
        x, y = transformer(source, crs).transform(x, y)
    except NoTransformError:
        return None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    whole = np.unwrap(x, period=turn)
    if np.allclose(whole, x, rtol=0, atol=turn / 2) or abs(whole[-1] - whole[0]) > turn / 2:
        return None
    last = 2 * _EDGE_POINTS - 1
    step = math.hypot(whole[last] - whole[0], y[last] - y[0]) / math.hypot(width, height)
    return Affine(step, 0, whole.min(), 0, -step, y.max())


def lonlat_bounds(grid: Grid, lonlat: CRS) -> BBox:
    """Returns west, south, east, north of a grid, in degrees; west > east across ±180.

    `lonlat` is longitude and latitude on a body; raises `NoTransformError` if the grid is of
    another one.

    From points all over the grid, not from its corners: a box around a pole has the pole inside and
    all longitudes. Grown by the distance between points, so nothing between two of them is lost.
    """
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(np.linspace(left, right, _SAMPLES), np.linspace(bottom, top, _SAMPLES))
    lon, lat = transformer(grid.crs, lonlat).transform(x.ravel(), y.ravel())
    seen = np.isfinite(lon) & np.isfinite(lat)
    if not seen.any():
        raise OffGlobeError("that place is not on the globe")
    lon, lat = lon[seen], lat[seen]
    lon = np.sort(np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon))  # of boxes across ±180
    grow = 1.5 * float(np.ptp(lat)) / _SAMPLES
    south, north = max(-90.0, float(lat.min()) - grow), min(90.0, float(lat.max()) + grow)
    gaps = np.diff(np.append(lon, lon[0] + 360))
    widest = int(gaps.argmax())
    if gaps[widest] < 30 or any(_holds_pole(grid, pole) for pole in (-90.0, 90.0)):
        return -180.0, _reach(grid, -90.0, south), 180.0, _reach(grid, 90.0, north)
    west, east = float(lon[(widest + 1) % len(lon)]), float(lon[widest])
    grow = 1.5 * ((east - west) % 360) / _SAMPLES
    if west <= east:
        return max(-180.0, west - grow), south, min(180.0, east + grow), north
    return west - grow, south, east + grow, north


def _holds_pole(grid: Grid, latitude: float) -> bool:
    # A geographic CRS has a whole edge for a pole, which a box there may only touch.
    if grid.crs.is_geographic:
        return False
    x, y = transformer(lonlat_of(grid.crs), grid.crs).transform(0.0, latitude)
    left, bottom, right, top = grid.bounds
    return bool(left <= x <= right and bottom <= y <= top)


def _reach(grid: Grid, pole: float, latitude: float) -> float:
    return pole if _holds_pole(grid, pole) else latitude

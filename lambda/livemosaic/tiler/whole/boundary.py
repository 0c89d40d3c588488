"""Use case: the boundary of a mosaic's valid pixels, from one image of all of it.

The image is of overview cells where the mosaic has any. Of a mosaic of few scenes whose image would
be too coarse or leave some out, the boundary is that of their footprints.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import AreaTooLargeError
from livemosaic.geo.antimeridian import extent, wrapped
from livemosaic.geo.crs import proj_crs
from livemosaic.geo.polygons.inside import clip_area
from livemosaic.geo.rasterize import traced
from livemosaic.index.extents.tallies import TallyRows
from livemosaic.index.merge import distinct
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox, Grid
from livemosaic.model.render import Read
from livemosaic.model.scene import Scene
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import area_of, lonlat_on
from livemosaic.tiler.whole.area import pixel_areas
from livemosaic.tiler.whole.image import few_scenes, image_of, is_enough, too_many, whole_view

_MOST_PARTS: Final = 2000
"""Polygons; where there are more, pixels are joined."""
_SMOOTHED: Final = 0.75
"""Pixels by which vertices may be off the edges of pixels, so that diagonals have no stairs."""
_STRAIGHT: Final = 0.25
"""Degrees of an edge that is straight on an equal-area map, too."""
_MOST_COUNTED: Final = 2000
"""Scenes that are counted by the index."""
_NEWEST_FIRST: Final = "-datetime"


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a mosaic has pixels."""

    geometry: BaseGeometry
    """Polygons in degrees, within ±180."""
    area_km2: float
    resolution: float | None = None
    """Degrees of a pixel of the image; None where it is of footprints."""
    rungs: Sequence[int] = ()
    """Zooms of the overview cells that were read in place of scenes."""
    newest: str | None = None
    """RFC 3339 time of the newest scene; None unless the mosaic shows the newest on top."""

    @property
    def bounds(self) -> BBox:
        """West, south, east, north in degrees; west > east across ±180."""
        return extent(self.geometry)

    @property
    def envelope(self) -> BaseGeometry:
        """The rectangle of the bounds; two across ±180."""
        west, south, east, north = self.bounds
        return wrapped(shapely.box(west, south, east if west <= east else east + 360, north))


async def boundary_of(tiler: Tiler, mosaic: Mosaic, side: int) -> Boundary | None:
    """Returns the boundary of a mosaic as it is shown by default; None where it has no pixels.

    `side`: pixels of the longer side of the image. Raises `InvalidRequestError` where the mosaic
    has too many scenes to read, and no overviews.
    """
    view = whole_view(mosaic, side, lonlat_on(mosaic))
    if view is None:
        return None
    newest = await asyncio.to_thread(_newest, tiler, mosaic)
    made = await image_of(tiler, mosaic, view, Read(), rule_of({}, mosaic))
    if made is not None and is_enough(made):
        return await asyncio.to_thread(_of_image, made, newest)
    few = await asyncio.to_thread(few_scenes, tiler, mosaic)
    if few and not (made is not None and is_enough(made, _claimed(made, few))):
        found = await asyncio.to_thread(_of_footprints, mosaic, few, newest)
        return None if found.geometry.is_empty else found
    if made is None:
        raise too_many(mosaic)
    return await asyncio.to_thread(_of_image, made, newest) if made.pixels.valid.any() else None


def number_of_scenes(tiler: Tiler, mosaic: Mosaic) -> int | None:
    """Returns how many scenes a mosaic has; of many, as the builder of overviews knew it last.

    None of more than can be counted at once, where no builder counts them.
    """
    if mosaic.bounds is None:
        return 0
    if tally := TallyRows(tiler.index.table).glance(mosaic, ""):
        return tally.total
    try:
        found = distinct(tiler.index.find(mosaic, area_of(mosaic, mosaic.bounds)))
        number = sum(1 for _ in islice(found, _MOST_COUNTED + 1))
    except AreaTooLargeError:
        return None
    return number if number <= _MOST_COUNTED else None


def _claimed(made: Picture, scenes: Sequence[Scene]) -> float:
    """The pixels that footprints have in an image; 0 where it lacks scenes that cannot be read."""
    if made.skipped or made.lost:
        return 0.0
    geometry = shapely.union_all([scene.footprint for scene in scenes])
    return float(geometry.area) / made.grid.transform.a**2


def _of_image(made: Picture, newest: str | None) -> Boundary:
    valid, grid = made.pixels.valid, made.grid
    area = float(pixel_areas(grid)[valid].sum(dtype=np.float64))
    step = grid.transform.a
    rungs = [] if made.shown is None else [made.shown.zoom]
    return Boundary(wrapped(_outline(valid, grid)), area, step, rungs, newest)


def _outline(valid: NDArray[np.bool_], grid: Grid) -> BaseGeometry:
    """The polygons of valid pixels, of coarser ones where there would be too many."""
    to_map = grid.transform
    parts = traced(valid, to_map)
    while len(parts) > _MOST_PARTS:
        valid, to_map = _halved(valid), to_map @ Affine.scale(2)
        parts = traced(valid, to_map)
    step = _SMOOTHED * to_map.a
    return shapely.union_all([part.simplify(step).buffer(0) for part in parts])


def _halved(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels twice as large, valid where any of the four is."""
    height, width = valid.shape
    even = np.pad(valid, ((0, height % 2), (0, width % 2)))
    return even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]


def _of_footprints(mosaic: Mosaic, scenes: Sequence[Scene], newest: str | None) -> Boundary:
    geometry = shapely.union_all([scene.footprint for scene in scenes])
    if mosaic.clip_to_boundary:
        geometry = geometry.intersection(clip_area(mosaic.clip_to_boundary).polygons)
    return Boundary(geometry, _area_km2(geometry, lonlat_on(mosaic)), newest=newest)


def _area_km2(geometry: BaseGeometry, lonlat: CRS) -> float:
    """The true area of polygons in degrees, whose edges are straight on a map of degrees.

    Geodesics between their corners are not: around a pole, or the world, these enclose nothing.
    """
    geod = proj_crs(lonlat).get_geod()
    if geod is None:
        return 0.0
    equal_area = pyproj.Proj(proj="cea", a=geod.a, b=geod.b)
    bent = shapely.transform(
        shapely.segmentize(geometry, _STRAIGHT), lambda at: np.column_stack(equal_area(*at.T))
    )
    return float(bent.area) / 1e6


def _newest(tiler: Tiler, mosaic: Mosaic) -> str | None:
    if mosaic.bounds is None or mosaic.sortby != _NEWEST_FIRST or mosaic.sources:
        return None
    try:
        top = next(tiler.index.find(mosaic, area_of(mosaic, mosaic.bounds)), None)
    except AreaTooLargeError:
        return None
    return top.datetime if top else None

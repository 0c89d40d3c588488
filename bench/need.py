"""Which scenes a tile needs, by geometry alone: nothing here is livemosaic's.

Every pixel of the tile belongs to the newest scene whose true footprint holds its centre.
"""

from collections.abc import Sequence

import morecantile
import numpy as np
import shapely
from pyproj import Transformer

from bench.rasters import CRS, Scene, newest_first

_WEB_MERCATOR = morecantile.tms.get("WebMercatorQuad")
_DEEP_FILES = 3
_DEEP_MARGIN = 3000.0
"""Metres, more than a tile: one whose centre is inside is inside."""


def needed(scenes: Sequence[Scene], tile: morecantile.Tile, size: int) -> frozenset[str]:
    """Names of the scenes that show on a tile of `size` × `size` pixels."""
    left, bottom, right, top = _WEB_MERCATOR.xy_bounds(tile)
    along = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(left + along * (right - left), top - along * (top - bottom))
    x, y = Transformer.from_crs("EPSG:3857", CRS, always_xy=True).transform(x.ravel(), y.ravel())
    free = np.ones(x.size, np.bool_)
    shown: set[str] = set()
    for scene in newest_first(scenes):
        mine = free & shapely.contains_xy(scene.footprint, x, y)
        if mine.any():
            shown.add(scene.name)
            free &= ~mine
        if not free.any():
            break
    return frozenset(shown)


def tiles_over(
    scenes: Sequence[Scene], zoom: int, count: int, rng: np.random.Generator
) -> list[morecantile.Tile]:
    """Different tiles whose centres lie in some scene, at most so many."""
    west, south, east, north = shapely.total_bounds([scene.lonlat for scene in scenes])
    everywhere = shapely.union_all([scene.lonlat for scene in scenes])
    inside = [
        tile
        for tile in _WEB_MERCATOR.tiles(west, south, east, north, zooms=[zoom])
        if everywhere.contains(_centre(tile))
    ]
    chosen = rng.permutation(len(inside))[:count]
    return [inside[n] for n in chosen]


def stacked(scenes: Sequence[Scene]) -> tuple[list[Scene], Scene]:
    """A few scenes that lie on top of each other, and the place that all of them cover."""
    middle = shapely.union_all([scene.footprint for scene in scenes]).centroid
    files = sorted(scenes, key=lambda scene: scene.footprint.centroid.distance(middle))[
        :_DEEP_FILES
    ]
    common = shapely.intersection_all([scene.footprint for scene in files])
    return files, Scene("common", 0, common.buffer(-_DEEP_MARGIN))


def _centre(tile: morecantile.Tile) -> shapely.Point:
    west, south, east, north = _WEB_MERCATOR.bounds(tile)
    return shapely.Point((west + east) / 2, (south + north) / 2)

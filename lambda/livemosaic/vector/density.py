"""The layer of density: how many scenes lie where, for tiles with too many to draw each.

At each zoom a scene counts once: in the square, four zooms below the tile, that has the
centroid of its footprint; or, where the footprint does not hold that, a place within it: a tile
without any part of a scene does not know of it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import shapely
from morecantile import Tile
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from livemosaic.geo.footprint import centre, inside
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.index.extents.tallies import ALONG, Counts, later
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import LonLat
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.vector.footprints import Listed, are_drawn
from livemosaic.vector.frame import TileFrame
from livemosaic.vector.mvt import EXTENT, TileLayer

NAME: Final = "density"
Squares = NDArray[np.int64]
"""Shape (n, 2): columns and rows from the upper left corner of the tile; others are outside."""


def density(counts: Counts) -> TileLayer:
    """Returns the squares of a tile in which scenes have their places, with `count`, `newest`."""
    edge = EXTENT // ALONG
    places = sorted(counts)
    x, y = np.array(places, np.int64).reshape(-1, 2).T * edge
    found = [{"count": count, "newest": time} for count, time in map(counts.__getitem__, places)]
    return TileLayer(NAME, shapely.box(x, y, x + edge, y + edge), found)


def counted(index: Index, mosaic: Mosaic, frame: TileFrame, scenes: Sequence[Listed]) -> Counts:
    """Returns how many scenes have their places in squares of a tile."""
    lonlat = _places(index, mosaic, scenes)
    squares = _squares(frame, lonlat)
    here = np.asarray(((squares >= 0) & (squares < ALONG)).all(axis=1))
    at_edge = np.flatnonzero(here & _off_map(frame, lonlat)).tolist()
    if at_edge:
        here[at_edge] = are_drawn(index, mosaic, frame, [scenes[at] for at in at_edge])
    places, of_scene, counts = np.unique(
        squares[here], axis=0, return_inverse=True, return_counts=True
    )
    newest: list[str | None] = [None] * len(places)
    times = (scenes[at].datetime for at in np.flatnonzero(here).tolist())
    for place, time in zip(of_scene.ravel().tolist(), times, strict=True):
        newest[place] = later(newest[place], time)
    squares_of = map(tuple, places.tolist())
    return dict(zip(squares_of, zip(counts.tolist(), newest, strict=True), strict=True))


def _squares(frame: TileFrame, lonlat: NDArray[np.float64]) -> Squares:
    """Returns the squares of places; beyond the edge of the map, the last ones before it."""
    at, tms = frame.address, tile_matrix_set(frame.address.tms)
    matrix = tms.matrix(at.z)
    # By the same numbers in each tile: a place where two of them meet is in one. In a quadtree at
    # each zoom, too, so that a square has what the four of the next zoom have.
    zoom = tms.minzoom if tms.is_quadtree else at.z
    scale, origin = tms.matrix(zoom), tms.xy_bounds(Tile(0, 0, zoom))
    sides = scale.cellSize * np.array([scale.tileWidth, -scale.tileHeight])
    places = (frame.projection.places(lonlat) - (origin.left, origin.top)) / sides
    places *= ALONG << (at.z - zoom)
    last = np.array([matrix.matrixWidth, matrix.matrixHeight]) * ALONG - 1
    found = np.floor(np.clip(np.nan_to_num(places), 0, last)).astype(np.int64)
    # Towards the poles of some TileMatrixSets, several columns are one tile.
    columns = matrix.get_coalesce_factor(at.y) if matrix.variableMatrixWidths else 1
    first = np.array([at.x - at.x % columns, at.y]) * ALONG
    squares: Squares = (found - first) // np.array([columns, 1])
    return squares


def _off_map(frame: TileFrame, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns whether places lie beyond the edge of a map that does not hold what is there."""
    if frame.projection.edge is not None:
        return np.zeros(len(lonlat), np.bool_)
    x, y = frame.projection.places(lonlat).T
    left, bottom, right, top = frame.projection.root
    found: NDArray[np.bool_] = ~((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    return found


def _places(index: Index, mosaic: Mosaic, scenes: Sequence[Listed]) -> NDArray[np.float64]:
    """Returns longitude and latitude of the places that stand for scenes, shape (n, 2)."""
    unknown = [s for s in scenes if isinstance(s, IndexedScene) and s.centre is None]
    kept = index.footprints(mosaic, unknown) if unknown else {}
    return np.array([_place(scene, kept) for scene in scenes], np.float64).reshape(-1, 2)


def _place(scene: Listed, kept: Mapping[str, MultiPolygon]) -> LonLat:
    if isinstance(scene, IndexedScene) and scene.centre is not None:
        return scene.inside or scene.centre
    whole = scene.footprint if isinstance(scene, Scene) else kept[scene.key]
    middle = centre(whole)
    return inside(whole, middle) or middle

"""The zooms and tiles of a TileMatrixSet that a mosaic covers."""

import logging
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from morecantile import Tile, TileMatrixSet
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError, LivemosaicError, NotFoundError
from livemosaic.geo.crs import LONLAT, NoTransformError, lonlat_of, transformer
from livemosaic.geo.tms import tile_matrix_set, tms_ids_near
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.tiler.views import TileAddress, lonlat_on

log = logging.getLogger(__name__)

WORLD: Final[BBox] = (-180.0, -90.0, 180.0, 90.0)
"""The bounds of a mosaic without scenes: they may come anywhere."""

_ALONG: Final = 1024
"""Points along an edge. A full circle of so many is inside the true one by 5 millionths of its
radius."""
_WITHIN: Final = 33
_TOUCH: Final = 1e-9
"""Part of a tile; an extent that reaches into the next tile by less only touches it."""


@dataclass(frozen=True, slots=True)
class MatrixLimits:
    """Tiles of one tile matrix, first and last included (OGC 17-083r4, 6.4)."""

    zoom: int
    columns: tuple[int, int]
    rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """The zooms and the extent of a TileMatrixSet that a mosaic covers."""

    tms: TileMatrixSet
    minzoom: int
    maxzoom: int
    extent: BBox
    """In the CRS of the TileMatrixSet, x before y."""

    def limits(self) -> list[MatrixLimits]:
        """Returns the tiles of each zoom that may show something."""
        return [self._at(zoom) for zoom in range(self.minzoom, self.maxzoom + 1)]

    def between(self, minzoom: int | None, maxzoom: int | None) -> "Reach":
        """Returns a reach with other zooms, clamped to the TileMatrixSet's own."""
        least, most = self.tms.minzoom, self.tms.maxzoom
        low = self.minzoom if minzoom is None else min(most, max(least, minzoom))
        high = self.maxzoom if maxzoom is None else min(most, max(least, maxzoom))
        return Reach(self.tms, low, max(low, high), self.extent)

    def _at(self, zoom: int) -> MatrixLimits:
        matrix = self.tms.matrix(zoom)
        origin = self.tms.xy_bounds(Tile(0, 0, zoom))
        left, bottom, right, top = self.extent
        width, height = matrix.cellSize * matrix.tileWidth, matrix.cellSize * matrix.tileHeight
        columns = (left - origin.left) / width, (right - origin.left) / width
        rows = (origin.top - top) / height, (origin.top - bottom) / height
        first, last = _tiles(*columns, matrix.matrixWidth)
        across = _tiles(*rows, matrix.matrixHeight)
        if matrix.variableMatrixWidths:
            # Towards the poles several columns are one tile, named by the first of them.
            first -= first % max(map(matrix.get_coalesce_factor, across))
        return MatrixLimits(zoom, (first, last), across)


def reach(mosaic: Mosaic, tms_id: str) -> Reach | None:
    """Returns the part of a TileMatrixSet that a mosaic covers; None where it lies outside.

    Raises `InvalidRequestError` for an unknown TileMatrixSet.
    """
    tms = tile_matrix_set(tms_id)
    bounds = mosaic.described or WORLD
    try:
        to_crs = transformer(lonlat_on(mosaic), tms.rasterio_crs)
    except NoTransformError:  # of another body
        return None
    x, y = to_crs.transform(*_samples(bounds))
    left, bottom, right, top = tms.xy_bbox
    inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    if not inside.any():
        return None
    seen = np.isfinite(x) & np.isfinite(y)
    extent = (
        max(left, float(x[seen].min())),
        max(bottom, float(y[seen].min())),
        min(right, float(x[seen].max())),
        min(top, float(y[seen].max())),
    )
    first = int(inside.argmax())
    amid = float(x[first]), float(y[first])
    alike = _itself if tms_id == mosaic.tms else partial(_like, mosaic, tms, amid * 2)
    return Reach(tms, *_zooms(mosaic, tms, alike), extent)


def every_reach(mosaic: Mosaic) -> list[Reach]:
    """Returns the part of each TileMatrixSet that a mosaic covers, the mosaic's own first.

    Without the ones that lie outside, or whose documents cannot be used.
    """
    names = tms_ids_near(tile_matrix_set(mosaic.tms).rasterio_crs)
    names.sort(key=lambda name: name != mosaic.tms)
    found = []
    for name in names:
        try:
            found.append(reach(mosaic, name))
        except (LivemosaicError, ProjError) as error:
            log.warning("TileMatrixSet left out", extra={"tms": name, "reason": str(error)[:300]})
    return [one for one in found if one is not None]


def web_map_tms(mosaic: Mosaic) -> str | None:
    """Returns the TileMatrixSet by which web maps draw a mosaic: a Mercator quadtree of its body.

    WebMercatorQuad on Earth. On another body the mosaic's own, or one of the same shape in degrees,
    so that a web map's longitude and latitude are the body's; None if there is none, or if the
    mosaic's own cannot be read any more.
    """
    try:
        crs = tile_matrix_set(mosaic.tms).rasterio_crs
    except InvalidRequestError:
        return None
    if lonlat_of(crs) == LONLAT:
        return "WebMercatorQuad"
    names = [mosaic.tms, *tms_ids_near(crs)]
    return next((name for name in names if _is_web_mercator(name, crs)), None)


def _is_web_mercator(tms_id: str, crs: CRS) -> bool:
    """Whether tiles of a TileMatrixSet cover the degrees that WebMercatorQuad's do."""
    try:
        tms = tile_matrix_set(tms_id)
    except InvalidRequestError:
        return False
    if not tms.is_quadtree or lonlat_of(tms.rasterio_crs) != lonlat_of(crs):
        return False
    return bool(np.allclose(tms.bbox, tile_matrix_set("WebMercatorQuad").bbox, rtol=0, atol=1e-6))


def reached(mosaic: Mosaic, tms_id: str) -> Reach:
    """Returns the reach of a mosaic; raises `NotFoundError` where it lies outside."""
    found = reach(mosaic, tms_id)
    if found is None:
        raise NotFoundError(f"mosaic {mosaic.id!r} lies outside {tms_id}")
    return found


def _samples(bounds_lonlat: BBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns longitudes and latitudes of points of a box, the middle first.

    Many along its edges, which bend in the projection, and some within: the edges of the world do
    not bound its projection.
    """
    west, south, east, north = bounds_lonlat
    east += 360 * (west > east)
    along, across = np.linspace(west, east, _ALONG), np.linspace(south, north, _ALONG)
    inner = np.meshgrid(np.linspace(west, east, _WITHIN), np.linspace(south, north, _WITHIN))
    lon = [along, along, np.full(_ALONG, west), np.full(_ALONG, east), inner[0].ravel()]
    lat = [np.full(_ALONG, south), np.full(_ALONG, north), across, across, inner[1].ravel()]
    points = np.concatenate(lon), np.concatenate(lat)
    far = np.hypot(points[0] - (west + east) / 2, points[1] - (south + north) / 2)
    order = far.argsort()
    return points[0][order], points[1][order]


def _zooms(mosaic: Mosaic, tms: TileMatrixSet, alike: Callable[[int], int]) -> tuple[int, int]:
    every = range(tms.minzoom, tms.maxzoom + 1)
    first = min(bisect_left(every, mosaic.minzoom, key=alike), len(every) - 1)
    last = bisect_right(every, mosaic.deepest_zoom, key=alike) - 1
    return every[first], every[max(first, last)]


def _itself(zoom: int) -> int:
    return zoom


def _like(mosaic: Mosaic, tms: TileMatrixSet, amid: BBox, zoom: int) -> int:
    """Returns the zoom in the mosaic's own TileMatrixSet of a tile amid the mosaic."""
    (at,) = Reach(tms, zoom, zoom, amid).limits()
    return TileAddress(str(tms.id), zoom, at.columns[0], at.rows[0]).view(mosaic, 1).area.zoom


def _tiles(first: float, end: float, count: int) -> tuple[int, int]:
    nudge = _TOUCH if end > first else 0.0
    ends = math.floor(first + nudge), math.floor(end - nudge)
    low, high = (min(count - 1, max(0, at)) for at in ends)
    return low, high

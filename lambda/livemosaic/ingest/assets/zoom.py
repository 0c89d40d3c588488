"""How fine the pixels of an Item are, as a zoom, by what the Item states. No file is opened."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from rasterio.crs import CRS

from livemosaic.geo.crs import metres_per_unit
from livemosaic.geo.footprint import projection
from livemosaic.geo.frame import is_cylinder
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.ingest.assets.choice import resolution
from livemosaic.model.raster import USUAL_MAXZOOM

Steps = tuple[float, float]
"""Width and height of a pixel."""
StatedCell = tuple[str, float, float]
"""A CRS as JSON of the projection extension, and width and height of a pixel in it; where it is
empty, in metres on the ground."""

_DEEPEST: Final = 24
"""Some 9 mm at the equator: what is finer is rather a mistake."""
_FINER: Final = 1.01
"""A zoom shows the pixels of an Item if its own are at most this much larger."""
_EDGE: Final = 256
"""Pixels of a tile's edge."""
_FAR: Final = 1e12
_NEAREST_POLE: Final = 85.0


def native_zoom(
    tms: str,
    assets: Iterable[Mapping[str, Any]],
    properties: Mapping[str, Any],
    latitudes: tuple[float, float],
) -> int:
    """Returns the lowest zoom of a TileMatrixSet whose pixels are as fine as the finest asset's.

    By `proj:transform` (projection extension) of an asset or the Item, else by its resolution in
    metres (`gsd`, `raster:spatial_resolution`). `latitudes` are south and north of the Item: where
    the map is coarsest counts. `USUAL_MAXZOOM` where no asset states any of them.
    """
    south, north = latitudes
    nearest = 0.0 if south <= 0 <= north else min(abs(south), abs(north), _NEAREST_POLE)
    stated = {one for asset in assets if (one := _stated(asset, properties))}
    zooms = (_zoom_of(tms, one, math.floor(10 * nearest) / 10) for one in stated)
    return min(tile_matrix_set(tms).maxzoom, max(zooms, default=USUAL_MAXZOOM))


def _stated(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> StatedCell | None:
    steps = _steps(asset.get("proj:transform", properties.get("proj:transform")))
    if steps and (crs := _spelled(asset) or _spelled(properties)):
        return crs, *steps
    metres = min(resolution(asset), resolution(properties))
    return ("", metres, metres) if math.isfinite(metres) else None


def _spelled(proj: Mapping[str, Any]) -> str:
    """Returns the CRS that members of the projection extension name, as JSON; empty without one."""
    for name in ("proj:code", "proj:epsg"):
        if (code := proj.get(name)) and isinstance(code, str | int):
            return json.dumps({name: code})
    for name in ("proj:wkt2", "proj:projjson"):
        if spelled := proj.get(name):
            return json.dumps({name: spelled})
    return ""


@lru_cache(4096)
def _zoom_of(tms: str, stated: StatedCell, latitude: float) -> int:
    """Returns the zoom of an asset; cached, as CRSs are slow to compare."""
    crs, pixel = _grid(tms)
    spelled, *steps = stated
    if not spelled:
        return _zoom(max(_metres(crs, (pixel, pixel), latitude)), steps[0])
    source = projection(json.loads(spelled))
    if source is None:
        return USUAL_MAXZOOM
    if source == crs:
        return _zoom(pixel, min(steps))
    finest = min(_metres(source, (steps[0], steps[1]), latitude))
    return _zoom(max(_metres(crs, (pixel, pixel), latitude)), finest)


def _zoom(pixel: float, wanted: float) -> int:
    """Returns the lowest zoom whose pixels are of a size, by the size at zoom 0."""
    return min(_DEEPEST, max(0, math.ceil(math.log2(pixel / (wanted * _FINER)))))


def _steps(transform: object) -> Steps | None:
    """Returns the size of pixels by an affine transform, of 6 or 9 numbers; None of none."""
    if not isinstance(transform, Sequence) or isinstance(transform, str) or len(transform) < 6:
        return None
    numbers = [transform[n] for n in (0, 1, 3, 4)]
    if not all(isinstance(number, int | float) and abs(number) < _FAR for number in numbers):
        return None
    a, b, d, e = map(float, numbers)
    steps = math.hypot(a, d), math.hypot(b, e)
    return steps if all(steps) else None


def _metres(crs: CRS, steps: Steps, latitude: float) -> Steps:
    """Returns the size of pixels on the ground, in metres, at a latitude."""
    across, up = (step * metres_per_unit(crs) for step in steps)
    shrunk = math.cos(math.radians(latitude))
    if crs.is_geographic:
        return across * shrunk, up
    return (across * shrunk, up * shrunk) if is_cylinder(crs) else (across, up)


@lru_cache(64)
def _grid(tms: str) -> tuple[CRS, float]:
    """Returns the CRS of a TileMatrixSet, and the size of a pixel of a tile of zoom 0."""
    found = tile_matrix_set(tms)
    matrix = found.matrix(found.minzoom)
    size = float(matrix.cellSize) * matrix.tileWidth / _EDGE
    return found.rasterio_crs, size * 2**found.minzoom

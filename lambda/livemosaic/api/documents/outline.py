"""Pictures of TileMatrixSets: the edges of their tiles in longitude and latitude, as SVG."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import numpy as np
from morecantile import TileMatrixSet
from morecantile.commons import BoundingBox
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import NoTransformError, lonlat_of, transformer

_TILES: Final = 4
"""Tiles across of the matrix that is drawn, at least, where one of the first zooms has as many."""
_POINTS: Final = 160
_INSIDE: Final = 1e-6
"""Share of a side by which lines stay within: exactly on the antimeridian, signs would differ."""
_ZOOMS: Final = 6
_MOST: Final = 16
_POLE: Final = 90.0
_JUMP: Final = 90.0
"""Degrees of longitude between neighbours on a line, from which on it crosses the antimeridian."""
_STYLE: Final = (
    "rect{fill:#d3dfe7}path{fill:none;stroke:#2b6b8f;stroke-width:1.4}"
    ".g{stroke:#b6c4cd;stroke-width:.6}"
    "@media(prefers-color-scheme:dark){rect{fill:#0b1116}path{stroke:#7db9dc}.g{stroke:#2a343c}}"
)
_GRATICULE: Final = "".join(
    [f"M{lon},-90V90" for lon in range(-150, 180, 30)]
    + [f"M-180,{lat}H180" for lat in range(-60, 90, 30)]
)


def outline_of(tms: TileMatrixSet) -> str:
    """Returns the edges of tiles of one of the first zooms on a plate carrée of the whole body."""
    lines = ""
    with suppress(NoTransformError, ProjError, InvalidRequestError):
        lines = "".join(map(_path, _edges(tms)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-180 -90 360 180"><style>{_STYLE}'
        '</style><rect x="-180" y="-90" width="360" height="180"/>'
        f'<path class="g" d="{_GRATICULE}"/><path d="{lines}"/></svg>'
    )


def _edges(tms: TileMatrixSet) -> Iterator[NDArray[np.float64]]:
    """Yields the edges between columns and between rows, shape (points, 2): degrees, x first."""
    zooms = [z for z in range(tms.minzoom, tms.minzoom + _ZOOMS) if z <= tms.maxzoom]
    wide = (z for z in zooms if tms.matrix(z).matrixWidth >= _TILES)
    zoom = next(wide, zooms[-1])
    matrix, box = tms.matrix(zoom), tms.xy_bbox
    crs = tms.rasterio_crs
    to_lonlat = transformer(crs, lonlat_of(crs))
    columns, rows = min(matrix.matrixWidth, _MOST), min(matrix.matrixHeight, _MOST)
    along = np.linspace(_INSIDE, 1 - _INSIDE, _POINTS)
    for x in np.linspace(_INSIDE, 1 - _INSIDE, columns + 1):
        yield _lonlat(to_lonlat, box, np.full(_POINTS, x), along)
    for y in np.linspace(_INSIDE, 1 - _INSIDE, rows + 1):
        yield _lonlat(to_lonlat, box, along, np.full(_POINTS, y))


def _lonlat(
    to_lonlat: Transformer,
    box: BoundingBox,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Returns points of a box in degrees; `x` and `y` are shares of its width and height."""
    across = box.left + x * (box.right - box.left)
    up = box.bottom + y * (box.top - box.bottom)
    lon, lat = to_lonlat.transform(across, up)
    return np.stack([np.asarray(lon), np.asarray(lat)], axis=1)


def _path(points: NDArray[np.float64]) -> str:
    """Draws a line, cut where it leaves the body and where it crosses the antimeridian."""
    made, pen = [], False
    for n, (lon, lat) in enumerate(points):
        is_there = bool(np.isfinite(lon) and np.isfinite(lat) and abs(lat) <= _POLE)
        pen = pen and is_there and abs(lon - points[n - 1][0]) < _JUMP
        if is_there:
            made.append(f"{'L' if pen else 'M'}{lon:.1f},{-lat:.1f}")
        pen = is_there
    return "".join(made)

"""Which pixels of a tile a stored footprint claims."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cells import SEGMENTS, Ring
from livemosaic.model import Grid
from livemosaic.projection import transformer


def burn(rings: Sequence[Ring], crs: CRS, grid: Grid) -> NDArray[np.bool_]:
    """Which pixel centres of a grid lie inside the rings, by the even-odd rule.

    Rings are in `crs`; where the grid's CRS is another, their edges are cut before they are
    projected. Returns shape (height, width).
    """
    to_pixel = ~grid.transform
    shape = (grid.height, grid.width + 1)
    crossings = [np.zeros(0, np.intp)]
    for ring in rings:
        x, y = (ring if crs == grid.crs else _reproject(ring, crs, grid.crs)).T
        crossings.append(_crossings(shape, *(to_pixel @ (x, y))))
    toggles = np.bincount(np.concatenate(crossings), minlength=shape[0] * shape[1]).reshape(shape)
    parity = np.bitwise_xor.accumulate((toggles & 1).astype(np.uint8), axis=1)
    return parity[:, :-1].view(np.bool_)


def _crossings(
    shape: tuple[int, int], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Flat index of the first pixel centre right of each edge, on each row that it crosses."""
    height, width = shape[0], shape[1] - 1
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    low, high = np.minimum(y, y2), np.maximum(y, y2)
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(int)
    stop = np.clip(np.ceil(high - 0.5), 0, height).astype(int)
    counts = stop - first
    edge = np.repeat(np.arange(len(x)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    at = (row + 0.5 - y[edge]) / (y2 - y)[edge]
    crossing = x[edge] + at * (x2 - x)[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.intp)
    flat: NDArray[np.intp] = row * shape[1] + column
    return flat


def _reproject(ring: Ring, source: CRS, target: CRS) -> Ring:
    closed = shapely.linearrings(ring)
    west, south, east, north = closed.bounds
    fine = shapely.segmentize(closed, max(east - west, north - south) / SEGMENTS)
    x, y = transformer(source, target).transform(*shapely.get_coordinates(fine)[:-1].T)
    finite = np.isfinite(x) & np.isfinite(y)
    return np.column_stack([x[finite], y[finite]])

"""Whether a stored footprint claims any pixel of a tile."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cells import Ring
from livemosaic.claims import burn
from livemosaic.model import Grid


def meets(rings: Sequence[Ring], crs: CRS, grid: Grid) -> bool:
    """Whether `claims.burn` of the same gives any pixel, at a tenth of its cost.

    By the even-odd rule a row of pixel centres stays outside where its crossings lie in pairs left
    of the same centre, or right of the last.
    """
    if crs != grid.crs:
        return bool(burn(rings, crs, grid).any())
    crossings = [_crossings(ring, grid) for ring in rings if _near(ring, grid)]
    if not crossings:
        return False
    _, counts = np.unique(np.concatenate(crossings), return_counts=True)
    return bool((counts & 1).any())


def _near(ring: Ring, grid: Grid) -> bool:
    left, bottom, right, top = grid.bounds
    (west, south), (east, north) = ring.min(axis=0), ring.max(axis=0)
    return bool(west < right and left < east and south < top and bottom < north)


def _crossings(ring: Ring, grid: Grid) -> NDArray[np.intp]:
    """Flat index of the first pixel centre right of each edge, on each row that it crosses."""
    left, bottom, right, top = grid.bounds
    x = (ring[:, 0] - left) * (grid.width / (right - left)) - 0.5
    y = (top - ring[:, 1]) * (grid.height / (top - bottom)) - 0.5
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    first, stop = np.sort(np.clip(np.ceil([y, y2]), 0, grid.height), axis=0).astype(np.intp)
    counts = stop - first
    edge = np.repeat(np.arange(len(x)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    with np.errstate(divide="ignore", invalid="ignore"):  # level edges cross no row
        slope = (x2 - x) / (y2 - y)
    column = np.maximum(np.ceil(x[edge] + (row - y[edge]) * slope[edge]), 0)
    flat: NDArray[np.intp] = (row * grid.width + column.astype(np.intp))[column < grid.width]
    return flat

"""How much of each pixel of a grid lies in a shape. Pure."""

from typing import Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.session import DummySession
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.model import Grid

_PIECE: Final = 2048
"""Parts of pixels that are looked at together, along an edge."""
_MAX_PARTS: Final = 1_000_000_000
"""Of one grid. It takes a second or two."""

Windows = NDArray[np.int64]
"""Shape (n, 4), or (4,) of one: first column, first row, one past the last column, and last row."""


def coverage(shape: BaseGeometry, grid: Grid, scale: int) -> NDArray[np.float32]:
    """Shape (height, width), 0 to 1, of valid polygons or lines in the CRS of the grid.

    As `rio_tiler.models.ImageData.get_coverage_array`: pixels are divided into `scale` × `scale`
    parts, and those count that the shape touches. Only where its edge is, pixels are divided.
    """
    covered = np.zeros((grid.height, grid.width), np.float32)
    shapely.prepare(shape)
    inside, edges = _sorted(shape, grid, max(1, _PIECE // scale))
    _refuse_too_many(edges, scale)
    for left, top, right, bottom in inside.tolist():
        covered[top:bottom, left:right] = 1
    with rasterio.Env(DummySession()):
        for window in edges.tolist():
            left, top, right, bottom = window
            covered[top:bottom, left:right] = _divided(shape, grid, window, scale)
    return covered


def _sorted(shape: BaseGeometry, grid: Grid, most: int) -> tuple[Windows, Windows]:
    """Windows inside the shape, and those that its edge crosses, at most so many pixels a side."""
    inside, edges = [], []
    windows: Windows = np.array([[0, 0, grid.width, grid.height]])
    while len(windows):
        boxes = shapely.box(*_bounds(grid, windows))
        whole = shapely.contains_properly(shape, boxes)
        crossed = windows[shapely.intersects(shape, boxes) & ~whole]
        small = (crossed[:, 2:] - crossed[:, :2]).max(axis=1, initial=0) <= most
        inside.append(windows[whole])
        edges.append(crossed[small])
        windows = _quartered(crossed[~small])
    return np.concatenate(inside), np.concatenate(edges)


def _quartered(windows: Windows) -> Windows:
    left, top, right, bottom = windows.T
    x, y = (left + right) // 2, (top + bottom) // 2
    quarters = [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]
    parts = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    return parts[(parts[:, 0] < parts[:, 2]) & (parts[:, 1] < parts[:, 3])]


def _bounds(grid: Grid, windows: Windows) -> tuple[Any, Any, Any, Any]:
    left, top, right, bottom = windows.T
    west, north = grid.transform @ (left, top)
    east, south = grid.transform @ (right, bottom)
    return west, south, east, north


def _refuse_too_many(windows: Windows, scale: int) -> None:
    parts = int((windows[:, 2:] - windows[:, :2]).prod(axis=1).sum()) * scale**2
    if parts > _MAX_PARTS:
        raise InvalidRequestError(
            f"cover_scale {scale} divides the pixels along the edge of the area into {parts:,} "
            f"parts, at most {_MAX_PARTS:,} are looked at; lower it, or ask for fewer pixels"
        )


def _divided(
    shape: BaseGeometry, grid: Grid, window: tuple[int, int, int, int], scale: int
) -> NDArray[np.float32]:
    left, top, right, bottom = window
    part = Affine.scale(1 / scale)
    parts = rasterize(
        [(_clipped(shape, grid, window), 1)],
        out_shape=((bottom - top) * scale, (right - left) * scale),
        transform=grid.transform @ Affine.translation(left, top) @ part,
        all_touched=True,
        dtype="uint8",
    ).reshape(bottom - top, scale, right - left, scale)
    touched: NDArray[np.float32] = parts.sum(axis=(1, 3), dtype=np.float32) / scale**2
    return touched


def _clipped(shape: BaseGeometry, grid: Grid, window: tuple[int, int, int, int]) -> BaseGeometry:
    """What a window and a pixel around it see of the shape: a coast has very many vertices."""
    west, south, east, north = map(float, _bounds(grid, np.add(window, (-1, -1, 1, 1))))
    return shapely.clip_by_rect(shape, west, south, east, north)

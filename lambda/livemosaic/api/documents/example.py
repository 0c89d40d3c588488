"""Pictures for the catalogues: what an algorithm makes of an example."""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.algorithms import apply_algorithm, parse_algorithm
from livemosaic.render.encode import encode

_WIDTH, _HEIGHT = 320, 160
_STEP_M: Final = 30.0
_GRID: Final = Grid(
    CRS.from_epsg(3857), (0, 0, _WIDTH * _STEP_M, _HEIGHT * _STEP_M), _WIDTH, _HEIGHT
)
_HIGHEST_M: Final = 400.0
_BANDS: Final = 3
"""Bands of the example of algorithms that take any number."""


@cache
def example_of(algorithm: str, bands: int | None) -> bytes:
    """Returns a PNG of what an algorithm makes of made-up hills, stretched if it is of values.

    `bands` is the number that it takes: one band has heights in metres, several have 0 to 255.
    """
    done, grid = apply_algorithm(_example(bands or _BANDS), _GRID, parse_algorithm(algorithm))
    low, high = (float(edge(done.data[:, done.valid])) for edge in (np.min, np.max))
    is_picture = done.data.dtype == np.uint8 and len(done.data) == _BANDS
    rescale = () if is_picture or low == high else ((low, high),)
    return encode(done, Render(format="png", rescale=rescale), grid).body


def _example(bands: int) -> Pixels:
    hills = _hills()
    if bands == 1:
        data: NDArray[Any] = (hills * _HIGHEST_M).astype(np.float32)[None]
    else:
        data = np.stack([hills ** (n + 1) * 255 for n in range(bands)]).astype(np.uint8)
    names = tuple(f"b{n + 1}" for n in range(bands))
    return Pixels(data, np.ones(hills.shape, bool), names)


def _hills() -> NDArray[np.float64]:
    """Returns heights from 0 to 1, shape (height, width): waves of several lengths."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH] / 40.0
    waves = sum(
        np.sin(x * n + 1.3 * n * n + np.sin(y * n * 0.7)) * np.cos(y * n - 0.6 * n * n) / n
        for n in (0.6, 1.1, 2.3, 4.7)
    )
    low, high = waves.min(), waves.max()
    heights: NDArray[np.float64] = (waves - low) / (high - low)
    return heights

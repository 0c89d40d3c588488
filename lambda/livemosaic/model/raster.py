"""Rasters: grids of pixels, and the pixels on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

Mask = NDArray[np.bool_]
"""Shape (height, width) of a grid."""

BBox = tuple[float, float, float, float]
"""Left, bottom, right, top, in the CRS that the name or docstring says."""

LonLat = tuple[float, float]
"""Longitude and latitude, in degrees."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of a response: a north-up raster in some CRS."""

    crs: CRS
    bounds: BBox
    """Outer edges in `crs`, x before y."""
    width: int
    height: int
    world: float | None = None
    """Units of x around the world, for a grid that goes on beyond its edge."""

    @property
    def transform(self) -> Affine:
        """Pixel corner (column, row) → CRS (x, y)."""
        left, bottom, right, top = self.bounds
        return Affine((right - left) / self.width, 0, left, 0, (bottom - top) / self.height, top)


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Pixels on a `Grid`."""

    data: NDArray[Any]
    """Shape (bands, height, width); zero where `valid` is False."""
    valid: NDArray[np.bool_]
    """Shape (height, width); True where the pixel is real (the inverse of numpy.ma)."""
    names: tuple[str, ...]
    """One per band: `b1`, or `red_b1` where several assets are stacked."""

    def __post_init__(self) -> None:
        if self.data.shape[1:] != self.valid.shape or len(self.names) != self.data.shape[0]:
            raise ValueError(
                f"data {self.data.shape}, valid {self.valid.shape} and names {self.names} disagree"
            )

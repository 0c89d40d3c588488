"""COGs with known pixels, written with rasterio. Plain functions, for any test to call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.session import DummySession
from rasterio.transform import from_bounds


def write_cog(
    path: Path,
    data: ArrayLike,
    *,
    crs: Any = "EPSG:32633",
    transform: Affine | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    nodata: float | None = None,
    mask: NDArray[np.bool_] | None = None,
    alpha: bool = False,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    colormap: Mapping[int, tuple[int, ...]] | None = None,
    compress: str = "deflate",
    blocksize: int = 256,
    overviews: Sequence[int] = (),
    overview_resampling: Resampling = Resampling.nearest,
    **creation: Any,
) -> Path:
    """Write a tiled GeoTIFF with the overviews, decimation factors, that are named.

    `data` is (bands, height, width) or (height, width); `mask` (height, width), True where valid;
    with `alpha` the last band is. `creation` goes to GDAL's GTiff driver.
    """
    bands = np.asarray(data)
    bands = bands[None] if bands.ndim == 2 else bands
    count, height, width = bands.shape
    if bounds is not None:
        transform = from_bounds(*bounds, width, height)
    profile = {
        "driver": "GTiff", "width": width, "height": height, "count": count,
        "dtype": bands.dtype, "crs": crs, "transform": transform, "nodata": nodata,
        "tiled": True, "blockxsize": blocksize, "blockysize": blocksize,
        "compress": compress,
    }  # fmt: skip
    if compress == "deflate":
        profile["zlevel"] = 1  # the same pixels in a fifth of the time
    # Given credentials in the environment, it would make a session of AWS for each file.
    with rasterio.Env(DummySession(), GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", **(profile | creation)) as dataset:
            if alpha:  # before the pixels: afterwards GDAL puts it into a sidecar file
                dataset.colorinterp = (*dataset.colorinterp[:-1], ColorInterp.alpha)
            dataset.write(bands)
            if mask is not None:
                dataset.write_mask(mask)
            if scales is not None:
                dataset.scales = tuple(scales)
            if offsets is not None:
                dataset.offsets = tuple(offsets)
            if colormap is not None:
                dataset.write_colormap(1, dict(colormap))
        if overviews:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews(list(overviews), overview_resampling)
    return path


def positions(width: int, height: int, dtype: str = "float64") -> NDArray[Any]:
    """Two bands, (2, height, width): each pixel's own column and row."""
    cols, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([cols, rows]).astype(dtype)

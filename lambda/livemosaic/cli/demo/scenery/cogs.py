"""COGs of a scene: display colours, and reflectance by band."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from livemosaic.cli.demo.scenery.noise import Array, GroundView, Mask
from livemosaic.cli.demo.scenery.shots import CRS, ORIGIN

SCALE, OFFSET = 0.0001, -0.1
"""Of stored reflectance."""
_BLOCKS: Final = {"blocksize": 512, "overview_resampling": "AVERAGE"}


def transform(view: GroundView) -> Affine:
    """Pixels to metres in `CRS`."""
    left, top = view.x[0] - view.gsd / 2 + ORIGIN[0], view.y[0] + view.gsd / 2 + ORIGIN[1]
    return Affine(view.gsd, 0, left, 0, -view.gsd, top)


def write_visual(path: Path, view: GroundView, image: Array, valid: Mask) -> Path:
    """JPEG with an internal mask, as imagery vendors publish it; `image` is reflectance."""
    colors = _toned(image)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**_profile(view, colors)) as draft:
            draft.write(colors)
            draft.write_mask(valid)
        copy(memory.name, path, driver="COG", compress="JPEG", quality=87, **_BLOCKS)
    return path


def write_band(path: Path, view: GroundView, band: Array, valid: Mask) -> Path:
    """Reflectance as uint16 with scale, offset and nodata 0, as Sentinel-2 has it."""
    digital = ((band - OFFSET) / SCALE).round().clip(1, 65535).astype(np.uint16) * valid
    with MemoryFile() as memory:
        with memory.open(**_profile(view, digital[None]), nodata=0) as draft:
            draft.write(digital[None])
            draft.scales, draft.offsets = (SCALE,), (OFFSET,)
        copy(memory.name, path, driver="COG", compress="DEFLATE", predictor=2, level=1, **_BLOCKS)
    return path


def _profile(view: GroundView, bands: NDArray[Any]) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "count": len(bands),
        "height": view.y.size,
        "width": view.x.size,
        "dtype": bands.dtype,
        "crs": CRS,
        "transform": transform(view),
    }


def _toned(image: Array) -> NDArray[np.uint8]:
    """Display colours, red first, of a reflectance image: air mostly subtracted, then a curve."""
    out = np.empty((3, *image.shape[1:]), np.uint8)
    for color, band, air in zip(out, image[2::-1], (0.010, 0.017, 0.034), strict=True):
        x = (band - np.float32(air)).clip(0)
        curve = 1.16 * x / (x + np.float32(0.145))
        color[:] = (1 + 254 * curve ** np.float32(0.85)).clip(1, 255)
    return out

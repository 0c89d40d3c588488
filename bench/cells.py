"""Cost of writing an overview cell: block by block, and whole by GDAL's COG driver."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio import MemoryFile
from rasterio.crs import CRS
from rasterio.shutil import copy

from bench.report import Sheet, show, step
from livemosaic.cog.write.cell import rewrite
from livemosaic.cog.write.profile import CellProfile, Place
from livemosaic.cog.write.stored import Block, open_cell
from livemosaic.geo.frame import Frame

_EDGE: Final = 2048
_FRAME: Final = Frame(CRS.from_epsg(3857), Affine(10, 0, 0, 0, -10, 0), _EDGE, _EDGE)
_GDALS: Final = {"mean": "AVERAGE", "mode": "MODE"}
_NOTES: Final = (
    f"CPU of cells of {_EDGE} × {_EDGE} px in blocks of 256, medians. Terrain-like noise, with a "
    "corner without data; both write Deflate with a predictor, an internal mask and overviews.",
    "GDAL's COG driver, from memory to memory, writes whole files only; `one / GDAL` is a change "
    "of one block here next to that.",
)


@dataclass(frozen=True, slots=True)
class _Image:
    name: str
    profile: CellProfile
    data: NDArray[Any]
    valid: NDArray[np.bool_]


def run(times: int) -> list[Sheet]:
    """Medians of as many times."""
    rows = []
    for image in _images():
        with step(image.name):
            rows.append(_measured(image, times))
    columns = (
        *("cell", "whole ms", "1 block ms", "2 × 2 ms", "smallest ms", "MB"),
        *("GDAL whole ms", "GDAL MB", "whole / GDAL", "one / GDAL", "MB / GDAL"),
    )
    sheet = Sheet("Overview cells", columns, rows, _NOTES)
    show(sheet)
    return [sheet]


def _measured(image: _Image, times: int) -> list[Any]:
    blocks = _blocks(image)
    whole = rewrite(image.profile, None, blocks)
    some = [{(4, 4): blocks[4, 4]}, {at: blocks[at] for at in product((3, 4), (3, 4))}]
    work: list[Callable[[], Any]] = [
        lambda: rewrite(image.profile, None, blocks),
        lambda: rewrite(image.profile, whole, some[0]),
        lambda: rewrite(image.profile, whole, some[1]),
        lambda: open_cell(whole).smallest(),
        lambda: _by_gdal(image),
    ]
    spent: list[list[float]] = [[] for _ in work]
    for _ in range(times):  # in turn, so that load is shared alike
        for one, found in zip(work, spent, strict=True):
            start = time.process_time()
            one()
            found.append(1000 * (time.process_time() - start))
    ours, one_block, four, smallest, gdal = map(statistics.median, spent)
    size, gdals = len(whole) / 1e6, len(_by_gdal(image)) / 1e6
    return [
        *(image.name, ours, one_block, four, smallest, size),
        *(gdal, gdals, ours / gdal, one_block / gdal, size / gdals),
    ]


def _blocks(image: _Image) -> Mapping[Place, Block]:
    size, across = image.profile.block, range(image.profile.across)
    parts = {
        (x, y): np.s_[..., y * size : (y + 1) * size, x * size : (x + 1) * size]
        for y, x in product(across, across)
    }
    return {at: (image.data[part], image.valid[part]) for at, part in parts.items()}


def _by_gdal(image: _Image) -> bytes:
    how = {
        "driver": "GTiff", "width": _EDGE, "height": _EDGE, "count": len(image.data),
        "dtype": image.data.dtype, "crs": _FRAME.crs, "transform": _FRAME.transform,
        "interleave": "pixel", "tiled": True,
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as flat, MemoryFile() as cog:
        with flat.open(**how) as dataset:
            dataset.write(image.data)
            dataset.write_mask(image.valid)
        copy(
            flat.name, cog.name, driver="COG", compress="deflate", predictor="yes", blocksize=256,
            overview_resampling=_GDALS[image.profile.resampling[0]],
        )  # fmt: skip
        return bytes(cog.getbuffer())


def _images() -> list[_Image]:
    rng = np.random.default_rng(0)
    heights = np.stack([_terrain(rng) for _ in range(4)])
    grain = rng.normal(0, 3, heights.shape)
    rgb = np.clip(128 + 40 * heights[:3] + grain[:3], 0, 255).astype(np.uint8)
    reflectance = np.clip(3000 + 900 * heights + 8 * grain, 0, 65535).astype(np.uint16)
    classes = np.digitize(heights[:1], np.linspace(-2, 2, 9)).astype(np.uint8)
    elevation = (1000 + 300 * heights[:1]).astype(np.float32)
    return [
        _image("RGB, uint8", rgb),
        _image("4 bands, uint16", reflectance),
        _image("elevation, float32", elevation),
        _image("classes, uint8", classes, "mode"),
    ]


def _terrain(rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of a falling spectrum, mean 0 and deviation 1."""
    x, y = np.meshgrid(np.fft.fftfreq(_EDGE), np.fft.fftfreq(_EDGE))
    distance = np.hypot(x, y)
    distance[0, 0] = np.inf
    noise = np.fft.fft2(rng.normal(size=(_EDGE, _EDGE))) * distance**-1.5
    heights: NDArray[np.float64] = np.real(np.fft.ifft2(noise))
    heights /= heights.std()
    return heights


def _image(name: str, data: NDArray[Any], policy: str = "mean") -> _Image:
    rows, cols = np.mgrid[:_EDGE, :_EDGE]
    valid = rows + cols > _EDGE // 2
    profile = CellProfile(frame=_FRAME, dtype=data.dtype, count=len(data), resampling=(policy,))
    return _Image(name, profile, np.where(valid, data, data.dtype.type(0)), valid)

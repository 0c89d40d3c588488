"""Sparse blocks, which a file does not store, are read as GDAL reads them, without GDAL."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.windows import Window

from livemosaic.cog.gdal import GdalRaster
from livemosaic.cog.geotiff import TiffRaster
from livemosaic.cog.raster import AssetLimits, Raster
from livemosaic.cog.reader import CogReader, open_raster
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.storage.adapters import InMemoryObject
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent

WINDOWS = [(0, 0, 64, 64), (20, 3, 30, 40), (0, 0, 16, 16), (33, 33, 5, 5), (48, 0, 16, 64)]


def _write(path: Path, *, mask: bool, part: Window, **profile: Any) -> bytes:
    """A file of 4 × 4 blocks of which only those under `part` are stored."""
    how = {
        "driver": "GTiff", "width": 64, "height": 64, "tiled": True, "blockxsize": 16,
        "blockysize": 16, "crs": "EPSG:3857", "transform": from_origin(0, 0, 10, 10),
        "sparse_ok": True, "compress": "deflate",
    }  # fmt: skip
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **(how | profile)) as dataset,
    ):
        shape = (dataset.count, part.height, part.width)
        values = np.random.default_rng(1).integers(1, 100, shape).astype(dataset.dtypes[0])
        dataset.write(values, window=part)
        if mask:
            dataset.write_mask(np.ones(shape[1:], bool), window=part)
    return path.read_bytes()


def _open(body: bytes) -> Raster:
    return asyncio.run(open_raster(InMemoryObject(body), AssetLimits(), Recent(0)))


HELD = [
    *product(["uint8", "int16", "uint32", "int64", "float32", "float64"], [None, 0, 7]),
    *product(["int16", "int64", "float32", "float64"], [-9999]),
    *product(["float32", "float64"], [0.5, np.nan]),
    ("float64", 1e300),
]


@pytest.mark.parametrize(("dtype", "nodata"), HELD)
def test_sparse_blocks_are_as_gdal_has_them(
    dtype: str, nodata: float | None, tmp_path: Path
) -> None:
    kinds = [(1, "pixel"), (3, "pixel"), (3, "band")]
    parts = [Window(0, 0, 16, 16), Window(20, 20, 30, 8)]
    for (count, interleave), mask, part in product(kinds, (False, True), parts):
        body = _write(
            tmp_path / "a.tif", mask=mask, part=part, dtype=dtype, nodata=nodata, count=count,
            interleave=interleave,
        )  # fmt: skip
        raster = _open(body)
        assert isinstance(raster, TiffRaster)
        with rasterio.open(tmp_path / "a.tif") as dataset:
            for window in WINDOWS:
                data, valid = asyncio.run(raster.read(0, window))
                np.testing.assert_array_equal(data, dataset.read(window=Window(*window)))
                if mask:
                    seen = dataset.read_masks(1, window=Window(*window)) > 0
                    np.testing.assert_array_equal(valid, seen)
                else:
                    assert valid is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_a_nodata_value_that_the_type_lacks_is_left_to_gdal(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _write(path, mask=False, part=Window(0, 0, 16, 16), dtype=dtype, count=1, nodata=0.5)
    _left_to_gdal(path)


def test_bands_that_are_sparse_alone_are_left_to_gdal(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _write(path, mask=False, part=Window(0, 0, 16, 16), dtype="uint8", count=2, interleave="band")
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((16, 16), 9, "uint8"), 2, window=Window(32, 32, 16, 16))
    assert _left_to_gdal(path)[1, 32:48, 32:48].all()


def _left_to_gdal(path: Path) -> NDArray[Any]:
    reader = CogReader(AllowList([str(path.parent)]))
    grid = Grid(CRS.from_epsg(3857), (0, -640, 640, 0), 64, 64)
    pixels = asyncio.run(reader.read({"a": str(path)}, grid, Read(), version="1"))
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(pixels.valid, dataset.read_masks(1) > 0)
        np.testing.assert_array_equal(pixels.data, np.where(pixels.valid, dataset.read(), 0))
    assert isinstance(reader._opened[str(path), "1"], GdalRaster)
    return pixels.data

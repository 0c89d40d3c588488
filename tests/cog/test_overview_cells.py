"""Overview cells as others read them: GDAL, rio-tiler, async-tiff, and livemosaic's own reader."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform
from rio_tiler.io import Reader

from livemosaic.cog.geotiff import TiffRaster, leading_bytes
from livemosaic.cog.raster import AssetLimits
from livemosaic.cog.reader import CogReader, open_raster
from livemosaic.cog.write.cell import rewrite
from livemosaic.cog.write.halving import POLICIES
from livemosaic.cog.write.profile import CellProfile
from livemosaic.cog.write.stored import open_cell
from livemosaic.geo.frame import Frame
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.storage.adapters import InMemoryObject
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent
from livemosaic.storage.objects import Buffer
from overview_cells import FLOATS, TYPES, level_of, profile, values, written

SYSTEMS = [
    *(name for name in morecantile.tms.list()),
    *("IAU_2015:49900", "IAU_2015:49910", "IAU_2015:30100", "IAU_2015:30110", "ESRI:54009"),
    *("ESRI:102001", "EPSG:2056", "EPSG:3031", "EPSG:4979", "EPSG:2263", "EPSG:27700"),
    *("+proj=longlat +a=3396190 +b=3376200 +no_defs", "+proj=stere +lat_0=90 +R=3396190"),
    *("+proj=eqc +R=1737400", "+proj=tmerc +lon_0=11 +k=0.9999 +x_0=500000 +units=us-ft"),
    *("+proj=ortho +lat_0=40 +lon_0=10", "+proj=geos +h=35785831 +lon_0=0 +sweep=y"),
]


def _system(name: str) -> CRS:
    if name in morecantile.tms.list():
        return CRS.from_wkt(morecantile.tms.get(name).crs.to_wkt())
    return CRS.from_user_input(name)


def _seed(*parts: Any) -> np.random.Generator:
    return np.random.default_rng(list(repr(parts).encode()))


@pytest.mark.parametrize("dtype", TYPES + FLOATS)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_level_is_read_without_gdal(dtype: str, policy: str) -> None:
    for count, edge in product((1, 3, 5), (16, 64)):
        of = profile(dtype, count, edge=edge, resampling=(policy,))
        body = written(of, *values(_seed(dtype, policy, count, edge), of))
        raster = asyncio.run(open_raster(InMemoryObject(body), AssetLimits(), Recent(0)))
        assert isinstance(raster, TiffRaster)
        assert (raster.profile.frame.crs, raster.profile.dtype) == (of.frame.crs, of.dtype)
        assert (raster.profile.masked, raster.profile.nodata) == (True, None)
        assert len(raster.profile.levels) == of.levels
        for level in range(of.levels):
            size = edge >> level
            data, valid = asyncio.run(raster.read(level, (0, 0, size, size)))
            expected, mask = level_of(body, level)
            np.testing.assert_array_equal(data, expected)
            np.testing.assert_array_equal(valid, mask)


@pytest.mark.parametrize("name", SYSTEMS)
def test_gdal_reads_the_system_that_was_written(name: str, tmp_path: Path) -> None:
    """The same numbers are the same places, to a micrometre or so; names may differ."""
    crs = _system(name)
    of = profile("uint8", 1, crs=crs.to_wkt())
    path = tmp_path / "a.tif"
    path.write_bytes(rewrite(of, None, {}))
    with rasterio.open(path) as dataset:
        assert dataset.transform == of.frame.transform
        read = dataset.crs
    assert read.is_projected == crs.is_projected
    assert read.units_factor[1] == pytest.approx(crs.units_factor[1], rel=1e-14)
    xs, ys = ([3.0, 10.0, 2.5], [40.0, 20.0, 45.0]) if crs.is_geographic else (XS, YS)
    there = transform(crs, read, xs, ys)
    np.testing.assert_allclose(there[0], xs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(there[1], ys, rtol=0, atol=1e-6)
    reader = CogReader(AllowList([str(tmp_path)]))
    frame = asyncio.run(reader.frame(str(path), version="1"))
    assert frame == Frame(read, of.frame.transform, 64, 64)


XS, YS = [3e5, 1e5, 2.5e5], [4e5, 2e5, 4.5e5]


def test_a_system_without_keys_is_refused() -> None:
    rotated = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18"
    with pytest.raises(ValueError, match="no keys"):
        rewrite(profile("uint8", 1, crs=rotated), None, {})


def test_layout_is_that_of_a_cog() -> None:
    """Directories first, full resolution before overviews; blocks last, overviews before it."""
    of = profile("uint16", 2, edge=256)
    body = written(of, *values(_seed("layout"), of))
    header = asyncio.run(leading_bytes(InMemoryObject(body), AssetLimits()))
    assert header is not None
    cell = open_cell(body)
    spans = []
    at = len(body)
    for level in range(cell.levels):
        across = cell.across(level)
        for x, y in reversed([(x, y) for y in range(across) for x in range(across)]):
            for part in reversed(cell.encoded(level, (x, y))):
                at -= len(part)
                assert body[at : at + len(part)] == bytes(part)
                spans.append(at)
    assert at == len(header), "every byte is the header's or a block's, in this order"
    assert len(header) < 8192


class Ranges(InMemoryObject):
    """Records what is read."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.read_ranges: list[tuple[int, int]] = []

    async def read(self, start: int, stop: int) -> Buffer:
        self.read_ranges.append((start, stop))
        return await super().read(start, stop)


def test_a_tile_is_one_request_and_an_empty_one_none() -> None:
    """A block and its mask are neighbors; the header is one request, too."""
    of = profile("uint8", 3, edge=512, block=128)
    data, valid = values(_seed("requests"), of)  # a quarter of the cell is empty
    source = Ranges(written(of, data, valid))

    async def requests() -> list[int]:
        raster = await open_raster(source, AssetLimits(), Recent(0))
        assert isinstance(raster, TiffRaster)
        found = [len(source.read_ranges)]
        for level, place in [(0, (3, 3)), (0, (0, 0)), (1, (1, 1)), (1, (0, 0)), (2, (0, 0))]:
            source.read_ranges.clear()
            await raster.read(level, (place[0] * 128, place[1] * 128, 128, 128))
            found.append(len(source.read_ranges))
        return found

    assert asyncio.run(requests()) == [1, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("edge", [512, 2048])
def test_the_header_is_small(edge: int) -> None:
    of = profile("uint8", 3, edge=edge, block=256)
    assert len(rewrite(of, None, {})) < 4096


ZOOM, COLUMN, ROW = 9, 271, 170


def _tms_cell(dtype: str, count: int, **more: Any) -> CellProfile:
    """A cell of 256 px with blocks of 32: a tile of WebMercatorQuad."""
    left, bottom, right, top = morecantile.tms.get("WebMercatorQuad").xy_bounds(COLUMN, ROW, ZOOM)
    to = Affine((right - left) / 256, 0, left, 0, (bottom - top) / 256, top)
    frame = Frame(CRS.from_epsg(3857), to, 256, 256)
    return CellProfile(frame=frame, dtype=np.dtype(dtype), count=count, block=32, **more)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_rio_tiler_and_livemosaic_see_the_same_tile(dtype: str, tmp_path: Path) -> None:
    of = _tms_cell(dtype, 2)
    data, valid = values(_seed(dtype), of)
    path = tmp_path / "a.tif"
    path.write_bytes(written(of, data, valid))
    bounds = morecantile.tms.get("WebMercatorQuad").xy_bounds(COLUMN, ROW, ZOOM)
    grid = Grid(CRS.from_epsg(3857), tuple(bounds), 256, 256)
    reader = CogReader(AllowList([str(tmp_path)]))
    ours = asyncio.run(reader.read({"a": str(path)}, grid, Read(), version="1"))
    with Reader(str(path)) as theirs:
        tile = theirs.tile(COLUMN, ROW, ZOOM)
    np.testing.assert_array_equal(ours.valid, valid)
    np.testing.assert_array_equal(ours.data, data)
    np.testing.assert_array_equal(tile.mask > 0, valid)
    np.testing.assert_array_equal(np.where(valid, tile.array.data, 0), data)


def test_scales_and_palettes_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    of = _tms_cell("int16", 2, scales=(0.1, 1.0), offsets=(-5.0, 0.0), descriptions=("é", "<b>"))
    path.write_bytes(written(of, *values(_seed(1), of)))
    raster = asyncio.run(open_raster(InMemoryObject(path.read_bytes()), AssetLimits(), Recent(0)))
    assert isinstance(raster, TiffRaster)
    assert (raster.profile.scales, raster.profile.offsets) == (of.scales, of.offsets)
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    of = _tms_cell("uint8", 1, palette=palette, resampling=("mode",))
    body = written(of, *values(_seed(2), of))
    raster = asyncio.run(open_raster(InMemoryObject(body), AssetLimits(), Recent(0)))
    assert isinstance(raster, TiffRaster)
    np.testing.assert_array_equal(raster.profile.palette, palette)

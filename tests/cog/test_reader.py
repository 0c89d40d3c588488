"""What the reader remembers, shares and asks for; and what GDAL reads in its place."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.shutil import copy

from cogs import write_cog
from livemosaic.cog.gdal import GdalRaster
from livemosaic.cog.geotiff import TiffRaster
from livemosaic.cog.reader import CogReader
from livemosaic.errors import UnreadableAssetError
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore

ORIGIN = Affine(10, 0, 1_000_000, 0, -10, 6_000_000)
GRID = Grid(CRS.from_epsg(3857), (1_000_000, 5_997_000, 1_003_000, 6_000_000), 300, 300)
DATA = np.random.default_rng(5).integers(1, 120, (2, 300, 300)).astype("uint8")


def cog(path: Path, data: NDArray[Any] = DATA, **how: Any) -> Path:
    return write_cog(path, data, **({"crs": "EPSG:3857", "transform": ORIGIN} | how))


def test_fifty_reads_of_one_place_ask_for_it_once(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path, delay_s=0.02) as store:
        opened = CogReader(AllowList([store.url]), recent=Recent(age_s=600))  # machines may be slow
        assets = {"a": f"{store.url}/a.tif"}

        async def scenario() -> None:
            reads = [opened.read(assets, GRID, Read(), version="1") for _ in range(50)]
            for pixels in await asyncio.gather(*reads):
                np.testing.assert_array_equal(pixels.data, DATA)

        asyncio.run(scenario())
        headers = [r for r in store.requests if r.range and r.range[0] == 0]
        assert len(headers) == 1
        # The four blocks lie side by side.
        assert len(store.requests) == 1 + 1


def test_neighbouring_tiles_ask_for_their_block_once(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif", blocksize=512)
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]), recent=Recent())
        assets = {"a": f"{store.url}/a.tif"}
        for left in (1_000_000, 1_001_000, 1_002_000):
            grid = Grid(GRID.crs, (left, 5_999_000, left + 1_000, 6_000_000), 100, 100)
            column = (left - 1_000_000) // 10
            pixels = asyncio.run(opened.read(assets, grid, Read(), version="1"))
            np.testing.assert_array_equal(pixels.data, DATA[:, :100, column : column + 100])
        assert len(store.requests) == 1 + 1


def test_an_overwritten_file_is_noticed_when_its_blocks_are_too_old(tmp_path: Path) -> None:
    now = 0.0
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]), recent=Recent(age_s=5, clock=lambda: now))
        assets = {"a": f"{store.url}/a.tif"}

        def data() -> NDArray[Any]:
            return asyncio.run(opened.read(assets, GRID, Read(), version="1")).data

        np.testing.assert_array_equal(data(), DATA)
        cog(tmp_path / "a.tif", 200 - DATA)
        now = 5.1
        np.testing.assert_array_equal(data(), 200 - DATA)


def test_a_tile_never_mixes_kept_blocks_with_those_of_another_edition(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif", compress="none", blocksize=128)
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]), recent=Recent())
        assets = {"a": f"{store.url}/a.tif"}
        part = Grid(GRID.crs, (1_000_000, 5_999_000, 1_001_000, 6_000_000), 100, 100)
        asyncio.run(opened.read(assets, part, Read(), version="1"))
        cog(tmp_path / "a.tif", 200 - DATA, compress="none", blocksize=128)
        whole = asyncio.run(opened.read(assets, GRID, Read(), version="1"))
        np.testing.assert_array_equal(whole.data, 200 - DATA)


def test_pixels_and_their_mask_come_in_one_request(tmp_path: Path) -> None:
    data = np.repeat(DATA[:1], 3, axis=0)
    plain = cog(tmp_path / "plain.tif", data, mask=DATA[0] > 20)
    copy(plain, tmp_path / "a.tif", driver="COG", blocksize=128, compress="jpeg")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]))
        assets = {"a": f"{store.url}/a.tif"}
        pixels = asyncio.run(opened.read(assets, GRID, Read(), version="1"))
        np.testing.assert_array_equal(pixels.valid, DATA[0] > 20)
        assert len(store.requests) == 1 + 1


@pytest.mark.parametrize(("given", "requests"), [({}, 1), ({"coalesce_gap_bytes": 1000}, 2)])
def test_what_lies_between_blocks_is_read_where_another_request_costs_more(
    tmp_path: Path, given: dict[str, int], requests: int
) -> None:
    cog(tmp_path / "a.tif", compress="none", blocksize=128)
    left = Grid(GRID.crs, (1_000_000, 5_998_000, 1_000_640, 6_000_000), 64, 200)
    with ObjectStore(tmp_path) as store:
        settings = Settings(allowed_prefixes=(store.url,), **given)
        with running(settings, SqliteTable(tmp_path / "index.db")) as services:
            assets = {"a": f"{store.url}/a.tif"}
            pixels = asyncio.run(services.tiler.reader.read(assets, left, Read(), version="1"))
        np.testing.assert_array_equal(pixels.data, DATA[:, :200, :64])
        assert len(store.requests) == 1 + requests


@pytest.mark.parametrize(
    "how",
    [
        {"predictor": 1},
        {"predictor": 2},
        {"predictor": 3, "dtype": "float32"},
        {"predictor": 2, "dtype": "uint16"},
        {"interleave": "band"},
    ],
    ids=lambda how: " ".join(str(value) for value in how.values()),
)
@pytest.mark.parametrize("masked", [False, True], ids=["", "mask"])
@pytest.mark.parametrize("rows", [1, 130, 256])
def test_what_lies_in_the_first_lines_of_blocks(
    tmp_path: Path, how: dict[str, Any], masked: bool, rows: int
) -> None:
    """Inflating stops where a tile needs no more; what it needs is as in the file."""
    real = DATA[0] > 20 if masked else np.ones_like(DATA[0], np.bool_)
    options = {"compress": "deflate", "blocksize": 128} | how | ({"mask": real} if masked else {})
    cog(tmp_path / "a.tif", DATA, **options)
    grid = Grid(GRID.crs, (1_000_000, 6_000_000 - 10 * rows, 1_002_000, 6_000_000), 200, rows)
    opened = CogReader(AllowList([str(tmp_path)]))
    assets = {"a": str(tmp_path / "a.tif")}
    pixels = asyncio.run(opened.read(assets, grid, Read(), version="1"))
    np.testing.assert_array_equal(pixels.valid, real[:rows, :200])
    expected = np.where(real, DATA, 0)[:, :rows, :200]
    np.testing.assert_array_equal(pixels.data, expected)


def test_a_new_version_is_opened_anew_and_the_old_one_is_not(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]))
        assets = {"a": f"{store.url}/a.tif"}

        def headers(version: str) -> int:
            before = len(store.requests)
            asyncio.run(opened.read(assets, GRID, Read(), version=version))
            return sum(r.range is not None and r.range[0] == 0 for r in store.requests[before:])

        assert [headers(v) for v in ("1", "1", "2", "2", "1")] == [1, 0, 1, 0, 0]


def test_the_least_used_file_is_forgotten_first(tmp_path: Path) -> None:
    for name in "abc":
        cog(tmp_path / f"{name}.tif")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]), max_open=2)

        def headers(name: str) -> int:
            before = len(store.requests)
            assets = {"a": f"{store.url}/{name}.tif"}
            asyncio.run(opened.read(assets, GRID, Read(), version="1"))
            return sum(r.range is not None and r.range[0] == 0 for r in store.requests[before:])

        assert [headers(n) for n in "abacab"] == [1, 1, 0, 1, 0, 1]


def test_a_file_that_failed_to_open_is_tried_again(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]))
        assets = {"a": f"{store.url}/a.tif"}
        store.statuses["/a.tif"] = 403
        with pytest.raises(UnreadableAssetError):
            asyncio.run(opened.read(assets, GRID, Read(), version="1"))
        store.statuses.clear()
        assert asyncio.run(opened.read(assets, GRID, Read(), version="1")).valid.all()


def test_one_that_stops_waiting_leaves_the_file_to_the_others(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path, delay_s=0.1) as store:
        opened = CogReader(AllowList([store.url]))
        assets = {"a": f"{store.url}/a.tif"}

        async def scenario() -> None:
            first, second = (
                asyncio.create_task(opened.read(assets, GRID, Read(), version="1"))
                for _ in range(2)
            )
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert (await second).valid.all()

        asyncio.run(scenario())
        assert sum(r.range is not None and r.range[0] == 0 for r in store.requests) == 1


def test_assets_are_read_at_the_same_time(tmp_path: Path) -> None:
    assets = {f"b{i}": str(cog(tmp_path / f"{i}.tif")) for i in range(6)}
    with ObjectStore(tmp_path, delay_s=0.2) as store:
        opened = CogReader(AllowList([store.url]))
        hrefs = {key: f"{store.url}/{Path(path).name}" for key, path in assets.items()}

        async def scenario() -> float:
            started = asyncio.get_running_loop().time()
            await opened.read(hrefs, GRID, Read(), version="1")
            return asyncio.get_running_loop().time() - started

        assert asyncio.run(scenario()) < 6 * 0.4


def test_only_the_blocks_of_a_tile_are_fetched(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1, 2048, 2048)).astype("uint8")
    path = cog(tmp_path / "a.tif", noise)
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]))
        asyncio.run(opened.read({"a": f"{store.url}/a.tif"}, GRID, Read(), version="1"))
        assert store.bytes_sent < path.stat().st_size / 4


def test_s3_is_read_through_the_endpoint_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bucket").mkdir()
    cog(tmp_path / "bucket" / "a.tif")
    with ObjectStore(tmp_path) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        opened = CogReader(AllowList())
        grid, read = GRID, Read()
        assets = {"a": "s3://bucket/a.tif"}
        pixels = asyncio.run(opened.read(assets, grid, read, version="1"))
        np.testing.assert_array_equal(pixels.data, DATA)
        with pytest.raises(UnreadableAssetError, match="is missing"):
            asyncio.run(opened.read({"a": "s3://bucket/none.tif"}, grid, read, version="1"))
        store.statuses["/bucket/b.tif"] = 403
        with pytest.raises(UnreadableAssetError, match="denies access"):
            asyncio.run(opened.read({"a": "s3://bucket/b.tif"}, grid, read, version="1"))


GDALS = {
    "packbits": {"compress": "packbits"},
    "nbits": {"nbits": 7},
    "min-is-white": {"photometric": "miniswhite"},
}


@pytest.mark.parametrize("how", ["packbits", "nbits", "min-is-white"])
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "mask"])
def test_gdal_reads_what_async_geotiff_cannot(tmp_path: Path, how: str, masked: bool) -> None:
    real = np.ones((300, 300), np.bool_)
    real[:50] = False
    path = cog(tmp_path / "a.tif", DATA[:1], mask=real if masked else None, **GDALS[how])
    opened = CogReader(AllowList([str(tmp_path)]))
    for _ in range(2):
        pixels = asyncio.run(opened.read({"a": str(path)}, GRID, Read(), version="1"))
        np.testing.assert_array_equal(pixels.valid, real if masked else np.ones_like(real))
        np.testing.assert_array_equal(pixels.data[0], np.where(pixels.valid, DATA[0], 0))
        assert isinstance(opened._opened[str(path), "1"], GdalRaster)


@pytest.mark.parametrize("block", [256, 304, 512])
@pytest.mark.parametrize("bits", [1, 4, 7])
def test_gdal_reads_one_column_of_blocks(tmp_path: Path, block: int, bits: int) -> None:
    """Where a block is as wide as the image, rasterio calls the file untiled.

    GDAL gives 1 bit a palette, black and white, so it is read by band number here.
    """
    data = (DATA[:1, :, :block] % 2**bits).astype("uint8")
    path = cog(tmp_path / "a.tif", data, blocksize=block, nbits=bits)
    opened = CogReader(AllowList([str(tmp_path)]))
    pixels = asyncio.run(opened.read({"a": str(path)}, GRID, Read(bidx=(1,)), version="1"))
    width = data.shape[2]
    np.testing.assert_array_equal(pixels.data[:, :, :width], data)
    assert pixels.valid[:, :width].all()


def test_rows_of_pixels_are_no_tiles_for_gdal_either(tmp_path: Path) -> None:
    path = cog(tmp_path / "a.tif", DATA[:1] % 2, nbits=1, tiled=False, blockysize=1)
    opened = CogReader(AllowList([str(tmp_path)]))
    with pytest.raises(UnreadableAssetError, match="is not tiled"):
        asyncio.run(opened.read({"a": str(path)}, GRID, Read(), version="1"))


def test_sparse_blocks_hold_nodata(tmp_path: Path) -> None:
    import rasterio

    profile = {
        "driver": "GTiff", "width": 600, "height": 600, "count": 1, "dtype": "int16",
        "crs": "EPSG:3857", "transform": ORIGIN, "tiled": True, "blockxsize": 256,
        "blockysize": 256, "sparse_ok": True, "nodata": -1,
    }  # fmt: skip
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
        dataset.write(DATA[:1, :256, :256].astype("int16"), window=((0, 256), (0, 256)))
    opened = CogReader(AllowList([str(tmp_path)]))
    pixels = asyncio.run(opened.read({"a": f"{tmp_path}/a.tif"}, GRID, Read(), version="1"))
    assert pixels.valid[:256, :256].all()
    assert not pixels.valid[256:].any()


def test_gdal_takes_overviews_too(tmp_path: Path) -> None:
    data = np.zeros((1, 1024, 1024), "uint8")
    data[0, ::2, ::2] = 200
    path = cog(tmp_path / "a.tif", data, compress="packbits", overviews=[2, 4])
    grid = Grid(CRS.from_epsg(3857), (1_000_000, 5_989_760, 1_010_240, 6_000_000), 256, 256)
    opened = CogReader(AllowList([str(tmp_path)]))
    pixels = asyncio.run(opened.read({"a": str(path)}, grid, Read(), version="1"))
    assert pixels.valid.all()
    assert (pixels.data == 200).all(), "the overview has what the full resolution has at (0, 0)"


@pytest.mark.parametrize(
    "crs",
    [
        "+proj=tmerc +lon_0=11 +k=0.9999 +x_0=500000 +ellps=WGS84 +units=us-ft",
        "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=NAD83 +units=m",
        "+proj=sinu +R=6371007.181 +units=m",
    ],
    ids=["feet", "albers", "sinusoidal"],
)
def test_a_crs_that_is_spelled_out_is_gdals_to_read(tmp_path: Path, crs: str) -> None:
    """async-geotiff 0.5.1 puts the one in feet 3,700 km away, and fails on the others."""
    import rasterio

    path = cog(tmp_path / "a.tif", crs=CRS.from_string(crs))
    opened = CogReader(AllowList([str(tmp_path)]))
    asyncio.run(opened.read({"a": str(path)}, GRID, Read(), version="1"))
    raster = opened._opened[str(path), "1"]
    assert isinstance(raster, TiffRaster), "only the CRS is GDAL's"
    with rasterio.open(path) as dataset:
        assert raster.profile.frame.crs == dataset.crs


def test_a_reader_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    path = cog(tmp_path / "a.tif")
    opened = CogReader(AllowList([str(tmp_path)]))
    for _ in range(5):
        pixels = asyncio.run(opened.read({"a": str(path)}, GRID, Read(), version="1"))
        np.testing.assert_array_equal(pixels.data, DATA)

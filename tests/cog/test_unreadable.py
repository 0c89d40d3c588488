"""What cannot be read says why, names its asset, and harms nothing else."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from cogs import write_cog
from corpus.tags import Tag, retag
from livemosaic.cog.gdal import GdalRaster
from livemosaic.cog.geotiff import TiffRaster
from livemosaic.cog.raster import AssetLimits
from livemosaic.cog.reader import CogReader
from livemosaic.errors import ForbiddenHrefError, UnreadableAssetError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList
from objectstore import ObjectStore

ORIGIN = Affine(10, 0, 1_000_000, 0, -10, 6_000_000)
GRID = Grid(CRS.from_epsg(3857), (1_000_000, 5_997_440, 1_002_560, 6_000_000), 256, 256)


def cog(path: Path, count: int = 1, size: int = 600, **how: Any) -> Path:
    data = np.random.default_rng(3).integers(1, 200, (count, size, size)).astype("uint8")
    return write_cog(path, data, **({"crs": "EPSG:3857", "transform": ORIGIN} | how))


def read_href(href: str, prefix: str, limits: AssetLimits | None = None, **how: Any) -> Pixels:
    opened = CogReader(AllowList([prefix]), limits=limits)
    return asyncio.run(opened.read({"visual": href}, GRID, Read(**how), version="1"))


def cut(path: Path, keep: float) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * keep) if keep < 1 else int(keep)])


def count_tiles(path: Path, count: int) -> None:
    """Says that the file has so many: async-tiff would take memory for them, and abort."""
    body = path.read_bytes()
    offsets = retag(body, {324: Tag(4, range(5))})
    at = offsets.index(struct.pack("<HHI", 324, 4, 5))
    path.write_bytes(offsets[: at + 4] + struct.pack("<I", count) + offsets[at + 8 :])


def striped(path: Path) -> None:
    cog(path, tiled=False, blockysize=16)


def without_crs(path: Path) -> None:
    cog(path, crs=None)


def without_place(path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        cog(path, crs=None, transform=None)


def turned_inside_out(path: Path) -> None:
    cog(path)
    body = bytearray(path.read_bytes())
    body[8:400] = np.random.default_rng(1).bytes(392)
    path.write_bytes(body)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: None, "is missing"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "html": (lambda p: p.write_bytes(b"<!DOCTYPE html>" + b" " * 9999), "not a TIFF.*DOCTYPE"),
    "png": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 999), "not a TIFF"),
    "zeros": (lambda p: p.write_bytes(bytes(9999)), "not a TIFF"),
    "four bytes": (lambda p: p.write_bytes(b"II*\0"), "damaged|cut short"),
    "no directory": (lambda p: p.write_bytes(b"II*\0" + bytes(9999)), "damaged"),
    "a directory that is its own next": (
        lambda p: p.write_bytes(b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + bytes(999)),
        "damaged",
    ),
    "a directory beyond the end": (
        lambda p: p.write_bytes(b"II*\0\xff\xff\0\0" + bytes(999)),
        "damaged|cut short",
    ),
    "a table of a billion tiles": (
        lambda p: (cog(p), count_tiles(p, 1 << 30)),
        "damaged|cut short",
    ),
    "header cut": (lambda p: (cog(p), cut(p, 200)), "damaged|cut short"),
    "header noise": (turned_inside_out, "damaged|cut short|no georeferencing|not tiled"),
    "data cut": (lambda p: (cog(p), cut(p, 0.03)), "cut short"),
    "striped": (striped, "not tiled.*rio cogeo"),
    "no crs": (without_crs, "no georeferencing"),
    "no place": (without_place, "no georeferencing"),
}


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("over", ["http", "file"])
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, how: str, over: str) -> None:
    make, message = BAD[how]
    make(tmp_path / "a.tif")
    with ObjectStore(tmp_path) as store:
        prefix = store.url if over == "http" else str(tmp_path)
        with pytest.raises(UnreadableAssetError, match=message) as failed:
            read_href(f"{prefix}/a.tif", prefix)
    assert "'visual'" in str(failed.value)
    assert f"{prefix}/a.tif" in str(failed.value)
    assert "vsi" not in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "denies access"),
        (403, "denies access"),
        (404, "missing"),
        (410, "missing"),
        (418, "418"),
    ],
)
def test_a_refusal_is_passed_on_at_once(tmp_path: Path, status: int, message: str) -> None:
    with ObjectStore(tmp_path) as store:
        store.statuses["/a.tif"] = status
        with pytest.raises(UnreadableAssetError, match=message):
            read_href(f"{store.url}/a.tif", store.url)
        assert len(store.requests) == 1


def test_a_server_in_trouble_is_asked_again_but_not_for_long(tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as store:
        store.statuses["/a.tif"] = 503
        with pytest.raises(UnreadableAssetError, match=r"could not be reached|503"):
            read_href(f"{store.url}/a.tif", store.url)
        assert len(store.requests) == 3


def test_a_server_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as store:
        url = store.url
    with pytest.raises(UnreadableAssetError, match="could not be reached"):
        read_href(f"{url}/a.tif", url)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    cog(tmp_path / "secret.tif")
    with ObjectStore(tmp_path) as store:
        store.redirects["/public/a.tif"] = "/secret.tif"
        with pytest.raises(UnreadableAssetError, match=r"redirected .*302"):
            read_href(f"{store.url}/public/a.tif", f"{store.url}/public")
        assert [r.target for r in store.requests] == ["/public/a.tif"]


def test_a_redirect_is_not_followed_by_gdal_either(tmp_path: Path) -> None:
    """The object answers the header, then redirects: GDAL reads through the same connection."""
    cog(tmp_path / "a.tif", compress="packbits")
    cog(tmp_path / "secret.tif", compress="packbits")
    with ObjectStore(tmp_path) as store:
        opened = CogReader(AllowList([store.url]))

        async def scenario() -> None:
            await opened.read({"visual": f"{store.url}/a.tif"}, GRID, Read(), version="1")
            store.redirects["/a.tif"] = "/secret.tif"
            with pytest.raises(UnreadableAssetError, match="redirected"):
                await opened.read({"visual": f"{store.url}/a.tif"}, GRID, Read(), version="1")

        asyncio.run(scenario())
        assert {r.target for r in store.requests} == {"/a.tif"}


def test_a_signed_url_keeps_its_signature_and_never_shows_it(tmp_path: Path) -> None:
    cog(tmp_path / "a b.tif")
    with ObjectStore(tmp_path) as store:
        query = "X-Amz-Signature=SECRET%2Fx%3D&part=1"
        assert read_href(f"{store.url}/a%20b.tif?{query}", store.url).valid.all()
        assert {r.target for r in store.requests} == {f"/a%20b.tif?{query}"}
        with pytest.raises(UnreadableAssetError) as failed:
            read_href(f"{store.url}/none.tif?{query}", store.url)
    assert "SECRET" not in str(failed.value)


def test_a_server_without_ranges_is_not_downloaded_whole(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif", size=1500)
    with ObjectStore(tmp_path) as store:
        store.ignore_ranges = True
        with pytest.raises(UnreadableAssetError, match=r"ignores the Range"):
            read_href(f"{store.url}/a.tif", store.url)


def test_a_slow_server_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with (
        ObjectStore(tmp_path, delay_s=1) as store,
        pytest.raises(UnreadableAssetError, match=r"longer than 0\.2 seconds"),
    ):
        read_href(f"{store.url}/a.tif", store.url, AssetLimits(seconds=0.2))


@pytest.mark.parametrize(
    ("limits", "how", "message"),
    [
        (AssetLimits(block_edge=128), {}, "blocks of 256 × 256 .*128"),
        (AssetLimits(bands=2), {"count": 3}, "3 bands.*at most 2.*bidx"),
        (AssetLimits(header_bytes=100), {}, "more than 100 bytes"),
        (AssetLimits(samples=1000), {}, "samples.*1,000.*overviews"),
    ],
    ids=["block", "bands", "header", "samples"],
)
@pytest.mark.parametrize("compress", ["deflate", "packbits"], ids=["async", "gdal"])
def test_a_limit_is_named_with_the_number(
    tmp_path: Path, limits: AssetLimits, how: dict[str, Any], message: str, compress: str
) -> None:
    path = cog(tmp_path / "a.tif", compress=compress, **how)
    with pytest.raises(UnreadableAssetError, match=message):
        read_href(str(path), str(tmp_path), limits)


def test_overviews_at_the_end_of_a_large_file_do_not_fetch_all_before_them(tmp_path: Path) -> None:
    """async-tiff reads a header without gaps; GDAL, which seeks, is asked instead."""
    path = cog(tmp_path / "a.tif", size=1500, compress="none", overviews=[2, 4])
    with ObjectStore(tmp_path) as store:
        limits = AssetLimits(header_bytes=1_000_000)
        assert read_href(f"{store.url}/a.tif", store.url, limits).valid.all()
        assert store.bytes_sent < path.stat().st_size / 2


def test_an_href_outside_the_allow_list_is_not_asked_for(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    with ObjectStore(tmp_path) as store:
        with pytest.raises(ForbiddenHrefError):
            read_href(f"{store.url}/a.tif", "s3://")
        assert store.requests == []


def test_a_symlink_out_of_the_folder_is_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cog(tmp_path / "out.tif")
    (tmp_path / "in" / "a.tif").symlink_to(tmp_path / "out.tif")
    with pytest.raises(ForbiddenHrefError):
        read_href(f"{tmp_path}/in/a.tif", f"{tmp_path}/in")


def test_sidecars_are_never_looked_for(tmp_path: Path) -> None:
    """GDAL would take nodata from .aux.xml, overviews from .ovr, a mask from .msk."""
    path = cog(tmp_path / "a.tif", compress="packbits")
    with ObjectStore(tmp_path) as store:
        read_href(f"{store.url}/a.tif", store.url)
        assert {r.target for r in store.requests} == {"/a.tif"}
    (tmp_path / "a.tif.msk").write_bytes(path.read_bytes())
    assert read_href(str(path), str(tmp_path)).valid.all()


def test_a_vrt_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    with pytest.raises(UnreadableAssetError, match="not a TIFF"):
        read_href(f"{tmp_path}/a.tif", str(tmp_path))


def test_a_panic_in_rust_is_an_unreadable_asset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyo3's PanicException is a BaseException, so that `except Exception` does not see it."""

    class PanicException(BaseException):
        pass

    async def panic(*_: Any) -> None:
        raise PanicException("index out of bounds")

    path = cog(tmp_path / "a.tif")
    monkeypatch.setattr(TiffRaster, "fetch", panic)
    assert read_href(str(path), str(tmp_path)).valid.all(), "GDAL reads it instead"
    monkeypatch.setattr(GdalRaster, "read", panic)
    with pytest.raises(UnreadableAssetError, match="cannot be decoded"):
        read_href(str(path), str(tmp_path))


def test_a_cancellation_is_not_an_unreadable_asset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cog(tmp_path / "a.tif")

    async def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(TiffRaster, "fetch", cancelled)
    with pytest.raises(asyncio.CancelledError):
        read_href(str(path), str(tmp_path))


def test_one_bad_asset_fails_the_read_and_says_which(tmp_path: Path) -> None:
    path = cog(tmp_path / "a.tif")
    opened = CogReader(AllowList([str(tmp_path)]))
    assets = {"red": str(path), "nir": f"{tmp_path}/none.tif"}
    with pytest.raises(UnreadableAssetError, match="'nir'"):
        asyncio.run(opened.read(assets, GRID, Read(), version="1"))

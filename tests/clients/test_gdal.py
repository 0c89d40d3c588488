"""GDAL opens the files that the API makes for it, and reads the pixels of tiles.

By rasterio's GDAL, and by the commands of another one where they are installed (Debian's).
"""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from api.served import AUTHORIZED, EDGE, WEB, Server, X, Y, Z, tile_url
from clients.conftest import NODATA, Saved

KINDS = ["rgb", "gray", "deep", "five", "signed", "dtm", "few"]


def info(path: Path | str) -> dict[str, Any]:
    """What `gdalinfo` finds; skips without it."""
    command = shutil.which("gdalinfo")
    if command is None:
        pytest.skip("gdalinfo is not installed (apt-get install gdal-bin)")
    done = subprocess.run(
        [command, "-json", "-stats", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read_tile(path: Path | str, left: float = EDGE.left, **how: Any) -> NDArray[Any]:
    """The part of a raster that the tile of all tests covers, shape (bands, height, width)."""
    with rasterio.open(path, **how) as raster:
        right = min(EDGE.right, raster.bounds.right)
        bottom = max(EDGE.bottom, raster.bounds.bottom)
        window = raster.window(left, bottom, right, EDGE.top)
        found: NDArray[Any] = raster.read(window=window.round_offsets().round_lengths())
        return found


def tile(server: Server, mosaic: str, **query: str) -> NDArray[Any]:
    return server.picture(f"/mosaics/{mosaic}/tiles/WebMercatorQuad/{Z}/{X}/{Y}", **query).data


@pytest.mark.parametrize("file", ["wms.xml", "tms.xml", "wmts.xml", "mosaic.vrt"])
@pytest.mark.parametrize("mosaic", KINDS)
class TestPixels:
    def test_are_those_of_tiles(
        self, mosaics: Server, saved: Saved, mosaic: str, file: str
    ) -> None:
        expected = tile(mosaics, mosaic)
        read = read_tile(saved(f"/mosaics/{mosaic}/gdal/{file}"))
        assert read.dtype == expected.dtype
        width = 128 if mosaic in ("dtm", "few") else 256  # the mosaic's extent
        assert np.array_equal(read[: len(expected), :256, :width], expected[..., :width])

    def test_are_those_of_tiles_to_gdals_commands(
        self, saved: Saved, tmp_path: Path, mosaic: str, file: str
    ) -> None:
        path = saved(f"/mosaics/{mosaic}/gdal/{file}")
        assert info(path)["bands"]
        copy = tmp_path / "copy.tif"
        done = subprocess.run(
            ["gdal_translate", "-q", str(path), str(copy)], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert np.array_equal(read_tile(copy), read_tile(path))


class TestFile:
    @pytest.mark.parametrize("file", ["wmts.xml", "mosaic.vrt"])
    def test_the_window_is_the_mosaics(self, saved: Saved, file: str) -> None:
        with rasterio.open(saved(f"/mosaics/dtm/gdal/{file}")) as raster:
            middle = (EDGE.left + EDGE.right) / 2
            assert raster.bounds == pytest.approx((EDGE.left, EDGE.bottom, middle, EDGE.top))
            assert raster.shape == (256, 128)
            assert raster.crs.to_epsg() == 3857

    @pytest.mark.parametrize("file", ["wms.xml", "mosaic.vrt"])
    @pytest.mark.parametrize("mosaic", ["dtm", "few"])
    def test_no_data_is_not_zero(self, saved: Saved, mosaic: str, file: str) -> None:
        """Neither within a scene, nor in a tile without one."""
        with rasterio.open(saved(f"/mosaics/{mosaic}/gdal/{file}", maxzoom="11")) as raster:
            assert raster.nodata == NODATA
            valid = raster.read(1, masked=True)
        assert valid.mask.any()
        assert (valid.min(), valid.max()) == pytest.approx((-2900, -2100), abs=200)

    def test_the_type_and_the_bands_are_those_of_the_values(self, saved: Saved) -> None:
        found = {}
        for mosaic in KINDS:
            with rasterio.open(saved(f"/mosaics/{mosaic}/gdal/wmts.xml")) as raster:
                found[mosaic] = raster.dtypes[0]
        assert found == {
            **dict.fromkeys(("rgb", "gray"), "uint8"),
            **dict.fromkeys(("deep", "five"), "uint16"),
            "signed": "int16",
            **dict.fromkeys(("dtm", "few"), "float32"),
        }

    def test_vrt_knows_which_band_is_alpha(self, saved: Saved) -> None:
        with rasterio.open(saved("/mosaics/rgb/gdal/mosaic.vrt")) as raster:
            assert [one.name for one in raster.colorinterp] == ["red", "green", "blue", "alpha"]
            assert raster.overviews(1) == [2]

    def test_vrt_opens_by_its_url(self, url: str) -> None:
        with rasterio.open(f"/vsicurl/{url}/mosaics/rgb/gdal/mosaic.vrt?bidx=2") as raster:
            assert (raster.count, raster.bounds) == (2, pytest.approx(EDGE))

    def test_rasterio_reads_a_zoom_of_the_wmts_file(self, mosaics: Server, saved: Saved) -> None:
        path = saved("/mosaics/dtm/gdal/wmts.xml")
        read = read_tile(path, zoomlevel=9)
        assert read.shape[1:] == (128, 64)
        expected = mosaics.picture(f"/mosaics/dtm/tiles/WebMercatorQuad/9/{X // 2}/{Y // 2}").data
        x, y = X % 2 * 128, Y % 2 * 128
        assert np.array_equal(read[0], expected[0, y : y + 128, x : x + 64])

    def test_overviews_are_the_tiles_of_lower_zooms(self, mosaics: Server, saved: Saved) -> None:
        with rasterio.open(saved("/mosaics/rgb/gdal/wms.xml", maxzoom="11")) as raster:
            assert raster.overviews(1)[:1] == [2]
        path = saved("/mosaics/rgb/gdal/wms.xml", maxzoom="11")
        assert np.array_equal(read_tile(path, overview_level=0)[:3], tile(mosaics, "rgb"))

    @pytest.mark.parametrize("driver", ["wms", "wmts"])
    @pytest.mark.parametrize(
        "tms", ["WGS1984Quad", "WorldCRS84Quad", "EuropeanETRS89_LAEAQuad", "UTM31WGS84Quad"]
    )
    def test_every_matrix_set_shows_the_place(
        self, mosaics: Server, saved: Saved, tms: str, driver: str
    ) -> None:
        """The values of some places, which our own point queries give as well."""
        path = saved(f"/mosaics/rgb/gdal/{driver}.xml", tms=tms, maxzoom="12")
        lon, lat = WEB.lnglat(EDGE.left + 0.3 * (EDGE.right - EDGE.left), EDGE.top - 20_000)
        with rasterio.open(path) as raster:
            x, y = rasterio.warp.transform("EPSG:4326", raster.crs, [lon], [lat])
            (values,) = raster.sample([(x[0], y[0])])
            column, row = ~raster.transform @ (x[0], y[0])
            centre = raster.transform @ (int(column) + 0.5, int(row) + 0.5)
            crs = ":".join(raster.crs.to_authority() or ())
        place = f"/mosaics/rgb/point/{centre[0]},{centre[1]}"
        answer = mosaics.get(place, coord_crs=crs).json()
        assert values[:3].tolist() == answer["values"]

    def test_parameters_of_tiles_go_along(self, mosaics: Server, saved: Saved) -> None:
        asked = {"expression": "where(b1 > 100 & b1 < 150, b1, 0)", "rescale": "0,300"}
        for driver in ("wms", "wmts"):
            read = read_tile(saved(f"/mosaics/rgb/gdal/{driver}.xml", **asked))
            assert np.array_equal(read[:1], tile(mosaics, "rgb", **asked)[:1])

    @pytest.mark.parametrize("file", ["wms.xml", "tms.xml", "wmts.xml", "mosaic.vrt"])
    def test_a_mosaic_that_is_gone_is_an_error_and_no_zeros(
        self, mosaics: Server, saved: Saved, file: str
    ) -> None:
        mosaics.create("gone")
        mosaics.publish("a", [10, 20, 30], mosaic="gone")
        path = saved(f"/mosaics/gone/gdal/{file}")
        while mosaics.client.delete("/mosaics/gone", headers=AUTHORIZED).status_code != 204:
            pass
        while mosaics.get(tile_url(mosaic="gone")).status_code != 404:  # it is known for a moment
            time.sleep(0.1)
        with pytest.raises(rasterio.errors.RasterioIOError):
            read_tile(path)

    def test_larger_tiles_are_larger_blocks(self, mosaics: Server, saved: Saved) -> None:
        path = saved("/mosaics/rgb/gdal/wms.xml", tilesize="512", maxzoom="9")
        with rasterio.open(path) as raster:
            assert raster.block_shapes[0] == (512, 512)
        assert np.array_equal(read_tile(path)[:3], tile(mosaics, "rgb"))


class TestCapabilities:
    def test_gdalinfo_opens_them_as_they_are(self, url: str) -> None:
        found = info(f"WMTS:{url}/mosaics/few/WMTSCapabilities.xml")
        assert found["size"] == [512, 1024]
        assert found["geoTransform"][0] == pytest.approx(EDGE.left)

    def test_the_default_matrix_set_is_the_mosaics_own(self, url: str) -> None:
        with rasterio.open(f"WMTS:{url}/mosaics/rgb/WMTSCapabilities.xml") as raster:
            assert raster.crs.to_epsg() == 3857
            assert raster.bounds == pytest.approx(EDGE)


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "query", "status", "detail"),
        [
            ("empty/gdal/wms.xml", {}, 404, "no scene of mosaic 'empty'"),
            ("rgb/gdal/wms.xml", {"tile_format": "npy"}, 400, "GDAL reads no tiles"),
            ("rgb/gdal/wms.xml", {"tile_format": "auto"}, 400, "GDAL reads no tiles"),
            ("dtm/gdal/wms.xml", {"tile_format": "png"}, 400, "need rescale"),
            ("rgb/gdal/wms.xml", {"buffer": 1}, 400, "no raster"),
            ("rgb/gdal/wms.xml", {"tms": "GNOSISGlobalGrid"}, 400, "different widths"),
            ("rgb/gdal/wms.xml", {"tms": "Nowhere"}, 400, "unknown TileMatrixSet"),
            ("rgb/gdal/wms.xml", {"rescale": "1"}, 400, "rescale"),
            ("rgb/gdal/wcs.xml", {}, 400, "wcs"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, mosaics: Server, path: str, query: dict[str, str], status: int, detail: str
    ) -> None:
        answer = mosaics.get(f"/mosaics/{path}", **query)
        assert answer.status_code == status, answer.text
        assert detail in answer.text

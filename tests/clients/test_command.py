"""`livemosaic gdal` prints what the API makes for GDAL and QGIS."""

from pathlib import Path

import pytest
import rasterio
from typer.testing import CliRunner

from api.served import EDGE
from livemosaic.cli import app


@pytest.mark.parametrize("file", ["mosaic.vrt", "wms.xml", "wmts.xml"])
def test_what_it_prints_opens(url: str, tmp_path: Path, file: str) -> None:
    asked = ["--file", file, "--tms", "WebMercatorQuad", "--query", "bidx=2&resampling=nearest"]
    done = CliRunner().invoke(app, ["--api", url, "gdal", "rgb", *asked])
    assert done.exit_code == 0, done.output
    path = tmp_path / file
    path.write_text(done.stdout)
    with rasterio.open(path) as raster:
        assert raster.count == 2
        assert raster.bounds.left == pytest.approx(EDGE.left)


def test_a_layer_of_qgis_is_one(url: str) -> None:
    done = CliRunner().invoke(app, ["--api", url, "gdal", "rgb", "--file", "mosaic.qlr"])
    assert f"<datasource>/vsicurl/{url}/mosaics/rgb/gdal/mosaic.vrt</datasource>" in done.stdout


def test_the_public_url_is_where_it_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEMOSAIC_PUBLIC_URL", url)
    done = CliRunner().invoke(app, ["gdal", "dtm", "--file", "wms.xml"])
    assert f"<ServerUrl>{url}/mosaics/dtm/tiles/" in done.stdout


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (["nowhere"], "there is no mosaic 'nowhere'"),
        (["empty"], "no scene of mosaic 'empty' takes part"),
        (["rgb", "--query", "rescale=1"], "rescale '1' must be two numbers"),
        (["rgb", "--tms", "Nowhere"], "unknown TileMatrixSet 'Nowhere'"),
    ],
)
def test_what_cannot_be_is_an_error(url: str, asked: list[str], reason: str) -> None:
    done = CliRunner().invoke(app, ["--api", url, "gdal", *asked])
    assert done.exit_code == 1
    assert reason in " ".join(done.stderr.split())

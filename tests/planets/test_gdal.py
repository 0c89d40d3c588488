"""GDAL opens a mosaic of Mars by its capabilities and by its files, whatever its PROJ knows."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import rasterio

from api.served import Server, on_socket

SETS = ["MarsMercatorSphere", "MarsEquidistantCylindricalSphere", "MarsGeographicSphere"]
LEFT = dict.fromkeys(SETS, 4576006.6) | {"MarsGeographicSphere": 77.2}
HEIGHTS = (-3000, -1900)


@pytest.fixture(scope="module")
def url(mars: Server) -> Iterator[str]:
    with on_socket(mars) as address:
        yield f"{address}/mosaics/dtm"


@pytest.fixture(autouse=True)
def no_old_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_DEFAULT_WMS_CACHE_PATH", str(tmp_path / "gdal-cache"))


def saved(url: str, folder: Path, name: str, tms: str) -> Path:
    answer = httpx2.get(f"{url}/gdal/{name}", params={"tms": tms})
    assert answer.status_code == 200, answer.text
    path = folder / name
    path.write_bytes(answer.content)
    return path


@pytest.mark.parametrize("tms", SETS)
@pytest.mark.parametrize("name", ["mosaic.vrt", "wmts.xml"])
def test_files_show_the_terrain(url: str, tmp_path: Path, name: str, tms: str) -> None:
    with rasterio.open(saved(url, tmp_path, name, tms)) as raster:
        assert raster.bounds.left == pytest.approx(LEFT[tms], rel=1e-4)
        values = raster.read(1)
    values = values[values != -32767]
    assert HEIGHTS[0] < values.min() < values.max() < HEIGHTS[1]


@pytest.mark.parametrize("tms", SETS)
@pytest.mark.parametrize("how", ["WMTS", "wmts.xml", "mosaic.vrt"])
def test_gdals_commands_open_them(url: str, tmp_path: Path, how: str, tms: str) -> None:
    command = shutil.which("gdalinfo")
    if command is None:
        pytest.skip("gdalinfo is not installed (apt-get install gdal-bin)")
    name = f"WMTS:{url}/WMTSCapabilities.xml,tilematrixset={tms}"
    opened = name if how == "WMTS" else str(saved(url, tmp_path, how, tms))
    done = subprocess.run([command, "-json", opened], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["geoTransform"][0] == pytest.approx(LEFT[tms], rel=1e-4)

"""GDAL opens an image service: as its AGS driver asks for boxes, and by the URL of the service."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rasterio
from numpy.typing import NDArray

from api.served import EDGE, SIZE, Server, tile_url

_AGS = """<GDAL_WMS>
  <Service name="AGS"><ServerUrl>{service}</ServerUrl><BBoxOrder>xyXY</BBoxOrder><SRS>3857</SRS>
    <ImageFormat>png32</ImageFormat></Service>
  <DataWindow><UpperLeftX>{left}</UpperLeftX><UpperLeftY>{top}</UpperLeftY>
    <LowerRightX>{right}</LowerRightX><LowerRightY>{bottom}</LowerRightY>
    <SizeX>256</SizeX><SizeY>256</SizeY></DataWindow>
  <Projection>EPSG:3857</Projection><BandsCount>4</BandsCount>
  <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
</GDAL_WMS>"""


@pytest.fixture
def service(url: str) -> str:
    return f"{url}/arcgis/rest/services/rgb/ImageServer"


@pytest.mark.skipif(not shutil.which("gdal_translate"), reason="gdal-bin is not installed")
class TestGdal:
    def test_reads_boxes_by_its_ags_driver(
        self, mosaics: Server, service: str, tmp_path: Path
    ) -> None:
        edges = dict(zip(("left", "bottom", "right", "top"), EDGE, strict=True))
        description = tmp_path / "ags.xml"
        description.write_text(_AGS.format(service=service, **edges))
        self.translate(description, tmp_path / "read.tif")
        with rasterio.open(tmp_path / "read.tif") as read:
            assert (read.read([1, 2, 3]) == self.shown(mosaics)).all()

    def test_reads_tiles_by_the_description_of_the_service(
        self, mosaics: Server, service: str, tmp_path: Path
    ) -> None:
        """Its driver wants this query. Tiles are JPEG, of which blocks of pixels are compared."""
        left, bottom, right, top = map(str, EDGE)
        window = ("-projwin", left, top, right, bottom, "-outsize", str(SIZE), str(SIZE))
        self.translate(f"{service}?f=json&pretty=true", tmp_path / "read.tif", *window)
        with rasterio.open(tmp_path / "read.tif") as read:
            apart = blocks(read.read([1, 2, 3])) - blocks(self.shown(mosaics))
            assert abs(apart).max() < 8

    def translate(self, source: object, target: Path, *how: str) -> None:
        command = ["gdal_translate", "-q", *how, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr

    def shown(self, mosaics: Server) -> NDArray[Any]:
        return mosaics.picture(tile_url(mosaic="rgb")).data


def blocks(data: NDArray[Any]) -> NDArray[Any]:
    """Means of 32 × 32 pixels of each band."""
    means: NDArray[Any] = data.reshape(3, 8, 32, 8, 32).mean(axis=(2, 4))
    return means

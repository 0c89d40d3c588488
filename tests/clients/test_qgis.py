"""QGIS without a window draws what a mosaic shows now."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.served import EDGE, SIZE, Server, on_socket
from clients.conftest import Saved

PYTHON = "/usr/bin/python3"
"""Debian's, which has QGIS's modules."""
EXTENT = {"extent": [EDGE.left, EDGE.bottom, EDGE.right, EDGE.top], "size": SIZE}
RED, BLUE = [255, 0, 0, 255], [0, 0, 255, 255]


class Qgis:
    """A process of QGIS."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "QGIS ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def color(self, **layer: Any) -> list[int]:
        """The color amid the tile of all tests."""
        found: list[int] = self.ask(**layer, **EXTENT)["color"]
        return found


def _environment(profile: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(profile),
        "XDG_RUNTIME_DIR": str(profile),
    }


@contextmanager
def qgis(profile: Path) -> Iterator[Qgis]:
    """A process of QGIS with a profile, where its cache outlives it."""
    with subprocess.Popen(
        [PYTHON, str(Path(__file__).with_name("qgis_session.py")), str(profile)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(profile),
    ) as process:
        yield Qgis(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="module", autouse=True)
def there() -> None:
    found = subprocess.run(
        [PYTHON, "-c", "import qgis.core"],
        env=_environment(Path("/tmp")),
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip("QGIS is not installed (apt-get install python3-qgis)")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    made = tmp_path / "profile"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def live(server: Server) -> Iterator[str]:
    """The URL of a mosaic whose only scene is red."""
    server.publish("a", [255, 0, 0], day=1)
    with on_socket(server) as url:
        yield f"{url}/mosaics/m"


def xyz(live: str) -> dict[str, str]:
    template = quote(f"{live}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png")
    return {"uri": f"type=xyz&zmin=0&zmax=18&url={template}", "provider": "wms"}


def wmts(live: str) -> dict[str, str]:
    source = quote(f"{live}/WMTSCapabilities.xml")
    layer = "layers=m&styles=default&format=image/png&tileMatrixSet=WebMercatorQuad&crs=EPSG:3857"
    return {"uri": f"{layer}&dpiMode=7&contextualWMSLegend=0&url={source}", "provider": "wms"}


def gdal(live: str, file: str = "mosaic.vrt") -> dict[str, str]:
    return {"uri": f"/vsicurl/{live}/gdal/{file}", "provider": "gdal"}


class TestFreshness:
    @pytest.mark.parametrize("layer", [xyz, wmts, gdal])
    def test_a_project_opened_again_shows_the_newest_scene(
        self, server: Server, live: str, profile: Path, layer: Any
    ) -> None:
        with qgis(profile) as session:
            assert session.color(**layer(live)) == RED
        server.publish("b", [0, 0, 255], day=2)
        with qgis(profile) as session:
            assert session.color(**layer(live)) == BLUE

    @pytest.mark.parametrize("file", ["mosaic.vrt", "wms.xml"])
    def test_a_layer_of_gdals_is_fresh_when_it_is_refreshed(
        self, server: Server, live: str, profile: Path, file: str
    ) -> None:
        with qgis(profile) as session:
            assert session.color(**gdal(live, file)) == RED
            server.publish("b", [0, 0, 255], day=2)
            assert session.color(reload=True) == BLUE


class TestLayers:
    def test_a_layer_definition_is_a_layer_of_the_mosaic(self, saved: Saved, profile: Path) -> None:
        path = saved("/mosaics/rgb/gdal/mosaic.qlr")
        with qgis(profile) as session:
            found = session.ask(definition=str(path))
        assert found["extent"] == pytest.approx([*EDGE])
        assert (found["crs"], found["bands"], found["name"]) == ("EPSG:3857", 4, "rgb")

    def test_parameters_of_the_definition_go_along(self, saved: Saved, profile: Path) -> None:
        asked = {"expression": "where(b1 > 0 & b2 > 0, 7, 0)", "rescale": "0,10"}
        path = saved("/mosaics/rgb/gdal/mosaic.qlr", **asked)
        with qgis(profile) as session:
            found = session.ask(definition=str(path))
        assert (found["minimum"], found["maximum"], found["bands"]) == (178, 178, 2)

    def test_statistics_leave_out_what_has_no_data(self, saved: Saved, profile: Path) -> None:
        path = saved("/mosaics/dtm/gdal/mosaic.qlr")
        with qgis(profile) as session:
            found = session.ask(definition=str(path))
        assert -3100 < found["minimum"] < found["maximum"] < -1900

    @pytest.mark.parametrize(
        ("tms", "crs"), [("WebMercatorQuad", "EPSG:3857"), ("WGS1984Quad", "EPSG:4326")]
    )
    def test_layers_of_wmts_lie_where_the_mosaic_does(
        self, url: str, profile: Path, tms: str, crs: str
    ) -> None:
        source = quote(f"{url}/mosaics/rgb/WMTSCapabilities.xml")
        uri = (
            f"layers=rgb&styles=default&format=image/png&tileMatrixSet={tms}&crs={crs}&url={source}"
        )
        with qgis(profile) as session:
            found = session.ask(uri=uri, provider="wms")
        expected = [*EDGE] if crs == "EPSG:3857" else [7.734375, 45.58329, 8.0859375, 45.828799]
        assert found["extent"] == pytest.approx(expected)

    def test_an_image_service_of_arcgis_shows_its_pixels(
        self, server: Server, live: str, profile: Path
    ) -> None:
        service = live.replace("/mosaics/m", "/arcgis/rest/services/m/ImageServer")
        uri = f"crs='EPSG:3857' format='PNG32' layer='' url='{service}'"
        with qgis(profile) as session:
            found = session.color(uri=uri, provider="arcgismapserver")
        assert found == pytest.approx(RED, abs=3)  # a tile is JPEG

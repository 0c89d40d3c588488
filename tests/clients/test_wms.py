"""WMS as other programs read it: GDAL, OWSLib and QGIS."""

import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from api.served import EDGE, SIZE, Server, on_socket, raster, scene
from clients.test_qgis import Qgis, qgis

BOX = tuple(EDGE)
LATITUDE_FIRST = [("EPSG:4326", "yxYX"), ("EPSG:3035", "yxYX"), ("EPSG:3857", "xyXY")]


def box_in(crs: str) -> tuple[float, float, float, float]:
    found = transform_bounds("EPSG:3857", crs, *BOX, densify_pts=21)
    left, bottom, right, top = (float(f"{edge:.8g}") for edge in found)
    return left, bottom, right, top


def image_of(mosaics: Server, crs: str, size: int = SIZE, mosaic: str = "rgb") -> NDArray[Any]:
    """The image of the tile of all tests, in a CRS, shape (bands, height, width)."""
    place = ",".join(map(str, box_in(crs)))
    url = f"/mosaics/{mosaic}/bbox/{place}/{size}x{size}"
    return mosaics.picture(url, coord_crs=crs).data


def description(url: str, crs: str, order: str, version: str) -> str:
    """A file of GDAL's driver WMS."""
    left, bottom, right, top = box_in(crs)
    name = "CRS" if version == "1.3.0" else "SRS"
    return f"""<GDAL_WMS>
  <Service name="WMS">
    <Version>{version}</Version>
    <ServerUrl>{url}/mosaics/rgb/wms?</ServerUrl>
    <{name}>{crs}</{name}>
    <ImageFormat>image/png</ImageFormat>
    <Transparent>TRUE</Transparent>
    <Layers>rgb</Layers>
    <Styles></Styles>
    <BBoxOrder>{order}</BBoxOrder>
  </Service>
  <DataWindow>
    <UpperLeftX>{left}</UpperLeftX><UpperLeftY>{top}</UpperLeftY>
    <LowerRightX>{right}</LowerRightX><LowerRightY>{bottom}</LowerRightY>
    <SizeX>{SIZE}</SizeX><SizeY>{SIZE}</SizeY>
  </DataWindow>
  <Projection>{crs}</Projection>
  <BandsCount>4</BandsCount>
  <BlockSizeX>{SIZE}</BlockSizeX><BlockSizeY>{SIZE}</BlockSizeY>
</GDAL_WMS>"""


class TestGdal:
    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    @pytest.mark.parametrize(("crs", "order"), LATITUDE_FIRST)
    def test_rasterios_reads_the_pixels_of_a_map(
        self, mosaics: Server, url: str, crs: str, order: str, version: str
    ) -> None:
        order = order if version == "1.3.0" else "xyXY"
        with rasterio.open(description(url, crs, order, version)) as raster:
            read = raster.read()
        expected = image_of(mosaics, crs)
        assert np.array_equal(read[:3] * (read[3] > 0), expected)

    def test_debians_finds_the_layer_and_reads_it(
        self, mosaics: Server, url: str, tmp_path: Path
    ) -> None:
        if shutil.which("gdal_translate") is None:
            pytest.skip("GDAL's commands are not installed (apt-get install gdal-bin)")
        listed = subprocess.run(
            ["gdalinfo", f"WMS:{url}/mosaics/rgb/wms"], capture_output=True, text=True, check=True
        )
        assert "LAYERS=rgb" in listed.stdout
        source, target = tmp_path / "wms.xml", tmp_path / "read.tif"
        source.write_text(description(url, "EPSG:4326", "yxYX", "1.3.0"))
        done = subprocess.run(
            ["gdal_translate", "-q", source, target], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        with rasterio.open(target) as raster:
            read = raster.read()
        assert np.array_equal(read[:3], image_of(mosaics, "EPSG:4326"))

    def test_it_shows_the_message_of_an_exception(
        self, mosaics: Server, url: str, tmp_path: Path
    ) -> None:
        if shutil.which("gdal_translate") is None:
            pytest.skip("GDAL's commands are not installed (apt-get install gdal-bin)")
        source = tmp_path / "wms.xml"
        wrong = description(url, "EPSG:3857", "xyXY", "1.3.0").replace(">rgb<", ">other<")
        source.write_text(wrong)
        done = subprocess.run(
            ["gdal_translate", "-q", source, tmp_path / "read.tif"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "there is no layer 'other'" in done.stderr


class TestOwslib:
    @pytest.fixture(params=["1.3.0", "1.1.1"])
    def service(self, request: pytest.FixtureRequest, url: str) -> Any:
        wms = pytest.importorskip("owslib.wms", reason="OWSLib is not installed")
        return wms.WebMapService(f"{url}/mosaics/rgb/wms", version=request.param)

    def test_it_reads_the_capabilities(self, service: Any) -> None:
        assert [*service.contents] == ["rgb"]
        layer = service["rgb"]
        assert layer.boundingBoxWGS84 == pytest.approx((7.734375, 45.58329, 8.0859375, 45.828799))
        assert {"EPSG:3857", "EPSG:4326"} <= {*layer.crsOptions}
        assert layer.queryable == 1
        assert layer.timepositions == ["2026-01-01"]
        assert [*layer.styles] == ["default"]
        formats = service.getOperationByName("GetMap").formatOptions
        assert formats[0] == "image/png"

    @pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
    def test_it_asks_for_maps(self, mosaics: Server, service: Any, crs: str) -> None:
        """OWSLib knows of the order of axes in 1.3.0."""
        answer = service.getmap(
            layers=["rgb"], styles=[""], srs=crs, bbox=box_in(crs), size=(SIZE, SIZE),
            format="image/tiff", transparent=True,
        )  # fmt: skip
        with rasterio.MemoryFile(answer.read()) as file, file.open() as image:
            assert np.array_equal(image.read()[:3], image_of(mosaics, crs))

    def test_it_asks_for_values(self, service: Any) -> None:
        answer = service.getfeatureinfo(
            layers=["rgb"], query_layers=["rgb"], srs="EPSG:3857", bbox=BOX, size=(SIZE, SIZE),
            format="image/png", info_format="application/json", xy=(5, 7),
        )  # fmt: skip
        assert b'"scene": "a"' in answer.read()

    def test_it_asks_for_gml(self, service: Any) -> None:
        kind = "application/vnd.ogc.gml"
        assert kind in service.getOperationByName("GetFeatureInfo").formatOptions
        answer = service.getfeatureinfo(
            layers=["rgb"], query_layers=["rgb"], srs="EPSG:4326", bbox=box_in("EPSG:4326"),
            size=(SIZE, SIZE), format="image/png", info_format=kind, xy=(5, 7),
        )  # fmt: skip
        assert b"<lm:scene>a</lm:scene>" in answer.read()

    def test_it_raises_an_exception_of_ours(self, service: Any) -> None:
        from owslib.util import ServiceException

        with pytest.raises(ServiceException, match="no style 'pretty'"):
            service.getmap(
                layers=["rgb"], styles=["pretty"], srs="EPSG:3857", bbox=BOX, size=(9, 9),
                format="image/png",
            )  # fmt: skip


class TestQgis:
    @pytest.fixture
    def session(self, tmp_path: Path) -> Any:
        folder = tmp_path / "profile"
        folder.mkdir(mode=0o700)
        with qgis(folder) as found:
            yield found

    def uri(self, url: str, crs: str, **more: str) -> dict[str, str]:
        source = quote(f"{url}/mosaics/rgb/wms", safe="")
        parts = {"layers": "rgb", "styles": "", "format": "image/png", "crs": crs, **more}
        text = "&".join(f"{name}={value}" for name, value in parts.items())
        return {
            "uri": f"contextualWMSLegend=0&dpiMode=7&{text}&url={source}",
            "provider": "wms",
        }

    @pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", "EPSG:3035"])
    def test_it_draws_the_map(self, mosaics: Server, url: str, session: Qgis, crs: str) -> None:
        """The order of axes is right: north is up, and the middle is the middle."""
        extent = {"extent": [*box_in(crs)], "size": SIZE}
        found = session.ask(**self.uri(url, crs), **extent)["color"]
        expected = image_of(mosaics, crs)[:, SIZE // 2, SIZE // 2]
        assert found == [*expected.tolist(), 255]

    @pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
    def test_it_asks_for_values_as_features(
        self, mosaics: Server, url: str, session: Qgis, crs: str
    ) -> None:
        """It asks for GML: these are the values, and the place is the one asked for."""
        left, bottom, right, top = box_in(crs)
        point = [(left + right) / 2, (bottom + top) / 2]
        mosaic, scene = session.ask(**self.uri(url, crs), identify=point)["features"]
        where = ",".join(map(str, mosaic["place"]))  # the middle of a pixel
        plain = mosaics.get(f"/mosaics/rgb/point/{where}", coord_crs=crs).json()
        assert [mosaic[name] for name in plain["band_names"]] == plain["values"]
        assert scene["scene"] == "a"
        assert mosaic["place"] == pytest.approx(point, abs=(right - left) / 100)

    def test_its_temporal_controller_shows_the_scenes_of_a_day(
        self, server: Server, session: Qgis
    ) -> None:
        """It asks for the midnight in which a day of the list begins; scenes are of any hour."""
        server.publish("a", [255, 0, 0], day=1)
        path = raster(server.folder / "b.tif", [0, 0, 255])
        second = scene("b", server.url(path), day=2)
        second["properties"]["datetime"] = "2026-01-02T10:30:00Z"
        server.add(second)
        time = {"type": "wmst", "timeDimensionExtent": "2026-01-01,2026-01-02"}
        ways = {"temporalSource": "provider", "allowTemporalUpdates": "true", "layers": "m"}
        with on_socket(server) as url:
            layer = self.uri(url, "EPSG:3857", **time, **ways)
            layer["uri"] = layer["uri"].replace("rgb", "m")
            found = [
                session.ask(
                    **layer, extent=[*BOX], size=SIZE,
                    time=[f"2026-01-0{day}T00:00:00Z", f"2026-01-0{day}T23:59:59Z"],
                )["color"]
                for day in (1, 2)
            ]  # fmt: skip
        assert found == [[255, 0, 0, 255], [0, 0, 255, 255]]

    def test_a_layer_has_the_extent_of_the_mosaic(self, url: str, session: Qgis) -> None:
        found = session.ask(**self.uri(url, "EPSG:3857"))
        assert found["extent"] == pytest.approx([*BOX], abs=1)
        assert found["crs"] == "EPSG:3857"

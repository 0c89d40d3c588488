"""GetFeatureInfo: the values at a pixel of a map (OGC 06-042, 7.4), and legends."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from api.served import EDGE, STEP, raster, scene
from wms.conftest import Service
from wms.test_exceptions import exception
from wms.test_maps import pixels

GML = "application/vnd.ogc.gml"


def properties(answer: Any) -> list[dict[str, Any]]:
    assert answer.headers["Content-Type"] == "application/json"
    return [one["properties"] for one in answer.json()["features"]]


@pytest.mark.parametrize("pixel", [(0, 0), (5, 7), (127, 255), (191, 0)])
def test_values_are_the_ones_of_the_map(wms: Service, pixel: tuple[int, int]) -> None:
    column, row = pixel
    image = pixels(wms.map())
    first, *scenes = properties(wms.info(I=column, J=row, FEATURE_COUNT=10))
    assert [first[f"b{n}"] for n in (1, 2, 3)] == image[:3, row, column].tolist()
    assert first["mosaic"] == "The 'first' & best"
    assert [one["scene"] for one in scenes] == (["new", "old"] if column < 128 else ["old"])
    assert scenes[-1]["b3"] == 30


def test_they_are_those_of_the_point(wms: Service) -> None:
    x, y = EDGE.left + 5.5 * STEP, EDGE.top - 7.5 * STEP
    point = wms.server.get(f"/mosaics/m/point/{x},{y}", coord_crs="EPSG:3857").json()
    first, *scenes = properties(wms.info(FEATURE_COUNT=10))
    assert [first[name] for name in point["band_names"]] == point["values"]
    assert [one["datetime"] for one in scenes] == [one["datetime"] for one in point["assets"]]


def test_one_scene_is_listed_by_default(wms: Service) -> None:
    assert len(properties(wms.info())) == 2


def test_old_clients_name_the_pixel_otherwise(wms: Service) -> None:
    asked = {"VERSION": "1.1.1", "SRS": "EPSG:3857", "I": None, "J": None}
    assert wms.info(**asked, X=5, Y=7).content == wms.info().content
    assert exception(wms.info(**asked, X=5))[1] == "Y is missing"


def test_axes_of_the_map_count(wms: Service) -> None:
    swapped = wms.info(CRS="EPSG:4326", BBOX="45.6,7.75,45.8,7.9")
    plain = wms.info(CRS="CRS:84", BBOX="7.75,45.6,7.9,45.8")
    assert properties(swapped) == properties(plain)
    assert swapped.json()["features"] != []


def test_styles_time_and_rules_count(wms: Service) -> None:
    assert "b2" not in properties(wms.info(STYLES="ramp"))[0]
    assert [p["b1"] for p in properties(wms.info(TIME="2026-01-01"))] == [10, 10]
    assert properties(wms.info(expression="b1*2"))[0] == {
        "mosaic": "The 'first' & best",
        "b1": properties(wms.info())[0]["b1"] * 2,
    }
    assert [*properties(wms.info(operation="count"))[0].values()][1:] == [2]


def test_where_no_scene_is_nothing_is_found(wms: Service) -> None:
    assert properties(wms.info(I=255)) == []
    assert "no scene" in wms.info(I=255, INFO_FORMAT="text/plain").text
    assert "No scene" in wms.info(I=255, INFO_FORMAT="text/html").text


def test_text_has_a_line_for_each_value(wms: Service) -> None:
    answer = wms.info(INFO_FORMAT="text/plain")
    assert answer.headers["Content-Type"].startswith("text/plain")
    values = properties(wms.info())[0]
    assert f"b1 = {values['b1']}\n" in answer.text
    assert "scene = new\n" in answer.text


def test_html_is_escaped(wms: Service) -> None:
    answer = wms.info(INFO_FORMAT="text/html")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>The &#39;first&#39; &amp; best</h1>" in answer.text
    HTMLParser().feed(answer.text)
    assert "<th>scene</th><td>new</td>" in answer.text


class TestGml:
    """GML 2, which OGR reads as OpenLayers and QGIS do."""

    def features(self, answer: Any, folder: Path) -> list[dict[str, Any]]:
        """What OGR finds, by layer."""
        assert answer.headers["Content-Type"].partition(";")[0] in (GML, "text/xml"), answer.text
        path = folder / "info.gml"
        path.write_bytes(answer.content)
        ET.fromstring(answer.content)
        command = shutil.which("ogr2ogr")
        if command is None:
            pytest.skip("ogr2ogr is not installed (apt-get install gdal-bin)")
        found = []
        for layer in re.findall(r"<lm:(mosaic|scene)>\n", answer.text):
            if layer in [one["layer"] for one in found]:
                continue
            made = subprocess.run(
                [command, "-f", "GeoJSON", "/vsistdout/", str(path), layer],
                capture_output=True,
                check=True,
            )
            found += [{"layer": layer, **one} for one in json.loads(made.stdout)["features"]]
        return found

    @pytest.mark.parametrize("name", [GML, "text/xml"])
    def test_it_has_what_json_has(self, wms: Service, tmp_path: Path, name: str) -> None:
        answer = wms.info(INFO_FORMAT=name, FEATURE_COUNT=10)
        assert answer.headers["Content-Type"].startswith(name)
        plain = wms.info(FEATURE_COUNT=10).json()["features"]
        found = self.features(answer, tmp_path)
        assert [one["layer"] for one in found] == ["mosaic", "scene", "scene"]
        for ours, theirs in zip(plain, found, strict=True):
            there = {k: v for k, v in theirs["properties"].items() if v is not None}
            there.pop("datetime", None)
            expected = {k: v for k, v in ours["properties"].items() if v is not None}
            expected.pop("datetime", None)
            assert there == expected

    @pytest.mark.parametrize("crs", ["EPSG:4326", "CRS:84"])
    def test_its_place_is_x_before_y(self, wms: Service, tmp_path: Path, crs: str) -> None:
        box = "45.6,7.75,45.8,7.9" if crs == "EPSG:4326" else "7.75,45.6,7.9,45.8"
        asked = {"CRS": crs, "BBOX": box}
        (ours, *_) = wms.info(**asked).json()["features"]
        (found, *_) = self.features(wms.info(**asked, INFO_FORMAT=GML), tmp_path)
        assert found["geometry"]["coordinates"] == pytest.approx(ours["geometry"]["coordinates"])

    def test_bands_that_are_no_names_of_xml_have_one(self, wms: Service) -> None:
        wms.server.create("odd")
        names = ["1 a", "1:a", "1_a_2", "place"]
        document = scene("o", "")
        document["assets"] = {
            name: {
                "href": wms.server.url(raster(wms.server.folder / f"odd{n}.tif", n)),
                "type": "image/tiff",
            }
            for n, name in enumerate(names)
        }
        wms.server.add(document, mosaic="odd")
        odd = Service(wms.server, "/mosaics/odd/wms", "odd")
        asked = {"assets": names}
        plain = odd.info(**asked).json()["features"][0]["properties"]
        assert [*plain.values()][1:] == [0, 1, 2, 3]
        root = ET.fromstring(odd.info(**asked, INFO_FORMAT=GML).content)
        (mosaic,) = root.iterfind("*/{urn:x-livemosaic}mosaic")
        found = {one.tag.partition("}")[2]: one.text for one in mosaic}
        assert [float(text) for text in [*found.values()][1:-1]] == [0, 1, 2, 3]
        assert [*found][-1] == "place"
        assert len(found) == len(mosaic)

    def test_no_scene_is_an_empty_collection(self, wms: Service) -> None:
        root = ET.fromstring(wms.info(I=255, INFO_FORMAT=GML).content)
        assert root.tag.endswith("}FeatureCollection")
        assert not root.findall("{http://www.opengis.net/gml}featureMember")

    def test_it_is_escaped(self, wms: Service) -> None:
        root = ET.fromstring(wms.info(INFO_FORMAT=GML).content)
        assert root.findtext("{http://www.opengis.net/gml}name") == "The 'first' & best"

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    def test_the_capabilities_list_it(self, wms: Service, version: str) -> None:
        found = wms.get(SERVICE="WMS", REQUEST="GetCapabilities", VERSION=version).text
        assert f"<Format>{GML}</Format>" in found


def test_a_scene_that_cannot_be_read_is_named(wms: Service) -> None:
    wms.server.create("torn")
    wms.server.add(scene("gone", f"{wms.server.href}/gone.tif"), mosaic="torn")
    torn = Service(wms.server, "/mosaics/torn/wms", "torn")
    answer = torn.info()
    (skipped,) = answer.json()["skipped"]
    assert skipped["name"] == "gone"
    assert "gone" in torn.info(INFO_FORMAT="text/plain").text
    assert "gone" in torn.info(INFO_FORMAT="text/html").text
    assert "gone" in torn.info(INFO_FORMAT=GML).text
    assert "gone" in torn.map().headers["X-Skipped-Scenes"]


def test_values_without_data_are_null(wms: Service) -> None:
    wms.server.create("sparse")
    values = np.full((1, 256, 256), 5.0, "float32")
    values[0, :100] = -9999
    wms.server.publish("a", values, mosaic="sparse", nodata=-9999)
    sparse = Service(wms.server, "/mosaics/sparse/wms", "sparse")
    assert json.loads(sparse.info(I=3, J=5).text)["features"][0]["properties"]["b1"] is None
    assert properties(sparse.info(I=3, J=200))[0]["b1"] == 5


class TestLegends:
    def legend(self, wms: Service, **query: Any) -> Any:
        return wms.get(SERVICE="WMS", REQUEST="GetLegendGraphic", LAYER="m", **query)

    def test_colors_of_values_are_listed(self, wms: Service) -> None:
        colormap = '{"1": "#ff0000", "2": [0, 0, 255, 128]}'
        image = pixels(self.legend(wms, colormap=colormap, bidx=1))
        assert image[:, 7, 10].tolist() == [255, 0, 0, 255]
        assert image[:3, 21, 10].tolist() == [0, 0, 255]

    def test_many_are_cut(self, wms: Service) -> None:
        colors = {str(n): [n, n, n, 255] for n in range(200)}
        image = pixels(self.legend(wms, colormap=json.dumps(colors, separators=(",", ":"))))
        assert image.shape[1] == 65 * 14

    def test_a_jpeg_is_on_white(self, wms: Service) -> None:
        image = pixels(self.legend(wms, STYLE="ramp", FORMAT="image/jpeg"))
        assert (image[:, 2, -3] > 250).all()

    def test_a_style_without_colors_has_its_name(self, wms: Service) -> None:
        image = pixels(self.legend(wms, STYLE="stretched"))
        assert 30 < (image[3] > 0).sum() < 400

    def test_a_geotiff_is_refused(self, wms: Service) -> None:
        assert exception(self.legend(wms, FORMAT="image/tiff"))[0] == "InvalidFormat"

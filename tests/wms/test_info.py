"""GetFeatureInfo: the values at a pixel of a map (OGC 06-042, 7.4), and legends."""

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from api.served import EDGE, STEP, scene
from wms.conftest import Service
from wms.test_exceptions import exception
from wms.test_maps import pixels


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


def test_a_scene_that_cannot_be_read_is_named(wms: Service) -> None:
    wms.server.create("torn")
    wms.server.add(scene("gone", f"{wms.server.href}/gone.tif"), mosaic="torn")
    torn = Service(wms.server, "/mosaics/torn/wms", "torn")
    answer = torn.info()
    (skipped,) = answer.json()["skipped"]
    assert skipped["name"] == "gone"
    assert "gone" in torn.info(INFO_FORMAT="text/plain").text
    assert "gone" in torn.info(INFO_FORMAT="text/html").text
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

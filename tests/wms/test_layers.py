"""Several layers of one map: drawn on each other, the first one at the bottom (OGC 06-042)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile

from api.served import serving
from livemosaic.table.sqlite import SqliteTable
from wms.conftest import Service
from wms.test_maps import pixels

TRANSLUCENT = {
    "assets": ["visual"],
    "bidx": [1],
    "colormap": {"1": [0, 0, 200, 128]},
}


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A red mosaic of the whole tile, a green one of its left half, one of a translucent style."""
    folder = tmp_path_factory.mktemp("layers")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create("red", renders={"dark": {"assets": ["visual"], "rescale": [[0, 255]] * 3}})
        server.publish("r", [200, 0, 0], mosaic="red")
        server.create("green", title="Green")
        server.publish("g", [0, 100, 0], (0, 0, 128, 256), mosaic="green")
        server.create("glass", renders={"glass": TRANSLUCENT})
        server.publish("b", [1, 1, 1], mosaic="glass")
        server.create("deep", minzoom=12, maxzoom=14, quadkey_zoom=12)
        server.publish("d", [9, 9, 9], mosaic="deep")
        shade = {"assets": ["visual"], "bidx": [1], "algorithm": "hillshade"}
        server.create("floats", renders={"shade": shade})
        server.publish("f", 1.5, mosaic="floats", dtype="float32")
        server.create("hidden", access="private")
        server.publish("h", 7, mosaic="hidden")
        yield Service(server, "/wms", "red")


def colors(answer: Any) -> list[list[int]]:
    """Of a pixel in the left half of the tile, and of one in the right half."""
    image = pixels(answer)
    return [image[:, 128, column].tolist() for column in (64, 192)]


def test_the_last_layer_is_on_top(layers: Service) -> None:
    answer = layers.map(LAYERS="red,green")
    assert colors(answer) == [[0, 100, 0, 255], [200, 0, 0, 255]]
    assert colors(layers.map(LAYERS="green,red")) == [[200, 0, 0, 255]] * 2
    assert answer.headers["X-Scenes"] == "r,g"


@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_nothing_is_of_the_background(layers: Service, version: str) -> None:
    crs = {"CRS": None, "SRS": "EPSG:3857"} if version == "1.1.1" else {}
    asked = {"LAYERS": "green,green", "STYLES": ",", "VERSION": version, **crs}
    assert colors(layers.map(**asked)) == [[0, 100, 0, 255], [0, 0, 0, 0]]
    opaque = layers.map(**asked, TRANSPARENT="FALSE", BGCOLOR="0x0102FF")
    assert [color[:3] for color in colors(opaque)] == [[0, 100, 0], [1, 2, 255]]


def test_each_layer_has_its_style(layers: Service) -> None:
    answer = layers.map(LAYERS="red,glass", STYLES="dark,glass")
    red, green, blue, alpha = colors(answer)[0]
    assert [red, green, blue] == pytest.approx([200 * 127 / 255, 0, 200 * 128 / 255], abs=1)
    assert alpha == 255
    alone = colors(layers.map(LAYERS="glass,glass", STYLES="glass,glass"))[0]
    assert alone == pytest.approx([0, 0, 200, 255 * (1 - (127 / 255) ** 2)], abs=1)


def test_an_algorithm_of_one_layer_leaves_the_others_in_their_place(layers: Service) -> None:
    """It drops pixels around a map, which are read for it."""
    alone = pixels(layers.map(LAYERS="floats", STYLES="shade"))
    both = pixels(layers.map(LAYERS="red,floats", STYLES=",shade"))
    assert both.shape == (4, 256, 256)
    is_drawn = alone[-1] > 0  # but at the edges of the scene, which has nothing beside them
    assert is_drawn[1:-1, 1:-1].all()
    assert (both[:3, is_drawn] == alone[0, is_drawn]).all()
    assert (both[:3, ~is_drawn].T == (200, 0, 0)).all()


@pytest.mark.parametrize("image_format", ["image/jpeg", "image/webp"])
def test_formats_of_pictures_are_those_of_one_layer(layers: Service, image_format: str) -> None:
    asked = {"FORMAT": image_format, "TRANSPARENT": "FALSE"}
    both = pixels(layers.map(LAYERS="green,red", **asked))
    assert np.array_equal(both, pixels(layers.map(LAYERS="red", **asked)))


def test_a_palette_has_the_colors_of_all(layers: Service) -> None:
    for asked in ({"LAYERS": "green,glass", "STYLES": ",glass"}, {"LAYERS": "red,green"}):
        answer = layers.map(FORMAT="image/png; mode=8bit", **asked)
        with MemoryFile(answer.content) as file, file.open() as image:
            table, places = image.colormap(1), image.read(1)
        found = [[*table[places[128, column]]] for column in (64, 192)]
        assert found == colors(layers.map(**asked))


def test_a_palette_has_translucent_colors_near_to_all(layers: Service) -> None:
    ramp = np.tile(np.arange(200, dtype="uint8"), (1, 256, 2))[..., :256]
    for name, values in (("across", ramp), ("down", ramp.transpose(0, 2, 1))):
        table = {str(n): [n, 255 - n, n // 2 if name == "down" else 200, 99] for n in range(200)}
        style = {"assets": ["visual"], "bidx": [1], "colormap": table}
        layers.server.create(name, renders={"glass": style})
        layers.server.publish(name, values, mosaic=name)
    asked = {"LAYERS": "across,down", "STYLES": "glass,glass"}
    plain = pixels(layers.map(**asked))
    assert len(np.unique(plain.reshape(4, -1), axis=1).T) > 2000
    answer = layers.map(FORMAT="image/png8", **asked)
    with MemoryFile(answer.content) as file, file.open() as image:
        table, places = image.colormap(1), image.read(1)
    found = np.array([table[place] for place in range(len(table))])[places].transpose(2, 0, 1)
    assert np.abs(found[3] - plain[3].astype(int)).max() < 9
    assert np.abs(found - plain.astype(int)).mean() < 4


def test_what_a_layer_leaves_out_is_in_the_headers(layers: Service) -> None:
    answer = layers.map(LAYERS="red,deep,green")
    assert colors(answer)[0] == [0, 100, 0, 255]
    assert answer.headers["X-Truncated"] == "minzoom"
    assert answer.headers["X-Scenes"] == "r,g"


def test_layers_that_are_no_pictures_or_not_for_all_are_refused(layers: Service) -> None:
    assert "rescale" in layers.map(LAYERS="red,floats").text
    hidden = layers.map(LAYERS="red,hidden")
    assert 'code="LayerNotDefined"' in hidden.text
    assert "hidden" in hidden.text


def test_several_layers_have_values_the_topmost_first(layers: Service) -> None:
    asked = {"LAYERS": "red,green", "STYLES": "", "INFO_FORMAT": "application/json"}
    both = layers.info(QUERY_LAYERS="red,green", **asked).json()["features"]
    assert [one["id"] for one in both] == ["green", "g", "red", "r"]
    assert [*both[0]["properties"].values()][-3:] == [0, 100, 0]
    lower = layers.info(QUERY_LAYERS="red", **asked).json()["features"]
    assert [one["id"] for one in lower] == ["red", "r"]
    assert "LayerNotDefined" in layers.info(QUERY_LAYERS="red,glass", **asked).text


def test_the_capabilities_say_how_many(layers: Service) -> None:
    found = layers.get(SERVICE="WMS", REQUEST="GetCapabilities").text
    assert "<LayerLimit>8</LayerLimit>" in found
    eight = layers.map(LAYERS=",".join(8 * ["red"]))
    assert colors(eight) == [[200, 0, 0, 255]] * 2

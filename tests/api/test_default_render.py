"""The default render of a mosaic: in every picture that asks for nothing, and in no value."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from rasterio.io import MemoryFile

from api.served import AUTHORIZED, LEFT, Server, raster, scene, tile_url
from livemosaic.index.mosaics import from_item, to_item
from livemosaic.model.mosaic import Mosaic

NIR = 150
RED = 50
BOX = "7.8,45.6,7.9,45.7"
NDVI = {
    "title": "Vegetation",
    "assets": ["nir", "red"],
    "expression": "(nir-red)/(nir+red)",
    "rescale": [[-1, 1]],
    "colormap_name": "viridis",
}
VIRIDIS = [91, 200, 98]
"""Of an index of 0.5."""


def change(server: Server, status: int = 200, **settings: object) -> Any:
    answer = server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def green(server: Server) -> Server:
    """Red, and near infrared, of which red is shown; vegetation is the default render."""
    paths = {
        name: server.url(raster(server.folder / f"{name}.tif", value))
        for name, value in (("nir", NIR), ("red", RED))
    }
    server.add(scene("a", paths))
    change(server, renders={"ndvi": NDVI}, default_assets=["red"], default_render="ndvi")
    return server


def color(server: Server, column: int = 9, **query: Any) -> list[int] | None:
    """The values of a pixel of a PNG; None where it is transparent."""
    answer = server.tile(".png", **query)
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as image:
        *bands, alpha = image.read()[:, 128, column].tolist()
    return bands if alpha else None


def same(server: Server, url: str, query: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    one, two = server.get(url, **query), server.get(url, **other)
    assert one.status_code == two.status_code == 200, (one.text, two.text)
    return bool(one.content == two.content)


class TestPictures:
    def test_a_tile_without_parameters_is_the_tile_of_the_render(self, green: Server) -> None:
        assert color(green) == VIRIDIS
        assert green.tile().headers["ETag"] == green.tile(render="ndvi").headers["ETag"]

    def test_a_tile_changes_with_the_setting(self, green: Server) -> None:
        before = green.tile().headers["ETag"]
        change(green, default_render="")
        answer = green.client.get(green.tile().url, headers={"If-None-Match": before})
        assert answer.status_code == 200
        assert color(green) == [RED]

    @pytest.mark.parametrize(
        "path",
        [
            *(f"bbox/{BOX}.{name}?max_size=64" for name in ("png", "jpg", "webp", "jp2", "auto")),
            *(f"map?bbox={BOX}&width=64&f={name}" for name in ("png", "jpeg")),
            *(f"tiles/WebMercatorQuad/12/2137/1461.{name}" for name in ("png", "jpg", "jp2")),
            f"bbox/{BOX}/assets?",
            "tiles/WebMercatorQuad/12/2137/1461/assets?",
        ],
    )
    def test_pictures_have_it(self, green: Server, path: str) -> None:
        url, _, query = path.partition("?")
        given = dict(pair.split("=") for pair in query.split("&") if pair)
        assert same(green, f"/mosaics/m/{url}", given, given | {"render": "ndvi"})
        if not url.endswith("/assets"):
            assert not same(green, f"/mosaics/m/{url}", given, given | {"render": "none"})

    def test_scenes_without_its_assets_are_named(self, green: Server) -> None:
        green.publish("b", 7, day=2)
        url = tile_url("/assets")
        assert same(green, url, {}, {"render": "ndvi"})
        assert not same(green, url, {}, {"render": "none", "assets": "visual"})

    def test_what_says_nothing_of_colors_goes_with_it(self, green: Server) -> None:
        for query in ({"resampling": "bilinear"}, {"return_mask": "false"}, {"overviews": "false"}):
            answer, spelled = (
                green.tile(".png", **query),
                green.tile(".png", render="ndvi", **query),
            )
            assert answer.content == spelled.content

    @pytest.mark.parametrize(
        "query",
        [
            *({"bidx": "1"}, {"expression": "red_b1"}, {"rescale": "0,100"}, {"assets": "nir"}),
            *({"colormap_name": "magma"}, {"nodata": "0"}, {"unscale": "true"}),
            *({"color_formula": "gamma r 2"}, {"algorithm": "cast"}),
        ],
        ids=str,
    )
    def test_one_parameter_of_values_or_colors_replaces_it_as_a_whole(
        self, green: Server, query: dict[str, str]
    ) -> None:
        """Nothing is combined with what it was not made for."""
        assert (
            green.tile(".png", **query).content
            == green.tile(".png", render="none", **query).content
        )

    def test_an_empty_render_asks_for_none(self, green: Server) -> None:
        assert color(green, render="none") == [RED]

    def test_counts_have_no_colors_of_values(self, green: Server) -> None:
        assert color(green, operation="count") == [1]
        assert color(green, operation="mean") == VIRIDIS
        change(green, rules={"default": {"pixel_selection": "count"}}, overviews=None)
        assert color(green) != [1]
        assert color(green, operation="first") == [RED]

    def test_scenes_that_are_drawn_already_are_not_drawn_twice(self, green: Server) -> None:
        assert color(green, item_render="ndvi") == VIRIDIS

    def test_a_format_of_values_that_is_the_only_one_has_values(self, green: Server) -> None:
        change(green, formats=["tif"])
        assert green.tile().content == green.tile(render="none").content


class TestValues:
    def test_files_of_values_have_values(self, green: Server) -> None:
        assert green.picture().at(9) == [RED]
        assert green.picture(render="ndvi").at(9) == VIRIDIS
        tif = green.tile(".tif")
        with MemoryFile(tif.content) as file, file.open() as image:
            assert image.read(1)[128, 9] == RED
        assert tif.headers["ETag"] == green.tile(".tif", render="none").headers["ETag"]

    def test_points_and_statistics_are_of_values(self, green: Server) -> None:
        point = green.get("/mosaics/m/point/7.85,45.65").json()
        assert point["values"] == [RED]
        whole = green.get("/mosaics/m/statistics").json()["statistics"]
        assert [band["mean"] for band in whole.values()] == [RED]

    def test_features_of_maps_are_of_values(self, green: Server) -> None:
        query = {
            "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetFeatureInfo", "CRS": "CRS:84",
            "LAYERS": "m", "QUERY_LAYERS": "m", "BBOX": BOX, "WIDTH": 10, "HEIGHT": 10, "I": 5,
            "J": 5, "STYLES": "",
        }  # fmt: skip
        found = green.get("/mosaics/m/wms", **query).json()
        assert RED in found["features"][0]["properties"].values()


class TestServices:
    def test_the_default_style_of_wms_has_it_and_its_legend(self, green: Server) -> None:
        query = {
            "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "LAYERS": "m",
            "CRS": "CRS:84", "BBOX": BOX, "WIDTH": 64, "HEIGHT": 64,
        }  # fmt: skip
        png = query | {"FORMAT": "image/png"}
        for style in ("", "default"):
            assert same(green, "/mosaics/m/wms", png | {"STYLES": style}, png | {"STYLES": "ndvi"})
        assert not same(green, "/mosaics/m/wms", png, png | {"render": "none"})
        tif = query | {"FORMAT": "image/tiff"}
        assert same(green, "/mosaics/m/wms", tif, tif | {"render": "none"})
        legend = {"SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetLegendGraphic", "LAYER": "m"}
        assert same(
            green,
            "/mosaics/m/wms",
            legend | {"STYLE": "default"},
            legend | {"render": "ndvi", "STYLE": "default"},
        )
        about = {"SERVICE": "WMS", "REQUEST": "GetCapabilities"}
        assert "STYLE=default&amp;FORMAT" in green.get("/mosaics/m/wms", **about).text

    def test_image_services_have_it_in_pictures(self, green: Server) -> None:
        url = "/arcgis/rest/services/m/ImageServer/exportImage"
        query = {"bbox": BOX, "bboxSR": 4326, "size": "64,64", "f": "image"}
        named = {"renderingRule": json.dumps({"rasterFunction": "ndvi"})}
        none = {"renderingRule": json.dumps({"rasterFunction": "None"})}
        for name in ("jpgpng", "png", "jpg", "png8"):
            given = query | {"format": name}
            assert same(green, url, given, given | named)
            assert not same(green, url, given, given | none)
        for name in ("tiff", "lerc", "bsq"):
            given = query | {"format": name}
            assert same(green, url, given, given | none)
        for name, text in (("bandIds", "0"), ("pixelType", "U8"), ("noData", "0")):
            given = query | {"format": "png", name: text}
            assert same(green, url, given, given | none)
        legend = "/arcgis/rest/services/m/ImageServer/legend"
        assert same(green, legend, {"f": "json"}, {"f": "json"} | named)

    def test_services_of_values_that_png_cannot_hold_name_it(self, green: Server) -> None:
        """Tiles of a GeoTIFF have no default render of their own."""
        change(green, renders={"ndvi": {"rescale": None, "colormap_name": None}})
        found = green.get("/mosaics/m/WMTSCapabilities.xml").text
        assert "{TileRow}.tif?render=ndvi" in found
        asked = green.get("/mosaics/m/WMTSCapabilities.xml", tile_format="tif").text
        assert '{TileRow}.tif"' in asked
        vrt = green.get("/mosaics/m/gdal/mosaic.vrt").text
        assert "Float32" in vrt
        assert ".tif?render=ndvi" in vrt
        assert "Byte" in green.get("/mosaics/m/gdal/mosaic.vrt", tile_format="tif").text

    def test_tilejson_leaves_it_to_the_tiles(self, green: Server) -> None:
        found = green.get(
            "/mosaics/m/tiles/WebMercatorQuad/tilejson.json", tile_format="png"
        ).json()
        assert found["tiles"][0].endswith("{y}.png")


class TestSetting:
    def test_it_names_a_render_that_is_there(self, green: Server) -> None:
        detail = change(green, 400, default_render="nvdi")["detail"]
        assert "default_render: there is no render 'nvdi' in mosaic 'm'; there are: ndvi" in detail
        detail = change(green, 400, renders={"ndvi": None})["detail"]
        assert "default_render: there is no render 'ndvi'" in detail
        change(green, renders={"ndvi": None}, default_render="")

    def test_it_is_refused_where_it_would_never_show(self, green: Server) -> None:
        detail = change(green, 400, rules={"default": {"item_render": "ndvi"}})["detail"]
        assert "item_render 'ndvi'" in detail

    def test_clients_hear_of_a_change(self, green: Server) -> None:
        before = green.get("/mosaics/m/changes").json()["cursor"]
        change(green, default_render="")
        changes = green.get("/mosaics/m/changes", since=before).json()["changes"]
        assert changes[-1]["kind"] == "mosaic"

    def test_mosaics_of_earlier_releases_have_none(self) -> None:
        row = to_item(Mosaic(id="m"))
        del row["default_render"]
        assert from_item(row).default_render == ""

    def test_part_of_a_tile_is_as_transparent_as_before(self, server: Server) -> None:
        server.publish("left", 7, LEFT)
        change(server, renders={"grey": {"rescale": [[0, 14]]}}, default_render="grey")
        assert color(server) == [127]
        assert color(server, 250) is None

"""Named renders: stored on a mosaic, asked for by name."""

import json
import math

import numpy as np
import pytest

from api.served import AUTHORIZED, JSON, LEFT, RIGHT, Server, raster, scene
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable

NDVI = {
    "title": "Vegetation",
    "assets": ["nir", "red"],
    "expression": "(nir-red)/(nir+red)",
    "rescale": [[-1, 1]],
    "colormap_name": "viridis",
    "minmax_zoom": [5, 18],
}
AS_QUERY = {
    "assets": ["nir", "red"],
    "expression": "(nir-red)/(nir+red)",
    "rescale": "-1,1",
    "colormap_name": "viridis",
}


def change(server: Server, **settings: object) -> None:
    answer = server.client.put("/mosaics/m", json=settings, headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def bands(server: Server) -> Server:
    """Near infrared and red in one scene; the mosaic knows how to show vegetation."""
    paths = {
        name: server.url(raster(server.folder / f"{name}.tif", value))
        for name, value in (("nir", 150), ("red", 50))
    }
    server.add(scene("a", paths))
    change(server, renders={"ndvi": NDVI})
    return server


class TestPictures:
    def test_a_name_stands_for_its_parameters(self, bands: Server) -> None:
        named, spelled = bands.picture(render="ndvi"), bands.picture(**AS_QUERY)
        np.testing.assert_array_equal(named.data, spelled.data)
        assert named.data.shape[0] == 3

    def test_it_is_the_same_picture_for_caches(self, bands: Server) -> None:
        spelled = bands.tile(**AS_QUERY).headers["ETag"]
        assert bands.tile(render="ndvi").headers["ETag"] == spelled

    def test_the_etag_changes_with_what_the_render_says(self, bands: Server) -> None:
        before = bands.tile(render="ndvi").headers["ETag"]
        change(bands, renders={"ndvi": {**NDVI, "rescale": [[0, 1]]}})
        assert bands.tile(render="ndvi").headers["ETag"] != before

    @pytest.mark.parametrize(
        ("query", "same"),
        [
            ({"rescale": "0,1"}, {"rescale": "0,1"}),
            ({"colormap_name": "magma"}, {"colormap_name": "magma"}),
            ({"colormap": '[[[0, 256], "#0f0"]]'}, {"colormap": '[[[0, 256], "#0f0"]]'}),
            ({"expression": "nir"}, {"expression": "nir"}),
            ({"return_mask": "false"}, {"return_mask": "false"}),
            ({"resampling": "cubic"}, {"resampling": "cubic"}),
        ],
        ids=str,
    )
    def test_what_the_query_says_goes_before(self, bands, query, same) -> None:
        spelled = AS_QUERY | same
        if "colormap" in query:
            del spelled["colormap_name"]
        answer = bands.tile(".png", render="ndvi", **query)
        assert answer.content == bands.tile(".png", **spelled).content
        assert answer.content != bands.tile(".png", render="ndvi").content or query.keys() & {
            "return_mask", "resampling"
        }  # fmt: skip

    def test_parameters_of_an_algorithm_change_without_its_name(self, bands: Server) -> None:
        hill = {"assets": ["nir"], "algorithm": "hillshade", "algorithm_params": {"buffer": 2}}
        change(bands, renders={"hill": hill})

        def shape(**more: str) -> tuple[int, ...]:
            return bands.picture(render="hill", buffer=0, **more).data.shape

        assert shape() == (1, 252, 252)
        assert shape(algorithm_params='{"buffer": 4}') == (1, 248, 248)
        assert shape(algorithm="cast") == (1, 256, 256)

    def test_every_field_reaches_the_picture(self, bands: Server) -> None:
        render = {
            "assets": ["nir"],
            "bidx": [1],
            "nodata": 150,
            "unscale": False,
            "resampling": "bilinear",
            "reproject": "cubic",
            "rescale": [[0, 300]],
            "color_formula": "gamma r 2",
            "colormap": [[[170, 190], "#123456"]],
            "return_mask": True,
        }
        change(bands, renders={"all": render, "valid": {**render, "nodata": "nan"}})
        assert bands.picture(render="all").at(9) is None
        assert bands.picture(render="valid").at(9) == [0x12, 0x34, 0x56]

    def test_an_unknown_name_is_refused_with_those_there_are(self, bands: Server) -> None:
        change(bands, renders={"ndvi": NDVI, "color": {}})
        answer = bands.tile(render="nvdi")
        assert answer.status_code == 400
        assert answer.json()["detail"] == (
            "there is no render 'nvdi' in mosaic 'm'; there are: color, ndvi"
        )

    def test_descriptions_carry_the_name(self, bands: Server) -> None:
        described = bands.get(
            "/mosaics/m/tiles/WebMercatorQuad/tilejson.json", render="ndvi", tile_format="png"
        )
        assert described.json()["tiles"][0].endswith("{y}.png?render=ndvi")


class TestScenesDrawnOneByOne:
    def test_each_scene_has_its_colors_before_they_are_one(self, server: Server) -> None:
        """Their mean is of colors, not the color of their mean."""
        server.publish("low", 0)
        server.publish("high", 200, day=2)
        black_or_white = {"colormap": [[[0, 100], "#000"], [[100, 256], "#fff"]]}
        change(server, renders={"bw": black_or_white})
        after = server.picture(operation="mean", render="bw")
        before = server.picture(operation="mean", item_render="bw")
        assert after.at(9) == [255, 255, 255]
        assert np.allclose(before.at(9), 127.5, atol=1)

    def test_what_a_colormap_hides_shows_the_scene_below(self, server: Server) -> None:
        server.publish("below", 1)
        server.publish("above", 2, LEFT, day=2)
        change(server, renders={"one": {"colormap": {"1": "#0a0b0c"}}})
        made = server.picture(item_render="one")
        assert made.at(9) == made.at(200) == [10, 11, 12]

    def test_what_comes_after_is_of_the_colors(self, server: Server) -> None:
        server.publish("a", 7)
        change(server, renders={"red": {"colormap": {"7": "#400000"}}})
        made = server.picture(item_render="red", color_formula="gamma r 2")
        assert made.at(9) == [int(math.sqrt(0x40 / 255) * 255), 0, 0]

    def test_the_render_says_what_is_read(self, bands: Server) -> None:
        made = bands.picture(item_render="ndvi")
        np.testing.assert_array_equal(made.data, bands.picture(render="ndvi").data)

    def test_the_etag_changes_with_what_the_render_says(self, bands: Server) -> None:
        before = bands.tile(item_render="ndvi").headers["ETag"]
        assert before != bands.tile(render="ndvi").headers["ETag"]
        change(bands, renders={"ndvi": {**NDVI, "rescale": [[0, 1]]}})
        assert bands.tile(item_render="ndvi").headers["ETag"] != before

    def test_a_scene_that_does_not_fit_is_skipped_and_named(self, server: Server) -> None:
        server.publish("grey", 7, LEFT)
        server.publish("colored", [1, 2, 3], RIGHT, day=2)
        change(server, renders={"seven": {"colormap": {"7": "#0a0b0c"}}})
        made = server.picture(item_render="seven")
        assert made.at(9) == [10, 11, 12]
        assert "colored" in made.headers["X-Skipped-Scenes"]

    def test_an_algorithm_that_drops_pixels_is_refused(self, server: Server) -> None:
        server.publish("a", 7)
        change(server, renders={"hill": {"algorithm": "hillshade"}})
        answer = server.tile(item_render="hill")
        assert answer.status_code == 400
        assert '{"buffer": 0}' in answer.json()["detail"]

    def test_an_unknown_name_is_refused(self, bands: Server) -> None:
        answer = bands.tile(item_render="nope")
        assert answer.status_code == 400
        assert "there are: ndvi" in answer.json()["detail"]


class TestStored:
    def test_they_are_listed_and_shown_with_links(self, bands: Server) -> None:
        listed = bands.get("/mosaics/m/renders").json()
        shown = bands.get("/mosaics/m/renders/ndvi").json()
        assert listed["renders"] == {"ndvi": shown}
        assert shown["params"] == NDVI
        links = {link["rel"]: link["href"] for link in shown["links"]}
        assert bands.get(links["self"]).json() == shown
        tilejson = links["tilesets-map"].replace("{tileMatrixSetId}", "WebMercatorQuad")
        assert bands.get(tilejson).json()["tiles"][0].endswith("?render=ndvi")

    def test_a_mosaic_without_any_lists_none(self, server: Server) -> None:
        assert server.get("/mosaics/m/renders").json()["renders"] == {}
        answer = server.get("/mosaics/m/renders/x")
        assert answer.status_code == 404
        assert "there is no render 'x' in mosaic 'm'; there are: none" in answer.json()["detail"]

    def test_the_same_again_changes_nothing(self, bands: Server) -> None:
        before = bands.get("/mosaics/m").json()
        change(bands, renders={"ndvi": NDVI})
        assert bands.get("/mosaics/m").json() == before

    def test_fields_of_other_software_are_kept(self, server: Server) -> None:
        """The Landsat example of the extension has some."""
        thumbnail = {
            "title": "Thumbnail",
            "assets": ["B4", "B3", "B2"],
            "rescale": [[0, 150]],
            "colormap_name": "rainbow",
            "resampling": "bilinear",
            "bidx": [1],
            "width": 1024,
            "height": 1024,
            "bands": ["B4", "B3", "B2"],
        }
        change(server, renders={"thumbnail": thumbnail})
        assert server.get("/mosaics/m/renders/thumbnail").json()["params"] == thumbnail

    def test_a_row_from_before_there_were_renders_is_read(self, sqlite_table: SqliteTable) -> None:
        mosaics = Mosaics(sqlite_table)
        mosaics.create(Mosaic(id="old"))
        key = Key("mosaics", "old")
        item = dict(sqlite_table.get(key) or {})
        del item["renders"]
        sqlite_table.transact([Put(key, item)])
        assert mosaics.get("old").renders == {}

    @pytest.mark.parametrize(
        ("render", "message"),
        [
            ({"rescale": [[5, 5]]}, "rescale '5.0,5.0' must be two finite numbers"),
            ({"rescale": [[0, 1, 2]]}, "rescale.0"),
            ({"rescale": [0, 1]}, "rescale.0"),
            ({"rescale": [[0, 1]] * 65}, "65 rescale ranges"),
            ({"colormap_name": "nope"}, "unknown colormap_name 'nope'"),
            ({"colormap": {"a": "#fff"}}, "colormap"),
            ({"color_formula": "gamma r 0"}, "gamma must be greater than 0"),
            ({"expression": "9**9**9"}, "expression"),
            ({"algorithm": "nope"}, "unknown algorithm 'nope'"),
            ({"algorithm": "hillshade", "algorithm_params": {"azimuth": 400}}, "azimuth"),
            ({"resampling": "gauss"}, "resampling"),
            ({"nodata": "x"}, "nodata"),
            ({"bidx": [0]}, "bidx"),
            ({"assets": ["a"] * 65}, "65 assets"),
            ({"title": "x" * 501}, "title"),
            ({"other": "x" * 70_000}, "bytes of JSON, at most 64,000"),
            ({"other": "\ud800"}, "renders are not JSON"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_what_requests_could_not_use_is_refused(self, server, render, message) -> None:
        body = json.dumps({"renders": {"bad": render}})
        answer = server.client.put("/mosaics/m", content=body, headers=JSON)
        assert answer.status_code == 400
        assert message in answer.json()["detail"]
        assert server.get("/mosaics/m").json()["renders"] == {}

    @pytest.mark.parametrize(
        "value", ['{"rescale": [[0, NaN]]}', '{"nodata": Infinity}', '{"other": NaN}']
    )
    def test_numbers_that_are_not_finite_are_refused(self, server: Server, value: str) -> None:
        body = f'{{"renders": {{"bad": {value}}}}}'
        answer = server.client.put("/mosaics/m", content=body, headers=JSON)
        assert answer.status_code == 400, answer.text

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "é", "x" * 64, "a?b"])
    def test_a_name_goes_into_a_url(self, server: Server, name: str) -> None:
        answer = server.client.put("/mosaics/m", json={"renders": {name: {}}}, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert "must be named with 1 to 63 of" in answer.json()["detail"]

    def test_there_are_not_many(self, server: Server) -> None:
        many = {f"r{n}": {} for n in range(33)}
        answer = server.client.put("/mosaics/m", json={"renders": many}, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert "32" in answer.json()["detail"]

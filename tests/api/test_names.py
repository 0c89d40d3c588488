"""Query parameters that nobody knows: refused where they are nearly known, and named elsewhere."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from api.served import AUTHORIZED, SIZE, Server, footprint, serving, tile_url
from livemosaic.api.params.names import CheckedQuery
from livemosaic.api.routes import tiles
from livemosaic.api.routing import create_api
from livemosaic.table.sqlite import SqliteTable

BOX = "/mosaics/m/bbox/7,45,8,46"
FEATURE = {"type": "Feature", "geometry": footprint(), "properties": {}}
ROUTES = {
    "tile": tile_url(".png"),
    "tile at a scale": tile_url("@2x"),
    "assets of a tile": tile_url("/assets"),
    "box": f"{BOX}/64x64.png",
    "assets of a box": f"{BOX}/assets",
    "map": "/mosaics/m/map",
    "point": "/mosaics/m/point/7.8,45.3",
    "assets of a point": "/mosaics/m/point/7.8,45.3/assets",
    "items": "/mosaics/m/items",
    "TileJSON": "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
    "tilesets": "/mosaics/m/tiles",
    "tileset": "/mosaics/m/tiles/WebMercatorQuad",
    "WMTS": "/mosaics/m/WMTSCapabilities.xml",
}
LIGHT = [name for name in ROUTES if name not in ("tilesets", "WMTS")]
UNKNOWN = "X-Unknown-Parameters"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here, which change nothing."""
    folder = tmp_path_factory.mktemp("names")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create(collections=["s2"])
        server.publish("a", np.full((1, SIZE, SIZE), 100, "uint8"))
        yield server


class TestMisspelled:
    @pytest.mark.parametrize("name", ROUTES)
    def test_it_is_refused_with_the_name_that_was_meant(self, server: Server, name: str) -> None:
        answer = server.get(ROUTES[name], sortyb="-datetime")
        assert answer.status_code == 400
        assert answer.json()["detail"] == "there is no parameter 'sortyb'; did you mean 'sortby'?"
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("rescal", "rescale"), ("Rescale", "rescale"), ("RESCALE", "rescale"),
            ("colormap_nam", "colormap_name"), ("asset", "assets"), ("bdix", "bidx"),
            ("filter_lang", "filter-lang"), ("mosaic_rule", "mosaicRule"), ("noData", "nodata"),
            ("ids[]", "ids"), ("bidx[0]", "bidx"), ("locks", "lock"),
            ("date_time", "datetime"), ("operations", "operation"), ("tileSize", "tilesize"),
        ],
    )  # fmt: skip
    def test_a_slip_of_a_letter_or_two_is_recognized(
        self, server: Server, given: str, meant: str
    ) -> None:
        answer = server.tile(".png", **{given: "1"})
        assert (answer.status_code, repr(meant) in answer.text) == (400, True)

    @pytest.mark.parametrize(
        ("url", "given", "meant"),
        [
            ("/mosaics/m/items", "bbbox", "bbox"),
            ("/mosaics/m/items/a", "colection", "collection"),
            ("/mosaics/m/map", "bbox_crs", "bbox-crs"),
            ("/mosaics/m/bounds", "CRS", "crs"),
            ("/mosaics/m/WMTSCapabilities.xml", "zoom", "zooms"),
            ("/colorMaps/viridis", "widht", "width"),
        ],
    )
    def test_each_route_has_names_of_its_own(
        self, server: Server, url: str, given: str, meant: str
    ) -> None:
        answer = server.get(url, **{given: "1"})
        assert (answer.status_code, repr(meant) in answer.text) == (400, True)

    @pytest.mark.parametrize("url", ["/mosaics/m/statistics", "/mosaics/m/feature.png"])
    def test_it_is_refused_where_a_body_is_sent(self, server: Server, url: str) -> None:
        answer = server.client.post(url, params={"expresion": "b1"}, json=FEATURE)
        assert (answer.status_code, "'expression'" in answer.text) == (400, True)

    def test_nothing_is_deleted_by_a_misspelled_collection(self, server: Server) -> None:
        url = "/mosaics/m/items/a?colection=s2"
        assert server.client.delete(url, headers=AUTHORIZED).status_code == 400
        assert server.get("/mosaics/m/items").json()["features"]

    def test_a_field_of_a_render_is_refused_as_well(self, server: Server) -> None:
        renders = {"warm": {"colormap_nam": "magma"}, "other": {"ext:rescaled": True}}
        new = {"id": "renders", "renders": renders}
        answer = server.client.post("/mosaics", json=new, headers=AUTHORIZED)
        assert (answer.status_code, "'colormap_name'" in answer.text) == (400, True)
        assert "render 'warm'" in answer.text

    def test_the_name_of_a_colormap_is_suggested(self, server: Server) -> None:
        answer = server.tile(".png", colormap_name="virdis")
        assert (answer.status_code, "did you mean 'viridis'?" in answer.text) == (400, True)

    def test_a_parameter_of_another_route_is_no_slip(self, server: Server) -> None:
        """The map page gives all routes all of its parameters."""
        routes = [*tiles.ROUTES, *create_api(server.services).routes]
        apps = [
            app for route in routes if isinstance(app := getattr(route, "app", 0), CheckedQuery)
        ]
        routes_names = [app.known() for app in apps]
        every = {name for known in routes_names for name in known.names}
        assert {"bbox", "rescale", "zooms", "histogram_bins", "tilesize"} <= every
        every -= {
            "collections",
            "zoom",
        }  # of searches, boundaries: no page has them, they are slips
        for known in routes_names:
            for name in sorted(every):
                known.check(urlencode({name: "?"}).encode())


class TestUnknown:
    @pytest.mark.parametrize("name", LIGHT)
    def test_it_is_ignored_and_named(self, server: Server, name: str) -> None:
        plain, more = server.get(ROUTES[name]), server.get(ROUTES[name], _ts="1", callback="x")
        assert more.status_code == plain.status_code < 300
        assert more.headers[UNKNOWN] == "_ts,callback"
        assert UNKNOWN not in plain.headers

    @pytest.mark.parametrize(
        "given",
        [
            {"f": "json"}, {"token": "x"}, {"key": "x"}, {"api_key": "x"}, {"v": "2"},
            {"searchid": "x"}, {"SERVICE": "WMTS"}, {"X-Amz-Signature": "x"}, {"bboxSR": "3857"},
            {"center": "7,45"}, {"zoom": "3"}, {"style": "default"}, {"layers": "show:0"},
            {"dpi": "96"}, {"transparent": "true"}, {"time": "0,1"}, {"id": "a"},
        ],
        ids=lambda given: next(iter(given)),
    )  # fmt: skip
    def test_parameters_of_other_tools_pass(self, server: Server, given: dict[str, Any]) -> None:
        answer = server.tile(".png", **given)
        assert (answer.status_code, answer.headers[UNKNOWN]) == (200, next(iter(given)))

    def test_a_token_is_known_everywhere(self, server: Server) -> None:
        assert UNKNOWN not in server.tile(".png", access_token="x").headers

    def test_its_name_may_be_anything_and_the_header_stays_short(self, server: Server) -> None:
        answer = server.tile(".png", **{f"ü{n}" + "x" * 100: "1" for n in range(30)})
        assert answer.headers[UNKNOWN].startswith("%C3%BC0")
        assert answer.headers[UNKNOWN].endswith(",...")

    def test_it_is_named_in_a_304_and_to_pages_of_other_origins(self, server: Server) -> None:
        tag = server.tile(".png").headers["ETag"]
        same = server.client.get(
            tile_url(".png?_ts=1"), headers={"If-None-Match": tag, "Origin": "https://x.example"}
        )
        assert (same.status_code, same.headers[UNKNOWN]) == (304, "_ts")
        assert UNKNOWN in same.headers["Access-Control-Expose-Headers"]

    def test_statistics_name_the_colors_that_they_do_not_need(self, server: Server) -> None:
        given = {"rescale": "0,1", "colormap_name": "magma", "algorithm": "normalizedIndex"}
        answer = server.client.post("/mosaics/m/statistics", params=given, json=FEATURE)
        assert answer.headers[UNKNOWN] == "rescale,colormap_name"

    def test_what_the_path_has_is_not_read_from_the_query(self, server: Server) -> None:
        assert server.tile(".png", scale="2", format="npy").headers[UNKNOWN] == "format"
        assert UNKNOWN not in server.tile(scale="2", format="npy").headers
        assert server.tile(z="3").headers[UNKNOWN] == "z"


class TestWmts:
    @pytest.mark.parametrize("case", [str.lower, str.upper])
    def test_its_key_value_pairs_are_known_in_any_case(self, server: Server, case: Any) -> None:
        given = {"service": "WMTS", "request": "GetCapabilities", "version": "1.0.0"}
        query = {"tms": "WebMercatorQuad"} | {case(n): v for n, v in given.items()}
        answer = server.get(ROUTES["WMTS"], **query)
        assert (answer.status_code, UNKNOWN in answer.headers) == (200, False)

    @pytest.mark.parametrize(
        "given", [{"REQUEST": "GetTile"}, {"service": "WMS"}, {"Version": "1.3.0"}]
    )
    def test_another_operation_or_service_is_refused(
        self, server: Server, given: dict[str, str]
    ) -> None:
        answer = server.get(ROUTES["WMTS"], **given)
        assert (answer.status_code, "is not offered here" in answer.text) == (400, True)


class TestUnclear:
    def test_a_parameter_given_twice_is_refused_where_the_values_differ(
        self, server: Server
    ) -> None:
        twice = server.get(tile_url(".png?ascending=true&ascending=false"))
        assert (twice.status_code, "more than once" in twice.text) == (400, True)
        assert server.get(tile_url(".png?ascending=true&ascending=true")).status_code == 200
        assert server.get(tile_url(".png?bidx=1&bidx=1")).status_code == 200

    @pytest.mark.parametrize(
        "name",
        ["ids", "assets", "expression", "render", "colormap_name", "item_render", "datetime"],
    )
    def test_a_parameter_without_a_value_is_refused(self, server: Server, name: str) -> None:
        answer = server.tile(".png", **{name: ""})
        assert (answer.status_code, f"{name} '' has no value" in answer.text) == (400, True)

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("/mosaics/m/items?bbox=7,45,8,46&token=0%23a", "token is of pages without a bbox"),
            (f"{ROUTES['TileJSON']}?item_render=nope", "there is no render 'nope'"),
            ("/mosaics/m/tiles?rescale=5,1", "the smaller first"),
            ("/mosaics/m/tiles?datetime=soon", "datetime 'soon'"),
            (f"{ROUTES['tileset']}?sortby=nope", "sortby 'nope'"),
            (f"{ROUTES['tileset']}?tilesize=99999", "tilesize 99999"),
            (f"{ROUTES['tileset']}?assets=nope", "no asset 'nope'"),
            (f"{ROUTES['WMTS']}?zooms=Nope::1,2", "unknown TileMatrixSet 'Nope'"),
        ],
    )
    def test_what_would_have_no_effect_is_refused(
        self, server: Server, url: str, says: str
    ) -> None:
        answer = server.get(url)
        assert (answer.status_code, says in answer.text) == (400, True)

    def test_a_token_is_not_repeated_to_anybody(self, server: Server) -> None:
        answer = server.get(tile_url(".png?access_token=secret1&access_token=secret2"))
        assert (answer.status_code, "secret" in answer.text) == (400, False)
        assert "access_token is given more than once" in answer.text

    def test_no_token_is_no_credential_and_the_first_page(self, server: Server) -> None:
        assert server.get("/mosaics/m/items?token=&access_token=").status_code == 200

"""What map clients ask before they ask for tiles, and what operators ask."""

import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import morecantile
import pytest
from shapely.geometry import shape
from titiler.core.models.mapbox import TileJSON

from api.served import LEFT, RIGHT, WHOLE, Server, X, Y, Z, scene, serving, tile_url
from items import box, item
from livemosaic.errors import TableBusyError, TableUnavailableError
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.picture import Tiler

TILEJSON = "/mosaics/m/tiles/WebMercatorQuad/tilejson.json"
SECRET = "s3cret at /srv/private/table.db"


class TestTileJson:
    """https://github.com/mapbox/tilejson-spec/tree/master/3.0.0"""

    def test_it_has_the_types_and_ranges_of_3_0(self, server: Server) -> None:
        server.publish("a", 1)
        document = server.get(TILEJSON).json()
        TileJSON.model_validate(document)
        assert document["tilejson"] == "3.0.0"
        assert document["scheme"] == "xyz"
        west, south, east, north = document["bounds"]
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
        lon, lat, zoom = document["center"]
        assert (west <= lon <= east) and (south <= lat <= north)
        assert 0 <= document["minzoom"] <= zoom <= document["maxzoom"] <= 30
        assert isinstance(zoom, int)
        assert all(isinstance(tile, str) for tile in document["tiles"])

    def test_its_tile_url_works(self, server: Server) -> None:
        server.publish("a", 1)
        (template,) = server.get(TILEJSON, tile_format="png", tile_scale=2).json()["tiles"]
        answer = server.get(template.format(z=Z, x=X, y=Y))
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Scenes"] == "a"

    def test_parameters_of_tiles_pass_through_and_its_own_do_not(self, server: Server) -> None:
        asked = {
            "assets": ["nir", "red"],
            "expression": "(nir-red)/(nir+red)",
            "rescale": ["-1,1"],
            "colormap_name": ["viridis"],
            "tilesize": ["512"],
        }
        own = {"tile_format": "png", "tile_scale": 2, "minzoom": 3, "maxzoom": 5}
        (template,) = server.get(TILEJSON, **asked, **own).json()["tiles"]
        parts = urlsplit(template)
        assert parts.path == "/mosaics/m/tiles/WebMercatorQuad/{z}/{x}/{y}@2x.png"
        assert parse_qs(parts.query) == {**asked, "expression": ["(nir-red)/(nir+red)"]}

    def test_an_empty_mosaic_is_the_whole_world(self, server: Server) -> None:
        assert server.get(TILEJSON).json()["bounds"] == [-180, -90, 180, 90]

    def test_zooms_are_those_of_the_mosaic_within_the_matrix_set(self, server: Server) -> None:
        server.create("deep", minzoom=3, maxzoom=30)
        document = server.get("/mosaics/deep/tiles/WebMercatorQuad/tilejson.json").json()
        assert (document["minzoom"], document["maxzoom"]) == (3, 24)

    def test_zooms_of_another_matrix_set_are_those_at_which_it_has_tiles(
        self, server: Server
    ) -> None:
        server.create("high", minzoom=6)
        server.add(item("a", box(10, 78, 11, 79), href=server.url("nowhere.tif")), mosaic="high")
        document = server.get("/mosaics/high/tiles/WorldCRS84Quad/tilejson.json").json()
        template, lowest = document["tiles"][0], document["minzoom"]
        tiles = morecantile.tms.get("WorldCRS84Quad")
        statuses = []
        for zoom in (lowest - 1, lowest):
            tile = tiles.tile(10.5, 78.5, zoom)
            answer = server.get(template.format(z=zoom, x=tile.x, y=tile.y))
            statuses.append(answer.status_code)
        assert statuses == [404, 200]

    def test_a_scene_across_the_antimeridian_is_in_the_centre(self, server: Server) -> None:
        """Bounds of TileJSON must not wrap (3.5); all others do, west > east (RFC 7946, 5.2)."""
        server.create("fiji")
        href = server.url("nowhere.tif")
        server.add(item("a", box(178, -19, 181, -16), href=href), mosaic="fiji")
        document = server.get(TILEJSON.replace("/m/", "/fiji/")).json()
        assert document["bounds"] == [-180, -19, 180, -16]
        assert document["center"][:2] == [179.5, -17.5]
        assert server.get("/mosaics/fiji/info").json()["bounds"] == [178, -19, -179, -16]
        assert server.get("/mosaics/fiji/bounds").json()["bounds"] == [178, -19, -179, -16]
        assert server.get("/mosaics/fiji/items").json()["features"][0]["bbox"] == [
            178,
            -19,
            -179,
            -16,
        ]
        feature = server.get("/mosaics/fiji/info.geojson").json()
        assert feature["bbox"] == [178, -19, -179, -16]
        assert shape(feature["geometry"]).area == pytest.approx(9)
        tileset = server.get("/mosaics/fiji/tiles/WebMercatorQuad?f=json").json()
        assert tileset["boundingBox"]["lowerLeft"] == [178, -19]
        assert tileset["boundingBox"]["upperRight"] == [-179, -16]
        mercator = server.get("/mosaics/fiji/bounds?crs=EPSG:3857").json()["bounds"]
        assert mercator[0] < 0 < mercator[2]
        capabilities = server.get("/mosaics/fiji/WMTSCapabilities.xml").text
        assert "<ows:LowerCorner>178.0 -19.0</ows:LowerCorner>" in capabilities
        assert server.get("/mosaics/fiji/map").status_code == 200

    def test_zooms_may_be_asked_for(self, server: Server) -> None:
        document = server.get(TILEJSON, minzoom=3, maxzoom=7).json()
        assert (document["minzoom"], document["center"][2], document["maxzoom"]) == (3, 3, 7)

    @pytest.mark.parametrize(
        ("query", "detail"),
        [
            ({"minzoom": 7, "maxzoom": 3}, "minzoom 7 is above maxzoom 3"),
            ({"minzoom": -1}, "minzoom"),
            ({"maxzoom": 31}, "maxzoom"),
            ({"maxzoom": "٣"}, "maxzoom"),
        ],
    )
    def test_zooms_that_cannot_be_are_refused(
        self, server: Server, query: dict[str, Any], detail: str
    ) -> None:
        answer = server.get(TILEJSON, **query)
        assert answer.status_code == 400
        assert detail in answer.json()["detail"]

    def test_it_is_where_titiler_has_it_too(self, server: Server) -> None:
        asked = {"rescale": "0,9", "tile_format": "webp"}
        there = server.get("/mosaics/m/WebMercatorQuad/tilejson.json", **asked)
        assert there.json() == server.get(TILEJSON, **asked).json()

    def test_outside_of_the_mosaic_there_is_none(self, server: Server) -> None:
        server.publish("a", 1)
        assert server.get("/mosaics/m/tiles/NZTM2000Quad/tilejson.json").status_code == 404

    def test_its_name_is_the_title(self, server: Server) -> None:
        server.create("named", title="Die Alpen")
        url = "/mosaics/named/tiles/WebMercatorQuad/tilejson.json"
        assert server.get(url).json()["name"] == "Die Alpen"


class TestInfo:
    def test_it_follows_the_mosaic(self, server: Server) -> None:
        before = server.get("/mosaics/m/info").json()
        assert (before["bounds"], before["levels"]) == (None, [])
        server.publish("a", 1)
        after = server.get("/mosaics/m/info").json()
        assert after["bounds"] == pytest.approx([7.734375, 45.58329, 8.0859375, 45.828799])
        assert len(after["levels"]) == 1


class TestAssets:
    def assets(self, server: Server) -> list[tuple[str, bool]]:
        listed = server.get(tile_url("/assets")).json()["scenes"]
        return [(one["id"], one["read"]) for one in listed]

    def test_scenes_come_top_first_with_what_each_is_for(self, server: Server) -> None:
        server.publish("bottom", 1, WHOLE, day=1)
        server.publish("hidden", 2, RIGHT, day=2)
        server.publish("top", 3, RIGHT, day=3)
        assert self.assets(server) == [("top", True), ("hidden", False), ("bottom", True)]

    def test_each_says_what_would_be_read(self, server: Server) -> None:
        path = server.publish("a", 1, LEFT)
        (one,) = server.get(tile_url("/assets")).json()["scenes"]
        assert one["assets"] == {"visual": server.url(path)}
        assert (one["collection"], one["datetime"]) == ("s2", "2026-01-01T00:00:00Z")
        assert one["version"]
        assert one["why"] == "shows"

    def test_footprints_alone_decide(self, server: Server) -> None:
        server.publish("hidden", 1, LEFT, day=1)
        server.add(scene("unreadable", server.url("nowhere.tif"), day=2))
        assert self.assets(server)[0] == ("unreadable", True)
        assert ("hidden", True) not in self.assets(server)

    def test_an_empty_tile_has_none(self, server: Server) -> None:
        assert self.assets(server) == []


class TestHealth:
    def test_it_is_ok_where_the_table_answers(self, any_server: Server) -> None:
        answer = any_server.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"

    def test_it_is_503_where_the_table_is_busy(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SqliteTable, "get", _raising(TableBusyError("the table is busy")))
        answer = server.get("/health")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.json()["detail"] == "the table is busy"

    def test_it_is_503_where_an_operator_must_mend_the_table(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SqliteTable, "get", _raising(TableUnavailableError("it is full")))
        answer = server.get("/health")
        assert (answer.status_code, answer.json()["detail"]) == (503, "it is full")


def _raising(error: Exception) -> Any:
    def raise_it(*_: Any, **__: Any) -> Any:
        raise error

    return raise_it


class TestUnforeseen:
    @pytest.mark.parametrize("url", [tile_url(), tile_url("/assets"), "/mosaics/m", "/health"])
    def test_an_error_nobody_foresaw_is_logged_and_not_told(
        self,
        server: Server,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        url: str,
    ) -> None:
        with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
            for read in ("get", "batch_get"):
                patch.setattr(SqliteTable, read, _raising(RuntimeError(SECRET)))
            answer = server.get(url)
        assert answer.status_code == 500
        assert set(answer.json()) == {"type", "title", "status", "detail"}
        assert "secret" not in answer.text
        assert "s3cret" not in answer.text
        assert "Traceback" not in answer.text
        assert SECRET in caplog.text
        assert server.get(url).status_code == 200

    def test_one_while_a_tile_is_made_is_too(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(Tiler, "_scene", _raising(RuntimeError(SECRET)))
        server.publish("a", 1)
        answer = server.tile()
        assert answer.status_code == 500
        assert SECRET not in answer.text
        assert SECRET in caplog.text


class TestOpenApi:
    @pytest.fixture
    def document(self, server: Server) -> dict[str, Any]:
        found: dict[str, Any] = server.get("/openapi.json").json()
        return found

    def operations(self, document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [
            (f"{method.upper()} {path}", operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in ("get", "put", "post", "delete", "patch", "head", "options")
        ]

    def test_it_is_openapi_3(self, document: dict[str, Any]) -> None:
        assert document["openapi"].startswith("3.")
        assert document["info"]["title"] == "livemosaic"
        assert document["info"]["version"]

    def test_operation_ids_are_unique(self, document: dict[str, Any]) -> None:
        ids = [operation["operationId"] for _, operation in self.operations(document)]
        assert len(ids) == len(set(ids))

    def test_operation_ids_are_words_of_a_program(self, document: dict[str, Any]) -> None:
        ids = [operation["operationId"] for _, operation in self.operations(document)]
        assert [one for one in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", one)] == []
        assert {"tile", "tile_with_format", "bbox_image", "create_mosaic"} <= set(ids)

    def test_parameters_are_what_generators_take(self, document: dict[str, Any]) -> None:
        for name, operation in self.operations(document):
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                where = f"{name} {parameter['name']}"
                if parameter["in"] == "header":
                    assert schema["type"] == "string", where
                if parameter["in"] == "path":
                    assert {"type": "null"} not in schema.get("anyOf", ()), where
        assert not [one for one in document["components"]["schemas"] if one.endswith("-Input")]

    def test_tags_have_texts_and_values_that_are_known_are_listed(
        self, document: dict[str, Any]
    ) -> None:
        used = {tag for _, one in self.operations(document) for tag in one.get("tags", ())}
        assert {tag["name"] for tag in document["tags"] if tag["description"]} == used
        tile = document["paths"]["/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"]["get"]
        named = {one["name"]: one for one in tile["parameters"]}
        (texts,) = [one for one in named["colormap_name"]["schema"]["anyOf"] if "enum" in one]
        assert "viridis" in texts["enum"]
        assert named["tms"]["example"] == "WebMercatorQuad"

    def test_every_path_parameter_is_described_and_none_besides(
        self, document: dict[str, Any]
    ) -> None:
        for name, operation in self.operations(document):
            in_path = {part.split("}")[0].split(":")[0] for part in name.split("{")[1:]}
            described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert described == in_path, name

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        for reference in _references(document):
            at: Any = document
            for step in reference.removeprefix("#/").split("/"):
                at = at[step]
            assert at

    def test_every_operation_says_what_it_does(self, document: dict[str, Any]) -> None:
        silent = [name for name, o in self.operations(document) if not o.get("description")]
        assert silent == []

    def test_the_page_that_shows_it_is_there(self, server: Server) -> None:
        page = server.get("/docs").text
        (script,) = re.findall(r'src="(\S+/docs\.js)"', page)
        assert '"openapi.json"' in server.get(f"/{script}").text


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for child in value.values() for r in _references(child)]
    if isinstance(value, list):
        return [r for child in value for r in _references(child)]
    return []


def test_a_mosaic_may_be_remembered_only_as_long_as_settings_say(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    """What is stale meanwhile: that a mosaic was deleted, and changed settings."""
    with serving(sqlite_table, folder, mosaic_max_age_s=3600) as server:
        server.create()
        server.publish("a", 1)
        assert server.picture().valid.all()
        server.services.mosaics.mark_deleting("m")
        assert server.tile().status_code == 200
        assert server.get("/mosaics/m").status_code == 404

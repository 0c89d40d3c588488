"""Mosaic rules asked for over HTTP: which scenes a tile shows, and which of them is on top."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.counted import CountedTable
from api.served import (
    AUTHORIZED,
    EDGE,
    LEFT,
    SIZE,
    STEP,
    WEB,
    WHOLE,
    Part,
    Server,
    X,
    Y,
    Z,
    raster,
    scene,
    serving,
    tile_url,
)
from livemosaic.table.sqlite import SqliteTable

MIDDLE = SIZE // 2


def lonlat(column: float, row: float) -> tuple[float, float]:
    """The place of a pixel's corner."""
    lon, lat = WEB.lnglat(EDGE.left + column * STEP, EDGE.top - row * STEP)
    return lon, lat


def at(column: float, row: float) -> str:
    return ",".join(map(str, lonlat(column, row)))


def put(server: Server, name: str, value: int, part: Part = WHOLE, **told: Any) -> None:
    """A scene of one value; `told` are properties of its Item, `day` and `collection`."""
    day, collection = told.pop("day", 1), told.pop("collection", "s2")
    path = raster(server.folder / f"{name}.tif", value, part)
    item = scene(name, server.url(path), part, day=day, collection=collection, properties=told)
    server.add(item)


KEEPS = ["cloud", "platform", "seen", "nadir", "cut", "view:azimuth"]
KEEPS += ["view:off_nadir", "view:incidence_angle"]


RULES = {"nadir": "nadir", "seamline": "cut"}
STORED = ["bare", "north", "middle", "west"]
VALUES = {"west": 1, "middle": 2, "north": 3, "bare": 4}


def fill(server: Server) -> None:
    """Four scenes over the middle of the tile, the newest of them without most properties.

    Their centres are, in pixels of the tile: of `west` 28, 128; of `middle` 128, 128; of `north`
    228, -22; of `bare` 178, 178.
    """
    server.create(collections=["s2"], properties=KEEPS, rules=RULES)
    west, north = (-200, 0, 256, 256), (0, -300, 456, 256)
    put(server, "west", 1, west, day=1, cloud=30, platform="b", seen="2026-01-05T00:00:00Z")
    put(server, "middle", 2, day=2, cloud=10, platform="c", seen="2026-01-01T00:00:00+02:00")
    put(server, "north", 3, north, day=3, cloud=20, platform="a", seen="2026-01-03T00:00:00Z")
    put(server, "bare", 4, (100, 100, 256, 256), day=4)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of those scenes, for tests that only look."""
    folder = tmp_path_factory.mktemp("four")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        fill(made)
        yield made


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    """One of the same, to change."""
    with serving(sqlite_table, folder) as made:
        fill(made)
        yield made


def order(server: Server, **rule: Any) -> list[str]:
    """All scenes, top first: those that a mean is made of."""
    return server.picture(**rule, operation="mean").scenes


class TestOrder:
    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ({}, STORED),
            ({"method": "none"}, STORED),
            ({"ascending": False}, STORED[::-1]),
            ({"sortby": "-datetime"}, STORED),
            ({"sortby": "datetime"}, STORED[::-1]),
            ({"sortby": "cloud"}, ["middle", "north", "west", "bare"]),
            ({"sortby": "-cloud"}, ["west", "north", "middle", "bare"]),
            ({"sortby": "cloud", "ascending": False}, ["west", "north", "middle", "bare"]),
            ({"sortby": "platform"}, ["north", "west", "middle", "bare"]),
            ({"sortby": "+seen"}, ["middle", "north", "west", "bare"]),
            ({"sortby": "cloud", "sort_value": 21}, ["north", "west", "middle", "bare"]),
            ({"sortby": "-cloud", "sort_value": 21}, ["middle", "west", "north", "bare"]),
            ({"sortby": "platform", "sort_value": "c"}, ["middle", "north", "west", "bare"]),
            (
                {"sortby": "datetime", "sort_value": "2026-01-02T06:00:00Z"},
                ["middle", "north", "west", "bare"],
            ),
            ({"sortby": "datetime", "sort_value": "2026"}, STORED[::-1]),
            ({"sortby": "datetime", "sort_value": "2026-02"}, STORED),
            ({"sortby": "datetime", "sort_value": "2026/02"}, STORED),
            ({"sortby": "seen", "sort_value": "2026/01"}, ["middle", "north", "west", "bare"]),
            ({"sortby": " cloud"}, ["middle", "north", "west", "bare"]),
            ({"method": "center"}, ["middle", "bare", "west", "north"]),
            ({"method": "northwest"}, ["west", "north", "middle", "bare"]),
            ({"viewpoint": at(28, 128)}, ["west", "middle", "bare", "north"]),
            ({"method": "seamline"}, STORED),
            ({"lock": "west,north"}, ["west", "north"]),
            ({"lock": "s2/west,s2/north", "ascending": False}, ["north", "west"]),
        ],
        ids=str,
    )
    def test_scenes_are_in_the_order_of_the_rule(
        self, four: Server, rule: dict[str, Any], expected: list[str]
    ) -> None:
        assert order(four, **rule) == expected
        assert four.picture(**rule).at(MIDDLE) == [VALUES[expected[0]]]
        assert four.picture(**rule, operation="last").at(MIDDLE) == [VALUES[expected[-1]]]

    def test_nadir_and_viewpoint_go_by_where_the_sensor_was(self, server: Server) -> None:
        """By the property that the mosaic names; else by the angles; else by the centre."""
        put(server, "named", 5, LEFT, nadir=[*lonlat(134, 128)])
        # 40 pixels south of the middle of the tile is its centre, at which it looked southwards.
        (_, from_lat), (_, to_lat) = lonlat(128, 128), lonlat(128, 168)
        angles = {"view:azimuth": 180, "view:off_nadir": 4.0}
        angles["view:incidence_angle"] = 4.0 + from_lat - to_lat
        put(server, "looked", 6, (0, 0, 256, 336), day=9, **angles)
        assert order(server, method="nadir")[:3] == ["middle", "looked", "named"]
        assert order(server, viewpoint=at(133.9, 128))[:2] == ["named", "middle"]

    def test_a_seamline_cuts_each_scene_and_footprints_stand_for_it(self, server: Server) -> None:
        west, south = lonlat(0, SIZE)
        middle, north = lonlat(MIDDLE, 0)
        ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
        put(server, "sewn", 9, day=9, cut={"type": "Polygon", "coordinates": [ring]})
        picture = server.picture(method="seamline")
        assert (picture.at(MIDDLE - 1), picture.at(MIDDLE, 200)) == ([9], [4])
        assert server.picture().at(MIDDLE, 200) == [9]

    def test_locked_scenes_are_visible_at_all_scales(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder) as server:
            server.create("deep", collections=["s2"], minzoom=9)
            path = raster(folder / "a.tif", 7)
            server.add(scene("a", server.url(path)), mosaic="deep")
            above = (Z - 3, X // 8, Y // 8)
            assert server.get(tile_url("", "deep", above)).status_code == 404
            seen = server.picture(tile_url("", "deep", above), lock="a")
            assert (seen.scenes, seen.data.max()) == (["a"], 7)

    def test_a_locked_scene_that_is_gone_is_left_out(self, four: Server) -> None:
        assert four.picture(lock="gone,west").scenes == ["west"]

    def test_an_id_that_may_be_of_any_collection_wants_one(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder) as server:
            server.create()
            put(server, "a", 7)
            put(server, "loose", 8, collection=None)
            answer = server.tile(".npy", lock="a")
            assert answer.status_code == 400
            assert "write it as collection/id" in answer.json()["detail"]
            assert server.picture(lock="s2/a,loose").scenes == ["a"]


class TestSelection:
    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ({"datetime": "2026-01-02T00:00:00Z"}, ["middle"]),
            ({"datetime": "2026-01-02"}, ["middle"]),
            ({"datetime": "2026-01-02/2026-01-03"}, ["north", "middle"]),
            ({"datetime": "2026"}, STORED),
            ({"datetime": "2026-01"}, STORED),
            ({"datetime": "2026/01"}, STORED),
            ({"datetime": "2026/01/02"}, ["middle"]),
            ({"datetime": "2026/2027"}, STORED),
            ({"datetime": "2025/.."}, STORED),
            ({"datetime": "../2026-01"}, STORED),
            ({"datetime": "2025"}, []),
            ({"datetime": "2025-12/2026-01-01"}, ["west"]),
            ({"datetime": "2026-01-02T00:00Z"}, ["middle"]),
            ({"datetime": "../2026-01-01T02:00:00+02:00"}, ["west"]),
            ({"datetime": "2026-01-03T00:00:00.000001Z/.."}, ["bare"]),
            ({"filter": "cloud < 25"}, ["north", "middle"]),
            ({"filter": "NOT cloud < 25"}, ["west"]),
            ({"filter": "datetime = '2026-01-02'"}, ["middle"]),
            ({"filter": "datetime > '2026-01-02'"}, ["bare", "north"]),
            ({"filter": "datetime IN ('2026-01-01', '2026-01-04')"}, ["bare", "west"]),
            ({"filter": "cloud < 0"}, []),
            ({"filter": "cloud BETWEEN 10 AND 20 OR platform = 'b'"}, ["north", "middle", "west"]),
            ({"filter": "cloud IS NULL AND collection = 's2'"}, ["bare"]),
            ({"filter": "id IN ('west', 'bare')"}, ["bare", "west"]),
            ({"filter": "platform LIKE 'a%'"}, ["north"]),
            (
                {
                    "filter": "datetime BETWEEN TIMESTAMP('2026-01-02T00:00:00Z') AND "
                    "TIMESTAMP('2026-01-03T00:00:00Z')"
                },
                ["north", "middle"],
            ),
            (
                {
                    "filter": json.dumps({"op": ">=", "args": [{"property": "cloud"}, 20]}),
                    "filter-lang": "cql2-json",
                },
                ["north", "west"],
            ),
            ({"ids": "west,s2/bare,gone"}, ["bare", "west"]),
            ({"ids": ["west", "north"], "sortby": "cloud"}, ["north", "west"]),
            ({"max_scenes": 2}, ["bare", "north"]),
            ({"filter": "cloud > 0", "datetime": "../2026-01-02", "sortby": "cloud"}, "mw"),
        ],
        ids=str,
    )
    def test_only_scenes_that_pass_take_part(
        self, four: Server, rule: dict[str, Any], expected: list[str] | str
    ) -> None:
        expected = ["middle", "west"] if expected == "mw" else list(expected)
        picture = four.picture(**rule, operation="mean")
        assert picture.scenes == expected
        assert picture.headers.get("X-Truncated", "") == ("max_scenes=2" * ("max_scenes" in rule))

    def test_assets_of_a_tile_are_those_of_the_rule(self, four: Server) -> None:
        told = four.tile("/assets", filter="cloud > 0", sortby="cloud", operation="mean").json()
        assert [one["id"] for one in told["scenes"]] == ["middle", "north", "west"]


def listed(server: Server, mosaic: str = "m", **query: Any) -> list[str]:
    """The scenes of the tile's box as `/items` lists them."""
    west, south, east, north = *lonlat(1, SIZE - 1), *lonlat(SIZE - 1, 1)
    query.setdefault("bbox", f"{west},{south},{east},{north}")
    answer = server.get(f"/mosaics/{mosaic}/items", **query)
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


class TestItems:
    @pytest.mark.parametrize(
        "rule",
        [
            {}, {"ascending": False}, {"sortby": "cloud"}, {"sortby": "-cloud"},
            {"ids": "west,bare"}, {"sortby": "cloud", "sort_value": 21}, {"method": "center"},
            {"method": "northwest"}, {"method": "nadir"}, {"viewpoint": at(28, 128)},
            {"lock": "west,north"}, {"lock": "west,north", "ascending": False},
            {"datetime": "2026-01-02/2026-01-03"},
            {"filter": "cloud < 25", "sortby": "platform"}, {"datetime": "2025"},
            {"mosaicRule": '{"sortField": "cloud", "ascending": false, "mosaicOperation": "mean"}'},
            {"mosaicRule": '{"time": [1767312000000, null], "mosaicOperation": "mean"}'},
            {"assets": "visual"},
        ],
        ids=str,
    )  # fmt: skip
    def test_of_a_box_are_those_of_its_image_in_the_order_of_the_rule(
        self, four: Server, rule: dict[str, Any]
    ) -> None:
        """The image is the oracle: a mean names every scene that has a part in it, top first."""
        mean = {} if "mosaicRule" in rule else {"operation": "mean"}
        assert listed(four, **rule) == four.picture(**rule, **mean).scenes

    def test_the_first_is_on_top(self, four: Server) -> None:
        for rule in ({}, {"sortby": "-cloud"}, {"operation": "last"}, {"pixel_selection": "first"}):
            assert listed(four, **rule)[0] == four.picture(**rule).scenes[0]

    def test_the_default_of_the_mosaic_is_the_rule_of_a_box_alone(self, server: Server) -> None:
        """Pages list everything: `verify` and backfills compare them with a source."""
        settings = {"collections": ["s2"], "properties": KEEPS}
        default = {"filter": "cloud > 10", "sortby": "cloud"}
        server.client.put(
            "/mosaics/m", json=settings | {"rules": {"default": default}}, headers=AUTHORIZED
        )
        assert listed(server) == order(server) == ["north", "west"]
        assert listed(server, sortby="-cloud") == ["west", "north"]
        every = server.get("/mosaics/m/items").json()["features"]
        assert sorted(f["id"] for f in every) == sorted(STORED)

    def test_pages_have_the_scenes_that_are_selected(self, four: Server) -> None:
        url, found = "/mosaics/m/items?limit=1&filter=cloud<25&datetime=2026-01", []
        while url:
            page = four.get(url).json()
            found += [feature["id"] for feature in page["features"]]
            url = next((one["href"] for one in page["links"] if one["rel"] == "next"), "")
        assert sorted(found) == ["middle", "north"]

    @pytest.mark.parametrize("rule", [{"sortby": "cloud"}, {"lock": "west"}, {"ascending": False}])
    def test_without_a_box_there_is_no_order(self, four: Server, rule: dict[str, Any]) -> None:
        answer = four.get("/mosaics/m/items", **rule)
        assert (answer.status_code, "listed in no order" in answer.text) == (400, True)

    def test_how_they_make_an_image_is_named(self, four: Server) -> None:
        url = "/mosaics/m/items?bbox=7,45,8,46&method=center&operation=median"
        assert four.get(url).json()["rule"] == {"method": "center", "operation": "median"}

    def test_a_seamline_stands_for_the_footprint(self, server: Server) -> None:
        west, south = lonlat(0, SIZE)
        middle, north = lonlat(MIDDLE, 0)
        ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
        put(server, "sewn", 9, day=9, cut={"type": "Polygon", "coordinates": [ring]})
        east_of_it = f"{at(MIDDLE + 9, 200)},{at(MIDDLE + 9, 200)}"
        assert "sewn" in listed(server, bbox=east_of_it)
        assert "sewn" not in listed(server, bbox=east_of_it, method="seamline")
        url = f"/mosaics/m/items?bbox={at(9, 9)},{at(9, 9)}&method=seamline"
        assert server.get(url).json()["features"][0]["bbox"] == pytest.approx(
            [west, south, middle, north], abs=1e-6
        )

    def test_a_scene_without_the_assets_takes_no_part(self, server: Server) -> None:
        path = raster(server.folder / "other.tif", 5)
        server.add(scene("other", {"extra": server.url(path)}, day=9))
        assert "other" in listed(server)
        for route in ("/assets", ""):
            names = (
                [one["id"] for one in server.tile("/assets", assets="visual").json()["scenes"]]
                if route
                else listed(server, assets="visual")
            )
            assert ("other" in names, "bare" in names) == (False, True)
        assert listed(server, expression="extra_b1*2") == ["other"]

    def test_a_limit_of_the_search_is_named(self, sqlite_table: SqliteTable, folder: Path) -> None:
        with serving(sqlite_table, folder, max_rows=3) as server:
            fill(server)
            url = "/mosaics/m/items?bbox=-180,-85,180,85"
            assert server.get(url).json()["truncated"] == "max_rows=3"
            assert "truncated" not in server.get(f"{url}&lock=west").json()


class TestArcGIS:
    @pytest.mark.parametrize(
        ("rule", "like"),
        [
            ({}, {}),
            ({"mosaicMethod": "esriMosaicNone", "ascending": True, "sortField": None}, {}),
            ({"mosaicMethod": "esriMosaicNone", "ascending": False}, {"ascending": False}),
            (
                {"mosaicMethod": "esriMosaicAttribute", "sortField": "cloud", "sortValue": 21},
                {"sortby": "cloud", "sort_value": 21},
            ),
            (
                {"mosaicMethod": "ByAttribute", "sortField": "cloud", "ascending": False},
                {"sortby": "-cloud"},
            ),
            ({"sortField": "cloud"}, {"sortby": "cloud"}),
            (
                {
                    "mosaicMethod": "attribute",
                    "sortField": "datetime",
                    "sortValue": "2026/01/02 06:00:00",
                },
                {"sortby": "datetime", "sort_value": "2026-01-02T06:00:00Z"},
            ),
            (
                {
                    "mosaicMethod": "esriMosaicAttribute",
                    "sortField": "datetime",
                    "sortValue": 1767333600000,
                },
                {"sortby": "datetime", "sort_value": "2026-01-02T06:00:00Z"},
            ),
            ({"mosaicMethod": "esriMosaicCenter"}, {"method": "center"}),
            ({"mosaicMethod": "NorthWest"}, {"method": "northwest"}),
            ({"mosaicMethod": "esriMosaicNadir"}, {"method": "nadir"}),
            ({"mosaicMethod": "esriMosaicSeamline"}, {"method": "seamline"}),
            (
                {
                    "mosaicMethod": "esriMosaicViewpoint",
                    "viewpoint": {
                        "x": EDGE.left + 28 * STEP,
                        "y": EDGE.top - 128 * STEP,
                        "spatialReference": {"wkid": 102100},
                    },
                },
                {"viewpoint": at(28, 128)},
            ),
            (
                {"mosaicMethod": "lock-raster", "lockRasterIds": ["west", "north"]},
                {"lock": "west,north"},
            ),
            ({"mosaicMethod": "esriMosaicLockRaster", "lockRasterIds": "west"}, {"lock": "west"}),
            ({"fids": ["west", "bare"]}, {"ids": "west,bare"}),
            ({"time": 1767312000000}, {"datetime": "2026-01-02"}),
            ({"time": [1767312000000, 1767398400000]}, {"datetime": "2026-01-02/2026-01-03"}),
            ({"time": "1767312000000,null"}, {"datetime": "2026-01-02/.."}),
            ({"time": "NULL, 1767312000000"}, {"datetime": "../2026-01-02T00:00:00"}),
            (
                {"mosaicMethod": "esriMosaicAttribute", "sortField": "cloud", "time": [0, None]},
                {"sortby": "cloud"},
            ),
            (
                {"sortField": "datetime", "sortValue": "2026/02"},
                {"sortby": "datetime", "sort_value": "2026-02"},
            ),
            (
                {"sortField": "datetime", "sortValue": "1767312000000"},
                {"sortby": "datetime", "sort_value": "2026-01-02"},
            ),
            ({"where": "cloud < 25"}, {"filter": "cloud < 25"}),
            ({"where": "1=1"}, {}),
            ({"where": ""}, {}),
            (
                {"where": "\"cloud\" != 10 AND (platform IN ('a','c') OR platform LIKE 'b%')"},
                {"ids": "west,north"},
            ),
            (
                {
                    "where": "datetime >= date '2026-01-02' AND "
                    "datetime < timestamp '2026-01-03 12:00:00'"
                },
                {"ids": "middle,north"},
            ),
            (
                {"where": "cloud NOT BETWEEN 15 AND 25 and platform is not null"},
                {"ids": "west,middle"},
            ),
        ],
        ids=str,
    )
    def test_a_rule_in_json_is_the_same_rule(
        self, four: Server, rule: dict[str, Any], like: dict[str, Any]
    ) -> None:
        given = json.dumps({**rule, "mosaicOperation": "MT_MEAN"})
        assert four.picture(mosaicRule=given).scenes == order(four, **like)

    def test_what_arcgis_has_no_word_for_may_be_said_beside_it(self, four: Server) -> None:
        given = json.dumps({"mosaicOperation": "MT_SUM"})
        assert four.picture(mosaicRule=given, datetime="2026-01-01/2026-01-02").at(MIDDLE) == [3]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"method": "sideways"}, "method"),
    ({"method": "attribute"}, "needs sortby"),
    ({"method": "viewpoint"}, "viewpoint '' must be two numbers"),
    ({"method": "lock"}, "needs lock="),
    ({"method": "center", "sortby": "cloud"}, "'attribute' and 'center' are given at once"),
    ({"lock": "a", "viewpoint": "1,2"}, "a rule has one method"),
    ({"sortby": "eo:cloud"}, "sortby 'eo:cloud' is not a property"),
    ({"sortby": "-"}, "needs sortby"),
    ({"sortby": "clouds"}, "sortby 'clouds' (did you mean 'cloud'?) is not a property"),
    ({"sortby": "cloud,-datetime"}, "has several keys"),
    ({"sortby": "-datetime,id"}, "has several keys"),
    ({"sortby": "datetime", "sort_value": "soon"}, "must be a time, as sortby is datetime"),
    ({"sortby": "datetime", "sort_value": "1767225600000"}, "must be a time"),
    ({"sortby": "cloud", "sort_value": "soon"}, "must be a number, as 'cloud' of the scenes is"),
    ({"sortby": "seen", "sort_value": "7"}, "must be a time, as 'seen' of the scenes is"),
    ({"filter-lang": "cql2-text"}, "filter-lang needs a filter"),
    ({"datetime": "2026-01/02"}, "must be a time: 2026"),
    ({"datetime": "2026/01/.."}, "must be a time: 2026"),
    ({"datetime": "2026-W01"}, "must be a time: 2026"),
    ({"datetime": "20260101"}, "must be a time: 2026"),
    ({"sort_value": 3}, "sort_value needs sortby"),
    ({"sortby": "cloud", "sort_value": "nan"}, "must be finite"),
    ({"sortby": "cloud", "sort_value": "1e999"}, "must be finite"),
    ({"viewpoint": "1"}, "viewpoint '1' must be two numbers"),
    ({"viewpoint": "nan,1"}, "within ±360"),
    ({"viewpoint": "1,91"}, "within ±360"),
    ({"datetime": "yesterday"}, "datetime 'yesterday' must be"),
    ({"datetime": "../.."}, "must be a time: 2026"),
    ({"datetime": "2026-01-02/2026-01-01"}, "the earlier first"),
    ({"datetime": "2026-01-01/2026-01-02/2026-01-03"}, "must be a time: 2026"),
    (
        {"filter": "clouds < 3"},
        "asks for 'clouds' (did you mean 'cloud'?); mosaic 'm' can be filtered by: datetime, id",
    ),
    ({"filter": "cloud <"}, "not valid CQL2"),
    ({"filter": "cloud = '10'"}, "takes 'cloud' for a text, but it is a number of the scenes"),
    ({"filter": "platform > 3"}, "takes 'platform' for a number, but it is a text"),
    ({"filter": "cloud"}, "takes 'cloud' for a boolean"),
    ({"filter": "cloud = null"}, "write IS NULL"),
    ({"filter": "cloud BETWEEN 30 AND 10"}, "the smaller first"),
    ({"filter": "id = 3"}, "it is text"),
    ({"filter": "datetime > 'soon'"}, "'soon' for a time"),
    ({"ids": ","}, "ids names no Item"),
    ({"assets": "visual,"}, "names an asset without a name"),
    ({"filter": "cloud < 1e999"}, "not finite"),
    ({"filter": "cloud < 3", "filter-lang": "cql2-json"}, "is not JSON"),
    ({"filter": "[1]", "filter-lang": "cql2-json"}, "not an object"),
    ({"filter": "(" * 1500}, "more than 100 deep"),
    ({"filter": "cloud=" + "- " * 1500 + "1"}, "more than 100 deep"),
    ({"filter": " OR ".join(["cloud=1"] * 450)}, "of CQL2 text at most 4,000 are read"),
    ({"filter": " OR ".join(["cloud=1"] * 330)}, "more than 500 parts"),
    ({"filter": "s_intersects(geometry, POINT(0 0))"}, "operator 's_intersects' is not known"),
    ({"filter": "true"}, "compares nothing"),
    ({"ids": ",".join(map(str, range(101)))}, "names 101 scenes, at most 100"),
    ({"lock": "x" * 1001}, "at most 1000 bytes"),
    ({"max_scenes": 0}, "max_scenes"),
    ({"operation": "median", "pixel_selection": "first"}, "say the same"),
    ({"operation": "average"}, "operation"),
    ({"min_pixels": -1}, "min_pixels"),
    ({"item_render": "gone"}, "there is no render 'gone'"),
    (
        {
            "mosaicRule": "{",
        },
        "is not JSON",
    ),
    ({"mosaicRule": "[]"}, "is not a JSON object"),
    ({"mosaicRule": '{"where": "1=1", "where": "1=2"}'}, "it has a member twice"),
    ({"mosaicRule": "{}", "sortby": "cloud"}, "mosaicRule and sortby are given at once"),
    ({"mosaicRule": '{"time": 0}', "datetime": "2026"}, "mosaicRule has a time, and datetime"),
]
BAD += [
    ({"mosaicRule": json.dumps(rule)}, says)
    for rule, says in [
        ({"method": "none"}, "has 'method', which is not known"),
        ({"mosaicMethod": "esriMosaicUp"}, "'esriMosaicUp' is not known"),
        ({"mosaicOperation": "MT_CUSTOM"}, "'MT_CUSTOM' is not known"),
        ({"ascending": "yes"}, "must be true or false"),
        ({"mosaicMethod": "esriMosaicAttribute"}, "needs sortby"),
        ({"sortField": "cloud", "sortValue": {}}, "must be a number or text"),
        ({"sortField": "datetime", "sortValue": 1e300}, "milliseconds since 1970"),
        ({"viewpoint": [1, 2]}, "must be a point"),
        (
            {"viewpoint": {"x": 1, "y": 2, "spatialReference": {"wkid": 1}}},
            "spatialReference '1' is not known",
        ),
        ({"viewpoint": {"x": float("nan"), "y": 2}}, "within ±360"),
        ({"viewpoint": {"x": 10**400, "y": 2}}, "within ±360"),
        ({"viewpoint": {"x": 1, "y": 2, "spatialReference": "4326"}}, "'4326' is not known"),
        ({"time": 2026}, "milliseconds since 1970, not a year"),
        ({"sortField": "datetime", "sortValue": 10**400}, "milliseconds since 1970"),
        ({"sortField": "cloud", "sortValue": 10**400}, "must be finite"),
        ({"fids": [10**1001]}, "is no Item id"),
        ({"lockRasterIds": 5}, "must be a list of Item ids"),
        ({"fids": ["\ud800"]}, "is no Item id"),
        ({"multidimensionalDefinition": [{}]}, "multidimensionalDefinition"),
        ({"itemRenderingRule": {"rasterFunction": "a", "x": 1}}, "must name a render"),
        ({"where": "UPPER(platform) = 'A'"}, "UPPER(…)"),
        ({"where": "cloud = 1; DROP TABLE x"}, "'; DROP TABLE x'"),
        ({"where": "cloud = (SELECT 1)"}, "not valid CQL2"),
        ({"where": "datetime > date '2026-13-01'"}, "'2026-13-01', which must be like"),
        ({"where": "OBJECTID = 1"}, "asks for 'OBJECTID'"),
    ]
]


@pytest.mark.parametrize(("rule", "says"), BAD, ids=lambda given: str(given)[:80])
def test_what_cannot_be_is_refused_by_name(four: Server, rule: dict[str, Any], says: str) -> None:
    answer = four.tile(**rule)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail"]


USUAL = {"sortby": "cloud", "filter": "cloud > 0", "operation": "mean"}


class TestMosaic:
    """What a mosaic says of rules."""

    def change(self, server: Server, **rules: Any) -> Any:
        settings = {"collections": ["s2"], "properties": KEEPS, "rules": rules}
        return server.client.put("/mosaics/m", json=settings, headers=AUTHORIZED)

    def test_its_default_holds_where_a_request_says_nothing_of_it(self, server: Server) -> None:
        assert self.change(server, default=USUAL).status_code == 200
        assert server.picture().scenes == ["middle", "north", "west"]
        assert server.picture(datetime="2026-01-02/..").scenes == ["middle", "north"]
        assert server.picture(method="none").scenes == ["north", "middle", "west"]
        assert server.picture(filter="cloud IS NULL OR cloud > 10").scenes == [
            "north",
            "west",
            "bare",
        ]
        assert server.picture(operation="first", viewpoint=at(28, 128)).at(MIDDLE) == [1]
        given = json.dumps({"mosaicMethod": "esriMosaicNone", "where": "1=1"})
        assert server.picture(mosaicRule=given).scenes == STORED

    def test_it_is_stored_and_shown_as_it_was_given(self, server: Server) -> None:
        rules = {"default": USUAL, "methods": ["center"], "operations": ["sum"]}
        rules |= {"fields": ["cloud"], "max_scenes": 3, "nadir": "nadir", "seamline": ""}
        rules |= {"scale": {}}
        assert self.change(server, **rules).json()["rules"] == rules
        assert server.get("/mosaics/m").json()["rules"] == rules
        assert server.services.mosaics.get("m").rules.methods == ("center",)

    @pytest.mark.parametrize(
        ("rules", "refused", "says"),
        [
            ({"methods": ["center"]}, {"sortby": "cloud"}, "allowed are default, center"),
            ({"operations": ["max"]}, {"operation": "sum"}, "allowed are first, max"),
            ({"fields": ["seen"]}, {"sortby": "cloud"}, "there are: seen"),
            ({"fields": ["seen"]}, {"filter": "cloud > 1"}, "can be filtered by"),
        ],
        ids=str,
    )
    def test_what_it_does_not_allow_is_refused_and_what_is_allowed(
        self, server: Server, rules: dict[str, Any], refused: dict[str, Any], says: str
    ) -> None:
        assert self.change(server, **rules).status_code == 200
        answer = server.tile(**refused)
        assert (answer.status_code, says in answer.json()["detail"]) == (400, True)
        assert server.tile().status_code == 200

    def test_its_limit_of_scenes_cannot_be_raised(self, server: Server) -> None:
        self.change(server, max_scenes=2, default={"operation": "mean"})
        for asked in ({}, {"max_scenes": 4}):
            picture = server.picture(**asked)
            assert (picture.scenes, picture.headers["X-Truncated"]) == (STORED[:2], "max_scenes=2")
        assert server.picture(max_scenes=1).scenes == STORED[:1]

    @pytest.mark.parametrize(
        ("rules", "says"),
        [
            ({"default": {"sortby": "gone"}}, "sortby 'gone' is not a property"),
            ({"default": {"colour": "red"}}, "rules.default.colour"),
            ({"default": {"mosaicRule": "{}"}}, "rules.default.mosaicRule"),
            ({"fields": ["gone"]}, "'gone', which the mosaic does not keep"),
            ({"nadir": "gone"}, "'gone', which the mosaic does not keep"),
            ({"methods": ["sideways"]}, "rules.methods"),
            ({"max_scenes": 0}, "rules.max_scenes"),
        ],
        ids=str,
    )
    def test_settings_that_no_request_could_follow_are_refused(
        self, server: Server, rules: dict[str, Any], says: str
    ) -> None:
        answer = self.change(server, **rules)
        assert (answer.status_code, says in answer.json()["detail"]) == (400, True), answer.text


@pytest.mark.parametrize("text", ["(" * 5000, "cloud=" + "-" * 3900 + "1"], ids=["(", "-"])
def test_the_filter_of_a_mosaic_is_parsed_within_the_same_bounds(four: Server, text: str) -> None:
    """Beyond them the parser would end the process."""
    answer = four.client.post("/mosaics", json={"id": "n", "filter": text}, headers=AUTHORIZED)
    assert answer.status_code == 400
    assert "the filter" in answer.json()["detail"]


NEW: dict[str, Any] = {"name": "new", "value": 9, "day": 20, "cloud": 1}
AGAIN: dict[str, Any] = {"name": "west", "value": 1, "part": (-200, 0, 256, 256), "day": 1}
TOPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"sortby": "cloud"}, NEW),
    ({"method": "center"}, NEW),
    ({"method": "northwest"}, NEW | {"part": (-300, -300, 256, 256)}),
    ({"viewpoint": at(128, 128)}, NEW),
    ({"ascending": False}, NEW | {"day": 1}),
    ({"operation": "last"}, AGAIN | {"cloud": 31}),
    ({"operation": "mean"}, AGAIN | {"cloud": 31}),
    ({"method": "seamline"}, NEW),
    ({"lock": "west,middle"}, AGAIN | {"cloud": 31}),
    ({"filter": "cloud < 50"}, NEW),
]
"""Rules, and a scene that comes on top by each of them."""


class TestConditional:
    @pytest.mark.parametrize(("rule", "top"), TOPS, ids=str)
    def test_a_scene_that_shows_changes_the_tile_and_one_elsewhere_does_not(
        self, server: Server, rule: dict[str, Any], top: dict[str, Any]
    ) -> None:
        held = {"If-None-Match": server.tile(**rule).headers["ETag"]}
        put(server, "far", 5, (600, 0, 856, 256), day=9, cloud=5)
        known = server.client.get(tile_url(), params=rule, headers=held)
        assert (known.status_code, known.content) == (304, b"")
        put(server, **top)
        changed = server.client.get(tile_url(), params=rule, headers=held)
        assert (changed.status_code, changed.headers["ETag"] != held["If-None-Match"]) == (
            200,
            True,
        )

    @pytest.mark.parametrize("rule", [rule for rule, _ in TOPS], ids=str)
    def test_a_tile_that_is_known_is_said_to_be_so_without_its_pixels(
        self, server: Server, rule: dict[str, Any]
    ) -> None:
        held = {"If-None-Match": server.tile(**rule).headers["ETag"]}
        for cog in server.folder.glob("*.tif"):
            cog.unlink()
        assert server.client.get(tile_url(), params=rule, headers=held).status_code == 304

    def test_each_rule_has_a_tag_of_its_own(self, four: Server) -> None:
        rules = [
            {},
            *(rule for rule, _ in TOPS),
            {"clip": True},
            {"ids": "west"},
            {"sortby": "cloud", "sort_value": 3},
        ]
        tags = {four.tile(**rule).headers["ETag"] for rule in rules}
        assert len(tags) == len(rules)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, CountedTable]]:
    """60 scenes on top of each other, over one COG."""
    folder = tmp_path_factory.mktemp("stack")
    counted = CountedTable(SqliteTable(folder / "table.db"))
    with serving(counted, folder, max_rows=40) as server:
        server.create(properties=["cloud"])
        href = server.url(raster(folder / "one.tif", 1))
        days = range(1, 29)
        scenes = [scene(f"{n}", href, day=days[n % 28], properties={"cloud": n}) for n in range(60)]
        server.add(*scenes)
        yield server, counted


@pytest.fixture
def deep(stack: tuple[Server, CountedTable]) -> tuple[Server, CountedTable]:
    stack[1].forget()
    return stack


def _scenes(answer: Any) -> list[str]:
    return [name for name in answer.headers["X-Scenes"].split(",") if name]


class TestDeepStack:
    @pytest.mark.parametrize(
        "rule", [{}, {"filter": "cloud < 1000"}, {"datetime": "2020-01-01/.."}], ids=str
    )
    def test_the_stored_order_reads_one_page_however_scenes_are_selected(
        self, deep: tuple[Server, CountedTable], rule: dict[str, Any]
    ) -> None:
        server, counted = deep
        shown = server.tile(".png", **rule)
        assert (len(_scenes(shown)), "X-Truncated" in shown.headers) == (1, False)
        assert counted.rows == 10

    @pytest.mark.parametrize(
        "rule", [{"sortby": "cloud"}, {"method": "center"}, {"operation": "last"}], ids=str
    )
    def test_another_order_says_that_it_did_not_see_all_of_them(
        self, deep: tuple[Server, CountedTable], rule: dict[str, Any]
    ) -> None:
        server, counted = deep
        shown = server.tile(".png", **rule)
        assert (len(_scenes(shown)), shown.headers["X-Truncated"]) == (1, "max_rows=40")
        assert counted.rows == 10 + 40

    def test_a_mean_reads_no_more_pages_than_it_has_scenes(
        self, deep: tuple[Server, CountedTable]
    ) -> None:
        server, counted = deep
        shown = server.tile(".png", operation="mean", max_scenes=5)
        assert (len(_scenes(shown)), shown.headers["X-Truncated"]) == (5, "max_scenes=5")
        assert counted.rows == 10

    def test_a_filter_that_few_pass_says_that_it_looked_no_further(
        self, deep: tuple[Server, CountedTable]
    ) -> None:
        server, _ = deep
        picture = server.picture(filter="cloud = 1000")
        assert (picture.scenes, picture.headers["X-Truncated"]) == ([], "max_rows=40")

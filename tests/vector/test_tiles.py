"""Vector tiles over HTTP: layers, rules, limits, caching, and what describes them."""

import json
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import shapely

from api.counted import CountedTable
from api.served import AUTHORIZED, LEFT, SIZE, WHOLE, Server, X, Y, Z, serving
from items import box, item
from livemosaic.table.sqlite import SqliteTable
from vector.decoding import EXTENT, by_mapbox, read

WEB = morecantile.tms.get("WebMercatorQuad")
BASE = "/mosaics/m/vector/WebMercatorQuad"
HERE = f"{BASE}/6/33/22.mvt"


def scene(server: Server, name: str, geometry: Any = None, **rest: Any) -> dict[str, Any]:
    return item(name, geometry, href=f"{server.href}/{name}.tif", **rest)


def names(server: Server, url: str = HERE, **query: Any) -> set[str]:
    answer = server.get(url, **query)
    assert answer.status_code == 200, answer.text
    return {p["id"] for p, _ in by_mapbox(answer.content, "footprints", Path())}


@pytest.fixture
def three(server: Server) -> Server:
    """A new, a cloudy and an old scene of one place."""
    server.create("clouds", properties=["eo:cloud_cover"])
    server.add(
        scene(server, "new", datetime="2026-06-01T00:00:00Z", properties={"eo:cloud_cover": 5}),
        scene(server, "cloudy", datetime="2026-03-01T00:00:00Z", properties={"eo:cloud_cover": 90}),
        scene(server, "old", datetime="2025-01-01T00:00:00Z", properties={"eo:cloud_cover": 7}),
        mosaic="clouds",
    )
    return server


def test_features_have_allowed_fields_alone(server: Server) -> None:
    server.create("two", properties=["eo:cloud_cover", "secret"])
    given = {"eo:cloud_cover": 5, "secret": "x"}
    server.add(scene(server, "a", properties=given), mosaic="two")
    patch = {"rules": {"fields": ["eo:cloud_cover"]}}
    server.client.patch("/mosaics/two", json=patch, headers=AUTHORIZED).raise_for_status()
    body = server.get(HERE.replace("/m/", "/two/")).content
    ((properties, _),) = by_mapbox(body, "footprints", Path())
    assert {*properties} == {"id", "collection", "datetime", "eo:cloud_cover"}
    about = server.get("/mosaics/two/vector/WebMercatorQuad/tilejson.json").json()
    layer = next(each for each in about["vector_layers"] if each["id"] == "footprints")
    assert {*layer["fields"]} == {"id", "collection", "datetime", "eo:cloud_cover"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"new", "cloudy", "old"}),
        ({"datetime": "2026-01-01/.."}, {"new", "cloudy"}),
        ({"filter": "eo:cloud_cover < 10"}, {"new", "old"}),
        ({"ids": "s2/old"}, {"old"}),
        ({"datetime": "1999-01-01/1999-12-31"}, set()),
    ],
    ids=["all", "datetime", "filter", "ids", "none"],
)
def test_rules_select_scenes_as_for_images(
    three: Server, query: dict[str, str], shown: set[str]
) -> None:
    assert names(three, HERE.replace("/m/", "/clouds/"), **query) == shown


def test_the_topmost_scene_comes_last(three: Server) -> None:
    tile = three.get(HERE.replace("/m/", "/clouds/")).content
    order = [p["id"] for p, _ in by_mapbox(tile, "footprints", Path())]
    assert order == ["old", "cloudy", "new"]


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({}, ["old", "cloudy", "new"]),
        ({"sortby": "datetime"}, ["new", "cloudy", "old"]),
        ({"sortby": "eo:cloud_cover"}, ["cloudy", "old", "new"]),
        ({"ascending": "false"}, ["new", "cloudy", "old"]),
        ({"operation": "last"}, ["new", "cloudy", "old"]),
        ({"method": "northwest"}, ["old", "cloudy", "new"]),
    ],
    ids=["stored", "datetime", "property", "descending", "last", "northwest"],
)
@pytest.mark.parametrize("z", [0, 12])
def test_the_order_is_that_of_the_rule_also_below_the_minzoom(
    server: Server, z: int, query: dict[str, str], order: list[str]
) -> None:
    """Where all scenes of the mosaic are looked at, as the area has too many index cells."""
    small = box(7.0, 45.0, 7.02, 45.02)
    server.create("deep", minzoom=12, properties=["eo:cloud_cover"])
    server.add(
        *(
            scene(server, name, small, datetime=f"{day}T00:00:00Z", properties=cover)
            for name, day, cover in [
                ("new", "2026-06-01", {"eo:cloud_cover": 5}),
                ("cloudy", "2026-03-01", {"eo:cloud_cover": 90}),
                ("old", "2025-01-01", {"eo:cloud_cover": 7}),
            ]
        ),
        mosaic="deep",
    )
    tile = WEB.tile(7.01, 45.01, z)
    url = f"/mosaics/deep/vector/WebMercatorQuad/{z}/{tile.x}/{tile.y}.mvt"
    found = by_mapbox(server.get(url, **query).content, "footprints", Path())
    assert [p["id"] for p, _ in found] == order
    wrong = server.get(url, filter="eo:cloud_cover = 'low'")
    assert (wrong.status_code, "eo:cloud_cover" in wrong.json()["detail"]) == (400, True)


@pytest.mark.parametrize("z", [0, 12])
def test_the_layers_of_a_derived_mosaic_lie_over_each_other(server: Server, z: int) -> None:
    for name, day in [("above", "2020-01-01"), ("below", "2026-01-01")]:
        server.create(name, minzoom=12)
        made = scene(server, name, box(7.0, 45.0, 7.02, 45.02), datetime=f"{day}T00:00:00Z")
        server.add(made, mosaic=name)
    sources = [{"mosaic": "above", "z_order": 1}, {"mosaic": "below", "z_order": 2}]
    server.create("stack", sources=sources)
    tile = WEB.tile(7.01, 45.01, z)
    url = f"/mosaics/stack/vector/WebMercatorQuad/{z}/{tile.x}/{tile.y}.mvt"
    found = by_mapbox(server.get(url).content, "footprints", Path())
    assert [p["id"] for p, _ in found] == ["below", "above"]


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        ("6/33/22.mvt", {"layers": "outlines"}, 400, "outlines"),
        ("6/33/22.mvt", {"datetimes": "2026"}, 400, "datetime"),
        ("6/33/22.mvt", {"filter": "eo:cloud_cover <"}, 400, "filter"),
        ("6/64/22.mvt", {}, 404, "64"),
        ("40/0/0.mvt", {}, 404, "40"),
        ("6/33/x.mvt", {}, 400, "x"),
        ("tilejson.json", {"filter": "eo:cloud_cover <"}, 400, "filter"),
        ("tilejson.json", {"layers": "outlines"}, 400, "outlines"),
    ],
)
def test_bad_requests_name_what_is_wrong(
    server: Server, path: str, query: dict[str, str], status: int, word: str
) -> None:
    answer = server.get(f"{BASE}/{path}", **query)
    assert answer.status_code == status, answer.text
    assert word in answer.json()["detail"]


def test_an_unknown_tile_matrix_set_and_one_of_another_place_are_refused(server: Server) -> None:
    assert server.get("/mosaics/m/vector/Nowhere/0/0/0.mvt").status_code == 400
    assert server.get("/mosaics/none/vector/WebMercatorQuad/0/0/0.mvt").status_code == 404


def test_an_empty_tile_has_no_layer(server: Server) -> None:
    answer = server.get(HERE)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_tile_beyond_the_bounds_reads_no_scene(sqlite_table: SqliteTable, tmp_path: Path) -> None:
    """Far below the minzoom a tile reads all scenes; maps request many that have none."""
    counted = CountedTable(sqlite_table)
    with serving(counted, tmp_path) as server:
        server.create("deep", minzoom=12)
        server.add(*(scene(server, f"s{n}") for n in range(9)), mosaic="deep")
        url = "/mosaics/deep/vector/WebMercatorQuad"
        counted.forget()
        assert server.get(f"{url}/2/0/1.mvt").content == b""
        assert counted.rows == 0
        assert names(server, f"{url}/2/2/1.mvt") == {f"s{n}" for n in range(9)}


def test_the_etag_changes_with_what_is_shown(server: Server) -> None:
    server.add(scene(server, "a"))
    first = server.get(HERE).headers["etag"]

    def again(url: str = HERE) -> Any:
        return server.client.get(url, headers={"If-None-Match": first})

    same = again()
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first)
    assert same.headers["cache-control"] == "no-cache"
    assert again(f"{HERE}?datetime=1999").status_code == 200
    server.add(scene(server, "elsewhere", box(-70, -30, -69, -29)))
    assert again().status_code == 304
    server.add(scene(server, "b", box(7.5, 45.5, 8, 46)))
    assert again().status_code == 200
    server.client.delete("/mosaics/m/items/b", params={"collection": "s2"}, headers=AUTHORIZED)
    assert again().status_code == 304


def test_caches_keep_a_tile_as_long_as_an_image(server: Server) -> None:
    server.create("slow", max_age_s=60)
    url = HERE.replace("/m/", "/slow/")
    assert "max-age=10" in server.get(url).headers["cache-control"]  # more may come soon
    server.add(scene(server, "a"), mosaic="slow")
    assert "max-age=60" in server.get(url).headers["cache-control"]


def test_a_private_mosaic_wants_a_token(server: Server) -> None:
    server.create("secret", access="private")
    server.add(scene(server, "a"), mosaic="secret")
    url = HERE.replace("/m/", "/secret/")
    assert server.get(url).status_code == 404
    made = server.client.post("/mosaics/secret/tokens", json={}, headers=AUTHORIZED).json()
    opened = server.get(url, access_token=made["access_token"])
    assert opened.status_code == 200
    assert "private" in opened.headers["cache-control"]
    described = server.get(
        f"{BASE.replace('/m/', '/secret/')}/tilejson.json", access_token=made["access_token"]
    ).json()
    assert made["access_token"] in described["tiles"][0]


ALL = [(x, y) for y in range(-60, 61, 30) for x in range(-180, 180, 30)]


def centred(lon: float, lat: float) -> dict[str, Any]:
    return box(lon - 0.25, lat - 0.25, lon + 0.25, lat + 0.25)


@pytest.mark.parametrize("tms", ["WebMercatorQuad", "WorldCRS84Quad"])
def test_density_counts_each_scene_once_at_each_zoom(server: Server, tms: str) -> None:
    """Their centres lie on the edges of tiles, and at ±180."""
    server.add(
        *(scene(server, f"{x},{y}", centred(x, y)) for x, y in ALL if x > -180),
        *(scene(server, f"180,{y}", across(y)) for y in (-30, 0, 30)),
    )
    count = len(ALL) - 5 + 3
    for z in range(3):
        matrix = morecantile.tms.get(tms).matrix(z)
        total = 0
        for y in range(matrix.matrixHeight):
            for x in range(matrix.matrixWidth):
                total += counted(server, f"/mosaics/m/vector/{tms}/{z}/{x}/{y}.mvt")
        assert total == count, z


def crescent(lon: float, lat: float, radius: float) -> dict[str, Any]:
    """Three quarters of a ring, which is a hundredth of its radius wide."""
    turn = np.linspace(0, 1.5 * np.pi, 60)
    outer = np.column_stack([np.cos(turn), np.sin(turn)]) * radius
    ring = [*outer.tolist(), *(outer[::-1] * 0.99).tolist(), outer[0].tolist()]
    return {"type": "Polygon", "coordinates": [[[x + lon, y + lat] for x, y in ring]]}


@pytest.mark.parametrize(("radius", "z"), [(5, 6), (2, 8), (0.6, 10)])
@pytest.mark.parametrize("query", [{}, {"lock": "s2/ring"}], ids=["indexed", "locked"])
def test_density_counts_a_scene_that_does_not_hold_its_centroid(
    server: Server, radius: float, z: int, query: dict[str, str]
) -> None:
    """It lies in a tile that has no part of the scene, nor an index cell with one."""
    ring = crescent(8.1, 45.2, radius)
    server.add(scene(server, "ring", ring))
    for zoom in (0, z):
        url = f"{BASE}/{zoom}"
        tiles = _tiles_around(ring, zoom)
        assert sum(counted(server, f"{url}/{t.x}/{t.y}.mvt", **query) for t in tiles) == 1, zoom


def _tiles_around(shape: dict[str, Any], z: int) -> list[morecantile.Tile]:
    bounds = shapely.from_geojson(json.dumps(shape)).bounds
    return [*WEB.tiles(*bounds, zooms=[z])]


def test_density_counts_no_scene_that_lies_beyond_the_map(server: Server) -> None:
    """The Alps are on no map of Antarctica; a scene that reaches into a map counts at its edge."""
    server.add(scene(server, "alps"))
    assert counted(server, "/mosaics/m/vector/LINZAntarticaMapTilegrid/0/0/0.mvt") == 0
    server.create("edge")
    server.add(scene(server, "reaching", box(10, 20, 11, 40)), mosaic="edge")
    url = "/mosaics/edge/vector/EuropeanETRS89_LAEAQuad/0/0/0.mvt"
    assert counted(server, url) == len(names(server, url)) == 1


def across(lat: float) -> dict[str, Any]:
    ring = [[179, lat], [-179, lat], [-179, lat + 1], [179, lat + 1], [179, lat]]
    return {"type": "Polygon", "coordinates": [ring]}


def counted(server: Server, url: str, **query: str) -> int:
    answer = server.get(url, layers="density", **query)
    assert answer.status_code == 200, answer.text
    if not answer.content:
        return 0
    layer = read(answer.content)["density"]
    return sum(feature["properties"]["count"] for feature in layer["features"])


def test_density_names_the_newest_and_lies_where_the_scenes_do(server: Server) -> None:
    server.add(
        scene(server, "a", datetime="2026-01-01T00:00:00Z"),
        scene(server, "b", datetime="2026-01-01T00:00:00.5Z"),
        scene(server, "c", centred(-70, -30), datetime="2024-01-01T00:00:00Z"),
    )
    tile = server.get(f"{BASE}/0/0/0.mvt", layers="density").content
    found = {p["count"]: (p["newest"], s) for p, s in by_mapbox(tile, "density", Path())}
    assert found.keys() == {1, 2}
    assert found[2][0] == "2026-01-01T00:00:00.5Z"
    x, y = WEB.xy(7.5, 45.5)
    left, bottom, right, top = WEB.xy_bbox
    place = shapely.Point((x - left) / (right - left) * EXTENT, (top - y) / (top - bottom) * EXTENT)
    assert found[2][1].contains(place)
    assert found[2][1].area == (EXTENT / 16) ** 2


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """2,100 scenes, and a server that looks at few rows."""
    folder = tmp_path_factory.mktemp("many")
    table = SqliteTable(folder / "table.db")
    with serving(table, folder) as server:
        server.create()
        made = [
            scene(server, f"s{n}", box(x, y, x + 0.06, y + 0.06))
            for n in range(2100)
            for x, y in [(6 + n % 60 * 0.05, 43 + n // 60 * 0.05)]
        ]
        server.add(*made)
        with serving(table, folder, max_rows=100) as short:
            yield server, short


def test_density_stands_for_more_than_two_thousand_footprints(many: Any) -> None:
    server, _ = many
    assert counted(server, f"{BASE}/0/0/0.mvt") == 2100
    assert [*read(server.get(f"{BASE}/0/0/0.mvt").content)] == ["density"]
    assert [*read(server.get(f"{BASE}/8/133/93.mvt").content)] == ["footprints"]
    alone = server.get(f"{BASE}/0/0/0.mvt", layers="footprints")
    assert alone.headers["x-truncated"] == "max_footprints=2000"
    assert len(read(alone.content)["footprints"]["features"]) == 2000
    assert "x-truncated" not in server.get(f"{BASE}/0/0/0.mvt").headers


def test_a_tile_says_when_it_leaves_scenes_out(many: Any) -> None:
    _, short = many
    cut = short.get(f"{BASE}/0/0/0.mvt")
    assert cut.headers["x-truncated"] == "max_rows=1000"
    assert len(read(cut.content)["footprints"]["features"]) == 1000
    assert "x-truncated" not in short.get(f"{BASE}/10/533/372.mvt").headers


def test_coverage_is_where_the_image_has_pixels(server: Server) -> None:
    values = np.full((1, SIZE, SIZE), 9, np.uint8)
    values[:, 100:140, 60:90] = 0
    server.publish("holed", values, WHOLE, nodata=0)
    path = f"{BASE}/{Z}/{X}/{Y}.mvt"
    tile = server.get(path, layers="coverage").content
    ((_, shape),) = by_mapbox(tile, "coverage", Path())
    assert shape.is_valid
    unit = EXTENT // SIZE
    inside = shapely.box(0, 0, EXTENT, EXTENT)
    hole = shapely.box(60 * unit, 100 * unit, 90 * unit, 140 * unit)
    assert (shape & inside).equals(inside - hole)
    assert server.get(path, layers="coverage", datetime="1999").content == b""


def test_coverage_names_scenes_that_cannot_be_read(server: Server) -> None:
    server.publish("kept", 9, LEFT)
    server.publish("gone", 9, day=2).unlink()
    answer = server.get(f"{BASE}/{Z}/{X}/{Y}.mvt", layers=["coverage", "footprints"])
    assert "gone=" in answer.headers["x-skipped-scenes"]
    assert set(read(answer.content)) == {"coverage", "footprints"}


def test_coverage_begins_at_the_minzoom(server: Server) -> None:
    server.create("deep", minzoom=5)
    url = f"{BASE.replace('/m/', '/deep/')}/0/0/0.mvt"
    assert server.get(url, layers="coverage").status_code == 404
    assert server.get(url, layers=["coverage", "footprints"]).status_code == 200


def test_the_tilejson_leads_to_tiles_and_names_their_layers(three: Server) -> None:
    base = BASE.replace("/m/", "/clouds/")
    found = three.get(f"{base}/tilejson.json", datetime="2026-01-01/..").json()
    assert found["tilejson"] == "3.0.0"
    layers = {layer["id"]: layer for layer in found["vector_layers"]}
    assert list(layers) == ["footprints", "density"]
    assert set(layers["footprints"]["fields"]) == {"id", "collection", "datetime", "eo:cloud_cover"}
    (template,) = found["tiles"]
    url = template.replace("{z}", "6").replace("{x}", "33").replace("{y}", "22")
    assert names(three, url) == {"new", "cloudy"}
    asked = three.get(f"{base}/tilejson.json", layers=["coverage", "footprints"]).json()
    assert [layer["id"] for layer in asked["vector_layers"]] == ["coverage", "footprints"]
    assert "layers=coverage&layers=footprints" in asked["tiles"][0]


def test_the_tileset_is_of_vectors(three: Server) -> None:
    found = three.get(BASE.replace("/m/", "/clouds/")).json()
    assert found["dataType"] == "vector"
    assert [layer["id"] for layer in found["layers"]] == ["footprints", "density"]
    (item_link,) = (link for link in found["links"] if link["rel"] == "item")
    assert item_link["type"] == "application/vnd.mapbox-vector-tile"
    url = item_link["href"].replace("{tileMatrix}", "6")
    url = url.replace("{tileCol}", "33").replace("{tileRow}", "22")
    assert names(three, url) == {"new", "cloudy", "old"}

"""What cannot be answered is refused in words that name the value, and nothing else suffers."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.served import Server, serving, tile_url
from livemosaic.table.sqlite import SqliteTable

Z10 = "/mosaics/m/tiles/WebMercatorQuad/10"
GOOD = tile_url()

BAD: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "unknown mosaic": (tile_url(mosaic="nowhere"), {}, 404, "'nowhere'"),
    "mosaic that cannot be": (tile_url(mosaic="a%20b"), {}, 404, "'a b'"),
    "mosaic id of 5,000 characters": (tile_url(mosaic="m" * 5000), {}, 404, "mmmm"),
    "mosaic id in Arabic": (tile_url(mosaic="م"), {}, 404, "م"),
    "x beyond the matrix": (f"{Z10}/1024/365", {}, 404, "10/1024/365"),
    "y beyond the matrix": (f"{Z10}/534/1024", {}, 404, "10/534/1024"),
    "x of 30 digits": (f"{Z10}/{'9' * 30}/365", {}, 404, "9" * 30),
    "x of 5,000 digits": (f"{Z10}/{'9' * 5000}/365", {}, 400, "x:"),
    "negative x": (f"{Z10}/-1/365", {}, 404, "-1"),
    "negative zoom": ("/mosaics/m/tiles/WebMercatorQuad/-1/0/0", {}, 404, "-1"),
    "zoom below minzoom": ("/mosaics/high/tiles/WebMercatorQuad/4/8/5", {}, 404, "minzoom 5"),
    "zoom below minzoom in another matrix set": (
        "/mosaics/high/tiles/WorldCRS84Quad/3/8/2",
        {},
        404,
        "minzoom 5",
    ),
    "zoom beyond the matrix set": ("/mosaics/m/tiles/WebMercatorQuad/25/0/0", {}, 404, "25"),
    "zoom 2000": ("/mosaics/m/tiles/WebMercatorQuad/2000/0/0", {}, 404, "2000"),
    "zoom 1e3": ("/mosaics/m/tiles/WebMercatorQuad/1e3/0/0", {}, 400, "'1e3'"),
    "zoom in Arabic digits": ("/mosaics/m/tiles/WebMercatorQuad/٣/0/0", {}, 400, "٣"),
    "zoom 1.5": ("/mosaics/m/tiles/WebMercatorQuad/1.5/0/0", {}, 400, "'1.5'"),
    "y with letters": (f"{Z10}/534/abc", {}, 400, "'abc'"),
    "unknown matrix set": ("/mosaics/m/tiles/Nowhere/1/0/0", {}, 400, "'Nowhere'"),
    "unknown format": (tile_url(".gif"), {}, 400, "'gif'"),
    "unknown long format": (tile_url("." + "x" * 3000), {}, 400, "xxxx"),
    "scale 9": (tile_url("@9x"), {}, 400, "@9x"),
    "scale 0": (tile_url("@0x"), {}, 400, "@0x"),
    "scale -1": (tile_url("@-1x.png"), {}, 400, "-1"),
    "scale two": (tile_url("@twox"), {}, 400, "two"),
    "unknown asset": (GOOD, {"assets": "swir"}, 400, "'swir'"),
    "17 assets": (GOOD, {"assets": ",".join(["visual"] * 17)}, 400, "17"),
    "rescale nan,nan": (GOOD, {"rescale": "nan,nan"}, 400, "'nan,nan'"),
    "rescale 5,5": (GOOD, {"rescale": "5,5"}, 400, "'5,5'"),
    "rescale 10,0": (GOOD, {"rescale": "10,0"}, 400, "'10,0'"),
    "rescale 1": (GOOD, {"rescale": "1"}, 400, "'1'"),
    "rescale a,b": (GOOD, {"rescale": "a,b"}, 400, "'a,b'"),
    "rescale 1,2,3": (GOOD, {"rescale": "1,2,3"}, 400, "'1,2,3'"),
    "rescale inf": (GOOD, {"rescale": "0,inf"}, 400, "'0,inf'"),
    "rescale nothing": (GOOD, {"rescale": ""}, 400, "''"),
    "two rescales for three bands": (GOOD, {"rescale": ["0,1", "0,2"]}, 400, "2 ranges"),
    "65 rescales": (GOOD, {"rescale": ["0,1"] * 65}, 400, "65"),
    "a query of 12 KB": (GOOD, {"x": "y" * 12_000}, 414, "12,"),
    "tilesize beyond the cap": (GOOD, {"tilesize": 16384}, 400, "16384"),
    "tilesize times scale beyond the cap": (tile_url("@4x"), {"tilesize": 512}, 400, "2048"),
    "tilesize 0": (GOOD, {"tilesize": 0}, 400, "0"),
    "tilesize -1": (GOOD, {"tilesize": -1}, 400, "-1"),
    "tilesize big": (GOOD, {"tilesize": "big"}, 400, "'big'"),
    "tilesize of 100 digits": (GOOD, {"tilesize": "9" * 100}, 400, "999"),
    "band 9": (GOOD, {"bidx": 9}, 400, "band 9"),
    "band 0": (GOOD, {"bidx": 0}, 400, "0"),
    "band -1": (GOOD, {"bidx": -1}, 400, "-1"),
    "band one": (GOOD, {"bidx": "one"}, 400, "'one'"),
    "500 bands": (GOOD, {"bidx": [1] * 500}, 400, "500"),
    "expression 9**9**9": (GOOD, {"expression": "9**9**9"}, 400, "expression"),
    "expression with an import": (GOOD, {"expression": "__import__('os')"}, 400, "expression"),
    "expression with an attribute": (GOOD, {"expression": "b1.__class__"}, 400, "expression"),
    "expression over an unknown band": (GOOD, {"expression": "b7*2"}, 400, "'b7'"),
    "expression over an unknown asset": (GOOD, {"expression": "swir*2"}, 400, "'swir'"),
    "expression cut short": (GOOD, {"expression": "b1+"}, 400, "expression"),
    "expression of parentheses": (GOOD, {"expression": "(" * 900}, 400, "expression"),
    "expression of 2,700 characters": (GOOD, {"expression": "b1+" * 900}, 400, "2700"),
    "unknown colormap": (GOOD, {"colormap_name": "plaid"}, 400, "plaid"),
    "colormap of a path": (GOOD, {"colormap_name": "../../etc/passwd"}, 400, "colormap"),
    "colormap for three bands": (GOOD, {"colormap_name": "viridis"}, 400, "3"),
    "nodata inf": (GOOD, {"nodata": "inf"}, 400, "nodata"),
    "nodata none": (GOOD, {"nodata": "none"}, 400, "'none'"),
    "unknown resampling": (GOOD, {"resampling": "magic"}, 400, "'magic'"),
    "unscale perhaps": (GOOD, {"unscale": "perhaps"}, 400, "'perhaps'"),
    "assets of a tile beyond the matrix": (f"{Z10}/1024/365/assets", {}, 404, "1024"),
    "assets of a zoom beyond": ("/mosaics/m/tiles/WebMercatorQuad/25/0/0/assets", {}, 404, "25"),
    "tilejson of an unknown matrix set": (
        "/mosaics/m/tiles/Nowhere/tilejson.json",
        {},
        400,
        "'Nowhere'",
    ),
    "tilejson of an unknown mosaic": (
        "/mosaics/nowhere/tiles/WebMercatorQuad/tilejson.json",
        {},
        404,
        "'nowhere'",
    ),
    "tilejson with an unknown format": (
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        {"tile_format": "gif"},
        400,
        "'gif'",
    ),
    "tilejson with a bad rescale": (
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        {"rescale": "9,1"},
        400,
        "'9,1'",
    ),
    "tilejson with a bad expression": (
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        {"expression": "9**9**9"},
        400,
        "expression",
    ),
    "tilejson with an unknown colormap": (
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        {"colormap_name": "plaid"},
        400,
        "plaid",
    ),
    "tilejson of scale 9": (
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        {"tile_scale": 9},
        400,
        "9",
    ),
    "item id of 5,000 characters": ("/mosaics/m/items/" + "x" * 5000, {}, 404, "xxxx"),
    "collection of 5,000 characters": ("/mosaics/m/items/a", {"collection": "x" * 5000}, 404, "a"),
    "info of an unknown mosaic": ("/mosaics/nowhere/info", {}, 404, "'nowhere'"),
}


@pytest.fixture(scope="module")
def with_a_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: that no request harms the next is what is tested."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create()
        server.publish("a", [10, 20, 30])
        server.create("high", minzoom=5)
        yield server


@pytest.mark.parametrize(("url", "query", "status", "named"), BAD.values(), ids=BAD)
def test_it_is_refused_and_the_next_tile_is_fine(
    with_a_scene: Server, url: str, query: dict[str, Any], status: int, named: str
) -> None:
    answer = with_a_scene.get(url, **query)
    assert answer.status_code == status, answer.text[:500]
    detail = answer.json()["detail"]
    assert named in detail
    assert len(detail) < 1000
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text
    assert with_a_scene.picture().at(9) == [10, 20, 30]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"expression": "9**9**9"}, "expression"),
        ({"rescale": "5,5"}, "'5,5'"),
        ({"colormap_name": "plaid"}, "plaid"),
        ({"tilesize": 0}, "0"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_where_the_tile_is_empty_too(
    server: Server, query: dict[str, Any], named: str
) -> None:
    """Else a map would break at the first scene that comes in."""
    answer = server.tile(**query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    "url", ["/nowhere", "/mosaics/m/nowhere", "/mosaics/m/tiles/WebMercatorQuad/1"]
)
def test_a_path_that_is_none_is_not_found(server: Server, url: str) -> None:
    answer = server.get(url)
    assert answer.status_code == 404
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/mosaics", "GET, HEAD, POST"),
        ("/mosaics/m", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/mosaics/m/items", "GET, HEAD, POST"),
        ("/mosaics/m/items/x", "DELETE, GET, HEAD"),
        ("/mosaics/m/point/1,2", "GET, HEAD"),
        ("/tokens", "POST"),
        ("/static/map.css", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_answered_with_the_ones_it_has(
    server: Server, path: str, methods: str
) -> None:
    answer = server.client.request("TRACE", path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == methods
    assert answer.json()["status"] == 405


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_tile_is_only_read(server: Server, method: str) -> None:
    answer = server.client.request(method, GOOD, headers={"Content-Length": "0"})
    assert answer.status_code == 405

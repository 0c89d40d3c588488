"""Items named by `ids` and `lock` that no scene has are named, on every route and table."""

import json
from typing import Any

import pytest

from api.served import AUTHORIZED, Server, footprint, scene, tile_url

MISSING = "X-Missing-Items"
COLLECTIONS = {"any": ["*"], "one": ["s2"], "three": ["s1", "s2", "s2$x"]}
FEATURE = {"type": "Feature", "geometry": footprint(), "properties": {}}
BOX = "/mosaics/any/bbox/7.7,45.1,8,45.4"
ROUTES = [
    tile_url(".png", "any"), tile_url("/assets", "any"), f"{BOX}/64x64.png", f"{BOX}/assets",
    "/mosaics/any/map?bbox=7.7,45.1,8,45.4&width=64&height=64", "/mosaics/any/point/7.8,45.3",
    "/mosaics/any/point/7.8,45.3/assets", "/mosaics/any/items", "/mosaics/any/items?bbox=7,45,8,46",
    "/mosaics/any/tiles/WebMercatorQuad/tilejson.json",
]  # fmt: skip


@pytest.fixture
def filled(any_server: Server) -> Server:
    """Mosaics with `s2/a`, `s2/b` and, where they take it, `s2$x/c` and the loose `d`."""
    for name, collections in COLLECTIONS.items():
        any_server.create(name, collections=collections)
    for item, collection in {"a": "s2", "b/b": "s2", "c": "s2$x", "d": None}.items():
        document = scene(item, f"{any_server.href}/none.tif", collection=collection)
        any_server.client.post("/items", json=document, headers=AUTHORIZED).raise_for_status()
    return any_server


@pytest.fixture
def server(server: Server) -> Server:
    server.create("any")
    server.add(scene("a", f"{server.href}/none.tif", collection="s2"), mosaic="any")
    return server


CASES = [
    ("any", "a", None), ("any", "a,b/b,c,d", None), ("any", "s2/a,s2/b/b,s2$x/c", None),
    ("any", "a,gone", "gone"), ("any", "a,s2/gone,s1/a,c", "s2/gone,s1/a"),
    ("one", "a,b/b", None), ("one", "a,c", "c"), ("one", "a,s2/a,s1/a", "s1/a"),
    ("three", "a,c", None), ("three", "c,d,ü", "d,%C3%BC"),
    ("any", f"a,{'x' * 900}/{'y' * 90}", "x" * 80),
]  # fmt: skip


def test_the_ones_that_no_scene_has_are_named(filled: Server) -> None:
    """In one test: the tables of the emulator take their time."""
    for mosaic, ids, missing in CASES:
        answer = filled.get(f"/mosaics/{mosaic}/items", ids=ids)
        assert (answer.status_code, answer.headers.get(MISSING)) == (200, missing), ids
    for mosaic in COLLECTIONS:
        answer = filled.get(f"/mosaics/{mosaic}/items", ids="gone,s2/lost")
        detail = f"no scene of mosaic '{mosaic}' has the id 'gone', 's2/lost'"
        assert (answer.status_code, answer.json()["detail"]) == (404, detail)


@pytest.mark.parametrize("url", ROUTES)
def test_every_route_names_them(server: Server, url: str) -> None:
    join = "&" if "?" in url else "?"
    assert server.get(f"{url}{join}ids=a,gone").headers[MISSING] == "gone"
    assert MISSING not in server.get(f"{url}{join}ids=a").headers
    assert MISSING not in server.get(url).headers
    assert server.get(f"{url}{join}ids=gone").status_code == 404


def test_a_body_is_no_hindrance(server: Server) -> None:
    for url in ("/mosaics/any/statistics", "/mosaics/any/feature/64x64.png"):
        answer = server.client.post(f"{url}?ids=a,gone", json=FEATURE)
        assert answer.headers[MISSING] == "gone"


@pytest.mark.parametrize(
    "rule",
    [
        {"lock": "s2/a,s2/gone"},
        {"mosaicRule": json.dumps({"fids": ["s2/a", "s2/gone"]})},
        {"mosaicRule": json.dumps({"mosaicMethod": "LockRaster", "lockRasterIds": "s2/a,s2/gone"})},
    ],
    ids=str,
)
def test_so_are_locked_ones_and_ones_of_arcgis(server: Server, rule: dict[str, Any]) -> None:
    assert server.get(tile_url(".png", "any"), **rule).headers[MISSING] == "s2/gone"


def test_ids_of_a_default_rule_may_come_later(server: Server) -> None:
    default = {"rules": {"default": {"ids": ["later"]}}}
    server.client.put("/mosaics/any", json=default, headers=AUTHORIZED).raise_for_status()
    answer = server.get(tile_url(".png", "any"))
    assert (answer.status_code, MISSING in answer.headers) == (200, False)

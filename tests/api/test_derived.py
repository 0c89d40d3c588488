"""Derived mosaics: what they show of their sources, in which order, and what they refuse."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from api.served import AUTHORIZED, LEFT, RIGHT, WHOLE, Server, Z, raster, scene, tile_url
from livemosaic.errors import InvalidRequestError
from livemosaic.index.registry.mosaic import put_of
from livemosaic.model.derived.sources import MosaicSource
from livemosaic.model.mosaic import Mosaic


@pytest.fixture
def sources(server: Server) -> Server:
    """A server with two mosaics of scenes: `a` has 10 on the left, `b` has 20 everywhere."""
    for name in ("a", "b"):
        server.create(name, properties=["gsd"])
    server.publish("one", 10, LEFT, day=1, mosaic="a")
    server.publish("two", 20, WHOLE, day=2, mosaic="b")
    return server


def derive(server: Server, *sources: Mapping[str, Any] | str, name: str = "d", **more: Any) -> Any:
    """Create a mosaic of sources, which must be taken."""
    given = [{"mosaic": each} if isinstance(each, str) else each for each in sources]
    return server.create(name, sources=given, **more)


def at(server: Server, column: int = 20, mosaic: str = "d", tile: Any = None, **query: Any) -> Any:
    """The values of a pixel of the tile."""
    url = tile_url(mosaic=mosaic, tile=tile) if tile else tile_url(mosaic=mosaic)
    return server.picture(url, **query).at(column)


def refused(answer: Any, status: int, *words: str) -> None:
    """The answer names what is wrong."""
    assert answer.status_code == status, answer.text
    for word in words:
        assert word in answer.json()["detail"]


def patch(server: Server, mosaic: str, **settings: Any) -> Any:
    return server.client.patch(f"/mosaics/{mosaic}", json=settings, headers=AUTHORIZED)


def delete(server: Server, mosaic: str, **query: Any) -> Any:
    return server.client.delete(f"/mosaics/{mosaic}", params=query, headers=AUTHORIZED)


def test_sources_of_one_z_order_are_one_stack(sources: Server) -> None:
    derive(sources, "a", "b")
    assert at(sources, 20) == at(sources, 200) == [20]
    sources.publish("three", 30, RIGHT, day=3, mosaic="a")
    assert (at(sources, 20), at(sources, 200)) == ([20], [30])


def test_the_smaller_z_order_is_on_top(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1}, "b")
    assert (at(sources, 20), at(sources, 200)) == ([10], [20])


def test_a_z_order_counts_before_the_order_of_a_rule(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1}, "b")
    for rule in ({"sortby": "-datetime"}, {"ascending": False}, {"method": "center"}):
        assert at(sources, 20, **rule) == [10]
    assert at(sources, 20, operation="last") == [20]
    assert at(sources, 20, operation="mean") == [15]


def test_a_source_shows_between_its_zooms_by_the_size_of_pixels(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1, "minzoom": Z + 1}, "b")
    assert at(sources, 20) == [20]
    larger = sources.get(f"{tile_url('@2x', 'd')}.npy")
    assert np.load(io.BytesIO(larger.content))[0, 20, 20] == 10


@pytest.mark.parametrize("tms", ["EuropeanETRS89_LAEAQuad", "UPSArcticWGS84Quad"])
def test_a_box_off_the_grid_of_all_sources_is_empty(server: Server, tms: str) -> None:
    server.create("a", tms=tms)
    derive(server, "a", tms=tms)
    scenes = server.get("/mosaics/d/bbox/-120,-50,-119,-49/assets")
    image = server.get("/mosaics/d/bbox/-120,-50,-119,-49/64x64.npy")
    assert (scenes.status_code, scenes.json()) == (200, {"scenes": []})
    assert image.status_code == 200, image.text
    assert not np.load(io.BytesIO(image.content))[-1].any()


def test_a_filter_of_a_source_hides_its_other_scenes(sources: Server) -> None:
    fine = raster(sources.folder / "fine.tif", 30, RIGHT)
    sources.add(scene("fine", sources.url(fine), RIGHT, properties={"gsd": 0.3}), mosaic="a")
    derive(sources, {"mosaic": "a", "z_order": -1, "filter": "gsd < 0.5"}, "b")
    assert (at(sources, 20), at(sources, 200)) == ([20], [30])
    listed = sources.get("/mosaics/d/items").json()["features"]
    assert sorted(each["id"] for each in listed) == ["fine", "two"]
    assert sources.get("/mosaics/d/items/one", collection="s2").status_code == 404


def test_assets_of_a_source_have_other_names(server: Server) -> None:
    server.create("a")
    server.create("b")
    path = raster(server.folder / "b4.tif", 40, LEFT)
    other = raster(server.folder / "other.tif", 50, LEFT)
    server.add(scene("x", {"B4": server.url(path), "visual": server.url(other)}, LEFT), mosaic="a")
    server.publish("two", 20, RIGHT, mosaic="b")
    derive(server, {"mosaic": "a", "assets": {"visual": "B4"}}, "b")
    assert (at(server, 20), at(server, 200)) == ([40], [20])
    shown = server.get("/mosaics/d/items/x", collection="s2").json()
    assert shown["assets"].keys() == {"visual"}
    refused(server.get(f"{tile_url(mosaic='d')}.npy", assets="B4"), 400, "B4")


def test_a_scene_of_two_sources_is_one_scene(sources: Server) -> None:
    sources.publish("two", 70, WHOLE, day=2, mosaic="a")
    derive(sources, {"mosaic": "a", "z_order": -1}, "b")
    assert at(sources, 200) == [70]
    assert at(sources, 200, operation="count") == [1]
    listed = sources.get("/mosaics/d/items").json()["features"]
    assert sorted(each["id"] for each in listed) == ["one", "two"]
    searched = sources.get("/search", collections="d", limit=1).json()
    assert len(searched["features"]) == 1


def test_an_etag_changes_with_what_a_source_shows_and_no_sooner(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1}, "b")
    url = f"{tile_url(mosaic='d')}.png"
    tag = sources.get(url).headers["ETag"]

    def same() -> bool:
        answer = sources.client.get(url, headers={"If-None-Match": tag})
        return answer.status_code == 304

    assert same()
    patch(sources, "a", title="other")
    patch(sources, "d", sources=[{"mosaic": "a", "z_order": -5}, {"mosaic": "b"}])
    assert same()
    patch(sources, "d", sources=[{"mosaic": "a", "z_order": 5}, {"mosaic": "b"}])
    assert not same()
    tag = sources.get(url).headers["ETag"]
    sources.publish("four", 5, WHOLE, day=9, mosaic="b")
    assert not same()


def test_a_source_on_another_grid_is_refused(server: Server) -> None:
    server.create("a", tms="EuropeanETRS89_LAEAQuad")
    body = {"id": "d", "sources": [{"mosaic": "a"}]}
    refused(
        server.client.post("/mosaics", json=body, headers=AUTHORIZED),
        400,
        "EuropeanETRS89_LAEAQuad",
    )


def test_one_z_order_has_one_order(server: Server) -> None:
    server.create("a", sortby="eo:cloud_cover")
    body = {"id": "d", "sources": [{"mosaic": "m"}, {"mosaic": "a"}]}
    answer = server.client.post("/mosaics", json=body, headers=AUTHORIZED)
    refused(answer, 400, "eo:cloud_cover", "z_order")
    derive(server, "m", {"mosaic": "a", "z_order": 1})


def test_a_source_must_be_there(server: Server) -> None:
    body = {"id": "d", "sources": [{"mosaic": "nowhere"}]}
    refused(server.client.post("/mosaics", json=body, headers=AUTHORIZED), 400, "nowhere")


def test_no_circle_can_be_made(sources: Server) -> None:
    derive(sources, "a")
    derive(sources, "d", name="e")
    refused(patch(sources, "d", sources=[{"mosaic": "e"}]), 400, "shows itself")
    refused(patch(sources, "d", sources=[{"mosaic": "d"}]), 400, "shows itself")


def test_a_nested_source_is_a_stack_within_the_stack(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": 5}, {"mosaic": "b", "z_order": 9}, name="inner")
    sources.publish("top", 30, (0, 0, 64, 256), day=1)
    derive(sources, "m", {"mosaic": "inner", "z_order": 1})
    assert [at(sources, column) for column in (20, 100, 200)] == [[30], [10], [20]]
    refused(
        patch(sources, "d", sources=[{"mosaic": "m"}, {"mosaic": "inner"}]), 400, "several z_orders"
    )


def test_depth_and_number_of_sources_are_bounded(sources: Server) -> None:
    derive(sources, "a", name="d1")
    derive(sources, "d1", name="d2")
    derive(sources, "d2", name="d3")
    body = {"id": "d4", "sources": [{"mosaic": "d3"}]}
    refused(sources.client.post("/mosaics", json=body, headers=AUTHORIZED), 400, "3 steps")
    derive(sources, *[{"mosaic": "a", "z_order": n} for n in range(16)], name="wide")
    body = {"id": "w", "sources": [{"mosaic": "wide"}, {"mosaic": "b", "z_order": 1}]}
    refused(sources.client.post("/mosaics", json=body, headers=AUTHORIZED), 400, "16 sources")


def test_a_private_source_is_never_shown_to_all(sources: Server) -> None:
    derive(sources, "a", "b")
    derive(sources, "d", name="outer")
    assert sources.get(f"{tile_url(mosaic='outer')}.png").status_code == 200
    patch(sources, "a", access="private")
    for path in ("/mosaics/d", f"{tile_url(mosaic='d')}.png", f"{tile_url(mosaic='outer')}.png"):
        assert sources.get(path).status_code == 404
    listed = sources.get("/mosaics").json()["mosaics"]
    assert [each["id"] for each in listed] == ["b", "m"]
    body = {"id": "x", "sources": [{"mosaic": "a"}]}
    refused(sources.client.post("/mosaics", json=body, headers=AUTHORIZED), 400, "private")
    derive(sources, "a", name="x", access="private")
    refused(patch(sources, "x", access="public"), 400, "private")
    token = sources.client.post("/mosaics/x/tokens", json={}, headers=AUTHORIZED)
    secret = token.json()["access_token"]
    assert at(sources, 20, "x", access_token=secret) == [10]


def test_a_source_is_not_deleted_unless_it_is_forced(sources: Server) -> None:
    derive(sources, "a", "b")
    refused(delete(sources, "b"), 409, "d", "force")
    url = f"{tile_url(mosaic='d')}.png"
    tag = sources.get(url).headers["ETag"]
    assert delete(sources, "b", force=True).status_code == 204
    answer = sources.client.get(url, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    for path in (url, "/mosaics/d", "/mosaics/d/point/7.8,45.7", "/mosaics/d/items"):
        assert sources.get(path).headers["X-Missing-Sources"].startswith("b="), path
    known = {"If-None-Match": answer.headers["ETag"]}
    assert sources.client.get(url, headers=known).headers["X-Missing-Sources"]
    assert "X-Missing-Sources" not in sources.get("/mosaics/a").headers
    assert sources.get("/mosaics/d").json()["missing_sources"] == ["b"]
    assert (at(sources, 20), at(sources, 200)) == ([10], None)


@pytest.mark.parametrize("now", [{"sortby": "gsd"}, {"tms": "EuropeanETRS89_LAEAQuad"}], ids=str)
def test_a_source_created_again_that_no_longer_fits_is_missing(
    sources: Server, now: dict[str, str]
) -> None:
    derive(sources, "a", "b")
    delete(sources, "a", force=True)
    sources.create("a", properties=["gsd"], **now)
    path = raster(sources.folder / "again.tif", 99)
    sources.add(scene("again", sources.url(path), day=9), mosaic="a")
    shown = sources.get("/mosaics/d").json()
    missing = shown["missing_sources"]
    assert len(missing) == 1
    answer = sources.get(f"{tile_url(mosaic='d')}.png")
    for setting in now.values():
        assert setting in answer.headers["X-Missing-Sources"]
    listed = {each["id"] for each in sources.get("/mosaics/d/items").json()["features"]}
    assert listed == ({"again"} if missing == ["b"] else {"two"})
    refused(patch(sources, "d", sources=[{"mosaic": "a"}, {"mosaic": "b"}]), 400, *now.values())
    two = [{"mosaic": "a", "z_order": -1}, {"mosaic": "b"}]
    if "sortby" in now:
        assert patch(sources, "d", sources=two).status_code == 200
        assert at(sources) == [99]


def test_a_derived_mosaic_takes_no_items(sources: Server) -> None:
    derive(sources, "a", "b")
    refused(sources.post(scene("x", "https://a.test/x.tif"), "d"), 400, "derived", "a, b")
    gone = sources.client.delete("/mosaics/d/items/one", headers=AUTHORIZED)
    refused(gone, 400, "derived")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"collections": ["c"]}, "subscribe"),
        ({"filter": "gsd < 1"}, "filter"),
        ({"assets": ["visual"]}, "assets"),
        ({"overviews": {}}, "overviews"),
        ({"sources": []}, "stays so"),
    ],
    ids=["collections", "filter", "assets", "overviews", "no sources"],
)
def test_settings_of_scenes_of_its_own_are_refused(
    sources: Server, settings: dict[str, Any], word: str
) -> None:
    derive(sources, "a", "b")
    refused(patch(sources, "d", **settings), 400, word)


def test_what_a_mosaic_shows_can_be_put_back(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1, "filter": "gsd < 5"}, "b", title="Best")
    shown = sources.get("/mosaics/d").json()
    state = {"id", "revision", "bounds", "levels", "known_assets", "shown_assets", "format"}
    state |= {"deepest_zoom", "missing_sources"}
    settings = {k: v for k, v in shown.items() if k not in state}
    put = sources.client.put("/mosaics/d", json=settings, headers=AUTHORIZED)
    assert put.status_code == 200, put.text
    assert {**put.json(), **sources.get("/mosaics/d").json()}["sources"] == shown["sources"]


def test_changes_of_a_derived_mosaic_are_those_of_its_sources(sources: Server) -> None:
    derive(sources, "a", "b")
    cursor = sources.get("/mosaics/d/changes").json()["cursor"]
    sources.publish("five", 10, LEFT, day=4, mosaic="a")
    sources.publish("six", 10, LEFT, day=4, mosaic="b")
    patch(sources, "d", title="Other")
    found = sources.get("/mosaics/d/changes", since=cursor).json()
    assert [each["scene"] for each in found["changes"]][-3:] == ["five", "six", None]
    patch(sources, "d", sources=[{"mosaic": "a"}])
    assert sources.get("/mosaics/d/changes", since=cursor).json()["reset"]


def test_statistics_of_the_whole_are_of_what_it_shows(sources: Server) -> None:
    derive(sources, {"mosaic": "a", "z_order": -1}, "b")
    found = sources.get("/mosaics/d/statistics").json()["statistics"]["b1"]
    assert (found["min"], found["max"], round(found["mean"])) == (10, 20, 15)
    assert sources.get(f"{tile_url(mosaic='d')}.png", rescale="auto").status_code == 200


def test_sources_of_other_bands_are_shown_as_scenes_of_other_bands_are(server: Server) -> None:
    server.create("a")
    server.create("b")
    for mosaic in ("a", "m"):
        server.publish("rgb", [10, 20, 30], LEFT, day=2, mosaic=mosaic)
    for mosaic in ("b", "m"):
        server.publish("gray", 4000, (64, 0, 256, 256), day=1, mosaic=mosaic, dtype="uint16")
    derive(server, "a", "b")
    ours, one = (server.get(f"{tile_url(mosaic=name)}.tif") for name in ("d", "m"))
    assert ours.content[:4] == one.content[:4] == b"II*\0"
    assert ours.headers["X-Gray-Scenes"] == one.headers["X-Gray-Scenes"]
    both = [server.picture(tile_url(mosaic=name)) for name in ("d", "m")]
    assert (both[0].data == both[1].data).all()
    assert both[0].data.dtype == both[1].data.dtype


class Meanwhile:
    """A table on which something happens just before the first transaction."""

    def __init__(self, table: Any, happens: Callable[[], object]) -> None:
        self._table, self._happens = table, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def transact(self, actions: Sequence[Any]) -> None:
        happens, self._happens = self._happens, lambda: None
        happens()
        self._table.transact(actions)


def test_two_changes_at_once_make_no_circle(sources: Server) -> None:
    derive(sources, "a")
    derive(sources, "a", name="e")
    mosaics = sources.services.mosaics

    def other() -> None:
        mosaics.update("e", {"sources": (MosaicSource(mosaic="d"),)})

    late = replace(mosaics, table=Meanwhile(mosaics.table, other))
    with pytest.raises(InvalidRequestError, match="shows itself"):
        late.update("d", {"sources": (MosaicSource(mosaic="e"),)})
    assert at(sources, 20, "e") == [10]


def test_a_source_deleted_at_once_with_a_new_mosaic_is_no_source(sources: Server) -> None:
    mosaics = sources.services.mosaics
    late = replace(mosaics, table=Meanwhile(mosaics.table, lambda: mosaics.mark_deleting("a")))
    new = Mosaic(id="d", sources=(MosaicSource(mosaic="a"),))
    with pytest.raises(InvalidRequestError, match="cannot show source 'a'"):
        late.create(new)


def test_a_circle_that_is_stored_nevertheless_ends_no_read(sources: Server) -> None:
    """As an earlier release may write, or a hand."""
    derive(sources, "a")
    derive(sources, "d", name="e")
    stored = sources.services.mosaics.some(["d"])["d"]
    assert stored is not None
    bad = replace(stored, sources=(MosaicSource(mosaic="a"), MosaicSource(mosaic="e")))
    sources.services.index.table.transact([put_of(bad)])
    assert at(sources, 20) == [10]
    answer = sources.get(f"{tile_url(mosaic='d')}.png")
    assert "shows itself" in answer.headers["X-Missing-Sources"]

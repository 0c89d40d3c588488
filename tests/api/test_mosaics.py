"""Mosaics are made, listed, shown, changed and taken away by who has the token."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.served import AUTHORIZED, JSON, Server, raster, scene, serving
from livemosaic.api.app import App
from livemosaic.api.routes import mosaics
from livemosaic.index.removal.shards import Removal
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import FORMAT
from livemosaic.overviews.hints import Hint
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def client(server: Server) -> TestClient:
    return server.client


def patch(client: TestClient, mosaic: str = "m", **settings: Any) -> Any:
    return client.patch(
        f"/mosaics/{mosaic}",
        json=settings,
        headers={**AUTHORIZED, "Content-Type": "application/merge-patch+json"},
    )


class TestPatch:
    """RFC 7396 on the settings of a mosaic."""

    def test_what_is_not_named_stays(self, server: Server) -> None:
        made = server.create("alps", title="Alps", access="private", max_age_s=60, minzoom=2)
        changed = patch(server.client, "alps", title="The Alps").json()
        assert changed == made | {"title": "The Alps", "revision": made["revision"] + 1}

    def test_null_is_the_default(self, server: Server) -> None:
        server.create("alps", title="Alps", filter="a = 1", collections=["s2"], max_age_s=60)
        changed = patch(server.client, "alps", filter=None, collections=None, max_age_s=None).json()
        assert (changed["filter"], changed["collections"], changed["max_age_s"]) == (None, ["*"], 0)
        assert changed["title"] == "Alps"

    def test_members_of_objects_are_merged_and_lists_replaced(self, server: Server) -> None:
        a, b, c = ({"assets": [name]} for name in "abc")
        server.create("alps", renders={"a": a, "b": b}, rules={"max_scenes": 5}, properties=["x"])
        rules = {"default": {"operation": "mean"}}
        answer = patch(
            server.client, "alps", renders={"b": None, "c": c}, rules=rules, properties=["y"]
        )
        changed = answer.json()
        assert changed["renders"] == {"a": a, "c": c}
        assert changed["rules"]["max_scenes"] == 5
        assert changed["rules"]["default"] == {"operation": "mean"}
        assert changed["properties"] == ["y"]

    def test_plain_json_is_taken_too(self, client: TestClient) -> None:
        answer = client.patch("/mosaics/m", json={"title": "x"}, headers=AUTHORIZED)
        assert answer.json()["title"] == "x"

    def test_nothing_changes_nothing(self, client: TestClient) -> None:
        assert patch(client).json() == client.get("/mosaics/m").json()

    def test_two_at_once_lose_neither(self, server: Server) -> None:
        def name(number: int) -> int:
            return int(patch(server.client, renders={f"r{number}": {"bidx": [1]}}).status_code)

        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(name, range(16))} == {200}
        found = server.get("/mosaics/m").json()["renders"]
        assert found.keys() == {f"r{number}" for number in range(16)}

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"titel": "x"}, "'titel' is not a setting of a mosaic"),
            ({"titel": None}, "'titel' is not a setting of a mosaic"),
            ({"id": "n"}, "'id' is not a setting of a mosaic"),
            ({"max_age_s": -1}, "max_age_s: "),
            ({"rules": {"max_scenes": 0}}, "rules.max_scenes: "),
            ({"filter": "a >"}, "filter"),
            ({"sortby": "eo:cloud_cover"}, "sortby is part of every indexed row"),
            ({"renders": {"r": {"bidx": "x"}}}, "bidx"),
        ],
    )
    def test_what_makes_no_sense_is_named_and_changes_nothing(
        self, client: TestClient, settings: dict[str, Any], named: str
    ) -> None:
        before = client.get("/mosaics/m").json()
        answer = patch(client, title="new", **settings)
        assert answer.status_code == 400
        assert named in answer.json()["detail"]
        assert client.get("/mosaics/m").json() == before

    def test_only_writers_may(self, client: TestClient) -> None:
        assert client.patch("/mosaics/m", json={"title": "x"}).status_code == 401


class TestLife:
    def test_a_new_mosaic_has_the_settings_given_and_defaults_for_the_rest(
        self, server: Server
    ) -> None:
        made = server.create("alps", title="The Alps", collections=["s2"], quadkey_zoom=12)
        assert made["id"] == "alps"
        assert (made["title"], made["collections"], made["quadkey_zoom"]) == (
            "The Alps",
            ["s2"],
            12,
        )
        assert (made["tms"], made["sortby"], made["max_cells"]) == (
            "WebMercatorQuad",
            "-datetime",
            16,
        )
        assert (made["max_age_s"], made["stale_while_revalidate_s"]) == (0, 0)
        assert (made["bounds"], made["levels"]) == (None, [])
        assert server.get("/mosaics/alps").json() == made

    def test_what_is_internal_is_not_shown(self, server: Server) -> None:
        assert not {"generation", "deleting"} & set(server.create("alps"))

    def test_all_mosaics_are_listed_by_id(self, server: Server) -> None:
        for name in ("b", "a.1", "Z"):
            server.create(name)
        listed = server.get("/mosaics").json()["mosaics"]
        assert [mosaic["id"] for mosaic in listed] == ["Z", "a.1", "b", "m"]

    def test_an_id_is_taken_once(self, client: TestClient) -> None:
        answer = client.post("/mosaics", json={"id": "m"}, headers=AUTHORIZED)
        assert answer.status_code == 409
        assert "'m' already exists" in answer.json()["detail"]

    def test_ids_differ_by_case(self, server: Server) -> None:
        server.create("M", title="large")
        assert server.get("/mosaics/m").json()["title"] == ""

    def test_settings_change_and_the_revision_grows(self, client: TestClient) -> None:
        answer = client.put(
            "/mosaics/m", json={"title": "New", "assets": ["red"]}, headers=AUTHORIZED
        )
        assert answer.status_code == 200
        assert (answer.json()["title"], answer.json()["assets"]) == ("New", ["red"])
        assert client.get("/mosaics/m").json()["revision"] == 2

    def test_the_same_settings_again_change_nothing(self, client: TestClient) -> None:
        for _ in range(2):
            answer = client.put("/mosaics/m", json={"title": "New"}, headers=AUTHORIZED)
        assert answer.json()["revision"] == 2

    def test_a_new_mosaic_says_where_it_is(self, client: TestClient) -> None:
        answer = client.post("/mosaics", json={"id": "alps"}, headers=AUTHORIZED)
        assert client.get(answer.headers["Location"]).json() == answer.json()

    def test_a_filter_is_cql2_text_or_json_and_comes_back_as_json(self, server: Server) -> None:
        tree = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]}
        texts = server.create("text", filter='"eo:cloud_cover" < 10')
        assert server.create("json", filter=tree)["filter"] == tree == texts["filter"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("tms", "EuropeanETRS89_LAEAQuad"),
            ("sortby", "datetime"),
            ("minzoom", 3),
            ("quadkey_zoom", 10),
            ("max_cells", 4),
        ],
    )
    def test_a_setting_in_every_indexed_row_cannot_change(
        self, client: TestClient, name: str, value: Any
    ) -> None:
        answer = client.put("/mosaics/m", json={name: value}, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert name in answer.json()["detail"]
        assert str(value) in answer.json()["detail"]

    def test_one_that_is_fixed_may_be_left_out_of_a_change(self, server: Server) -> None:
        server.create("deep", quadkey_zoom=16)
        answer = server.client.put("/mosaics/deep", json={"title": "x"}, headers=AUTHORIZED)
        assert (answer.status_code, answer.json()["quadkey_zoom"]) == (200, 16)

    def test_a_deleted_mosaic_is_gone_with_its_scenes(self, server: Server) -> None:
        server.publish("a", 1)
        assert server.client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 204
        assert server.get("/mosaics/m").status_code == 404
        assert server.tile().status_code == 404
        assert server.get("/mosaics").json() == {"mosaics": []}

    def test_one_made_again_under_the_same_id_is_empty(self, server: Server) -> None:
        server.publish("a", 1)
        server.client.delete("/mosaics/m", headers=AUTHORIZED)
        server.create("m")
        assert server.get("/mosaics/m/items").json()["features"] == []
        assert not server.picture().valid.any()

    def test_a_deletion_that_takes_too_long_goes_on_when_it_is_asked_for_again(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody sees the mosaic from the first request on; its id is free after the last."""
        monkeypatch.setattr(mosaics, "DELETE_S", -1)
        server.publish("a", 1)
        server.publish("b", 1)
        first = server.client.delete("/mosaics/m", headers=AUTHORIZED)
        assert first.status_code == 202
        assert first.json() == {"detail": "1 scenes are deleted; ask again until 204", "deleted": 1}
        assert first.headers["Retry-After"] == "0"
        assert server.get("/mosaics/m").status_code == 404
        assert server.get("/mosaics").json() == {"mosaics": []}
        taken = server.client.post("/mosaics", json={"id": "m"}, headers=AUTHORIZED)
        assert taken.status_code == 409
        again = [server.client.delete("/mosaics/m", headers=AUTHORIZED) for _ in range(3)]
        assert [answer.status_code for answer in again] == [202, 204, 404]
        server.create("m")
        assert server.get("/mosaics/m/items").json()["features"] == []

    def test_builders_go_on_with_a_deletion_that_takes_too_long(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Requests delete no more then: two that remove the same rows would be paid for twice."""
        sent: list[Hint] = []
        queue = SimpleNamespace(send_now=lambda hints: sent.extend(hints) or 0)
        waking = replace(server.services, hints=lambda: queue)
        monkeypatch.setattr(mosaics, "DELETE_S", -1)
        monkeypatch.setattr(mosaics, "WATCH_S", -1)
        server.publish("a", 1)
        server.publish("b", 1)
        client = TestClient(App(waking))
        first = client.delete("/mosaics/m", headers=AUTHORIZED)
        assert (first.status_code, first.json()["deleted"]) == (202, 1)
        assert first.json()["background"] is True
        assert sent == [Hint("m", shard=shard) for shard in range(16)]
        second = client.delete("/mosaics/m", headers=AUTHORIZED)
        assert (second.status_code, second.json()["deleted"]) == (202, 0)
        assert second.json()["total"] == 0, "as builders count"
        removal = Removal(server.services.index, server.services.mosaics.doomed("m"))
        assert all(removal.clear(shard, lambda: False) for shard in range(16))
        third = client.delete("/mosaics/m", headers=AUTHORIZED)
        assert (third.status_code, third.json()["total"]) == (202, 1)
        assert removal.finish()
        assert client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 404

    @pytest.mark.parametrize("method", ["get", "put", "delete"])
    def test_what_was_never_made_is_not_found(self, client: TestClient, method: str) -> None:
        options = {"json": {}} if method == "put" else {}
        answer = client.request(method, "/mosaics/nowhere", headers=AUTHORIZED, **options)
        assert answer.status_code == 404
        assert "'nowhere'" in answer.json()["detail"]


class TestOverviews:
    """A new mosaic has overviews where they can be kept, unless its maker wants none."""

    @pytest.fixture(params=[True, False], ids=["a place", "no place"])
    def has_place(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest.fixture
    def server(self, has_place: bool, sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
        index = f"sqlite:///{folder}/index.db" if has_place else "dynamodb://eu-central-1/maps"
        with serving(sqlite_table, folder, index=index) as made:
            yield made

    def test_who_says_nothing_has_them_where_there_is_a_place(
        self, server: Server, has_place: bool
    ) -> None:
        assert (server.create()["overviews"] is not None) == has_place
        server.publish("a", 1)
        assert stale_rows(server) == has_place

    def test_who_decides_is_followed(self, server: Server) -> None:
        assert server.create("none", overviews=None)["overviews"] is None
        assert server.create("some", overviews={"maxzoom": 9})["overviews"]["maxzoom"] == 9

    @pytest.mark.parametrize(
        "settings", [{"minzoom": 9}, {"rules": {"default": {"method": "center"}}}], ids=str
    )
    def test_a_mosaic_that_cannot_have_them_is_created_without(
        self, server: Server, settings: dict[str, Any]
    ) -> None:
        assert server.create(**settings)["overviews"] is None

    def test_a_change_that_does_not_name_them_changes_none(self, server: Server) -> None:
        for name in ("some", "none"):
            overviews = {"maxzoom": 9} if name == "some" else None
            before = server.create(name, overviews=overviews)["overviews"]
            answer = server.client.put(f"/mosaics/{name}", json={"title": "x"}, headers=AUTHORIZED)
            assert answer.json()["overviews"] == before


def stale_rows(server: Server, mosaic: str = "m") -> int:
    index = server.services.index
    prefix = f"{mosaic_prefix(index.mosaics.get(mosaic))}stale#"
    return len([*index.table.scan(prefix)])


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        ["", " ", "a b", "a/b", "../a", ".hidden", "-x", "a" * 64, "é", "a\n", "a#b", "a%2Fb"],
    )
    def test_an_id_that_would_not_fit_a_path_is_refused_by_name(
        self, client: TestClient, name: str
    ) -> None:
        answer = client.post("/mosaics", json={"id": name}, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert repr(name)[:60].strip("'") in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"tms": "Nowhere"}, "'Nowhere'"),
            ({"tms": "UPSArcticWGS84Quad", "minzoom": -1}, "-1"),
            ({"tms": "EuropeanETRS89_LAEAQuad", "quadkey_zoom": 25}, "25"),
            ({"tms": "CanadianNAD83_LCC"}, "'CanadianNAD83_LCC'"),
            ({"tms": "WGS1984Quad"}, "not a quadtree"),
            ({"minzoom": 9, "maxzoom": 8}, "minzoom 9"),
            ({"minzoom": 15}, "15"),
            ({"maxzoom": 31}, "31"),
            ({"max_cells": 0}, "0"),
            ({"max_cells": 49}, "49"),
            ({"max_cells": 2.5}, "2.5"),
            ({"max_age_s": -1}, "-1"),
            ({"max_age_s": 31_536_001}, "31536001"),
            ({"max_age_s": 0.5}, "0.5"),
            ({"stale_while_revalidate_s": -1}, "-1"),
            ({"stale_while_revalidate_s": 10**400}, "stale_while_revalidate_s"),
            ({"quadkey_zoom": "deep"}, "deep"),
            ({"collections": []}, "collections"),
            ({"collections": "s2"}, "s2"),
            ({"collections": ["x"] * 101}, "100"),
            ({"sortby": "-"}, "'-'"),
            ({"sortby": "x" * 201}, "200"),
            ({"title": "x" * 501}, "500"),
            ({"title": 7}, "7"),
            ({"filter": "not ( cql2"}, "filter"),
            ({"filter": {"op": "nonsense"}}, "filter"),
            ({"filter": 5}, "5"),
            ({"quadkey_zooms": 3}, "quadkey_zooms"),
            ({"generation": "00000000"}, "generation"),
            ({"deleting": True}, "deleting"),
            ({"levels": [1]}, "levels"),
        ],
        ids=str,
    )
    def test_settings_that_make_no_sense_are_named(
        self, client: TestClient, settings: dict[str, Any], named: str
    ) -> None:
        answer = client.post("/mosaics", json={"id": "new", **settings}, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert named in answer.json()["detail"]
        assert client.get("/mosaics/new").status_code == 404

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b'"m"', b"\xff\xfe", b"[" * 9999, b'{"\\ud800": 1}']
    )
    def test_a_body_that_is_no_object_is_refused(self, client: TestClient, body: bytes) -> None:
        answer = client.post("/mosaics", content=body, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["detail"]


WRITES = [
    ("POST", "/mosaics", {"id": "new"}),
    ("PUT", "/mosaics/m", {"title": "x"}),
    ("DELETE", "/mosaics/m", None),
    ("POST", "/mosaics/m/items", {}),
    ("POST", "/items", {}),
    ("DELETE", "/mosaics/m/items/a", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[f"{m} {p}" for m, p, _ in WRITES])
class TestAuthorization:
    @pytest.fixture
    def without_token(self, sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
        with serving(sqlite_table, folder, token=None) as server:
            yield server

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({}, id="none"),
            pytest.param({"Authorization": "Bearer wrong"}, id="another token"),
            pytest.param({"Authorization": "Bearer "}, id="an empty token"),
            pytest.param({"Authorization": "Basic dXNlcjpwYXNz"}, id="a password"),
            pytest.param({"Authorization": "Bearer \xe9".encode("latin-1")}, id="not ASCII"),
        ],
    )
    def test_writing_needs_the_token(
        self, server: Server, method: str, path: str, body: Any, headers: dict[str, Any]
    ) -> None:
        answer = server.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "oken" in answer.json()["detail"] or "Bearer" in answer.json()["detail"]
        assert "a token for tests" not in answer.text

    def test_a_server_without_a_token_takes_no_writes(
        self, without_token: Server, method: str, path: str, body: Any
    ) -> None:
        answer = without_token.client.request(method, path, json=body, headers=AUTHORIZED)
        assert answer.status_code == 401
        assert "LIVEMOSAIC_TOKEN" in answer.json()["detail"]


def test_reading_needs_no_token(server: Server) -> None:
    for path in ("/mosaics", "/mosaics/m", "/mosaics/m/info", "/mosaics/m/items"):
        assert server.get(path).status_code == 200


class TestALaterRelease:
    """A later release stored a mosaic: its rows may mean what this one does not know."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/mosaics/later"),
            ("GET", "/mosaics/later/tiles/WebMercatorQuad/0/0/0"),
            ("GET", "/mosaics/later/items"),
            ("PUT", "/mosaics/later"),
            ("DELETE", "/mosaics/later"),
            ("DELETE", "/mosaics/later/items/a?collection=s2"),
            ("POST", "/mosaics/later/items"),
        ],
        ids=" ".join,
    )
    def test_requests_that_read_or_write_it_are_refused(
        self, server: Server, sqlite_table: SqliteTable, method: str, path: str
    ) -> None:
        of_a_later_release(server, sqlite_table)
        before = [*sqlite_table.scan("")]
        body = {"json": {}} if method in ("PUT", "POST") else {}
        answer = server.client.request(method, path, headers=AUTHORIZED, **body)
        assert answer.status_code == 503, answer.text
        assert f"'later' is of format {FORMAT + 1}" in answer.json()["detail"]
        assert "upgrade livemosaic" in answer.json()["detail"]
        assert [*sqlite_table.scan("")] == before

    def test_it_is_listed_with_its_format(self, server: Server, sqlite_table: SqliteTable) -> None:
        of_a_later_release(server, sqlite_table)
        listed = server.get("/mosaics").json()["mosaics"]
        assert {one["id"]: one["format"] for one in listed}["later"] == FORMAT + 1

    def test_items_for_all_mosaics_fail_with_the_reason(
        self, server: Server, sqlite_table: SqliteTable
    ) -> None:
        of_a_later_release(server, sqlite_table)
        server.create("other")
        href = server.url(raster(server.folder / "a.tif", 1))
        answer = server.client.post("/items", json=scene("a", href), headers=AUTHORIZED)
        assert answer.status_code == 503
        (outcome,) = answer.json()["outcomes"]
        assert outcome["status"] == "failed"
        assert f"'later' is of format {FORMAT + 1}" in outcome["detail"]
        shown = server.get("/mosaics/other/items").json()["features"]
        assert [one["id"] for one in shown] == ["a"]


def of_a_later_release(server: Server, table: SqliteTable) -> None:
    server.create("later")
    key = Key("mosaics", "later")
    table.transact([Put(key, {**(table.get(key) or {}), "format": FORMAT + 1})])

"""Scenes are put in, listed, shown and taken out; what is wrong with one is no other's trouble."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.served import AUTHORIZED, JSON, Server, scene, serving
from items import box, deletion, item
from livemosaic.errors import TableBusyError
from livemosaic.storage.allowlist import AllowList
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def server(server: Server) -> Server:
    server.href = "https://example.com"
    return server


@pytest.fixture(autouse=True)
def anywhere(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Items of this module have hrefs that are never read."""
    allow = server.services.ingest.allow
    object.__setattr__(allow, "prefixes", AllowList().prefixes)
    object.__setattr__(allow, "probe", None)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


class TestPutIn:
    def test_an_item_is_taken(self, server: Server) -> None:
        answer = server.post(item("a"))
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "outcomes": [{"id": "a", "status": "done", "changes": ["applied"]}],
            "counts": {"applied": 1},
        }

    def test_an_asset_that_may_not_be_read_is_named(self, server: Server) -> None:
        assets = {name: {"href": f"{name}://bucket/a.tif"} for name in ("s3", "gs")}
        (outcome,) = server.post(item("a", assets=assets)).json()["outcomes"]
        assert outcome["status"] == "done"
        assert "item 'a' without its asset 'gs'" in outcome["warnings"][0]

    def test_the_same_again_changes_nothing(self, server: Server) -> None:
        document = item("a", updated="2026-01-01T00:00:00Z")
        changes = [server.post(document).json()["outcomes"][0]["changes"] for _ in range(2)]
        assert changes == [["applied"], ["unchanged"]]

    def test_the_later_request_shows_whatever_updated_says(self, server: Server) -> None:
        server.post(item("a", updated="2026-02-01T00:00:00Z"))
        href = "https://example.com/later.tif"
        later = server.post(item("a", updated="2026-01-01T00:00:00Z", href=href))
        assert later.json()["outcomes"][0]["changes"] == ["applied"]
        shown = server.get("/mosaics/m/items/a", collection="s2").json()
        assert shown["assets"]["visual"]["href"] == href

    def test_a_collection_of_items_has_one_outcome_each_in_order(self, server: Server) -> None:
        answer = server.post(collection(item("a"), item("b"), item("c")))
        assert answer.status_code == 200, answer.text
        assert [outcome["id"] for outcome in answer.json()["outcomes"]] == ["a", "b", "c"]

    def test_an_empty_collection_is_fine(self, server: Server) -> None:
        assert server.post(collection()).json() == {"outcomes": [], "counts": {}}

    def test_a_bad_item_fails_alone(self, server: Server) -> None:
        answer = server.post(collection(item("a"), {"id": "bad"}, item("c")))
        assert answer.status_code == 207
        outcomes = answer.json()["outcomes"]
        assert [outcome["status"] for outcome in outcomes] == ["done", "rejected", "done"]
        assert outcomes[1]["detail"]
        assert sorted(ids(server.get("/mosaics/m/items"))) == ["a", "c"]

    def test_where_none_can_be_taken_the_request_was_bad(self, server: Server) -> None:
        answer = server.post(collection({"id": "bad"}, 7))
        assert answer.status_code == 400
        assert [outcome["id"] for outcome in answer.json()["outcomes"]] == ["bad", None]

    def test_an_item_of_another_collection_is_ignored(self, server: Server) -> None:
        server.create("s1", collections=["s1"])
        answer = server.post(item("a"), "s1")
        assert (answer.status_code, answer.json()["outcomes"][0]["status"]) == (200, "ignored")

    def test_other_mosaics_do_not_get_it(self, server: Server) -> None:
        server.create("other")
        server.post(item("a"))
        assert ids(server.get("/mosaics/other/items")) == []

    def test_a_busy_index_asks_to_send_again(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SqliteTable, "transact", _busy)
        answer = server.post(item("a"))
        assert (answer.status_code, answer.json()["outcomes"][0]["status"]) == (503, "failed")

    def test_it_grows_the_bounds_of_its_mosaic(self, server: Server) -> None:
        server.post(item("a", box(7, 45, 8, 46)))
        server.post(item("b", box(9, 40, 10, 41)))
        assert server.get("/mosaics/m/info").json()["bounds"] == [7, 40, 10, 46]


class TestPutIntoAll:
    """`POST /items` is an event that came over HTTP."""

    def deliver(self, server: Server, document: Any) -> Any:
        return server.client.post("/items", json=document, headers=AUTHORIZED)

    def test_every_mosaic_that_wants_an_item_gets_it(self, server: Server) -> None:
        server.create("s2", collections=["s2"])
        server.create("s1", collections=["s1"])
        answer = self.deliver(server, collection(item("a"), item("b", collection="s3")))
        assert answer.status_code == 200, answer.text
        assert [outcome["changes"] for outcome in answer.json()["outcomes"]] == [
            ["applied", "applied"],
            ["applied"],
        ]
        has = {m: sorted(ids(server.get(f"/mosaics/{m}/items"))) for m in ("m", "s2", "s1")}
        assert has == {"m": ["a", "b"], "s2": ["a"], "s1": []}

    def test_a_deletion_takes_it_out_of_them_all(self, server: Server) -> None:
        server.create("other")
        self.deliver(server, item("a"))
        assert self.deliver(server, deletion("a")).json()["outcomes"][0]["changes"] == [
            "deleted",
            "deleted",
        ]
        assert ids(server.get("/mosaics/other/items")) == []

    def test_what_no_mosaic_wants_is_ignored(self, server: Server) -> None:
        server.client.delete("/mosaics/m", headers=AUTHORIZED)
        answer = self.deliver(server, item("a"))
        assert (answer.status_code, answer.json()["outcomes"][0]["status"]) == (200, "ignored")

    @pytest.mark.parametrize(
        ("document", "status"),
        [
            (collection(item("a"), {"id": "bad"}), 207),
            ({"id": "bad"}, 400),
            (collection(), 200),
        ],
        ids=["one is bad", "all are bad", "none"],
    )
    def test_its_status_is_that_of_the_worst(
        self, server: Server, document: Any, status: int
    ) -> None:
        assert self.deliver(server, document).status_code == status

    def test_a_busy_index_asks_to_send_again(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SqliteTable, "transact", _busy)
        answer = self.deliver(server, collection(item("a"), {"id": "bad"}))
        assert answer.status_code == 503
        assert [o["status"] for o in answer.json()["outcomes"]] == ["failed", "rejected"]


def _busy(*_: Any, **__: Any) -> Any:
    raise TableBusyError("the table is busy")


IDS = [
    "plain",
    "with/slash",
    "/leading",
    "trailing/",
    "a//b",
    "with#hash",
    "#",
    "100%",
    "%zz",
    "?query=1",
    "sp ace",
    "a,b;c=d",
    "Zürich",
    "日本/東京",
    "🛰",
    "assets",
    "S2A_32TMT_20260101_0_L2A.SAFE",
    "x" * 512,
]


class TestShowAndTakeOut:
    def test_a_scene_is_shown_as_a_feature(self, server: Server) -> None:
        server.create("props", properties=["eo:cloud_cover"], collections=["s2"])
        server.post(item("a", properties={"eo:cloud_cover": 12.5, "other": 1}), "props")
        shown = server.get("/mosaics/props/items/a").json()
        assert shown["type"] == "Feature"
        assert (shown["id"], shown["collection"]) == ("a", "s2")
        assert shown["bbox"] == [7, 45, 8, 46]
        assert shown["properties"] == {"datetime": "2026-01-01T00:00:00Z", "eo:cloud_cover": 12.5}
        cog = {
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "livemosaic:meaning": "",
        }
        assert shown["assets"] == {"visual": {"href": "https://example.com/a.tif", **cog}}

    @pytest.mark.parametrize("name", IDS)
    def test_any_id_that_stac_allows_can_be_shown_and_deleted(
        self, server: Server, name: str
    ) -> None:
        server.create("one", collections=["s2"])
        server.post(collection(item(name), item("another")), "one")
        url = f"/mosaics/one/items/{quote(name, safe='')}"
        assert server.get(url).json()["id"] == name
        assert server.client.delete(url, headers=AUTHORIZED).status_code == 204
        assert server.get(url).status_code == 404
        assert ids(server.get("/mosaics/one/items")) == ["another"]

    def test_ids_are_unique_only_within_their_collection(self, server: Server) -> None:
        server.post(collection(item("a", collection="s1"), item("a", collection="s2")))
        server.post(item("a", collection=None))
        asked = [None, "s1", "s2"]
        shown = [server.get("/mosaics/m/items/a", **_named(name)).json() for name in asked]
        assert [feature.get("collection") for feature in shown] == asked
        server.client.delete("/mosaics/m/items/a?collection=s1", headers=AUTHORIZED)
        left = server.get("/mosaics/m/items").json()["features"]
        assert {feature.get("collection") for feature in left} == {None, "s2"}

    @pytest.mark.parametrize("method", ["get", "delete"])
    def test_one_that_is_not_there_is_not_found(self, server: Server, method: str) -> None:
        answer = server.client.request(method, "/mosaics/m/items/nowhere", headers=AUTHORIZED)
        assert answer.status_code == 404
        assert "'nowhere'" in answer.json()["detail"]

    def test_it_is_deleted_once(self, server: Server) -> None:
        server.post(item("a", collection=None))
        codes = [
            server.client.delete("/mosaics/m/items/a", headers=AUTHORIZED).status_code
            for _ in range(2)
        ]
        assert codes == [204, 404]

    def test_it_can_come_back_after_it_was_deleted(self, server: Server) -> None:
        server.post(item("a", collection=None))
        server.client.delete("/mosaics/m/items/a", headers=AUTHORIZED)
        assert server.post(item("a", collection=None)).json()["outcomes"][0]["changes"] == [
            "applied"
        ]
        assert server.get("/mosaics/m/items/a").status_code == 200

    def test_a_deletion_while_the_index_is_busy_says_send_it_again(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.post(item("a", collection=None))
        monkeypatch.setattr(SqliteTable, "transact", _busy)
        answer = server.client.delete("/mosaics/m/items/a", headers=AUTHORIZED)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


def _named(collection: str | None) -> dict[str, str]:
    return {} if collection is None else {"collection": collection}


class TestList:
    def test_next_links_lead_through_all_scenes_once(self, server: Server) -> None:
        names = {f"scene {n}/#%é" for n in range(23)}
        server.add(*(item(name) for name in names))
        seen: list[str] = []
        url: str | None = "/mosaics/m/items?limit=5"
        pages = 0
        while url:
            answer = server.get(url)
            seen += ids(answer)
            links = [link for link in answer.json()["links"] if link["rel"] == "next"]
            url = links[0]["href"] if links else None
            pages += 1
        assert sorted(seen) == sorted(names)
        assert pages == 5

    def test_the_last_page_has_no_next_link(self, server: Server) -> None:
        server.add(item("a"), item("b"))
        links = server.get("/mosaics/m/items?limit=2").json()["links"]
        assert "next" not in {link["rel"] for link in links}

    def test_a_box_lists_what_it_touches_top_first(self, server: Server) -> None:
        server.add(
            item("old", box(7, 45, 8, 46), datetime="2026-01-01T00:00:00Z"),
            item("new", box(7.5, 45.5, 8, 46), datetime="2026-01-03T00:00:00Z"),
            item("beside", box(7, 46.5, 8, 47), datetime="2026-01-02T00:00:00Z"),
        )
        assert ids(server.get("/mosaics/m/items", bbox="7.6,45.6,7.7,45.7")) == ["new", "old"]
        assert ids(server.get("/mosaics/m/items", bbox="7.1,45.1,7.2,45.2")) == ["old"]
        assert ids(server.get("/mosaics/m/items", bbox="7,45,8,47")) == ["new", "beside", "old"]
        assert ids(server.get("/mosaics/m/items", bbox="9,45,10,46")) == []

    def test_a_limit_keeps_the_top_ones(self, server: Server) -> None:
        days = [item(f"{n}", datetime=f"2026-01-0{n}T00:00:00Z") for n in (1, 2, 3)]
        server.add(*days)
        assert ids(server.get("/mosaics/m/items", bbox="7,45,8,46", limit=2)) == ["3", "2"]

    def test_a_box_without_area_is_a_point(self, server: Server) -> None:
        server.add(item("a", box(7, 45, 8, 46)), item("b", box(8, 45, 9, 46)))
        assert ids(server.get("/mosaics/m/items", bbox="7.5,45.5,7.5,45.5")) == ["a"]
        assert ids(server.get("/mosaics/m/items", bbox="8.5,45.5,8.5,45.5")) == ["b"]

    def test_a_point_on_a_border_is_in_both_scenes(self, server: Server) -> None:
        server.add(item("a", box(-22.5, 0, 0, 10)), item("b", box(0, 0, 22.5, 10)))
        assert sorted(ids(server.get("/mosaics/m/items", bbox="0,5,0,5"))) == ["a", "b"]

    def test_a_line_lists_what_it_crosses(self, server: Server) -> None:
        server.add(item("a", box(7, 45, 8, 46)), item("b", box(8, 45, 9, 46)))
        assert ids(server.get("/mosaics/m/items", bbox="7.5,45.2,7.5,45.8")) == ["a"]

    @pytest.mark.parametrize(
        "place", [(179.5, 0.5), (-179.5, 0.5), (180, 0.5), (-180, 0.5)], ids=str
    )
    def test_a_point_at_the_antimeridian_is_in_the_scene_across_it(
        self, server: Server, place: tuple[float, float]
    ) -> None:
        server.add(item("across", box(179, 0, 181, 1)), item("away", box(0, 0, 1, 1)))
        lon, lat = place
        assert ids(server.get("/mosaics/m/items", bbox=f"{lon},{lat},{lon},{lat}")) == ["across"]

    def test_a_box_whose_west_is_east_of_its_east_crosses_the_antimeridian(
        self, server: Server
    ) -> None:
        server.add(
            item("west", box(178, 0, 179, 1)),
            item("east", box(-179, 0, -178, 1)),
            item("greenwich", box(-1, 0, 1, 1)),
        )
        assert sorted(ids(server.get("/mosaics/m/items", bbox="177,0,-177,1"))) == ["east", "west"]
        assert ids(server.get("/mosaics/m/items", bbox="-177,0,177,1")) == ["greenwich"]

    def test_the_whole_world_is_a_box(self, server: Server) -> None:
        server.add(item("a", box(7, 45, 8, 46)), item("b", box(-170, -80, -160, -70)))
        assert sorted(ids(server.get("/mosaics/m/items", bbox="-180,-90,180,90"))) == ["a", "b"]

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ({"bbox": "1,2,3"}, "1,2,3"),
            ({"bbox": "1,2,3,4,5,6"}, "1,2,3,4,5,6"),
            ({"bbox": "a,b,c,d"}, "a,b,c,d"),
            ({"bbox": ""}, "''"),
            ({"bbox": "nan,0,1,1"}, "nan"),
            ({"bbox": "0,0,inf,1"}, "inf"),
            ({"bbox": "0,0,181,1"}, "181"),
            ({"bbox": "0,-91,1,1"}, "-91"),
            ({"bbox": "0,1,1,0"}, "0,1,1,0"),
            ({"limit": 0}, "0"),
            ({"limit": 1001}, "1001"),
            ({"limit": "many"}, "many"),
            ({"token": "x#y"}, "x#y"),
            ({"token": "99#y"}, "99#y"),
            ({"token": "-1"}, "-1"),
            ({"token": "٣#y"}, "٣"),
            ({"token": "²#y"}, "²"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_named(
        self, server: Server, query: dict[str, Any], named: str
    ) -> None:
        server.add(item("a"))
        answer = server.get("/mosaics/m/items", **query)
        assert answer.status_code == 400
        assert named in answer.json()["detail"]

    def test_a_token_longer_than_any_given_out_is_no_failure(self, server: Server) -> None:
        for padding in ("x" * 5000, "é" * 590):
            assert server.get("/mosaics/m/items", token="0#" + padding).status_code < 500


ALPS = box(7, 45, 8, 46)
BAD_GEOMETRIES: list[tuple[str, Any, str]] = [
    ("none", None, "no geometry"),
    ("a point", {"type": "Point", "coordinates": [7, 45]}, "'Point'"),
    ("latitude 91", box(7, 45, 8, 91), "91"),
    ("swapped", box(45, 100, 46, 101), "101"),
    ("metres", box(500000, 4500000, 600000, 4600000), "swapped"),
    ("no rings", {"type": "Polygon", "coordinates": []}, "geometry"),
    ("two corners", {"type": "Polygon", "coordinates": [[[7, 45], [8, 46]]]}, "geometry"),
    ("text", {"type": "Polygon", "coordinates": "here"}, "coordinates"),
    ("a string", "POLYGON ((7 45, 8 45, 8 46, 7 45))", "geometry"),
]
FORBIDDEN = [
    "file:///etc/passwd",
    "http://example.com/a.tif",
    "/etc/passwd",
    "/vsicurl/https://example.com/a.tif",
    "/vsis3/bucket/a.tif",
    "vsicurl/https://example.com/a.tif",
    "https://example.com/../a.tif",
    "https://example.com/%2e%2e/a.tif",
    "https://user:secret@example.com/a.tif",
    "https://127.0.0.1/a.tif",
    "https://169.254.169.254/latest/a.tif",
    "https://[::1]/a.tif",
    "https://2130706433/a.tif",
    "https://0x7f000001/a.tif",
    "https://localhost/a.tif",
    "https://example.com:8443/a.tif",
    "ftp://example.com/a.tif",
    "gs://bucket/a.tif",
    "s3://bucket",
    "https://example.com/a.tif#fragment",
    "https://example.com/a\\b.tif",
    "https://example.com/a\n.tif",
    "<VRTDataset></VRTDataset>.tif",
    "GTIFF_DIR:1:/etc/passwd.tif",
]


class TestBadItems:
    def refused(self, server: Server, bad: dict[str, Any]) -> str:
        """Why; and nothing else of the collection suffers."""
        answer = server.post(collection(item("before"), bad, item("after")))
        assert answer.status_code == 207, answer.text
        outcomes = answer.json()["outcomes"]
        assert [outcome["status"] for outcome in outcomes] == ["done", "rejected", "done"]
        assert sorted(ids(server.get("/mosaics/m/items"))) == ["after", "before"]
        alone = server.post(bad)
        assert alone.status_code == 400
        detail: str = alone.json()["outcomes"][0]["detail"]
        assert "Traceback" not in detail
        return detail

    @pytest.mark.parametrize(
        ("geometry", "named"),
        [(geometry, named) for _, geometry, named in BAD_GEOMETRIES],
        ids=[name for name, _, _ in BAD_GEOMETRIES],
    )
    def test_a_geometry_that_is_nowhere_is_refused(
        self, server: Server, geometry: Any, named: str
    ) -> None:
        assert named in self.refused(server, item("bad") | {"geometry": geometry})

    @pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
    def test_coordinates_that_are_no_numbers_are_refused(self, server: Server, number: str) -> None:
        text = json.dumps(item("bad", box(7, 45, 8, 12345))).replace("12345", number)
        answer = server.client.post("/mosaics/m/items", content=text, headers=JSON)
        assert answer.status_code == 400

    @pytest.mark.parametrize("href", FORBIDDEN)
    def test_an_href_of_a_form_that_is_never_read_is_refused(
        self, server: Server, href: str
    ) -> None:
        detail = self.refused(server, item("bad", href=href))
        assert "href" in detail
        assert "secret" not in detail

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"type": "Collection"}, "'Collection'"),
            ({"stac_version": "0.7.0"}, "'0.7.0'"),
            ({"id": ""}, "id ''"),
            ({"id": 7}, "id '7'"),
            ({"id": "a\nb"}, "control"),
            ({"id": "x" * 513}, "512"),
            ({"collection": "a#b"}, "'a#b'"),
            ({"collection": ["s2"]}, "s2"),
            ({"properties": None}, "properties"),
            ({"properties": {"datetime": "yesterday"}}, "'yesterday'"),
            ({"properties": {"datetime": "2026-01-01T00:00:00Z", "updated": "soon"}}, "'soon'"),
            ({"assets": {}}, "no asset"),
            ({"assets": None}, "assets"),
            ({"assets": {"visual": {"type": "image/tiff"}}}, "'visual'"),
            ({"assets": {"visual": {"href": 5, "type": "image/tiff"}}}, "'visual'"),
            ({"assets": {"t": {"href": "https://e.com/t.jpg", "type": "image/jpeg"}}}, "t"),
            ({"assets": {"visual": {"href": "./a.tif", "type": "image/tiff"}}}, "relative"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_named(
        self, server: Server, change: dict[str, Any], named: str
    ) -> None:
        assert named in self.refused(server, item("bad") | change)

    def test_an_item_under_an_href_that_is_not_on_the_list_is_refused(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, href="https://example.com/mine") as server:
            server.create("strict")
            answer = server.post(scene("a", "https://example.com/mine-not/a.tif"), "strict")
            assert answer.status_code == 400
            assert "LIVEMOSAIC_ALLOWED_PREFIXES" in answer.json()["outcomes"][0]["detail"]


HOSTILE = {
    "nothing": b"",
    "not JSON": b"{'id': 1}",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"Feature"',
    "not UTF-8": b'{"id": "\xff"}',
    "UTF-16": '{"id": "a"}'.encode("utf-16"),
    "an empty object": b"{}",
    "lists 100,000 deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects 2,000 deep": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "a number of 10,000 digits": b'{"id": ' + b"9" * 10_000 + b"}",
    "NaN as an id": b'{"type": "Feature", "id": NaN}',
    "infinity as an id": b'{"type": "Feature", "id": 1e999}',
    "half a surrogate pair as an id": b'{"type": "Feature", "id": "\\ud800"}',
    "half a surrogate pair as a key": b'{"\\ud800": 1}',
    "features that are no list": b'{"type": "FeatureCollection", "features": {}}',
    "features that are no objects": b'{"type": "FeatureCollection", "features": [1, null, []]}',
    "features within features": b'{"type": "FeatureCollection", "features": '
    b'[{"type": "FeatureCollection", "features": [{}]}]}',
    "an SNS envelope around nothing": b'{"Type": "Notification", "Message": "{}"}',
    "an id that is an object": b'{"type": "Feature", "id": {"a": [1]}}',
}


class TestHostileBodies:
    @pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
    def test_they_are_refused_and_the_next_request_is_served(
        self, server: Server, body: bytes
    ) -> None:
        answer = server.client.post("/mosaics/m/items", content=body, headers=JSON)
        assert answer.status_code == 400, answer.text[:200]
        assert answer.json()
        assert "Traceback" not in answer.text
        assert len(answer.content) < 5000
        assert server.post(item("fine")).status_code == 200

    @pytest.mark.parametrize(
        "value", ["NaN", "1e999", "9" * 400, '"\\ud800"', "[" * 60 + "]" * 60], ids=lambda v: v[:9]
    )
    def test_a_property_that_the_table_cannot_hold_is_the_items_fault(
        self, server: Server, value: str
    ) -> None:
        """Not 503, which would have it sent again for ever."""
        server.create("props", properties=["x"])
        text = json.dumps(item("bad", properties={"x": 12345})).replace("12345", value)
        answer = server.client.post("/mosaics/props/items", content=text, headers=JSON)
        assert answer.status_code in (200, 400), answer.text
        assert server.get("/mosaics/props/items").status_code == 200

    @pytest.mark.parametrize("value", ["NaN", "1e999", "9" * 400], ids=lambda v: v[:9])
    def test_a_property_that_nobody_keeps_may_be_anything(self, server: Server, value: str) -> None:
        text = json.dumps(item("a", properties={"x": 12345})).replace("12345", value)
        answer = server.client.post("/mosaics/m/items", content=text, headers=JSON)
        assert answer.status_code == 200, answer.text

    def test_a_body_over_the_limit_is_refused_before_it_is_read(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, max_body_bytes=3000) as server:
            server.create("small")
            document = item("a", href=f"{folder}/a.tif")
            assert server.post(document, "small").status_code == 200
            answer = server.post(document | {"padding": "x" * 3000}, "small")
            assert answer.status_code == 413
            assert "3,000" in answer.json()["detail"]

    def test_a_body_of_unknown_length_is_refused(self, server: Server) -> None:
        chunks = iter([b'{"type": ', b'"Feature"}'])
        answer = server.client.post("/mosaics/m/items", content=chunks, headers=JSON)
        assert answer.status_code == 411
        assert answer.json()["title"] == "Length Required"

    def test_a_path_that_takes_no_body_says_so_whatever_its_length(self, server: Server) -> None:
        answer = server.client.put("/mosaics/m/items", content=iter([b"{}"]), headers=JSON)
        assert answer.status_code == 405

    @pytest.mark.parametrize("length", ["-1", "٣", "many"])
    def test_a_length_that_is_no_number_is_refused(self, server: Server, length: str) -> None:
        headers = {**JSON, "Content-Length": length.encode()}
        answer = server.client.post("/mosaics/m/items", content=b"{}", headers=headers)
        assert answer.status_code in (400, 411, 413)

"""An Item that is older than what a mosaic has says so, and shows where a user insists."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.served import AUTHORIZED, JSON, Server
from items import box, deletion, item, later, notification
from livemosaic.storage.allowlist import AllowList


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


def truncation(**rest: Any) -> dict[str, Any]:
    return {"op": "truncate", "collection": "s2", **rest}


def give(server: Server, *documents: Any, path: str = "/mosaics/m/items", **query: Any) -> Any:
    body = {"type": "FeatureCollection", "features": list(documents)}
    answer = server.client.post(path, json=body, headers=AUTHORIZED, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def href(server: Server, mosaic: str = "m", name: str = "a") -> str | None:
    """The href that a mosaic shows of an Item; None where it does not show it."""
    answer = server.get(f"/mosaics/{mosaic}/items/{name}", collection="s2")
    return answer.json()["assets"]["visual"]["href"] if answer.status_code == 200 else None


NEW, OLD = "https://example.com/new.tif", "https://example.com/old.tif"
NEWER = {
    "a version": (lambda time: notification(item("a", href=NEW), time), "version", "a version of"),
    "a deletion": (lambda time: deletion("a", time=time), "deletion", "deleted"),
    "a truncation": (lambda time: truncation(time=time), "truncation", "truncated"),
}
newer = pytest.mark.parametrize(("there", "kind", "words"), NEWER.values(), ids=NEWER)


@newer
class TestOlder:
    def test_an_item_that_does_not_show_is_never_done(
        self, server: Server, there: Any, kind: str, words: str
    ) -> None:
        time = later()
        give(server, there(time))
        answer = give(server, item("a", href=OLD), item("b"))
        a, b = answer["outcomes"]
        assert (a["id"], a["status"], a["changes"]) == ("a", "ignored", ["outdated"])
        name = {"mosaic": "m", "collection": "s2", "id": "a"}
        assert a["newer"] == [{**name, "kind": kind, "time": time}]
        assert f"mosaic 'm' has ({words} {time[:19]}" in a["detail"]
        assert "force=true" in a["detail"]
        shown = b["changes"]
        assert answer["counts"] == (
            {"outdated": 2} if shown == ["outdated"] else {"outdated": 1, "applied": 1}
        )
        assert answer["older"] == {kind: answer["counts"]["outdated"]}
        assert href(server) != OLD

    def test_an_item_within_a_message_is_named(
        self, server: Server, there: Any, kind: str, words: str
    ) -> None:
        give(server, there(later()))
        (outcome,) = give(server, notification(item("a"), later(-1)))["outcomes"]
        assert outcome["id"] is None
        assert [(one["id"], one["kind"]) for one in outcome["newer"]] == [("a", kind)]

    def test_who_insists_gets_it_shown_whatever_the_clocks_are(
        self, server: Server, there: Any, kind: str, words: str
    ) -> None:
        give(server, there(later()))
        answer = give(server, item("a", href=OLD), force="true")
        assert answer == {
            "outcomes": [{"id": "a", "status": "done", "changes": ["applied"]}],
            "counts": {"applied": 1},
            "force": True,
        }
        assert href(server) == OLD

    def test_what_comes_after_it_wins_again(
        self, server: Server, there: Any, kind: str, words: str
    ) -> None:
        give(server, there(later()))
        give(server, item("a", href=OLD), force="true")
        give(server, notification(item("a", href=NEW), later(2)))
        assert href(server) == NEW

    def test_insisting_twice_is_as_good_as_once(
        self, server: Server, there: Any, kind: str, words: str
    ) -> None:
        give(server, there(later()))
        for change in ("applied", "unchanged"):
            (outcome,) = give(server, item("a", href=OLD), force="true")["outcomes"]
            assert outcome["changes"] == [change]
        assert href(server) == OLD


class TestInsist:
    def test_on_the_earlier_of_two(self, server: Server) -> None:
        for link in (NEW, OLD, NEW):
            give(server, item("a", href=link), force="true")
            assert href(server) == link

    def test_in_every_mosaic_that_subscribes(self, server: Server) -> None:
        server.create("other")
        give(server, deletion("a", time=later()), path="/items")
        before = give(server, item("a"), path="/items")["outcomes"][0]
        assert [one["mosaic"] for one in before["newer"]] == ["m", "other"]
        give(server, item("a"), path="/items", force="true")
        assert all(href(server, mosaic) for mosaic in ("m", "other"))

    def test_done_where_it_shows_somewhere_and_says_where_not(self, server: Server) -> None:
        server.create("other")
        give(server, deletion("a", time=later()), path="/mosaics/other/items")
        answer = give(server, item("a"), path="/items")
        (outcome,) = answer["outcomes"]
        assert (outcome["status"], outcome["changes"]) == ("done", ["applied", "outdated"])
        assert [one["mosaic"] for one in outcome["newer"]] == ["other"]
        assert (answer["counts"], answer["older"]) == (
            {"applied": 1, "outdated": 1},
            {"deletion": 1},
        )

    def test_on_a_deletion(self, server: Server) -> None:
        give(server, notification(item("a"), later()))
        (outcome,) = give(server, deletion("a"))["outcomes"]
        assert (outcome["status"], outcome["newer"][0]["kind"]) == ("ignored", "version")
        assert href(server)
        give(server, deletion("a"), force="true")
        assert not href(server)

    def test_a_deletion_of_what_is_deleted_since_needs_no_insisting(self, server: Server) -> None:
        give(server, deletion("a", time=later()))
        (outcome,) = give(server, deletion("a"))["outcomes"]
        assert "newer" not in outcome

    def test_on_a_truncation(self, server: Server) -> None:
        give(server, *(notification(item(name), later(n + 1)) for n, name in enumerate("ab")))
        give(server, truncation())
        assert href(server)
        give(server, truncation(), force="true")
        assert [href(server, name=name) for name in "ab"] == [None, None]
        give(server, item("a"), force="true")
        assert [bool(href(server, name=name)) for name in "ab"] == [True, False]

    def test_on_an_item_that_a_filter_leaves_out_takes_it_out(self, server: Server) -> None:
        server.create("clear", filter="eo:cloud_cover < 10")
        clear, cloudy = (item("a", properties={"eo:cloud_cover": n}) for n in (5, 50))
        give(server, notification(clear, later()), path="/mosaics/clear/items")
        give(server, cloudy, path="/mosaics/clear/items", force="true")
        assert not href(server, "clear")
        give(server, clear, path="/mosaics/clear/items", force="true")
        assert href(server, "clear")

    @pytest.mark.parametrize("threads", [1, 10])
    def test_of_several_documents_of_one_request_the_last_one_is_shown(
        self, server: Server, threads: int
    ) -> None:
        names = [f"s{n}" for n in range(threads)]
        for name in names:
            give(server, deletion(name, time=later()))

        def insist(name: str) -> None:
            links = [f"https://example.com/{name}/{n}.tif" for n in range(8)]
            give(server, *(item(name, href=link) for link in links), force="true")

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(insist, names))
        for name in names:
            assert href(server, name=name) == f"https://example.com/{name}/7.tif"

    def test_on_what_is_refused_otherwise_as_its_time_is_far_in_the_future(
        self, server: Server
    ) -> None:
        give(server, item("a"))
        body = deletion("a", time=later(30))
        answer = server.client.post("/items", json=body, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert "more than a day" in answer.json()["outcomes"][0]["detail"]
        give(server, body, force="true")
        assert not href(server)
        give(server, item("a"))  # the deletion is as of now, not of then
        assert href(server)

    def test_what_one_request_deletes_and_puts_back_is_shown(self, server: Server) -> None:
        give(server, notification(item("a", href=NEW), later()))
        give(server, deletion("a"), item("a", href=OLD), force="true")
        assert href(server) == OLD
        give(server, item("a", href=NEW), truncation(), force="true")
        assert not href(server)

    def test_it_moves_rows_as_any_version_does(self, server: Server) -> None:
        give(server, notification(item("a", box(7, 45, 8, 46)), later()))
        give(server, item("a", box(100, 0, 101, 1)), force="true")
        listed = {
            bbox: [f["id"] for f in server.get("/mosaics/m/items", bbox=bbox).json()["features"]]
            for bbox in ("7.2,45.2,7.8,45.8", "100.2,0.2,100.8,0.8")
        }
        assert list(listed.values()) == [[], ["a"]]

    def test_needs_the_credential_of_the_same_request_without_it(self, server: Server) -> None:
        give(server, item("a"))
        for method, path in (
            ("POST", "/items"),
            ("POST", "/mosaics/m/items"),
            ("DELETE", "/mosaics/m/items/a"),
        ):
            body = None if method == "DELETE" else item("a")
            answer = server.client.request(method, path, json=body, params={"force": "true"})
            assert answer.status_code == 401

    @pytest.mark.parametrize("value", ["", "perhaps"])
    def test_on_what_is_neither_true_nor_false_is_refused(self, server: Server, value: str) -> None:
        answer = server.client.post(
            "/items", content=json.dumps(item("a")), headers=JSON, params={"force": value}
        )
        assert answer.status_code == 400
        assert "force" in answer.json()["detail"]


class TestDelete:
    def test_a_scene_with_a_version_of_the_future_is_a_conflict(self, server: Server) -> None:
        time = later()
        give(server, notification(item("a"), time))
        url = "/mosaics/m/items/a?collection=s2"
        answer = server.client.delete(url, headers=AUTHORIZED)
        assert answer.status_code == 409
        assert f"mosaic 'm' has a version of {time[:19]}" in answer.json()["detail"]
        assert "force=true" in answer.json()["detail"]
        assert href(server)
        assert server.client.delete(f"{url}&force=true", headers=AUTHORIZED).status_code == 204
        assert not href(server)

    def test_is_documented(self, server: Server) -> None:
        paths = server.get("/openapi.json").json()["paths"]
        operation = paths["/mosaics/{mosaic}/items/{item}"]["delete"]
        assert "409" in operation["responses"]
        assert "force" in [parameter["name"] for parameter in operation["parameters"]]

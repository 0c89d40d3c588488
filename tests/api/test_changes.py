"""The change feed over HTTP: what changed since a cursor, at what price, and what a cursor is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.served import AUTHORIZED, Server, serving
from bench.meter import Metered
from items import box, item
from livemosaic.model.time import utc_text
from livemosaic.table.dynamodb import DynamoTable
from livemosaic.table.sqlite import SqliteTable

SETTLED_S = 16


class Clock:
    """A clock that a test sets forward; SQLite drops rows that expire by its own."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(sqlite_table: SqliteTable) -> Metered:
    return Metered(sqlite_table)


@pytest.fixture
def server(meter: Metered, folder: Path, clock: Clock) -> Iterator[Server]:
    with serving(meter, folder, href="https://example.com") as made:
        object.__setattr__(made.services.index, "clock", clock)
        object.__setattr__(made.services.mosaics, "clock", clock)
        object.__setattr__(made.services.ingest, "keep_headers", None)
        object.__setattr__(made.services.ingest.allow, "probe", None)
        made.create()
        yield made


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(server: Server) -> Ask:
    def changes(since: str = "", mosaic: str = "m", **query: Any) -> dict[str, Any]:
        given = query | ({"since": since} if since else {})
        answer = server.get(f"/mosaics/{mosaic}/changes", **given)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return changes


def scenes(found: dict[str, Any]) -> list[str]:
    return [change["scene"] for change in found["changes"]]


def test_a_change_is_listed_until_it_is_settled(server: Server, clock: Clock, ask: Ask) -> None:
    begin = ask()
    assert begin == begin | {"changes": [], "reset": False, "more": False}
    server.add(item("a", box(7, 45, 8, 46)))
    first = ask(begin["cursor"])
    (change,) = first["changes"]
    shown = server.get("/mosaics/m/items/a?collection=s2").json()
    assert change == {
        "id": change["id"],
        "kind": "scene",
        "collection": "s2",
        "scene": "a",
        "version": shown["version"],
        "deleted": False,
        "time": utc_text(datetime.fromtimestamp(clock.now, UTC)),
        "bbox": [7, 45, 8, 46],
        "settled": False,
    }
    clock.now += 10
    again = ask(first["cursor"])
    assert again["changes"] == [change]
    clock.now += 10
    settled = ask(again["cursor"])
    assert settled["changes"] == [change | {"settled": True}]
    assert ask(settled["cursor"])["changes"] == []


def test_who_asks_seldom_hears_of_it_once(server: Server, clock: Clock, ask: Ask) -> None:
    cursor = ask()["cursor"]
    server.add(item("a"))
    clock.now += 3600
    found = ask(cursor)
    assert [change["settled"] for change in found["changes"]] == [True]
    assert ask(found["cursor"])["changes"] == []


def test_a_move_is_listed_with_both_places(server: Server, clock: Clock, ask: Ask) -> None:
    server.add(item("a", box(7, 45, 8, 46), updated="2026-01-01T00:00:00Z"))
    clock.now += 7200
    cursor = ask()["cursor"]
    server.add(item("a", box(20, 45, 21, 46), updated="2026-01-02T00:00:00Z"))
    assert [change["bbox"] for change in ask(cursor)["changes"]] == [[7, 45, 21, 46]]


def test_a_deletion_is_listed_where_the_scene_was(server: Server, clock: Clock, ask: Ask) -> None:
    server.add(item("a", box(179, 45, 180, 46)))
    clock.now += 3600
    cursor = ask()["cursor"]
    url = "/mosaics/m/items/a?collection=s2"
    assert server.client.delete(url, headers=AUTHORIZED).status_code == 204
    (change,) = ask(cursor)["changes"]
    assert (change["scene"], change["deleted"]) == ("a", True)
    assert change["bbox"] == [179, 45, 180, 46]


def test_what_changes_no_image_is_not_listed(server: Server, clock: Clock, ask: Ask) -> None:
    document = item("a", updated="2026-01-01T00:00:00Z")
    server.add(document)
    clock.now += 7200
    cursor = ask()["cursor"]
    server.add(document)
    server.client.delete("/mosaics/m/items/nonesuch?collection=s2", headers=AUTHORIZED)
    assert ask(cursor)["changes"] == []


def test_a_truncation_is_listed_as_one_change(server: Server, clock: Clock, ask: Ask) -> None:
    server.add(item("a", box(7, 45, 8, 46)), item("b", box(9, 45, 10, 46)))
    clock.now += 3600
    cursor = ask()["cursor"]
    index = server.services.index
    index.truncate(server.services.mosaics.get("m"), "s2", "2026-06-01T00:00:00Z#~deleted")
    (change,) = ask(cursor)["changes"]
    assert (change["kind"], change["collection"], change["scene"]) == ("collection", "s2", None)
    assert change["bbox"] == [7, 45, 10, 46]


def test_new_settings_are_listed_as_a_change_of_the_mosaic(
    server: Server, clock: Clock, ask: Ask
) -> None:
    server.add(item("a", box(7, 45, 8, 46)))
    cursor = ask()["cursor"]
    clock.now += 1
    settings = {"title": "Alps"}
    server.client.put("/mosaics/m", json=settings, headers=AUTHORIZED).raise_for_status()
    kinds = [change["kind"] for change in ask(cursor)["changes"]]
    assert kinds == ["scene", "mosaic"]


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        ("7.5,45.5,9,47", ["a"]),
        ("170,-10,-170,10", ["b"]),
        ("-180,-90,180,90", ["a", "b"]),
        ("30,30,40,40", []),
    ],
)
def test_a_box_selects_the_changes_in_it(
    server: Server, clock: Clock, ask: Ask, bbox: str, found: list[str]
) -> None:
    cursor = ask()["cursor"]
    server.add(item("a", box(7, 45, 8, 46)))
    clock.now += 1
    server.add(item("b", box(179, -1, 180, 1)))
    assert scenes(ask(cursor, bbox=bbox)) == found


def test_many_changes_come_a_page_at_a_time(server: Server, clock: Clock, ask: Ask) -> None:
    cursor, met, pages = ask()["cursor"], list[str](), 0
    for n in range(7):
        clock.now += 0.1
        server.add(item(f"s{n}"))
    clock.now += SETTLED_S
    more = True
    while more:
        found = ask(cursor, limit=3)
        met += scenes(found)
        cursor, more, pages = found["cursor"], found["more"], pages + 1
    assert met == [f"s{n}" for n in range(7)]
    assert pages == 3
    assert ask(cursor)["changes"] == []


def test_a_page_of_unsettled_changes_is_not_skipped(server: Server, clock: Clock, ask: Ask) -> None:
    cursor = ask()["cursor"]
    for n in range(5):
        clock.now += 0.1
        server.add(item(f"s{n}"))
    met: set[str] = set()
    for _ in range(12):
        clock.now += 5
        found = ask(cursor, limit=2)
        met |= {change["scene"] for change in found["changes"] if change["settled"]}
        cursor = found["cursor"]
    assert met == {f"s{n}" for n in range(5)}


class TestCursor:
    def test_one_older_than_a_day_is_reset(self, clock: Clock, ask: Ask) -> None:
        cursor = ask()["cursor"]
        clock.now += 86_399 - SETTLED_S
        assert not ask(cursor)["reset"]
        clock.now += SETTLED_S
        found = ask(cursor)
        assert found["reset"]
        assert not ask(found["cursor"])["reset"]

    def test_one_of_a_mosaic_created_again_is_reset(self, server: Server, ask: Ask) -> None:
        cursor = ask()["cursor"]
        assert server.client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 204
        server.create()
        assert ask(cursor)["reset"]

    def test_one_of_the_future_is_reset(self, clock: Clock, ask: Ask) -> None:
        cursor = ask()["cursor"]
        clock.now -= 60
        assert ask(cursor)["reset"]

    @pytest.mark.parametrize("text", ["x", "!", "AAAA", "0" * 200, "ü"])
    def test_text_that_is_none_is_refused(self, server: Server, text: str) -> None:
        answer = server.get("/mosaics/m/changes", since=text)
        assert answer.status_code == 400
        assert "is no cursor of this feed" in answer.json()["detail"]

    def test_one_that_nothing_moves_is_good_for_a_week(self, clock: Clock, ask: Ask) -> None:
        cursor = ask()["cursor"]
        for _ in range(7 * 24):
            clock.now += 3600
            found = ask(cursor)
            assert not found["reset"]
            cursor = found["cursor"]


class TestPrice:
    def test_a_request_costs_one_read_unit_while_nothing_happens(
        self, server: Server, meter: Metered, clock: Clock, ask: Ask
    ) -> None:
        """Half for the mosaic and half for the feed, whatever the mosaic holds."""
        server.add(*(item(f"s{n}") for n in range(20)))
        clock.now += 60
        cursor = ask()["cursor"]
        meter.take()
        for _ in range(10):
            clock.now += 5
            ask(cursor, bbox="7,45,8,46")
        assert meter.take().read_units == 10

    def test_a_change_costs_two_write_units(self, server: Server, meter: Metered) -> None:
        """It is a row of less than 1 kB in a transaction that there is anyway."""
        meter.take()
        server.add(item("a", box(7, 45, 8, 46)))
        rows = [row for row in meter.scan("") if "#feed#" in row.key.pk]
        assert len(rows) == 1
        assert set(rows[0].item) == {"kind", "subject", "version", "deleted", "bbox", "expires"}


def test_no_cache_answers_for_it(server: Server) -> None:
    assert server.get("/mosaics/m/changes").headers["Cache-Control"] == "no-cache"


@pytest.mark.emulator
def test_dynamodb_bills_what_the_meter_counts(
    dynamo_client: Any, dynamo_table_name: str, folder: Path
) -> None:
    """A minute of an open map while nothing happens: twelve polls of one read unit."""
    meter = Metered(DynamoTable(dynamo_client, dynamo_table_name))
    with serving(meter, folder, href="https://example.com") as server:
        object.__setattr__(server.services.ingest, "keep_headers", None)
        server.create()
        cursor = server.get("/mosaics/m/changes").json()["cursor"]
        meter.take()
        with units_of_queries(dynamo_client) as billed:
            for _ in range(12):
                answer = server.get("/mosaics/m/changes", since=cursor, bbox="7,45,8,46").json()
                assert answer["changes"] == []
                cursor = answer["cursor"]
        used = meter.take()
        assert (used.batches, used.gets, used.read_units) == (12, 0, 12)
        assert billed == [0.5] * 12  # the emulator states none for batches


@contextmanager
def units_of_queries(client: Any) -> Iterator[list[float]]:
    """The read units that DynamoDB states for each query."""
    billed: list[float] = []

    def ask(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return params | {"ReturnConsumedCapacity": "TOTAL"}

    def add(parsed: dict[str, Any], **_: Any) -> None:
        billed.append(parsed["ConsumedCapacity"]["CapacityUnits"])

    client.meta.events.register("provide-client-params.dynamodb.Query", ask)
    client.meta.events.register("after-call.dynamodb.Query", add)
    try:
        yield billed
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.Query", ask)
        client.meta.events.unregister("after-call.dynamodb.Query", add)

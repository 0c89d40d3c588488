"""A mosaic that an earlier release stored becomes one of this release, while events arrive."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest

from items import NOW, box, deletion, item
from livemosaic.index.formats.migrate import Migration
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.index.verify import Rows
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Key, Put, Row, Table

STORED = Path(__file__).parents[2] / "stored" / "format-0.ndjson"
"""The rows of a mosaic that the release before the format had a number stored at noon."""
LATER = NOW + timedelta(hours=1)
"""The time of the migration."""
KEPT = ("created", "processing:datetime")


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


DAY = 86400
BODIES: Mapping[str, Any] = {
    "plain": item("plain"),
    "updated": item("updated", updated=at(-DAY), datetime="2026-01-02T00:00:00Z"),
    "ahead": item("ahead", updated=at(10 * 3600)),
    "corrected": item(
        "corrected",
        updated=at(-60),
        properties={"created": at(-90 * DAY)},
        datetime="2026-01-03T00:00:00Z",
    ),
    "first": item(
        "first",
        updated=at(-60),
        properties={"created": at(-90 * DAY)},
        datetime="2026-01-04T00:00:00Z",
    ),
    "second": item(
        "second",
        updated=at(-3600),
        properties={"created": at(-80 * DAY)},
        datetime="2026-01-04T00:00:00Z",
    ),
    "processed": item(
        "processed",
        box(-30, 45, 9, 47),
        updated=at(-60),
        properties={"processing:datetime": at(-99 * DAY)},
        datetime="2026-01-04T00:00:00Z",
    ),
    "gone": item("gone"),
    "left": item("left", collection="truncated", updated=at(-60)),
}
"""The Items that were put into it; then `gone` was deleted, and `truncated` truncated."""


def unpacked(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"bytes"}:
        return base64.b64decode(value["bytes"])
    if isinstance(value, dict):
        return {name: unpacked(inner) for name, inner in value.items()}
    return [unpacked(inner) for inner in value] if isinstance(value, list) else value


def stored(path: Path = STORED) -> list[Row]:
    lines = map(json.loads, path.read_text().splitlines())
    return [Row(Key(line["pk"], line["sk"]), unpacked(line["item"])) for line in lines]


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    for row in stored():
        table.transact([Put(row.key, row.item)])
    with ThreadPoolExecutor(4) as pool:
        yield Index(table, Mosaics(table), pool, clock=LATER.timestamp)


def migrate(index: Index) -> list[str]:
    mosaic = index.mosaics.get("old")
    return [one.scene for one in Migration(index, mosaic).run() if one.changed]


class Between:
    """A table in which something else happens just before the first transaction."""

    def __init__(self, table: Table) -> None:
        self._table, self.before = table, cast(Callable[[], Any] | None, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def transact(self, actions: Any) -> None:
        if before := self.before:
            self.before = None
            before()
        self._table.transact(actions)


def sent(name: str, body: Any, seconds: float = 0) -> Message:
    return Message(name, body, NOW + timedelta(seconds=seconds), {})


def made_anew(index: Index, events: list[Message]) -> Mosaic:
    """A mosaic of the same settings, in which all of it arrives in order."""
    mosaic = Mosaic(id="anew", quadkey_zoom=4, max_cells=4, properties=KEPT)
    mosaic = index.mosaics.create(mosaic)
    ingest = Ingest(index, AllowList(("https://",)))
    truncation = {"op": "truncate", "collection": "truncated"}
    before = [*(sent(name, body) for name, body in BODIES.items())]
    before += [sent("d", deletion("gone"), 5), sent("t", truncation)]
    for one in (*before, *events):
        assert ingest.batch([one], only=index.mosaics.get("anew"))[0].ok
    return mosaic


def rows(index: Index, mosaic_id: str) -> dict[tuple[str, str], Any]:
    """Heads and their rows: no generation, moments, feed, and nothing of moves and deletions."""
    mosaic = index.mosaics.get(mosaic_id)
    prefix = f"{mosaic_id}.{mosaic.generation}#"
    ignored = {"version", "written", "moved", "expires", "area"}
    return {
        (row.key.pk.removeprefix(prefix), row.key.sk): {
            "content": row.item["version"].rpartition("#")[2],
            **{name: value for name, value in row.item.items() if name not in ignored},
        }
        for row in index.table.scan(prefix)
        if "cells" in row.item or row.item.keys().isdisjoint(("moved", "deleted", "kind"))
    }


def differences(index: Index) -> list[Any]:
    checked = Rows(index, index.mosaics.get("old"), clock=index.clock).check()
    return [difference for chunk in checked for difference in chunk.differences]


EVENTS = [
    sent("newer", item("updated", box(7, 45, 9, 46), updated=at(-2 * DAY)), 600),
    sent("moved", item("corrected", box(-30, 45, 9, 47), updated=at(-DAY)), 700),
    sent("again", BODIES["plain"], 0),
    sent("put back", item("gone", href="https://example.com/back.tif"), 800),
    sent("deleted", deletion("second"), 900),
    sent("new", item("new", box(-30, 45, 9, 47)), 650),
    sent("late", item("first", href="https://example.com/late.tif", updated=at(DAY)), -7200),
    sent("reloaded", BODIES["left"], 1000),
    sent("ahead", item("ahead", updated=at(60), href="https://example.com/next.tif"), 3700),
]


class TestMigration:
    def test_its_rows_are_as_of_a_mosaic_made_anew(self, index: Index) -> None:
        assert index.mosaics.get("old").format == 0
        assert migrate(index)
        made_anew(index, [])
        assert rows(index, "old") == rows(index, "anew")
        assert index.mosaics.get("old").format == index.mosaics.get("anew").format == FORMAT
        assert differences(index) == []

    def test_it_is_so_while_ten_workers_ingest(self, index: Index) -> None:
        """Each event is delivered thrice, in any order; none is of before the scene it changes.

        What came for the scene with a moment ahead of the clock may have been outdated until the
        migration reached it: that one comes once more.
        """
        ingest = Ingest(index, AllowList(("https://",)))
        todo = [[one for one in EVENTS if one.id != "late"][n:] + EVENTS[:n] for n in range(10)]
        mosaic = index.mosaics.get("old")
        with ThreadPoolExecutor(11) as workers:
            migrated = workers.submit(lambda: list(Migration(index, mosaic).run()))
            done = list(workers.map(lambda some: ingest.batch(some, only=mosaic), todo))
            migrated.result()
        done.append(ingest.batch([one for one in EVENTS if one.id == "ahead"], only=mosaic))
        assert all(outcome.ok for outcomes in done for outcome in outcomes)
        made_anew(index, sorted(EVENTS, key=lambda one: one.time))
        assert rows(index, "old") == rows(index, "anew")
        assert index.mosaics.get("old").format == FORMAT
        assert differences(index) == []

    def test_of_two_processings_the_later_is_on_top_by_what_the_rows_keep(
        self, index: Index
    ) -> None:
        def order() -> list[str]:
            ranks = {
                sk: item["rank"]
                for (pk, sk), item in rows(index, "old").items()
                if pk.startswith("scenes") and "rank" in item
            }
            return sorted((key for key in ranks if key in ("s2#first", "s2#second")), key=ranks.get)  # type: ignore[arg-type]

        assert order() == ["s2#first", "s2#second"]  # by updated: of the later correction
        migrate(index)
        assert order() == ["s2#second", "s2#first"]

    def test_what_is_deleted_meanwhile_leaves_no_row(self, index: Index) -> None:
        """A deletion that has read the head of before the migration does not go by that."""
        mosaic, table = index.mosaics.get("old"), Between(index.table)
        deleting = Index(table, Mosaics(table), index.pool, clock=index.clock)
        table.before = lambda: migrate(index)
        deleting.delete(mosaic, "s2#second", EVENTS[4].order.of_deletion())
        assert not [key for key in rows(index, "old") if "s2#second" in key[1]]

    def test_it_does_nothing_a_second_time(self, index: Index) -> None:
        migrate(index)
        before = {row.key: row.item for row in index.table.scan("old.")}
        again = replace(index.mosaics.get("old"), format=0)
        assert [one for one in Migration(index, again).run() if one.changed] == []
        assert {row.key: row.item for row in index.table.scan("old.")} == before
        assert list(Migration(index, index.mosaics.get("old")).run()) == []

    def test_where_it_is_cut_off_it_goes_on(self, index: Index) -> None:
        for count in (1, 3, 6):
            list(islice(Migration(index, index.mosaics.get("old")).run(), count))
            assert index.mosaics.get("old").format == 0
        migrate(index)
        made_anew(index, [])
        assert rows(index, "old") == rows(index, "anew")

    def test_a_moment_ahead_of_the_clock_keeps_no_event_out(self, index: Index) -> None:
        ingest = Ingest(index, AllowList(("https://",)))
        event = sent("next", item("ahead", href="https://example.com/next.tif"), 3700)
        assert ingest.batch([event])[0].changes[0].change == "outdated"
        migrate(index)
        assert ingest.batch([event])[0].changes[0].change == "applied"
        version = index.scene(index.mosaics.get("old"), "s2#ahead").version
        assert version.startswith("2026-03-01T13:01:40")

"""What an event costs does not depend on how many mosaics there are, and none of them is missed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from bench.meter import Metered, Usage
from interruptions import Hook, Hooked
from items import deletion, item, message
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Key, Put, Table
from proof.memory import MemoryTable
from proof.programs import InTurn

MANY = 1_000


def process(table: Table) -> Ingest:
    """An ingestion as a process has it, with mosaics of its own in memory."""
    return Ingest(Index(table, Mosaics(table), InTurn()), AllowList(("https://",)))


def send(ingest: Ingest, *bodies: Any) -> list[str]:
    return [o.status for o in ingest.batch([message(b, n) for n, b in enumerate(bodies)])]


def ids(table: Table, mosaic: str) -> list[str]:
    reader = process(table).index
    scenes, _ = reader.list_scenes(reader.mosaics.get(mosaic), limit=100)
    return sorted(scene.id for scene in scenes)


def usage_of_events(mosaics: int) -> Usage:
    """Of twenty events, a batch each, in a process that has had one before."""
    table = Metered(MemoryTable())
    made = Mosaics(table)
    for n in range(mosaics):
        made.create(Mosaic(id=f"m{n}", collections=(f"c{n}",)))
    ingest = process(table)
    send(ingest, item("first", collection="c0"))
    table.take()
    for n in range(20):
        assert send(ingest, item(f"s{n}", collection="c0")) == ["done"]
    return table.take()


def test_an_event_costs_the_same_with_any_number_of_mosaics() -> None:
    alone, among_many = usage_of_events(1), usage_of_events(MANY)
    assert among_many.read_units == alone.read_units == 40  # the head, and the registry
    assert among_many.write_units == alone.write_units
    assert among_many.rows_read == alone.rows_read


def test_growth_that_another_process_wrote_is_read_once(sqlite_table: Table) -> None:
    meter = Metered(sqlite_table)
    one, other = process(meter), process(sqlite_table)
    one.index.mosaics.create(Mosaic(id="m"))
    send(one, item("a"))
    send(other, item("b", properties={"datetime": "2026-02-01T00:00:00Z"}, collection="l8"))
    meter.take()
    reads = [_read_units(one, meter, f"s{n}") for n in range(3)]
    assert reads[1:] == [2, 2]


def _read_units(ingest: Ingest, meter: Metered, name: str) -> float:
    send(ingest, item(name))
    return meter.take().read_units


class TestOtherProcesses:
    """One process has all mosaics in memory, and another one changes them."""

    @pytest.fixture
    def table(self, sqlite_table: Table) -> Table:
        return sqlite_table

    def test_a_mosaic_created_just_before_an_event_gets_it(self, table: Table) -> None:
        warm, other = process(table), process(table)
        send(warm, item("before"))
        for n in range(3):
            other.index.mosaics.create(Mosaic(id=f"m{n}"))
            assert send(warm, item(f"s{n}")) == ["done"]
        assert [ids(table, f"m{n}") for n in range(3)] == [["s0", "s1", "s2"], ["s1", "s2"], ["s2"]]

    def test_more_changes_than_the_registry_names_are_all_seen(self, table: Table) -> None:
        warm, other = process(table), process(table)
        send(warm, item("before"))
        for n in range(40):
            other.index.mosaics.create(Mosaic(id=f"m{n}"))
        send(warm, item("a"))
        assert all(ids(table, f"m{n}") == ["a"] for n in range(40))

    def test_mosaics_created_at_once_are_all_there(self, table: Table) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda n: Mosaics(table).create(Mosaic(id=f"m{n}")), range(24))
            assert len(list(made)) == 24
        assert Mosaics(table).registry().version == 24
        send(process(table), item("a"))
        assert all(ids(table, f"m{n}") == ["a"] for n in range(24))

    def test_one_that_was_deleted_keeps_nothing(self, table: Table) -> None:
        warm, other = process(table), process(table)
        other.index.mosaics.create(Mosaic(id="m"))
        send(warm, item("a"))
        list(other.index.drop("m"))
        send(warm, item("b"))
        assert [row.key for row in table.scan("m.") if "#feed#" not in row.key.pk] == []

    def test_a_truncation_hides_what_comes_late(self, table: Table) -> None:
        warm, other = process(table), process(table)
        other.index.mosaics.create(Mosaic(id="m"))
        send(warm, item("a"))
        other.batch([message({"op": "truncate", "collection": "s2"}, 100)])
        warm.batch([message(item("late"), 50)])
        assert ids(table, "m") == []

    def test_other_collections_count_from_the_next_batch_on(self, table: Table) -> None:
        warm, other = process(table), process(table)
        other.index.mosaics.create(Mosaic(id="m", collections=("l8",)))
        assert send(warm, item("a")) == ["ignored"]
        other.index.mosaics.update("m", {"collections": ("s2",)})
        assert send(warm, item("b"), item("c", collection="l8")) == ["done", "ignored"]
        assert send(warm, deletion("b")) == ["done"]


@contextmanager
def created_at(call: int) -> Iterator[tuple[Ingest, Hook, Table]]:
    """A warm process, in whose next batch another one creates a mosaic before some call."""
    table = MemoryTable()
    hook = Hook(10**6, lambda: process(table).index.mosaics.create(Mosaic(id="new")))
    warm = process(Hooked(table, hook))
    process(table).index.mosaics.create(Mosaic(id="old"))
    send(warm, item("before"))
    hook.after = hook.calls + call
    yield warm, hook, table


def test_a_mosaic_created_at_any_moment_of_a_batch_gets_its_items() -> None:
    """The batch ends with a read of the registry: what was created before that is not missed."""
    missed = []
    for call in range(20):
        with created_at(call) as (warm, hook, table):
            send(warm, item("a"))
            if hook.ran and ids(table, "new") != ["a"]:
                missed.append(call)
            if not hook.ran:
                break
    assert call == 3  # the head, the transaction, the registry
    assert missed == []


class TestALaterRelease:
    """One mosaic of several is of a format that this release does not know."""

    @pytest.fixture
    def table(self) -> MemoryTable:
        table = MemoryTable()
        for name in ("a", "b", "later"):
            Mosaics(table).create(Mosaic(id=name, collections=("s2",)))
        self.migrated_by_a_later_release(table)
        Mosaics(table).create(Mosaic(id="z", collections=("s2",)))
        return table

    @staticmethod
    def migrated_by_a_later_release(table: Table) -> None:
        """Its row also means other things by names of this release."""
        key = Key("mosaics", "later")
        row = {**(table.get(key) or {}), "format": FORMAT + 1, "watermarks": 7, "filter": "{"}
        table.transact([Put(key, row)])

    @pytest.mark.parametrize(
        "body",
        [
            item("new"),
            deletion("new"),
            {"op": "truncate", "collection": "s2"},
            {"type": "FeatureCollection", "features": [item("new"), item("l", collection="l8")]},
        ],
        ids=["put", "deletion", "truncation", "several"],
    )
    def test_a_message_that_it_wants_is_kept_with_the_reason_and_changes_all_others(
        self, table: MemoryTable, body: Any
    ) -> None:
        Mosaics(table).create(Mosaic(id="y", collections=("l8",)))
        before = {key: row for key, row in table.rows.items() if "later" in key.pk + key.sk}
        (outcome,) = process(table).batch([message(body)])
        assert outcome.status == "failed"
        assert f"'later' is of format {FORMAT + 1}" in outcome.reason
        assert "upgrade livemosaic" in outcome.reason
        wanted = {"a", "b", "z"} | ({"y"} if "features" in body else set())
        assert {change.mosaic for change in outcome.changes} == wanted
        after = {key: row for key, row in table.rows.items() if "later" in key.pk + key.sk}
        assert after == before

    def test_what_it_does_not_want_is_done(self, table: MemoryTable) -> None:
        Mosaics(table).create(Mosaic(id="y", collections=("l8",)))
        assert send(process(table), item("x", collection="l8")) == ["done"]
        assert ids(table, "y") == ["x"]

    def test_a_process_that_knew_it_before_learns_of_it(self) -> None:
        table = MemoryTable()
        Mosaics(table).create(Mosaic(id="later", collections=("s2",)))
        running = process(table)
        assert send(running, item("x")) == ["done"]
        row = Mosaics(table).registry().after("later")  # as a migration writes both
        self.migrated_by_a_later_release(table)
        table.transact([row])
        (outcome,) = running.batch([message(item("y"))])
        assert outcome.status == "failed"
        (outcome,) = running.batch([message(item("z"))])
        assert (outcome.status, outcome.changes) == ("failed", [])

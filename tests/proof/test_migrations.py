"""A mosaic of an earlier release is migrated by two users at once, who may be cut off, beside an
event: every schedule of that.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from items import box, deletion, item, message
from livemosaic.index.formats.migrate import Migration
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import head_partitions
from livemosaic.index.verify import Rows as Checks
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.table import Key, Put
from proof.memory import MemoryTable, Rows, unpacked
from proof.programs import Answers, Program
from proof.scenes import ALLOW, FULL, LATER, OF_THE_WAY, ghosts, index
from proof.schedules import Explored

STORED = Path(__file__).parents[1] / "stored" / "format-0.ndjson"
SCENES = ("ahead", "second", "gone", "left")
"""Of those that are stored: one ahead of the clock, one whose rank changes, a tombstone, and one
that a truncation left behind."""
EVENTS: Mapping[str, Message | None] = {
    "alone": None,
    "moved": message(item("second", box(7, 45, 9, 46)), 600),
    "deleted": message(deletion("second"), 600),
    "put back": message(item("gone"), 600),
    "of the future": message(item("ahead", href="https://example.com/next.tif"), 3500),
}


def stored() -> Rows:
    table = MemoryTable()
    for text in STORED.read_text().splitlines():
        row = json.loads(text, object_hook=_unpacked)
        if row["pk"] == "mosaics" or row["sk"].rpartition("#")[2] in SCENES:
            table.transact([Put(Key(row["pk"], row["sk"]), row["item"])])
    return table.rows


def _unpacked(pairs: dict[str, Any]) -> Any:
    return base64.b64decode(pairs["bytes"]) if pairs.keys() == {"bytes"} else pairs


def mosaic_of(rows: Rows) -> Mosaic:
    return Mosaics(MemoryTable(rows)).get("old")


def migrates(mosaic: Mosaic) -> Program:
    def work(answers: Answers) -> bool:
        list(Migration(index(answers), mosaic).run())
        return True

    return work


def delivered(sent: Message, mosaic: Mosaic) -> Program:
    def work(answers: Answers) -> bool:
        (outcome,) = Ingest(index(answers), ALLOW).batch([sent], only=mosaic)
        return outcome.ok

    return work


def content(rows: Rows) -> dict[Key, Any]:
    """Heads and their rows, without moments."""
    kinds = ("#scenes#", "#cell#", "#coarse#")
    own = {key: packed for key, packed in rows.items() if any(kind in key.pk for kind in kinds)}
    items = {key: unpacked(packed) for key, packed in own.items()}
    ignored = ("version", "expires", *OF_THE_WAY)
    return {
        key: {name: value for name, value in found.items() if name not in ignored}
        | {"content": found["version"].rpartition("#")[2]}
        for key, found in items.items()
        if "expires" not in found or found.get("deleted")
    }


def explored(sent: Message | None, **bounds: Any) -> Explored:
    rows = stored()
    mosaic = mosaic_of(rows)
    events = [] if sent is None else [sent]
    expected = content(_migrated(rows, events))

    def is_of_this_format(after: Rows) -> None:
        table = MemoryTable(after)
        assert mosaic_of(after).format == FORMAT
        assert content(after) == expected
        assert ghosts(after) == set()
        checked = Checks(index(table), mosaic_of(after), clock=lambda: LATER).check()
        assert [found for chunk in checked for found in chunk.differences] == []

    used = {key.pk for key in rows}
    still = frozenset(pk for pk in head_partitions(mosaic) if pk not in used)
    programs = [migrates(mosaic), migrates(mosaic), *(delivered(one, mosaic) for one in events)]
    return Explored(programs, rows, is_of_this_format, deliveries=1, still=still, **bounds)


def _migrated(rows: Rows, events: Sequence[Message]) -> Rows:
    table = MemoryTable(rows)
    mosaic = mosaic_of(rows)
    list(Migration(index(table), mosaic).run())
    for one in events:
        assert Ingest(index(table), ALLOW).batch([one], only=mosaic)[0].ok
    return table.rows


@pytest.mark.parametrize("sent", EVENTS.values(), ids=EVENTS)
def test_two_migrations_that_may_be_cut_off_end_as_one(sent: Message | None) -> None:
    every = explored(sent, crashes=1 if FULL or sent is None else 0)
    assert every.schedules > 1_000


def test_a_migration_that_reads_no_condition_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write a head that an event has deleted or replaced since."""
    monkeypatch.setattr("livemosaic.index.scenes.unchanged", lambda _: None)
    with pytest.raises(AssertionError, match="after the schedule"):
        explored(EVENTS["deleted"], crashes=0)


def test_a_moment_ahead_of_the_clock_is_the_clocks_only_once() -> None:
    """Of two migrations the later does not raise what the earlier has set."""
    table = MemoryTable(stored())
    mosaic = mosaic_of(table.rows)
    list(Migration(index(table), mosaic).run())
    before = table.rows
    list(Migration(index(table, lambda: LATER + 60), mosaic).run())
    assert {k: v for k, v in table.rows.items() if k.pk != "mosaics"} == {
        k: v for k, v in before.items() if k.pk != "mosaics"
    }

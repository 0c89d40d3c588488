"""What shows follows from the set of changes of a scene, whatever clocks say and in whatever order
they arrive: every order of kinds of changes, and every schedule of some of them.

Each case is a list of changes from the oldest to the newest, as their sources gave them. Its end is
that of the last of them, and must be the same in every order, with duplicates.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from unittest import mock

import pytest

from items import NOW, box, deletion, item
from livemosaic.errors import NotFoundError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.index.verify import Rows as Checks
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic, Watermark
from livemosaic.model.order import Order, unmarked
from livemosaic.model.time import utc_text
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, FULL, LATER, WIDE, Setting, ghosts, index, setting, tile
from proof.schedules import Explored

HOUR, DAY = 3600, 24 * 3600
FAR = box(100, 20, 101, 21)
LAST_READ = NOW + timedelta(days=30)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def picture(name: str, updated: float | None = None) -> dict[str, Any]:
    stated = None if updated is None else utc_text(at(updated))
    return item("a", href=f"https://example.com/{name}.tif", updated=stated)


def event(body: Any, seconds: float) -> Message:
    """An SNS notification of that second."""
    envelope = {
        "Type": "Notification",
        "Message": json.dumps(body),
        "Timestamp": at(seconds).isoformat(),
    }
    return Message("event", envelope, LAST_READ, {})


def put(name: str, seconds: float, updated: float | None = None) -> Message:
    return event(picture(name, updated), seconds)


def gone(seconds: float) -> Message:
    return event(deletion("a"), seconds)


def truncated(seconds: float) -> Message:
    return event({"op": "truncate", "collection": "s2"}, seconds)


def line(body: Any, written: float, number: int, read: float = 0) -> Message:
    """A line of a file, read in a run."""
    order = Order.listed(at(written), at(read), number)
    return Message(f"file:{number}", body, LAST_READ, {}, stated=order)


def listed(name: str, answered: float, updated: float | None, read: float = 0) -> Message:
    """An Item of a catalogue, or of stac-geoparquet, as of a second."""
    order = Order.listed(at(answered), at(read), snapshot=True)
    return Message("page", picture(name, updated), LAST_READ, {}, stated=order)


CASES: Mapping[str, Sequence[Message]] = {
    "equal updated with other content": [put("1", 0, -9), put("3", 1, -9), put("2", 2, -9)],
    "updated ahead by hours": [put("1", 0, 9 * HOUR), put("2", 1, 5), put("3", 2, -HOUR)],
    "updated behind by hours": [put("1", 0, -9 * HOUR), put("2", 9, -10 * HOUR), put("3", 10)],
    "updated ahead, deleted": [put("1", 0, 10 * HOUR), put("2", 1, 2), gone(300)],
    "deleted and put back as it was": [put("1", 0, -DAY), gone(5), put("1", 10, -DAY)],
    "put back and deleted again": [gone(5), put("1", 10, -DAY), gone(11)],
    "one second: put and deleted": [put("1", 0, -DAY), put("2", 5, 3), gone(5)],
    "truncated and loaded again": [put("1", 0, -DAY), truncated(5), put("1", 6, -DAY)],
    "truncated after all": [put("1", 0, HOUR), put("2", 4, HOUR), truncated(5)],
    "stamped by its API, then an event": [
        listed("1", HOUR, 12), put("2", 30, -DAY), put("3", 31, -2 * DAY),
    ],
    "a week-old snapshot beside events": [
        listed("old", -7 * DAY, -8 * DAY, HOUR), put("1", 0, -8 * DAY), put("2", 60, 60),
    ],
    "a snapshot does not bring back": [listed("1", HOUR, -DAY), put("1", 0, -DAY), gone(60)],
    "a snapshot of after the deletion": [put("1", 0, -DAY), gone(60), listed("2", HOUR, 120)],
    "snapshots without updated": [
        listed("1", 0, None), listed("2", HOUR, None), listed("3", HOUR, None, 5),
    ],
    "snapshots of equal updated": [
        listed("1", 0, -DAY), listed("2", HOUR, -DAY), put("3", 2 * HOUR, -2 * DAY),
    ],
    "lines of one file": [
        line(picture("1", -DAY), 0, 1), line(deletion("a"), 0, 2), line(picture("1", -DAY), 0, 3),
    ],
    "two files of one moment": [
        line(picture("1", 9), 0, 1), line(picture("2", 3), 0, 2), line(picture("1"), 0, 1, 5),
    ],
    "a file before the events": [
        line(picture("1", 9 * HOUR), -HOUR, 1, HOUR), put("2", 0, -DAY), gone(1),
    ],
}  # fmt: skip
"""Three changes of one scene, the oldest first."""


@pytest.fixture(scope="module")
def there() -> Setting:
    return setting()


def shown(rows: Rows) -> list[str]:
    table = MemoryTable(rows)
    scenes, _ = index(table).list_scenes(Mosaics(table).get("m"), limit=10)
    return [scene.assets["visual"].rpartition("/")[2] for scene in scenes if scene.id == "a"]


def cells(rows: Rows) -> set[str]:
    """Scenes with rows in cells."""
    return {k.sk.partition("#")[2] for k in rows if "#cell#" in k.pk or "#coarse#" in k.pk}


def wanted(newest: Message) -> list[str]:
    """What the newest change leaves of the scene."""
    body = newest.body
    assert isinstance(body, Mapping)
    document = json.loads(body["Message"]) if "Message" in body else body
    assets = document.get("assets")
    return [assets["visual"]["href"].rpartition("/")[2]] if assets else []


def ends(rows: Rows, sent: Sequence[Message]) -> Rows:
    table = MemoryTable(rows)
    ingest = Ingest(index(table), ALLOW)
    for message in sent:
        assert ingest.batch([message])[0].ok
    return table.rows


def check(newest: Message) -> Callable[[Rows], None]:
    def check_rows(rows: Rows) -> None:
        assert shown(rows) == wanted(newest)
        assert ("s2#a" in cells(rows)) == bool(wanted(newest))
        assert ghosts(rows) == set()

    return check_rows


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_the_newest_shows_in_every_order_with_every_duplicate(
    there: Setting, changes: Sequence[Message]
) -> None:
    for order in permutations(changes):
        for again in changes:
            check(changes[-1])(ends(there.rows, [*order, again]))


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_each_change_alone_and_each_two_end_alike(
    there: Setting, changes: Sequence[Message]
) -> None:
    """Where one of them is lost or not there yet, too."""
    for some in (*permutations(changes, 2), *permutations(changes, 1)):
        newest = max(some, key=changes.index)
        check(newest)(ends(there.rows, some))


def delivered(sent: Message, known: Sequence[Mosaic]) -> Program:
    def work(answers: Answers) -> bool:
        (outcome,) = Ingest(index(answers), ALLOW, recent=RecentMosaics(known)).batch([sent])
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


SCHEDULED = [*CASES] if FULL else [
    "equal updated with other content", "updated ahead, deleted", "deleted and put back as it was",
    "truncated and loaded again", "stamped by its API, then an event",
    "a week-old snapshot beside events", "a snapshot does not bring back", "lines of one file",
]  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULED)
def test_every_schedule_of_workers_ends_with_the_newest(there: Setting, name: str) -> None:
    changes = CASES[name]
    programs = [delivered(change, [there.mosaic]) for change in changes]
    bounds = {"deliveries": 1, "crashes": 1 if FULL else 0}
    assert Explored(programs, there.rows, check(changes[-1]), **bounds).schedules > 100


ONE_VERSION: Mapping[str, Sequence[Message]] = {
    "again, and deleted": [put("1", 0), gone(1)],
    "again, and deleted by a clock that is late": [put("1", 0), gone(-1)],
    "again, and moved": [put("1", 0), event(item("a", FAR, href="https://example.com/2.tif"), 1)],
    "again, and again later": [put("1", 0), put("1", 1), gone(2)],
    "again, and truncated": [put("1", 0), truncated(1)],
    "again, and another document of that moment": [put("1", 0), put("3", 0)],
}
"""The first change was applied by an earlier release, and is delivered again."""


def by_an_earlier_release(program: Program) -> Program:
    """It puts scenes at other places in the order, so that all their rows have other keys."""

    def work(answers: Answers) -> Any:
        with mock.patch("livemosaic.ingest.item.rank", lambda *_: "3e~earlier"):
            return program(answers)

    return work


def of_an_earlier_release(there: Setting, first: Message) -> Rows:
    table: Any = MemoryTable(there.rows)
    assert by_an_earlier_release(delivered(first, [there.mosaic]))(table)
    rows: Rows = table.rows
    return rows


def explored_anew(there: Setting, changes: Sequence[Message], **bounds: Any) -> Explored:
    before = of_an_earlier_release(there, changes[0])
    table = MemoryTable(before)
    for change in changes:
        Ingest(index(table), ALLOW).batch([change], only=there.mosaic)
    ended = shown(table.rows)

    def check_rows(rows: Rows) -> None:
        assert shown(rows) == ended
        assert ("s2#a" in cells(rows)) == bool(ended)
        assert ghosts(rows) == set()
        after = MemoryTable(rows)
        found = Checks(index(after), Mosaics(after).get("m"), clock=lambda: LATER).check()
        assert [one for chunk in found for one in chunk.differences] == []

    programs = [delivered(change, [there.mosaic]) for change in changes]
    return Explored(programs, before, check_rows, **bounds)


@pytest.mark.parametrize("changes", ONE_VERSION.values(), ids=ONE_VERSION)
def test_rows_that_another_release_makes_of_one_version_leave_none_behind(
    there: Setting, changes: Sequence[Message]
) -> None:
    """The scene is made anew beside a change that has read it as it was."""
    assert explored_anew(there, changes, deliveries=2, crashes=1).schedules > 50


def test_two_releases_that_write_one_version_at_once_leave_no_row_of_a_deleted_scene(
    there: Setting,
) -> None:
    def nothing_is_left(rows: Rows) -> None:
        assert (shown(rows), "s2#a" in cells(rows), ghosts(rows)) == ([], False, set())

    known = [there.mosaic]
    same, deletion = delivered(put("1", 0), known), delivered(gone(1), known)
    programs = [same, by_an_earlier_release(same), deletion]
    every = Explored(programs, there.rows, nothing_is_left, workers=3, deliveries=1, crashes=1)
    assert every.schedules > 1_000


def test_rows_that_are_repaired_in_other_cells_leave_none_behind(there: Setting) -> None:
    """An earlier release chose fewer cells; a repair chooses them anew beside a deletion."""
    table = MemoryTable(there.rows)
    few = replace(there.mosaic, max_cells=1)
    Ingest(index(table), ALLOW).batch([event(item("a", WIDE), 0)], only=few)

    def repairs(answers: Answers) -> bool:
        index(answers).rewrite(there.mosaic, "s2#a")
        return True

    def nothing_is_left(rows: Rows) -> None:
        assert (shown(rows), "s2#a" in cells(rows), ghosts(rows)) == ([], False, set())

    programs = [repairs, delivered(gone(1), [there.mosaic])]
    assert Explored(programs, table.rows, nothing_is_left, crashes=1).schedules > 50


@pytest.mark.parametrize("hash_order", [1, -1], ids=["larger", "smaller"])
def test_rows_made_anew_count_as_of_the_change_that_made_them(
    there: Setting, hash_order: int
) -> None:
    """Of two documents of one moment the same one shows, whether or not one was made anew."""
    documents = sorted((put("1", 0), put("3", 0)), key=lambda one: version(there, one))
    first, second = documents[::hash_order]
    table = MemoryTable(of_an_earlier_release(there, first))
    ingest = Ingest(index(table), ALLOW)
    assert ingest.batch([first])[0].changes[0].change == "applied"
    assert ingest.batch([first])[0].changes[0].change == "unchanged"
    assert ingest.batch([second])[0].changes[0].change == "contested"
    assert shown(table.rows) == wanted(documents[1])


def test_rows_made_anew_stay_hidden_by_the_truncation_that_hid_them(there: Setting) -> None:
    """A forced truncation has no second word, and the mark of a version stands where one would."""
    table = MemoryTable(of_an_earlier_release(there, put("1", 0)))
    everything = index(table)
    everything.rewrite(there.mosaic, "s2#a")
    marked = everything.scene(there.mosaic, "s2#a").version
    hidden = everything.mosaics.truncate("m", Watermark("s2", f"{utc_text(at(0))}#~deleted", 1), 0)
    assert marked > hidden.watermark("s2") > unmarked(marked)
    with pytest.raises(NotFoundError):
        everything.scene(hidden, "s2#a")
    assert "s2#a" not in {found.key for found in everything.find(hidden, tile(hidden, 4))}
    assert "s2#a" in everything.left_over(hidden, "s2")
    everything.apply_watermark(hidden, "s2#a")
    assert (shown(table.rows), "s2#a" in cells(table.rows)) == ([], False)


def version(there: Setting, change: Message) -> str:
    rows = ends(there.rows, [change])
    found: str = index(MemoryTable(rows)).scene(there.mosaic, "s2#a").version
    return found


def test_a_day_sent_back_from_the_dead_letters_changes_nothing(there: Setting) -> None:
    """After 13 days, and after the days of since: each keeps the time of when it was first sent."""
    day = [put(str(n), n * HOUR, -n * HOUR) for n in range(24)]
    day[12], day[20] = gone(12 * HOUR), truncated(20 * HOUR)
    since = [put("since", 2 * DAY, -9 * DAY), gone(3 * DAY), put("last", 4 * DAY, -9 * DAY)]
    for whole in (day, [*day, *since]):
        end = ends(there.rows, whole)
        check(whole[-1])(end)
        check(whole[-1])(ends(end, day[::-1]))
        check(whole[-1])(ends(end, day))
        check(whole[-1])(ends(there.rows, whole[::-1]))


def by_updated(order: Order, updated: datetime | None) -> str:
    """The order of before: `updated` where there is one, whoever states it."""
    return utc_text(updated or order.moment)


class TestTheProofItself:
    def test_rows_made_anew_at_the_very_same_version_are_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("livemosaic.index.scenes.remade", lambda same: same)
        with pytest.raises(AssertionError, match="after the schedule"):
            explored_anew(there, ONE_VERSION["again, and deleted"], deliveries=1, crashes=0)

    def test_marks_that_count_in_the_order_are_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("livemosaic.index.scenes.unmarked", lambda marked: marked)
        with pytest.raises(AssertionError):
            test_rows_made_anew_count_as_of_the_change_that_made_them(there, 1)
        with pytest.raises(AssertionError):
            test_rows_made_anew_count_as_of_the_change_that_made_them(there, -1)

    def test_an_order_by_updated_is_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Order, "of_item", by_updated)
        wrong = [name for name, changes in CASES.items() if not _holds(there, changes)]
        assert {
            "equal updated with other content", "updated ahead, deleted",
            "deleted and put back as it was", "truncated and loaded again",
            "stamped by its API, then an event",
        } <= {*wrong}  # fmt: skip

    def test_an_order_by_arrival_is_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(10**6))
        monkeypatch.setattr(Order, "of_item", lambda *_: utc_text(at(next(clock))))
        assert not _holds(there, CASES["equal updated with other content"])


def _holds(there: Setting, changes: Sequence[Message]) -> bool:
    try:
        test_the_newest_shows_in_every_order_with_every_duplicate(there, changes)
    except AssertionError:
        return False
    return True

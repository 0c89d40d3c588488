"""No reader of the change feed misses a change, whatever the schedule.

A worker stamps its change, and commits it a minute later; or dies once it has, and its event comes
again. A reader polls at any moments between, and keeps its cursor as a client does.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from items import box, item
from livemosaic.errors import ConditionFailedError
from livemosaic.geo.antimeridian import extent
from livemosaic.index import scenes
from livemosaic.index.feed.reader import Changes, Cursor, Feed
from livemosaic.index.feed.rows import FeedRow
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.table import ABSENT, Equals, Key, Put, Table
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Call, Program
from proof.scenes import ALLOW, CHANGES, LATER, Setting, event, index, setting
from proof.schedules import Explored

READER = Key("reader", "reader")
"""A row of the test's own, in which the reader keeps what it knows."""
PAUSE_S = 60.0
SCENE = "s2#a"
EAST = (20.0, 45.0, 21.0, 46.0)
SENT = CHANGES | {"east": item("a", box(*EAST), datetime="2026-01-21")}


@pytest.fixture(scope="module")
def there() -> Setting:
    return setting()


def clock(moment: int, _: Call) -> float:
    return LATER + moment * PAUSE_S


def delivered(message: Message, mosaic: Mosaic) -> Program:
    def work(answers: Answers) -> bool:
        ingest = Ingest(index(answers, clock=answers.clock), ALLOW)
        (outcome,) = ingest.batch([message], only=mosaic)
        return outcome.ok

    return work


def polls(mosaic: Mosaic) -> Program:
    """A request of the reader, by its cursor; it keeps what is settled, and the next cursor."""

    def poll(answers: Answers) -> bool:
        known = answers.get(READER) or {"polls": 0, "cursor": "", "settled": []}
        cursor = Cursor.parse(known["cursor"]) if known["cursor"] else None
        found = Feed(answers, answers.clock).since(mosaic, cursor, 100)
        settled = [*known["settled"], *([row.version, list(row.bbox)] for row in _settled(found))]
        row = {"polls": known["polls"] + 1, "cursor": str(found.cursor), "settled": settled}
        expect = Equals("polls", known["polls"]) if known["polls"] else ABSENT
        answers.transact([Put(READER, row, expect)])
        return True

    def unless_another_does(answers: Answers) -> bool:
        try:
            return poll(answers)
        except ConditionFailedError:
            return True

    return unless_another_does


def _settled(found: Changes) -> Sequence[FeedRow]:
    return found.rows[: found.settled]


def all_heard(rows: Rows, mosaic: Mosaic) -> list[tuple[str, BBox]]:
    """What the reader has heard once it has polled again, an hour later."""
    table = MemoryTable(rows)
    known = table.get(READER)
    if known is None:
        return []
    hour_later = Feed(table, lambda: LATER + 3600).since(mosaic, Cursor.parse(known["cursor"]), 100)
    heard = [(version, tuple(bbox)) for version, bbox in known["settled"]]
    return heard + [(row.version, row.bbox) for row in _settled(hour_later)]


def misses_nothing(mosaic: Mosaic) -> Callable[[Rows], None]:
    """Returns a check that the reader has heard of the last change of the scene, and where."""

    def check(rows: Rows) -> None:
        heard = all_heard(rows, mosaic)
        head = index(MemoryTable(rows)).head(mosaic, SCENE)
        if not heard and READER not in rows:
            return  # it never began
        assert head is not None
        assert head.version in {version for version, _ in heard}
        boxes = [bbox for version, bbox in heard if version == head.version]
        if isinstance(head, scenes.Head):
            assert any(_holds(bbox, extent(head.scene.footprint)) for bbox in boxes)

    return check


def _holds(one: BBox, other: BBox) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one[2] >= other[2] and one[3] >= other[3]


def began(there: Setting) -> Rows:
    """The table, with a reader that has its first cursor."""
    first = Feed(MemoryTable(there.rows), lambda: LATER).since(there.mosaic, None, 100)
    table = MemoryTable(there.rows)
    table.transact([Put(READER, {"polls": 1, "cursor": str(first.cursor), "settled": []})])
    return table.rows


def explored(there: Setting, changes: Sequence[str], reads: int = 2) -> Explored:
    sent = [event(SENT[change], seconds=n) for n, change in enumerate(changes)]
    programs = [delivered(message, there.mosaic) for message in sent]
    programs += [polls(there.mosaic)] * reads
    return Explored(
        programs,
        began(there),
        misses_nothing(there.mosaic),
        deliveries=1,
        happens=(None, None),
        world=clock,
        still=frozenset({"mosaics"}),
    )


@pytest.mark.parametrize("changes", [("put",), ("deleted", "put")], ids=", ".join)
def test_a_change_that_is_committed_late_is_not_missed(
    there: Setting, changes: Sequence[str]
) -> None:
    every = explored(there, changes, reads=2 if len(changes) == 1 else 1)
    assert every.schedules > 1_000


def test_a_scene_that_moved_is_heard_of_where_it_was(there: Setting) -> None:
    """Its first place was committed late, by a worker that died: the next change has it, too."""
    every = explored(there, ("put", "east"), reads=1)
    assert every.schedules > 1_000
    places = [(7.0, 45.0, 8.0, 46.0), EAST]
    for end in every.ends:
        rows = every.tables[end]
        heard = all_heard(rows, there.mosaic)
        stamped = {pk.sk for pk in rows if pk.pk.endswith("#feed#changes")}
        if len(stamped) > 1:
            assert all(any(_holds(bbox, place) for _, bbox in heard) for place in places)


class TestTheProofItself:
    """It sees what is wrong: each of these breaks one thing that the feed relies on."""

    @pytest.fixture(autouse=True)
    def whole(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        yield
        monkeypatch.undo()

    @pytest.mark.parametrize("step", ["repeat_if_late", "repeat_if_doubtful"])
    def test_a_writer_that_does_not_repeat_itself_is_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr(scenes, step, lambda *_: None)
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(there, ("put",))

    def test_a_reader_that_does_not_stay_behind_is_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("livemosaic.index.feed.reader.SETTLE_S", -PAUSE_S)
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(there, ("put",))

    def test_a_feed_beside_the_transaction_is_found_out(
        self, there: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker dies between the two, and its event is no change when it comes again."""

        def first_the_scene(table: Table, actions: Sequence[Any]) -> None:
            feed = [a for a in actions if a.key.pk.endswith("#feed#changes")]
            table.transact([a for a in actions if a not in feed])
            table.transact(feed)

        def work(message: Message) -> Program:
            def apart(answers: Answers) -> bool:
                return delivered(message, there.mosaic)(_Apart(answers, first_the_scene))  # type: ignore[arg-type]

            return apart

        monkeypatch.setattr(scenes, "repeat_if_doubtful", lambda *_: None)
        sent = event(CHANGES["put"], seconds=0)
        with pytest.raises(AssertionError, match="after the schedule"):
            Explored(
                [work(sent), polls(there.mosaic)],
                began(there),
                misses_nothing(there.mosaic),
                deliveries=1,
                world=lambda *_: LATER,
                still=frozenset({"mosaics"}),
            )


class _Apart:
    """A table that splits transactions."""

    def __init__(self, answers: Answers, split: Callable[[Table, Sequence[Any]], None]) -> None:
        self._answers, self._split = answers, split

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answers, name)

    def transact(self, actions: Sequence[Any]) -> None:
        self._split(self._answers, actions)

"""One scene, a few events, each delivered twice: every schedule of the workers and the readers.

A worker may die after any of its writes, and its message comes again. LIVEMOSAIC_TEST_DEPTH=full
takes every three of the changes instead of those named here.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_
from typing import Any

import pytest

from items import box, item
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.partitions import Area
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Delete, Put, Table
from proof.memory import MemoryTable, Rows, unpacked
from proof.programs import Answers, Call, Program
from proof.readings import Readings
from proof.scenes import (
    ALLOW,
    CHANGES,
    FULL,
    LATER,
    Setting,
    claimed,
    event,
    ghosts,
    index,
    setting,
    several_cells,
    stands,
    tile,
    tiles,
)
from proof.schedules import Explored

THREE = [
    ("put", "raised", "deleted"),
    ("put", "grown", "deleted"),
    ("put", "gone-east", "put"),
    ("put", "deleted", "put"),
    ("shrunk", "grown", "revised"),
    ("widened", "widened-raised", "widened"),
]
if FULL:
    THREE = list(itertools.product(CHANGES, repeat=3))

MOMENTS = 1 if FULL else 2
"""How many pictures readers come to at least: of some three changes a place shows nothing."""


@pytest.fixture(scope="module")
def there() -> Setting:
    return setting()


def messages(*changes: str) -> list[Message]:
    return [event(CHANGES[change], seconds=n) for n, change in enumerate(changes)]


def same(table: Table) -> Table:
    return table


def delivered(message: Message, mosaic: Mosaic, on: Callable[[Table], Table] = same) -> Program:
    """A worker that ingests a message."""

    def work(answers: Answers) -> bool:
        ingest = Ingest(index(on(answers), clock=answers.clock), ALLOW)
        (outcome,) = ingest.batch([message], only=mosaic)
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


def an_hour_later(_moment: int, _call: Call) -> float:
    """A clock that stands still."""
    return LATER


Shown = frozenset[tuple[str, str, int]]
"""Id, picture and claimed places of the scenes that a reader found."""


def looks(mosaic: Mosaic, area: Area, *, backwards: bool = False) -> Program:
    """A reader, whose first queries, side by side, are answered in that order or the other."""

    def look(answers: Answers) -> Shown:
        shown: Counter[tuple[str, str]] = Counter()
        for found in index(answers, backwards=backwards).find(mosaic, area):
            picture = found.assets["visual"].rpartition("/")[2]
            shown[found.id, picture] |= claimed(found, mosaic, area)
        return frozenset((*scene, places) for scene, places in shown.items())

    return look


def old_or_new(found: Shown, seen: frozenset[Shown]) -> bool:
    """No scene twice, and none missing at a place where it was at all moments."""
    pictures = {(scene, picture) for scene, picture, _ in found}
    once = len({scene for scene, _ in pictures}) == len(pictures)
    known = {scene[:2] for moment in seen for scene in moment}
    always = {scene: reduce(and_, [places(shown, scene) for shown in seen]) for scene in "abc"}
    there = all(places(found, scene) & bits == bits for scene, bits in always.items())
    return once and there and pictures <= known


def places(shown: Shown, scene: str) -> int:
    return sum(claimed for name, _, claimed in shown if name == scene)


class OnlyNewest:
    """Checks that a table is as if only the newest of some messages had ever come."""

    def __init__(self, there: Setting, messages: Sequence[Message], now: float = LATER) -> None:
        self._there = there
        self._now = now
        alone = [self._after(message) for message in messages]
        self._expected = max(alone, key=lambda rows: version(rows, there.mosaic))

    def _after(self, message: Message) -> Rows:
        table = MemoryTable(self._there.rows)
        Ingest(index(table), ALLOW).batch([message], only=self._there.mosaic)
        return table.rows

    def __call__(self, rows: Rows) -> None:
        assert stands(rows) == stands(self._expected)
        assert ghosts(rows, self._now) == set()
        mosaic = self._there.mosaic
        for area in {**tiles(mosaic), **several_cells(mosaic)}.values():
            for now in (self._now, LATER + 121):
                assert seen(rows, mosaic, area, now) == seen(self._expected, mosaic, area, now)


def seen(rows: Rows, mosaic: Mosaic, area: Area, now: float) -> list[Any]:
    found = index(MemoryTable(rows), clock=lambda: now).find(mosaic, area)
    return [(f.id, f.rank, f.assets, claimed(f, mosaic, area)) for f in found]


def version(rows: Rows, mosaic: Mosaic) -> str:
    """That of scene `a`."""
    (head,) = (unpacked(p) for k, p in rows.items() if "#scenes#" in k.pk and k.sk == "s2#a")
    found: str = head["version"]
    return found


def explored(
    there: Setting, sent: Sequence[Message], on: Callable[[Table], Table] = same, **bounds: Any
) -> Explored:
    programs = [delivered(message, there.mosaic, on) for message in sent]
    check = OnlyNewest(there, sent)
    return Explored(programs, there.rows, check, world=an_hour_later, **bounds)


class TestThreeEvents:
    @pytest.mark.parametrize("changes", THREE, ids=", ".join)
    def test_the_newest_wins_and_readers_find_the_old_or_the_new(
        self, there: Setting, changes: Sequence[str]
    ) -> None:
        every = explored(there, messages(*changes))
        assert every.schedules > 10_000
        assert every.states > 300
        for area in tiles(there.mosaic).values():
            assert len(Readings(every, looks(there.mosaic, area)).found) >= MOMENTS
        for area in several_cells(there.mosaic).values():
            for backwards in (False, True):
                look = looks(there.mosaic, area, backwards=backwards)
                assert len(Readings(every, look, old_or_new).found) >= MOMENTS

    def test_three_workers_are_as_good_as_two(self, there: Setting) -> None:
        sent = messages("put", "grown", "deleted")
        assert explored(there, sent, workers=3, crashes=0).schedules > 100_000

    def test_answers_two_writes_old_do_no_harm(self, there: Setting) -> None:
        every = explored(there, messages("put", "grown", "raised"), crashes=0)
        for area in tiles(there.mosaic).values():
            assert len(Readings(every, looks(there.mosaic, area), lag=2).found) > 1

    def test_of_two_documents_of_one_version_the_same_one_wins_always(self, there: Setting) -> None:
        changes = [CHANGES[name] for name in ("put", "grown", "raised")]
        every = explored(there, [event(change, seconds=1) for change in changes])
        assert len(every.ends) > 1  # of what moves left behind

    def test_a_scene_that_leaves_by_the_filter_leaves_in_every_order(self, there: Setting) -> None:
        table = MemoryTable(there.rows)
        wide = Cql2Filter.parse("proj:shape < 5").document
        mosaic = Mosaics(table).update("m", {"filter": wide})
        passing = [{"proj:shape": n} for n in (1, 9, 2)]
        sent = [event(item("a", properties=p), seconds=n) for n, p in enumerate(passing)]
        assert explored(Setting(mosaic, table.rows), sent).schedules > 100_000

    def test_time_that_passes_at_any_moment_leaves_no_ghost(self, there: Setting) -> None:
        """What a move left behind is believed no more from some moment on, and then removed."""

        def clock(moment: int, _: Call) -> float:
            return LATER + 121 * moment

        sent = messages("put", "raised", "shrunk")
        programs = [delivered(message, there.mosaic) for message in sent]
        check = OnlyNewest(there, sent, LATER + 121)
        bounds: dict[str, Any] = {"deliveries": 1, "happens": (None,), "world": clock}
        assert Explored(programs, there.rows, check, **bounds).schedules > 10_000

    def test_a_mosaic_that_grows_meanwhile_holds_them_all(self, there: Setting) -> None:
        """Two scenes at levels and places that it did not have."""
        table = MemoryTable()
        mosaic = Mosaics(table).create(Mosaic(id="m", quadkey_zoom=4, max_cells=4))
        sent = [event(CHANGES["grown"], 1), event(item("b", box(100, 20, 101, 21)), 1)]

        def holds_both(rows: Rows) -> None:
            grown = Mosaics(MemoryTable(rows)).get("m")
            assert grown.bounds == (-30, 20, 101, 50)
            assert grown.levels == (2, 4)

        programs = [delivered(message, mosaic) for message in sent]
        every = Explored(programs, table.rows, holds_both, world=an_hour_later)
        assert every.schedules > 10_000


class TestTheProofItself:
    """It sees what is wrong: each of these breaks one thing that the index relies on."""

    def test_a_table_without_conditions_is_found_out(self, there: Setting) -> None:
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(there, messages("put", "grown", "deleted"), on=Unconditional)

    def test_a_table_without_transactions_is_found_out(self, there: Setting) -> None:
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(there, messages("put", "grown", "deleted"), on=OneByOne)

    def test_a_move_that_leaves_nothing_behind_is_found_out(self, there: Setting) -> None:
        bounds: dict[str, Any] = {"deliveries": 1, "crashes": 0}
        sent = messages("put", "shrunk", "grown")
        programs = [delivered(message, there.mosaic, Forgetful) for message in sent]
        every = Explored(programs, there.rows, nothing, world=an_hour_later, **bounds)
        with pytest.raises(AssertionError, match="where there was"):
            Readings(every, looks(there.mosaic, tile(there.mosaic, 4)))


def nothing(rows: Rows) -> None:
    """Looks at nothing."""


@dataclass
class Broken:
    """A table whose transactions are not what they should be."""

    table: Table

    def __post_init__(self) -> None:
        self.get, self.batch_get, self.query = (
            self.table.get,
            self.table.batch_get,
            self.table.query,
        )

    def close(self) -> None:
        """Nothing is open."""


class Unconditional(Broken):
    """Expects nothing."""

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.table.transact([replace(action, expect=None) for action in actions])


class OneByOne(Broken):
    """Does one action after the other."""

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        for action in actions:
            self.table.transact([action])


class Forgetful(Broken):
    """Puts no moved rows where a scene was, as if the index only deleted there."""

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        moved = [
            isinstance(a, Put) and "moved" in a.item and "cells" not in a.item for a in actions
        ]
        self.table.transact(
            [Delete(a.key) if gone else a for a, gone in zip(actions, moved, strict=True)]
        )

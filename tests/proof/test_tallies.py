"""Tallies of tiles: after every schedule of changes and builders they count what is there.

Whoever makes or sums them meanwhile, and dies after any write. Each rule of `index.extents.tallies`
is broken on purpose, and found out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, ClassVar

import pytest

from items import message
from livemosaic.index.extents.rows import ExtentRows
from livemosaic.index.extents.tallies import KIND, TallyRows, TileTally
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews.tallies import keeper
from livemosaic.overviews.tallies.keeper import TallyKeeper
from livemosaic.table import Delete, Item, Key, Page, Put, Table
from proof import test_extents as extents
from proof.cells import builder, ingest
from proof.memory import MemoryTable, Rows
from proof.programs import Program
from proof.scenes import FULL, LATER
from proof.schedules import Explored
from proof.test_every_schedule import delivered
from proof.test_extents import CHANGES, REGIONS, Idle, Keeper, keeping

SCENES = 3
"""Beside `a`: two in the tile of zoom 1 with `a`, and the third on its edge."""


class NoExtents(Idle):
    def include(self, *_: Any) -> None:
        """There is nothing to keep."""


class Counting(Keeper):
    """A builder that makes no cells and no extents. A tally has two scenes, if it can be summed."""

    tally_keeper: ClassVar[type[TallyKeeper]] = TallyKeeper

    @property
    def extents(self) -> Any:
        return NoExtents()

    @property
    def tallies(self) -> Any:
        return self.tally_keeper(self.index, self.clock, few=2, most=100)


@pytest.fixture(autouse=True)
def two_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is the sum of four tiles, whatever they have."""
    monkeypatch.setattr(keeper, "_are_small", lambda _scenes, _grid, area: area.zoom == 0)


def beginning(first: str = "", *, is_known: bool = True) -> Rows:
    table = extents.marked(first)
    if is_known:
        with builder(table, kind=Counting) as one:
            one.run("m", regions=REGIONS)
        assert tally(table).total == SCENES + bool(first)
    return table.rows


def tally(table: Table, quadkey: str = "") -> TileTally:
    return TallyRows(table).get(Mosaics(table).get("m"), quadkey)


def counts(rows: Rows) -> None:
    """Checks all tallies, once no stale row is left: and that they are made in the end."""
    table = MemoryTable(rows)
    with builder(table, kind=Counting) as one:
        while one.run("m", regions=REGIONS).taken:
            pass
        mosaic = Mosaics(table).get("m")
        scenes = {scene.key for scene in one.index.every_scene(mosaic)}
        every = ExtentRows(table, Mosaics(table)).names(mosaic, mosaic.marked_since)
        names = [name.quadkey for name in every if name.kind == KIND]
        assert {"", "0", "1", "2", "3"} <= {*names}
        assert [name for name in names if one.tallies.is_outdated(mosaic, name)] == []
        one.tallies.update(mosaic, [])
    assert tally(table).total == len(scenes)


def explored(
    before: Rows,
    *changes: str,
    builders: Sequence[type[Keeper]] = (Counting, Counting),
    crashes: int = 0,
    on: Callable[[Table], Table] = lambda table: table,
) -> Explored:
    mosaic = Mosaics(MemoryTable(before)).get("m")
    sent = [message(CHANGES[change], seconds=n) for n, change in enumerate(changes, 1)]
    programs = [delivered(one, mosaic) for one in sent] + [keeping(on, kind) for kind in builders]
    still = frozenset(untouched(before, programs))
    return Explored(
        programs, before, counts, deliveries=1, crashes=crashes, world=lambda *_: LATER, still=still
    )


def untouched(before: Rows, programs: Sequence[Program]) -> set[str]:
    """The partitions that programs read and do not write, in whatever order they run."""
    read, written = set[str](), set[str]()
    for order in permutations(programs):
        noted = Noted(before)
        for program in (*order, *order):
            program(noted)
        read, written = read | noted.read, written | noted.written
    return read - written


@dataclass
class Noted(MemoryTable):
    """A table that notes which partitions are read, and written."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    def get(self, key: Key) -> Item | None:
        self.read.add(key.pk)
        return super().get(key)

    def query(self, pk: str, **how: Any) -> Page:
        self.read.add(pk)
        return super().query(pk, **how)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.written.update(action.key.pk for action in actions)
        super().transact(actions)

    def clock(self) -> float:
        return LATER


class TestEverySchedule:
    @pytest.mark.parametrize(
        ("first", "change"),
        [("", "east"), ("", "wide"), ("west", "east"), ("west", "wide"), ("east", "deleted")],
    )
    def test_a_scene_comes_moves_and_goes_beside_a_builder_that_dies(
        self, first: str, change: str
    ) -> None:
        explored(beginning(first), change, builders=(Counting,), crashes=1)
        if FULL:
            explored(beginning(first), change, crashes=1)

    def test_two_builders_meet(self) -> None:
        """The change is there when they begin; of all schedules one of them may also die."""
        for change in ("east", "deleted"):
            before = MemoryTable(beginning("west"))
            ingest(before, CHANGES[change])
            explored(before.rows, crashes=int(FULL))

    @pytest.mark.parametrize("change", ["east", "deleted"])
    def test_tallies_are_made_meanwhile(self, change: str) -> None:
        explored(beginning("west", is_known=False), change, builders=(Counting,), crashes=1)
        if FULL:
            explored(beginning("west", is_known=False), change)

    def test_another_epoch_is_begun_meanwhile(self) -> None:
        explored(beginning("west"), "east", builders=(Counting, Tired), crashes=0)

    @pytest.mark.parametrize(
        ("first", "changes"),
        [("", ("east", "deleted")), ("west", ("east", "wide"))],
        ids=["comes and goes", "moves twice"],
    )
    def test_two_changes_beside_two_builders(self, first: str, changes: Sequence[str]) -> None:
        explored(beginning(first), *changes, crashes=int(FULL))


class Tired(Counting):
    """A builder that finds that there are too many tallies for a pass."""

    class Keeper(TallyKeeper):
        def update(self, mosaic: Mosaic, changed: Sequence[str], *_: Any) -> None:
            super().update(mosaic, changed, lambda: True)

    tally_keeper = Keeper


@pytest.fixture(autouse=True)
def soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_LONG_S", 0.0)


class TestFaultsAreFoundOut:
    """Without one of the rules a tally lacks a scene, or counts one that has gone."""

    def test_stale_rows_deleted_first(self) -> None:
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(beginning(), "east", builders=[Hasty])

    def test_tallies_written_over_a_rivals(self) -> None:
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(beginning(), "east", "deleted", crashes=0, on=extents.Unconditional)

    @pytest.mark.parametrize("kind", ["Sparing", "Backwards", "Upwards"])
    def test_a_builder_that(self, kind: str) -> None:
        """Writes no tally that is as it was; reads a row after what it counts; or what it sums."""
        one = globals()[kind]
        with pytest.raises(AssertionError, match="after the schedule"):
            explored(beginning(), "east", "deleted", builders=(one, one), crashes=0)


class Sparing(Counting):
    class Keeper(TallyKeeper):
        class Rows(TallyRows):
            def put(self, mosaic: Mosaic, tally: TileTally) -> TileTally:
                is_same = tally == self.get(mosaic, tally.quadkey)
                return tally if is_same else super().put(mosaic, tally)

        @property
        def rows(self) -> TallyRows:
            return self.Rows(self.index.table)

    tally_keeper = Keeper


class Backwards(Counting):
    class Keeper(TallyKeeper):
        def _leaf(self, run: Any, before: TileTally) -> TileTally:
            counts = self._counts(self.index.mosaics.get("m"), before.quadkey)
            before = self.rows.get(run.mosaic, before.quadkey)
            return self.rows.put(run.mosaic, replace(before, counts=counts, complete=True))

    tally_keeper = Keeper


class Upwards(Counting):
    class Keeper(TallyKeeper):
        def _sum(self, run: Any, quadkey: str) -> bool:
            below = [self.rows.get(run.mosaic, quadkey + digit) for digit in "0123"]
            before = self.rows.get(run.mosaic, quadkey)
            self.rows.put(run.mosaic, replace(before, counts=keeper._summed(below)))
            return True

    tally_keeper = Keeper


class Hasty(extents.Hasty, Counting):
    """Deletes stale rows first."""

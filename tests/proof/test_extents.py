"""Extents of deep partitions: every reading beside every schedule of changes and builders.

A reader who stops where an extent says that nothing else shows finds what one who reads all rows
would have found: whatever scenes come, move and go, whoever makes or widens the extent meanwhile,
and dies after any write. Each rule of `index.extents.rows` is broken on purpose, and found out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

from items import box, deletion, item, message
from livemosaic.geo.cells import cell_grid
from livemosaic.index.extents.rows import ExtentRows, PartitionExtent, PartitionName
from livemosaic.index.extents.shape import united
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import OverviewRows
from livemosaic.index.search import OpenPartition
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.rule import DEFAULT
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.extents import ExtentKeeper, OneIn, _lacking
from livemosaic.overviews.sets import FORMAT
from livemosaic.table import Delete, Page, Put, Table
from livemosaic.table.retry import contended
from livemosaic.tiler.candidates import Candidates
from livemosaic.tiler.outlook import Outlook
from livemosaic.tiler.plan import Plan
from livemosaic.tiler.views import TileAddress
from proof.cells import builder, ingest
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.readings import Readings
from proof.scenes import FULL, LATER, index
from proof.schedules import Explored
from proof.test_every_schedule import delivered
from proof.test_overviews import Wrapped

WEST, EAST, MIDDLE = box(1, 42, 20, 64), box(24, 42, 44, 64), box(10, 42, 34, 64)
"""Places in one tile of zoom 3."""
WIDE = box(24, 42, 60, 64)
"""In two of them, and so at another level."""
REGIONS = "120", "100"
HREF = "https://example.com/"
CHANGES: Mapping[str, Mapping[str, Any]] = {
    name: item("a", place, href=f"{HREF}{name}.tif", datetime=f"2026-01-{day:02}")
    for name, place, day in [
        ("west", WEST, 1),
        ("east", EAST, 1),
        ("middle", MIDDLE, 2),
        ("east-on-top", EAST, 30),
        ("wide", WIDE, 1),
    ]
} | {"deleted": deletion("a")}
OTHERS = (
    item("b", WEST, href=f"{HREF}b.tif", datetime="2026-01-20T00:00:00Z"),
    item("c", WEST, href=f"{HREF}c.tif", datetime="2026-01-10T00:00:00Z"),
    item("d", box(50, 42, 100, 64), href=f"{HREF}d.tif", datetime="2025-01-01T00:00:00Z"),
)
"""Two scenes that fill the west, and one elsewhere in a cell around the tile."""
BELOW = item("e", box(26, 46, 40, 60), href=f"{HREF}e.tif", datetime="2025-11-01T00:00:00Z")
HERE = PartitionName("cell", "120")
SIZE = 8
SELDOM = 2**40
SET = OverviewSet(
    id="0a",
    policy=OverviewPolicy(assets=("visual",)),
    rule={},
    format=FORMAT,
    state="ready",
    marked_since=round((LATER - 7200) * 1000),
)


class Idle:
    """Keeps no tallies."""

    def update(self, *_: Any) -> None:
        """There is nothing to keep."""


class Keeper(OverviewBuilder):
    """A builder that makes no cells, and calls a partition deep that has any row.

    It only adds changes to rows on top.
    """

    def _update(self, run: Any, changed: Any) -> None:
        """There is nothing to make."""

    keeper: ClassVar[type[ExtentKeeper]] = ExtentKeeper
    one_in: ClassVar[OneIn] = OneIn(1, SELDOM, SELDOM, SELDOM)

    @property
    def extents(self) -> ExtentKeeper:
        return self.keeper(self.index, self.clock, 1, 1, self.one_in)

    @property
    def tallies(self) -> Any:
        return Idle()


class Finding(Keeper):
    """Looks for rows on top where nobody did."""

    one_in = OneIn(SELDOM, 1, SELDOM, SELDOM)


class Raising(Keeper):
    """Lets rows on top begin higher with every change."""

    one_in = OneIn(SELDOM, SELDOM, 1, SELDOM)


class Remaking(Keeper):
    """Makes rows on top anew with every change."""

    one_in = OneIn(SELDOM, SELDOM, SELDOM, 1)


def keeping(on: Callable[[Table], Table] = lambda table: table, kind: Any = Keeper) -> Program:
    """A worker that makes one pass."""

    def work(answers: Answers) -> bool:
        with builder(on(answers), clock=answers.clock, kind=kind) as one:
            one.run("m", regions=REGIONS)
        return True

    return work


def marked(first: str = "") -> MemoryTable:
    """A mosaic with other scenes, and perhaps `a`, that has been marking changes for long."""
    table = MemoryTable()
    Mosaics(table).create(
        Mosaic(id="m", quadkey_zoom=3, max_cells=1, overviews=SET.policy, overview_sets=(SET,))
    )
    for other in OTHERS:
        ingest(table, other)
    if first:
        ingest(table, CHANGES[first], -1)
    return table


def beginning(first: str = "", *, is_known: bool = True) -> Rows:
    """A mosaic with other scenes, perhaps `a`, and where it `is_known` the extents of all."""
    table = marked(first)
    with builder(table, kind=Keeper if is_known else Ignorant) as one:
        one.run("m", regions=REGIONS)
    assert bool(known(table)) == is_known
    return table.rows


def known(table: Table) -> bool:
    mosaics = Mosaics(table)
    return ExtentRows(table, mosaics).get(mosaics.get("m"), HERE).complete


class Ignorant(Keeper):
    """Makes no extents, and lets others grow."""

    one_in = OneIn(SELDOM, SELDOM, SELDOM, SELDOM)


TWO = (Keeper, Keeper)


def looks(mosaic: Mosaic, extents: type[ExtentRows] | None = ExtentRows) -> Program:
    """A reader of a tile: which picture shows in each pixel, by footprints alone."""
    view = TileAddress("WebMercatorQuad", 3, 4, 2).view(mosaic, SIZE)

    def look(answers: Answers) -> tuple[str, ...]:
        rows = extents and extents(answers, Mosaics(answers))
        candidates = Candidates(index(answers), mosaic, view, DEFAULT, None, (), rows)
        plan = Plan(candidates, SIZE, SIZE, max_scenes=100, max_rows=100)
        shown = np.full((SIZE, SIZE), "", np.object_)
        for place in reversed(plan.next_round()):
            shown[plan.claim(place)] = plan.scene(place).assets["visual"].removeprefix(HREF)
        return tuple(shown.ravel())

    return look


def old_or_new(found: tuple[str, ...], seen: frozenset[tuple[str, ...]]) -> bool:
    """Each pixel is as at some moment of the reading."""
    moments = zip(*seen, strict=True)
    return all(pixel in at for pixel, at in zip(found, moments, strict=True))


@dataclass
class RowByRow(MemoryTable):
    """A table that gives the rows of cells one by one, and remembers them."""

    met: list[str] = field(default_factory=list)

    def query(self, pk: str, **how: Any) -> Page:
        if "#cell#" not in pk:
            return super().query(pk, **how)
        page = super().query(pk, **how | {"limit": 1})
        self.met += [row.key.sk for row in page.rows]
        return page if page.rows else replace(page, next=None)


def covers(rows: Rows) -> None:
    """Checks that an extent has all scenes, if there is one, once no stale row is left."""
    table = MemoryTable(rows)
    with builder(table, kind=Keeper) as one:
        while one.run("m", regions=REGIONS).taken:
            pass
        mosaic = Mosaics(table).get("m")
        extent = one.extents.rows.get(mosaic, HERE)
        parts = [*one.extents._parts(mosaic, HERE)]
    assert not extent.complete or not [*_lacking(cell_grid(mosaic.tms), extent, parts)]


def explored(
    before: Rows,
    *changes: str,
    builders: Sequence[type[Keeper]] = (Keeper,),
    crashes: int = 1,
    on: Callable[[Table], Table] = lambda table: table,
) -> Explored:
    mosaic = Mosaics(MemoryTable(before)).get("m")
    sent = [message(CHANGES[change], seconds=n) for n, change in enumerate(changes, 1)]
    programs = [delivered(one, mosaic) for one in sent] + [keeping(on, kind) for kind in builders]
    return Explored(programs, before, covers, deliveries=1, crashes=crashes, world=lambda *_: LATER)


def read(every: Explored, extents: type[ExtentRows] = ExtentRows) -> None:
    """Every reading, with answers as of now and with ones that lag a write behind."""
    mosaic = Mosaics(MemoryTable(every.before)).get("m")
    plain = looks(mosaic, None)
    for lag in (0, 1):
        Readings(every, looks(mosaic, extents), old_or_new, lag, plain)


class TestEverySchedule:
    def test_a_tile_at_an_edge_reads_the_first_page_alone(self) -> None:
        """Else nothing is proven of extents."""
        before = beginning()
        mosaic = Mosaics(MemoryTable(before)).get("m")
        for extents, met in ((ExtentRows, ["d", "b"]), (None, ["d", "b", "c"])):
            table = RowByRow(before)
            looks(mosaic, extents)(table)
            assert [key.rpartition("#")[2] for key in table.met] == met

    @pytest.mark.parametrize("change", ["east", "east-on-top", "wide"])
    def test_a_scene_comes_beside_two_builders_of_which_one_dies(self, change: str) -> None:
        read(explored(beginning(), change, builders=TWO))

    @pytest.mark.parametrize(
        ("first", "change"),
        [
            ("east", "west"),
            ("west", "east"),
            ("west", "east-on-top"),
            ("west", "wide"),
            ("wide", "middle"),
            ("east", "deleted"),
        ],
    )
    def test_a_scene_moves_and_goes(self, first: str, change: str) -> None:
        read(explored(beginning(first), change, builders=TWO))

    @pytest.mark.parametrize(
        "changes", [("east", "middle"), ("wide", "east-on-top")], ids=", ".join
    )
    def test_two_changes(self, changes: Sequence[str]) -> None:
        if FULL:
            read(explored(beginning(), *changes))
        explored(beginning(), *changes)

    @pytest.mark.parametrize("change", ["east", "wide"])
    def test_an_extent_is_made_meanwhile(self, change: str) -> None:
        """One builder makes it, and dies; another one only adds scenes to what is there."""
        before = beginning("west", is_known=False)
        read(explored(before, change, builders=(Keeper, Ignorant)))
        if FULL:
            read(explored(before, "middle", change, builders=TWO))


def topped(first: str = "", *, is_known: bool = True) -> Rows:
    """As `beginning`, with a scene below `east`, and rows on top where they are known."""
    table = MemoryTable(beginning(first))
    ingest(table, BELOW)
    with builder(table, kind=Keeper) as one:
        one.run("m", regions=REGIONS)
    if is_known:
        with builder(table, kind=Keeper) as one:
            mosaic = Mosaics(table).get("m")
            for name in [*one.extents.rows.names(mosaic, mosaic.marked_since)]:
                one.extents._look(mosaic, name)
    return table.rows


def on_top(rows: Rows) -> list[str] | None:
    """The scenes on top, but for the first one."""
    table = MemoryTable(rows)
    mosaics = Mosaics(table)
    extent = ExtentRows(table, mosaics).get(mosaics.get("m"), HERE)
    if extent.top is None or extent.top_after is None:
        return None
    return [row.sk.rpartition("#")[2] for row in extent.top]


class TestOnTop:
    """The same where rows on top are known, and are found, begin higher and are found anew."""

    def test_what_is_on_top(self) -> None:
        """Else nothing is proven: `b` is the first row, `a` hides `e`."""
        assert on_top(topped()) == ["c", "e"]
        assert on_top(topped("east")) == ["c", "a"]
        assert on_top(topped("east", is_known=False)) is None

    def test_a_reader_meets_them_before_their_turn(self) -> None:
        before = topped("east")
        mosaic = Mosaics(MemoryTable(before)).get("m")
        table = RowByRow(before)
        assert looks(mosaic)(table) == looks(mosaic, None)(RowByRow(before))
        assert [key.rpartition("#")[2] for key in table.met] == ["d", "b"]

    @pytest.mark.parametrize("change", ["east", "east-on-top", "wide"])
    def test_a_scene_comes(self, change: str) -> None:
        read(explored(topped(), change, builders=TWO if FULL else (Keeper,)))

    @pytest.mark.parametrize(
        ("first", "change"),
        [
            ("east", "west"),
            ("west", "east"),
            ("east", "east-on-top"),
            ("west", "wide"),
            ("wide", "middle"),
            ("east", "deleted"),
            ("east-on-top", "deleted"),
        ],
    )
    def test_a_scene_moves_and_goes(self, first: str, change: str) -> None:
        read(explored(topped(first), change, builders=TWO if FULL else (Keeper,)))

    @pytest.mark.parametrize(
        ("change", "kind"), [("east-on-top", Raising), ("east", Remaking)], ids=["raised", "remade"]
    )
    def test_they_are_made_anew_meanwhile(self, change: str, kind: type[Keeper]) -> None:
        for one in ("east", "east-on-top") if FULL else (change,):
            read(explored(topped(), one, builders=(kind, Keeper)))

    def test_they_are_found_meanwhile(self) -> None:
        for change in ("east", "wide") if FULL else ("east",):
            read(explored(topped("west", is_known=False), change, builders=(Finding, Keeper)))


def verifies(mosaic: Mosaic, kind: type[ExtentKeeper] = ExtentKeeper) -> Program:
    """`verify --overviews` of one extent: the scenes that it says are missing."""

    def verify(answers: Answers) -> tuple[str, ...]:
        return (*kind(index(answers)).lacking(mosaic, HERE),)

    return verify


def verify_all(every: Explored, kind: type[ExtentKeeper] = ExtentKeeper) -> None:
    mosaic = Mosaics(MemoryTable(every.before)).get("m")
    Readings(every, verifies(mosaic, kind), lambda found, _: not found, lag=0)


class TestVerify:
    """It says nothing of changes that builders have not seen, or see meanwhile."""

    @pytest.fixture(autouse=True)
    def few_regions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("livemosaic.overviews.extents.REGIONS", REGIONS)

    @pytest.mark.parametrize(
        ("first", "change"), [("", "east"), ("", "wide"), ("west", "east"), ("east", "deleted")]
    )
    def test_beside_a_change_and_a_builder_that_dies(self, first: str, change: str) -> None:
        verify_all(explored(beginning(first), change))

    def test_an_extent_read_first_is_found_out(self) -> None:
        with pytest.raises(AssertionError):
            verify_all(explored(beginning(), "east"), Early)


class Early(ExtentKeeper):
    """Reads the extent before the stale rows."""

    def lacking(self, mosaic: Mosaic, name: PartitionName) -> dict[str, bytes]:
        extent = self.rows.get(mosaic, name)
        found = super().lacking(mosaic, name)
        if found or extent.footprint is None:
            return found
        rows, known = self._parts(mosaic, name), extent.footprint
        parts = {row.sk.partition("#")[2]: row.footprint for row in rows if not row.is_moved}
        stale = OverviewRows(self.index.table)
        waiting = {row.scene for region in REGIONS for row in stale.stale(mosaic, region)}
        grid = cell_grid(mosaic.tms)
        beyond = {k for k, v in parts.items() if united(grid, name.quadkey, known, [v]) != known}
        return dict.fromkeys(beyond - waiting, b"")


class TestFaultsAreFoundOut:
    """Without one of the rules of `index.extents.rows` a reader misses a scene."""

    def test_stale_rows_deleted_first(self) -> None:
        with pytest.raises(AssertionError):
            read(explored(beginning(), "east", builders=[Hasty]))

    def test_an_extent_written_over_a_rivals(self) -> None:
        """Of two builders one adds the scene that came first, the other the one that came next."""
        with pytest.raises(AssertionError):
            explored(beginning(), "east", "wide", builders=TWO, crashes=0, on=Unconditional)

    def test_a_partition_read_before_its_extent_is_begun(self) -> None:
        before = beginning("west", is_known=False)
        with pytest.raises(AssertionError):
            read(explored(before, "middle", "east", builders=(Late, Ignorant), crashes=0))

    @pytest.mark.parametrize("wrong", ["Trusting", "Backwards", "Old"])
    def test_a_reader_that(self, wrong: str) -> None:
        """Looks at no stale rows; at extents first; at extents that may be a second old."""
        with pytest.raises(AssertionError):
            read(explored(beginning(), "east"), READERS[wrong])


def waiting(rows: Rows) -> Rows:
    """With a change that builders have not seen yet."""
    table = MemoryTable(rows)
    ingest(table, CHANGES["west"], -1)
    return table.rows


class TestFaultsOfRowsOnTopAreFoundOut:
    """Without one of the rules of rows on top a reader misses a scene."""

    def test_a_reader_that_trusts_rows_that_are_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = topped("east")
        every = explored(before, "deleted")
        read(every)

        def trusting(self: Outlook, _: Any, partitions: Any, extents: Any) -> Any:
            keys = [key for key, _ in self._showing(partitions, extents)]
            return self.candidates.index.rows_at(self.candidates.mosaic, keys)

        monkeypatch.setattr(Outlook, "_on_top", trusting)
        with pytest.raises(AssertionError):
            read(every)

    def test_a_reader_that_reads_too_little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not all rows up to the place at which they begin."""
        before = topped()
        every = explored(before, "east-on-top")
        monkeypatch.setattr("livemosaic.tiler.outlook._is_known", begins_anywhere)
        with pytest.raises(AssertionError):
            read(every)

    def test_a_builder_that_adds_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("livemosaic.overviews.extents._with", lambda _, extent, __: extent)
        with pytest.raises(AssertionError):
            read(explored(topped(), "east"))

    def test_a_maker_that_raises_them_without_a_word(self) -> None:
        with pytest.raises(AssertionError):
            read(explored(topped(), "east-on-top", builders=(Unannounced, Keeper)))

    def test_a_maker_that_reads_the_partition_before_it_begins(self) -> None:
        before = waiting(topped(is_known=False))
        with pytest.raises(AssertionError):
            read(explored(before, "east", builders=(LateLook, Keeper), crashes=0))

    def test_a_maker_that_completes_what_another_began(self) -> None:
        with pytest.raises(AssertionError):
            read(explored(waiting(topped()), "east", builders=(Careless, Careless), crashes=0))


def begins_anywhere(partition: OpenPartition, extents: Mapping[Any, PartitionExtent]) -> bool:
    extent = extents.get(PartitionName.of(partition.pk))
    return extent is not None and extent.top is not None


class LateLookKeeper(ExtentKeeper):
    def _look(self, mosaic: Mosaic, name: PartitionName) -> None:
        parts = [*self._parts(mosaic, name)]
        begun = self._begin(mosaic, replace(self.rows.get(mosaic, name), top=()))
        if begun is not None:
            top = self._top(mosaic, name, iter(parts))
            contended(partial(self._finish, mosaic, name, begun, top))


class LateLook(Finding):
    keeper = LateLookKeeper


class UnannouncedKeeper(ExtentKeeper):
    def _raise(self, mosaic: Mosaic, name: PartitionName) -> None:
        first = next(self._parts(mosaic, name))
        before = self.rows.get(mosaic, name)
        self.rows.put(mosaic, replace(before, top_after=first.sk))


class Unannounced(Raising):
    keeper = UnannouncedKeeper


class CarelessKeeper(ExtentKeeper):
    def _finish(self, mosaic: Mosaic, name: PartitionName, begun: int, made: Any) -> None:
        super()._finish(mosaic, name, self.rows.get(mosaic, name).top_begun or begun, made)


class Careless(Remaking):
    keeper = CarelessKeeper


class Hasty(Keeper):
    def _update(self, run: Any, changed: Any) -> None:
        for region in REGIONS:
            self.rows.settle(self.rows.stale(run.mosaic, region))


class Unconditional(Wrapped):
    def action(self, one: Put | Delete) -> Put | Delete:
        return replace(one, expect=None) if "#extent." in one.key.pk else one


class LateKeeper(ExtentKeeper):
    def _make(self, mosaic: Mosaic, name: PartitionName) -> None:
        parts = {part.footprint for part in self._parts(mosaic, name)}
        known = united(cell_grid(mosaic.tms), name.quadkey, None, parts)
        self.rows.put(mosaic, PartitionExtent(name, known, complete=True))


class Late(Keeper):
    keeper = LateKeeper


class Trusting(ExtentRows):
    def known(self, mosaic: Mosaic, names: Any, area: Any) -> Any:
        found = (self.get(mosaic, name) for name in names)
        return {each.name: each for each in found if each.part is not None}


class Backwards(Trusting):
    def known(self, mosaic: Mosaic, names: Any, area: Any) -> Any:
        found = super().known(mosaic, names, area)
        return found if ExtentRows.known(self, mosaic, names, area) else {}


class Old(ExtentRows):
    def known(self, mosaic: Mosaic, names: Any, area: Any) -> Any:
        found = self.glance(mosaic, names)
        return found if super().known(mosaic, names, area) else {}


READERS = {each.__name__: each for each in (Trusting, Backwards, Old)}

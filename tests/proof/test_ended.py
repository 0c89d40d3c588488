"""Overviews that nobody needs any more: turned off, replaced, or of a deleted mosaic.

All of their rows and objects are deleted, and no others, whatever happens on the way.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from items import box, deletion, item
from livemosaic.errors import NotFoundError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import KEPT_S, OverviewCell, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.extents import ExtentKeeper, OneIn
from livemosaic.overviews.sets.removal import OutOfTimeError
from livemosaic.table import Delete, Key, Page, Put, Table
from proof.cells import HERE, THERE, WEST, YONDER, Emptied, builder, ingest
from proof.memory import MemoryTable
from proof.scenes import LATER, index

OWNED = ("stale", "overview", "made", "extent", "extents")
POLICY = OverviewPolicy(assets=("visual",), maxzoom=3)
HOURS = 7200.0
"""After which extents are made."""
SMALL, LARGE, FAR = item("a", HERE), item("b", WEST), item("far", box(100, 20, 101, 21))


class Keen(OverviewBuilder):
    """A builder that calls a partition deep that has any row."""

    @property
    def extents(self) -> ExtentKeeper:
        return ExtentKeeper(self.index, self.clock, 1, 1, OneIn(1, 1, 1, 1))


@dataclass
class World:
    """Mosaics `m` and `m.1`, both with overviews, and their objects."""

    table: Table
    shelf: Emptied = field(default_factory=Emptied)
    now: float = LATER

    @property
    def mosaics(self) -> Mosaics:
        return Mosaics(self.table, clock=lambda: self.now)

    @property
    def index(self) -> Index:
        return index(self.table, clock=lambda: self.now)

    def create(self, name: str = "m") -> Mosaic:
        new = Mosaic(id=name, quadkey_zoom=6, max_cells=4, overviews=POLICY)
        return self.mosaics.create(new)

    def build(self, name: str = "m", on: Callable[[Table], Table] = lambda table: table) -> None:
        """What a builder does that is woken for a mosaic."""
        with self.builder(on) as one:
            one.remover.clear(name)
            try:
                one.run(name)
            except NotFoundError:
                assert name not in [mosaic.id for mosaic in self.mosaics.all()]

    def builder(self, on: Callable[[Table], Table] = lambda table: table, **how: Any) -> Any:
        how = {"kind": Keen, "clock": lambda: self.now, "objects": self.shelf} | how
        return builder(on(self.table), **how)

    def put(self, *items: Any) -> None:
        for one in items:
            ingest(self.table, one)

    def left(self, mosaic: Mosaic) -> tuple[list[Key], list[str]]:
        """The rows and the objects that are there of a mosaic's overviews."""
        rows = [row.key for row in self.table.scan(mosaic_prefix(mosaic))]
        owned = [key for key in rows if key.pk.split("#")[1].partition(".")[0] in OWNED]
        return owned, [*self.shelf.names(f"{mosaic.id}.{mosaic.generation}/")]


def drop(world: World) -> None:
    assert [*world.index.drop("m")]


def drop_and_scan(world: World) -> None:
    assert [*world.index.drop("m", scan=True)]


def turn_off(world: World) -> None:
    world.mosaics.update("m", {"overviews": None})


def change_settings(world: World) -> None:
    """Another set takes the place of the first one."""
    world.mosaics.update("m", {"overviews": replace(POLICY, resampling="sample")})
    world.build()


ENDS = [drop, drop_and_scan, turn_off]


@pytest.fixture
def world(table: Table) -> World:
    return begun(World(table))


@pytest.fixture
def quick() -> World:
    return begun(World(MemoryTable()))


def begun(world: World) -> World:
    """Two mosaics whose overviews were turned on some hours ago: with cells and extents."""
    for name in ("m", "m.1"):
        world.create(name)
        for one in (SMALL, LARGE, FAR):
            ingest(world.table, one, mosaic=name)
        world.now = LATER - HOURS
        world.build(name)
        world.now = LATER
        world.build(name)
        ingest(world.table, deletion("far"), mosaic=name)
        world.build(name)  # now a cell is retired, which no other names
    return world


@pytest.mark.parametrize("end", [*ENDS, change_settings], ids=lambda end: end.__name__)
def test_nothing_is_left_once_no_reader_can_need_it(
    world: World, end: Callable[[World], None]
) -> None:
    mosaic, other = world.mosaics.get("m"), world.mosaics.get("m.1")
    first = {set_.id for set_ in mosaic.overview_sets}
    before, others = world.left(mosaic), world.left(other)
    assert {key.pk.split("#")[1].partition(".")[0] for key in before[0]} == {*OWNED} - {"stale"}
    assert len(before[1]) > 1
    world.put(deletion("b"))  # a mark that no builder has seen
    end(world)
    world.now += KEPT_S - 5
    world.build()
    rows, objects = world.left(mosaic)
    assert {*before[1]} <= {*objects}
    assert {*before[0]} <= {*rows}

    world.now += 10
    world.build()
    rows, objects = world.left(mosaic)
    if end is change_settings:
        assert not [key for key in rows if key.pk.split(".")[-1].split("#")[0] in first]
        assert extents(rows) == extents(before[0])
        assert not [name for name in objects if name.split("/")[1] in first]
        assert len(objects) > 1
    else:
        assert (rows, objects) == ([], [])
    assert world.left(other) == others
    assert world.mosaics.remains() == []


class CrashError(Exception):
    """A builder dies."""


@dataclass
class Dying:
    """A table, and its shelf, on which a builder dies at one of its calls."""

    table: Table
    calls: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def die(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise CrashError

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.die()
        self.table.transact(actions)


class DyingShelf(Emptied):
    def __init__(self, shelf: Emptied, dying: Dying) -> None:
        super().__init__(shelf.kept)
        self._dying = dying

    def delete(self, href: str) -> None:
        self._dying.die()
        super().delete(href)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_was_interrupted_at_any_moment_is_completed_later(
    quick: World, end: Callable[[World], None]
) -> None:
    mosaic, other = quick.mosaics.get("m"), quick.mosaics.get("m.1")
    others = quick.left(other)
    end(quick)
    quick.now += KEPT_S + 1
    ended, objects = quick.table.rows, dict(quick.shelf.kept)  # type: ignore[attr-defined]
    for calls in range(1000):
        world = World(MemoryTable(ended), Emptied(dict(objects)), quick.now)
        dying = Dying(world.table, calls)
        try:
            shelf = DyingShelf(world.shelf, dying)
            with builder(dying, lambda: quick.now, Keen, objects=shelf) as one:  # type: ignore[arg-type]
                one.remover.clear("m")
                one.run("m")
        except CrashError:
            world.build()
            assert world.left(mosaic) == ([], [])
            assert world.left(other) == others
            continue
        except NotFoundError:
            pass
        assert calls > 10
        return
    pytest.fail("it never ends")


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_time_that_is_over_stops_it_and_the_next_run_goes_on(
    quick: World, end: Callable[[World], None]
) -> None:
    mosaic = quick.mosaics.get("m")
    end(quick)
    quick.now += KEPT_S + 1
    runs = 0
    while quick.left(mosaic) != ([], []):
        looks = iter([False, True])
        with quick.builder() as one, suppress(OutOfTimeError, NotFoundError):
            one.remover.clear("m", late=lambda looks=looks: next(looks, True))
            one.run("m", late=lambda looks=looks: next(looks, True))
        runs += 1
        assert runs < 100
    assert runs > 1


def test_a_deletion_that_was_cut_off_in_its_scenes_deletes_overviews_all_the_same(
    world: World,
) -> None:
    mosaic = world.mosaics.get("m")
    next(world.index.drop("m"))
    world.now += KEPT_S + 1
    world.build()
    assert world.left(mosaic) == ([], [])
    assert [*world.index.drop("m")]
    assert world.mosaics.remains() == []


def test_a_mosaic_of_the_same_id_keeps_what_it_has(world: World) -> None:
    old = world.mosaics.get("m")
    drop(world)
    new = world.create()
    world.put(SMALL, LARGE)
    world.build()
    kept = world.left(new)
    world.now += KEPT_S + 1
    world.build()
    assert world.left(old) == ([], [])
    assert world.left(new) == kept
    assert len(kept[1]) > 1
    world.mosaics.forget(old)  # a deletion that was held up since
    assert world.mosaics.get("m").generation == new.generation


def test_turned_on_again_they_are_made_anew_and_the_old_ones_deleted(world: World) -> None:
    mosaic = world.mosaics.get("m")
    (old,) = mosaic.overview_sets
    turn_off(world)
    world.put(item("c", HERE))
    world.mosaics.update("m", {"overviews": POLICY})
    world.build()
    shown = world.mosaics.get("m").shown_overviews
    assert shown is not None
    assert shown.id != old.id
    world.now += KEPT_S + 1
    world.build()
    assert [each.id for each in world.mosaics.get("m").overview_sets] == [shown.id]
    assert {name.split("/")[1] for name in world.left(mosaic)[1]} == {shown.id}
    assert extents(world.left(mosaic)[0]) == []

    world.now += HOURS
    world.put(item("d", HERE))
    world.build()
    made = extents(world.left(mosaic)[0])
    assert {key.pk.split(".")[-1].split("#")[0] for key in made} == {f"{shown.marked_since}"}


def test_marks_before_any_cell_was_made_are_deleted(world: World) -> None:
    mosaic = world.create("new")
    ingest(world.table, SMALL, mosaic="new")
    assert len(world.left(mosaic)[0]) == 1
    world.mosaics.update("new", {"overviews": None})
    world.now += KEPT_S + 1
    world.build("new")
    assert world.left(mosaic) == ([], [])


def test_a_set_that_was_replaced_in_the_making_is_deleted(world: World) -> None:
    mosaic = world.create("new")
    ingest(world.table, SMALL, mosaic="new")
    with pytest.raises(CrashError):
        world.build("new", on=lambda table: Dying(table, 3))  # type: ignore[arg-type, return-value]
    (half,) = world.mosaics.get("new").overview_sets
    assert half.state == "building"
    assert [key for key in world.left(mosaic)[0] if half.id in key.pk]
    world.mosaics.update("new", {"overviews": replace(POLICY, resampling="max")})
    world.build("new")
    world.now += KEPT_S + 1
    world.build("new")
    assert half.id not in [each.id for each in world.mosaics.get("new").overview_sets]
    assert not [key for key in world.left(mosaic)[0] if half.id in key.pk]


class Slow(Keen):
    """A builder that is held up before it writes an object, until its set is gone."""

    def _changed(self, *how: Any) -> Any:
        HELD_UP.pop()() if HELD_UP else None
        return super()._changed(*how)


HELD_UP: list[Callable[[], None]] = []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("is_new", [True, False], ids=["new cell", "changed cell"])
def test_a_builder_that_was_held_up_leaves_nothing(
    quick: World, end: Callable[[World], None], is_new: bool
) -> None:
    world, mosaic = quick, quick.mosaics.get("m")
    place = (
        item("c", HERE)
        if is_new
        else item("a", THERE, updated="2026-04-01", href="https://example.com/n.tif")
    )
    ingest(world.table, place, seconds=10)
    if end is not turn_off:
        ingest(world.table, deletion("c" if is_new else "b"), seconds=20)

    def ends() -> None:
        end(world)
        world.now += KEPT_S + 1
        world.build()
        assert world.left(mosaic) == ([], [])

    HELD_UP.append(ends)
    with world.builder(kind=Slow) as one, pytest.raises(NotFoundError):
        one.run("m")
    assert not HELD_UP
    assert world.left(mosaic) == ([], [])


@dataclass
class BeforeExtent:
    """A table on which other things happen before an extent is first written."""

    table: Table
    happens: list[Callable[[], None]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        if self.happens and any("#extent." in action.key.pk for action in actions):
            self.happens.pop()()
        self.table.transact(actions)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("is_new", [True, False], ids=["new extent", "grown extent"])
def test_a_builder_that_was_held_up_before_it_wrote_an_extent_leaves_none(
    quick: World, end: Callable[[World], None], is_new: bool
) -> None:
    world, mosaic = quick, quick.mosaics.get("m")
    before = extents(world.left(mosaic)[0])
    world.put(item("c", YONDER if is_new else box(7, 45.5, 9, 47)))

    def ends() -> None:
        assert extents(world.left(mosaic)[0]) == before
        end(world)
        world.now += KEPT_S + 1
        world.build()
        assert world.left(mosaic) == ([], [])

    happens = [ends]
    world.build(on=lambda table: BeforeExtent(table, happens))  # type: ignore[arg-type, return-value]
    assert not happens
    assert world.left(mosaic) == ([], [])


class Beside:
    """A table on which other things happen before the first query of stale rows."""

    def __init__(self, table: Table, happens: Callable[[], None]) -> None:
        self._table, self._happens = table, [happens]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def query(self, pk: str, **how: Any) -> Page:
        if "#stale#" in pk and self._happens:
            self._happens.pop()()
        return self._table.query(pk, **how)


@pytest.mark.parametrize("was_off", [True, False], ids=["turned on", "settings changed"])
def test_a_mark_is_not_taken_by_a_builder_that_does_not_know_the_set(
    quick: World, was_off: bool
) -> None:
    """A slow pass has read the mosaic; then another set is made, and a scene changes."""
    if was_off:
        turn_off(quick)

    def happens() -> None:
        quick.mosaics.update("m", {"overviews": replace(POLICY, resampling="sample")})
        quick.build()
        quick.put(item("c", HERE))

    quick.build(on=lambda table: Beside(table, happens))  # type: ignore[arg-type, return-value]
    quick.build()
    assert "120" in {cell.quadkey for cell in shown_cells(quick)}


def extents(keys: Sequence[Key]) -> list[Key]:
    """The rows among some that hold or name extents."""
    return [key for key in keys if key.pk.split("#")[1].startswith("extent")]


def shown_cells(world: World) -> Iterator[OverviewCell]:
    mosaic = world.mosaics.get("m")
    assert mosaic.shown_overviews is not None
    found = OverviewRows(world.table).rows(mosaic, mosaic.shown_overviews)
    return (cell for cell in found if not cell.retired)

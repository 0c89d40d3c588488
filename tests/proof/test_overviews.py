"""Overview cells: every schedule of scene changes and two builders, one of which may die.

After each of its writes a builder may die, and comes again. In the end the passes go on until no
stale row is left, and every cell equals, byte for byte, that of a full rebuild. Each rule that
`overviews.builder` follows is broken on purpose too, and must be found out.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from items import box, item, message
from livemosaic.errors import TableBusyError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, OverviewCell, OverviewRows, stale_row
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews import sets
from livemosaic.overviews.blocks import BlockSource, Drawn
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.check import OverviewCheck
from livemosaic.storage.objects import AbsentError
from livemosaic.table import Delete, Key, Page, Put, Table, retry
from proof.cells import (
    CHANGES,
    HERE,
    REGION,
    SHELF,
    Cells,
    Emptied,
    Shelf,
    UpToDate,
    beginning,
    build,
    builder,
    building,
    cells,
    ingest,
    rebuilt,
)
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import FULL, LATER, index
from proof.schedules import Explored
from proof.test_every_schedule import delivered

BELOW = item("b", HERE, datetime="2026-01-10T00:00:00Z")
"""A scene that is there from the start, below or above `a`."""
LARGE = item("c", box(-40, 10, 60, 60), datetime="2026-01-02T00:00:00Z")
"""So large that it needs no cell of zoom 3: one comes and goes with `a`."""

Wrap = Callable[[Table], Table]


def same(table: Table) -> Table:
    return table


def explored(
    before: Rows,
    changes: Sequence[str],
    *others: Program,
    on: Wrap = same,
    written: Wrap = same,
    builders: int = 2,
    crashes: int = 1,
    **how: Any,
) -> Explored:
    mosaic = Mosaics(MemoryTable(before)).get("m")
    sent = [message(CHANGES[change], seconds=n) for n, change in enumerate(changes, 1)]
    programs = [delivered(one, mosaic, written) for one in sent]
    programs += others
    programs += [building(on, **how)] * builders
    return Explored(
        programs, before, UpToDate(), deliveries=1, crashes=crashes, world=lambda *_: LATER
    )


@pytest.fixture(scope="module")
def one_level() -> Rows:
    """All scenes are drawn at zoom 3: the cell of the world is the only one."""
    return beginning(LARGE, first="large", maxzoom=2)


@pytest.fixture(scope="module")
def two_levels() -> Rows:
    """Scenes of a degree, which need a cell of zoom 3."""
    rows = beginning(BELOW, first="put")
    assert set(cells(rows)) == {"", REGION}
    return rows


class TestEverySchedule:
    def test_two_builders_of_which_one_dies(self, one_level: Rows) -> None:
        assert explored(one_level, ["large-revised"]).schedules > 10**12

    @pytest.mark.parametrize(
        "changes",
        [("large-moved", "large-moved-on"), ("deleted", "large")],
        ids=", ".join,
    )
    def test_two_changes(self, one_level: Rows, changes: Sequence[str]) -> None:
        explored(one_level, changes, builders=1)
        if FULL:
            explored(one_level, changes)

    @pytest.mark.parametrize("change", ["revised", "moved", "deleted", "lacking"])
    def test_cells_above_cells(self, two_levels: Rows, change: str) -> None:
        explored(two_levels, [change], builders=1)
        if FULL:
            explored(two_levels, [change])

    def test_two_builders_of_cells_above_cells(self, two_levels: Rows) -> None:
        explored(two_levels, ["revised"], crashes=0)

    @pytest.mark.parametrize(("first", "change"), [("", "put"), ("put", "deleted")])
    def test_a_cell_comes_and_goes_with_a_small_scene(self, first: str, change: str) -> None:
        before = beginning(LARGE, first=first)
        assert (REGION in cells(before)) == bool(first)
        explored(before, [change], builders=1, crashes=0)


class TestFaultsAreFoundOut:
    """A builder without one of the rules of `overviews.builder` is not up to date in the end."""

    def test_rows_written_without_a_condition(self) -> None:
        before = beginning(LARGE, maxzoom=2)
        with pytest.raises(AssertionError):
            explored(before, ["large", "deleted"], crashes=0, on=Unconditional)

    def test_no_write_where_nothing_changed(self) -> None:
        """A slower builder has seen the scene that a newer one finds deleted again."""
        before = beginning(LARGE, maxzoom=2)
        with pytest.raises(AssertionError):
            explored(before, ["large", "deleted"], crashes=0, kind=Idle)

    def test_stopping_upwards_where_a_cell_came_out_equal(self, two_levels: Rows) -> None:
        with pytest.raises(AssertionError):
            explored(two_levels, ["revised"], builders=1, kind=Stopping)

    @pytest.mark.parametrize("change", ["lacking", "deleted"])
    @pytest.mark.parametrize("kind", ["Pixelwise", "Unwritten"])
    def test_notes_that_count_only_where_pixels_change(self, kind: str, change: str) -> None:
        """A scene that lacks the asset is noted in each cell above, and shows in none of them."""
        first = "lacking" if change == "deleted" else "hidden"
        before = beginning(item("b", HERE, datetime="2026-01-21T00:00:00Z"), first=first)
        explored(before, [change], builders=1, crashes=0)
        with pytest.raises(AssertionError):
            explored(before, [change], builders=1, crashes=0, kind=globals()[kind])

    def test_stale_rows_deleted_first(self, one_level: Rows) -> None:
        with pytest.raises(AssertionError):
            explored(one_level, ["large-revised"], builders=1, kind=Hasty)

    def test_settings_read_once_in_a_pass(self) -> None:
        """A scene at a level that is new to the mosaic is there when its cell is read."""
        before = beginning(LARGE, maxzoom=2)
        with pytest.raises(AssertionError):
            explored(before, ["large", "large-revised"], crashes=0, kind=Forgetful)

    def test_stale_rows_by_scene_alone(self, two_levels: Rows) -> None:
        with pytest.raises(AssertionError):
            explored(two_levels, ["moved", "moved-on"], written=ByScene, builders=1, crashes=0)

    def test_stale_rows_by_scene_and_version(
        self, two_levels: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A repair that kept the version would replace the mark of the change before it, and
        knows only where the scene is now."""
        monkeypatch.setattr("livemosaic.index.scenes.remade", lambda same: same)

        def repairs(on: Wrap) -> Program:
            def work(answers: Answers) -> bool:
                mosaic = Mosaics(answers).get("m")
                index(on(answers), clock=answers.clock).rewrite(mosaic, "s2#a")
                return True

            return work

        with pytest.raises(AssertionError):
            explored(
                two_levels, ["moved"], repairs(ByVersion), written=ByVersion, builders=1, crashes=0
            )
        explored(two_levels, ["moved"], repairs(same), builders=1, crashes=0)

    def test_a_new_cell_without_a_row_of_its_own(self) -> None:
        """The scene that a new cell is made of goes while it is drawn, and another one comes."""
        for kind, is_right in ((OverviewBuilder, True), (Unclaimed, False)):
            table = MemoryTable(beginning(LARGE))
            ingest(table, CHANGES["put"], 1)
            with builder(Overtaken(table, kind), kind=kind) as one:
                one.run("m", regions=[REGION])
            build(table, kind=kind)
            assert (pixels(cells(table.rows)) == pixels(rebuilt(table.rows))) == is_right

    def test_reads_a_second_behind(self, one_level: Rows) -> None:
        for scenes, is_right in ((consistent, True), (eventual, False)):
            table = MemoryTable(one_level)
            late = Lagging(table)
            ingest(late, CHANGES["large-revised"], 1)
            with builder(late, scenes=scenes) as one:
                one.run("m", regions=[REGION])
            assert (cells(table.rows) == rebuilt(table.rows)) == is_right


def consistent(scenes: Index) -> Index:
    return replace(scenes, consistent=True)


def eventual(scenes: Index) -> Index:
    return replace(scenes, consistent=False)


class Wrapped:
    """A `Table` that hands on what it is asked."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.table.transact([self.action(one) for one in actions])

    def action(self, one: Put | Delete) -> Put | Delete:
        return one


class Unconditional(Wrapped):
    def action(self, one: Put | Delete) -> Put | Delete:
        return replace(one, expect=None) if "#overview." in one.key.pk else one


class ByScene(Wrapped):
    def action(self, one: Put | Delete) -> Put | Delete:
        return keyed(one, "scene")


class ByVersion(Wrapped):
    def action(self, one: Put | Delete) -> Put | Delete:
        return keyed(one, "scene", "version")


def keyed(one: Put | Delete, *names: str) -> Put | Delete:
    if not isinstance(one, Put) or "#stale#" not in one.key.pk:
        return one
    what = "#".join(one.item[name] for name in names)
    return replace(one, key=Key(one.key.pk, f"{0:015}#{what}"))


class Lagging(Wrapped):
    """Queries that need not be consistent see the table as it was before its last writes."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__(table)
        self._old = MemoryTable(table.rows)

    def query(self, pk: str, *, consistent: bool = False, **named: Any) -> Page:
        return (self.table if consistent else self._old).query(pk, **named)


class Idle(OverviewBuilder):
    def _put(self, run: Any, before: OverviewCell, cell: OverviewCell, now: float) -> OverviewCell:
        return before if before == cell else super()._put(run, before, cell, now)


class Stopping(OverviewBuilder):
    def _of_cell(
        self, run: Any, tile: str, changed: Any, before: BlockSource | None
    ) -> tuple[BlockSource, Drawn]:
        old = self.rows.cell(run.mosaic, run.cells, tile)
        source, block = super()._of_cell(run, tile, changed, before)
        if before is not None and source.digest == old.digest:
            return before, {}
        return source, block


class Pixelwise(OverviewBuilder):
    def _of_cell(
        self, run: Any, tile: str, changed: Any, before: BlockSource | None
    ) -> tuple[BlockSource, Drawn]:
        source, block = super()._of_cell(run, tile, changed, before)
        return (before, {}) if before and source.shows_as(before) else (source, block)


class Unwritten(OverviewBuilder):
    def _put(self, run: Any, before: OverviewCell, cell: OverviewCell, now: float) -> OverviewCell:
        if before.revision > 1 and cell.digest == before.digest:
            cell = replace(cell, notes=before.notes)
        return super()._put(run, before, cell, now)


class Hasty(OverviewBuilder):
    def _update(self, run: Any, changed: Any) -> None:
        self.rows.settle(self.rows.stale(run.mosaic, REGION))
        super()._update(run, changed)


class Forgetful(OverviewBuilder):
    def _pending(self, mosaic: Mosaic, *how: Any) -> Any:
        object.__setattr__(self, "first", mosaic)
        return super()._pending(mosaic, *how)

    def _as_of_now(self, run: Any) -> Mosaic:
        mosaic: Mosaic = self.first  # type: ignore[attr-defined]
        return mosaic


class Unclaimed(OverviewBuilder):
    def _claimed(self, run: Any, cell: OverviewCell) -> OverviewCell:
        return cell if cell.revision else replace(cell, retired=True)


class Overtaken(Wrapped):
    """Before the first cell that stands is written, its scene goes, and later another one comes."""

    def __init__(self, table: MemoryTable, kind: type[OverviewBuilder]) -> None:
        super().__init__(table)
        self._kind = kind
        self._is_new = True

    def action(self, one: Put | Delete) -> Put | Delete:
        is_cell = isinstance(one, Put) and "#overview." in one.key.pk and not one.item["retired"]
        if is_cell and self._is_new:
            self._is_new = False
            ingest(self.table, CHANGES["deleted"], 2)
            build(self.table, kind=self._kind)
            ingest(self.table, CHANGES["moved"], 3)
        return one


class CrashError(Exception):
    """A builder dies."""


@dataclass
class Run:
    """Changes, rival passes and crashes between any two calls of a builder, at random."""

    rng: random.Random
    table: MemoryTable
    shelf: Shelf
    now: float = LATER
    changes: int = 0
    shared: float = 0
    """How much of the passes makes a place of a set in the making."""
    passes: int = 0
    crashes: int = 0
    busy: int = 0

    def change(self) -> None:
        self.changes += 1
        name = self.rng.choice([*CHANGES])
        ingest(self.table, CHANGES[name], seconds=self.changes)

    def make_pass(self, depth: int = 0) -> None:
        self.passes += 1
        self.now += self.rng.random() * 300
        disturbed = Disturbed(self.table, self, depth)
        with builder(disturbed, clock=lambda: self.now, objects=self.shelf) as one:
            try:
                if self.rng.random() < self.shared:
                    one.prepare("m", self.rng.choice(PLACES), spread=lambda _: None)
                else:
                    one.run("m", regions=[REGION])
            except CrashError:
                self.crashes += 1
            except (TableBusyError, AbsentError):  # rivals beyond measure, and too slow
                self.busy += 1


PLACES = (REGION, "120221", "120231", "120303")
"""A region, and places in it."""


class Disturbed(Wrapped):
    def __init__(self, table: Table, run: Run, depth: int) -> None:
        super().__init__(table)
        self._run, self._depth = run, depth

    def get(self, key: Key) -> Any:
        self._happens()
        return self.table.get(key)

    def query(self, pk: str, **named: Any) -> Page:
        self._happens()
        return self.table.query(pk, **named)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self._happens()
        self.table.transact(actions)
        if self._run.rng.random() < 0.08:
            raise CrashError

    def _happens(self) -> None:
        chance = self._run.rng.random()
        if chance < 0.005:
            self._run.change()
        elif chance < 0.01 and self._depth < 1:
            self._run.make_pass(self._depth + 1)


def pixels(made: Cells) -> dict[str, tuple[Any, ...]]:
    """Cells without their sources, which name a moved scene's old row until that expires."""
    return {quadkey: (digest, *rest) for quadkey, (digest, _, *rest) in made.items()}


@pytest.mark.parametrize("seed", range(200 if FULL else 4))
def test_random_runs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells equal a full rebuild, and no object that a row names was taken away."""
    rng = random.Random(seed)
    table, shelf = MemoryTable(beginning(BELOW, LARGE, first="put")), Emptied(dict(SHELF.kept))
    run = Run(rng, table, shelf)
    monkeypatch.setattr(retry, "_RIVALS", replace(retry._RIVALS, sleep=lambda _: None))
    for _ in range(6):
        run.change()
        run.make_pass()
    build(table, clock=lambda: run.now, objects=shelf)
    assert pixels(cells(table.rows)) == pixels(rebuilt(table.rows))
    (ready,) = Mosaics(table).get("m").overview_sets
    for cell in OverviewRows(table).rows(Mosaics(table).get("m"), ready):
        assert all(shelf.read(href) for href in cell.hrefs)


@pytest.mark.parametrize("seed", range(200 if FULL else 4))
def test_random_runs_of_builders_that_share_a_set(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, while the set is in the making, some builders make places of it."""
    rng = random.Random(seed)
    rows = beginning(BELOW, LARGE, first="put", maxzoom=6)
    kept = {k: v for k, v in rows.items() if "#overview." not in k.pk}
    table, shelf = MemoryTable(kept), Emptied({})
    Mosaics(table).put_overview_sets("m", lambda m: sets.begun(replace(m, overview_sets=()), LATER))
    run = Run(rng, table, shelf, shared=0.8)
    monkeypatch.setattr(retry, "_RIVALS", replace(retry._RIVALS, sleep=lambda _: None))
    for _ in range(8):
        run.change()
        run.make_pass()
    build(table, clock=lambda: run.now, objects=shelf)
    assert pixels(cells(table.rows)) == pixels(rebuilt(table.rows))


def test_a_rival_costs_a_builder_one_cell() -> None:
    """Where it writes the cell of the world first, no cell below is looked at again."""
    alone, beside = (looked(at_once) for at_once in (False, True))
    assert alone > 1
    assert beside == alone + 1


def looked(beside_a_rival: bool) -> int:
    """Cells that a pass looks up, perhaps while the other builder is in another region."""
    table = MemoryTable(beginning(BELOW, LARGE, first="put", maxzoom=6))
    ingest(table, CHANGES["revised"], 1)
    ingest(table, item("d", box(-110, 40, -109, 41), datetime="2026-01-20T00:00:00Z"), 2)
    with builder(Beaten(table) if beside_a_rival else table) as one:
        return one.run("m", regions=[REGION]).looked


class Beaten(Wrapped):
    """Before the cell of the world is written, a rival writes it for another region."""

    def action(self, one: Put | Delete) -> Put | Delete:
        if one.key.pk.endswith("#") and "#overview." in one.key.pk:
            build(self.table, [r for r in REGIONS if r != REGION])
        return one


@pytest.mark.parametrize("change", [name for name in CHANGES if name != "deleted"])
@pytest.mark.parametrize("first", ["put", "large"])
def test_a_moved_row_that_expires_is_no_change(first: str, change: str) -> None:
    table = MemoryTable(beginning(LARGE, first=first))
    ingest(table, CHANGES[change], seconds=10)
    build(table, REGIONS)
    with builder(table, clock=lambda: LATER + 1000) as later:
        (mosaic,) = later.index.mosaics.all()
        found = [each.differences for each in OverviewCheck(later, mosaic).check()]
        assert found
        assert not any(found)
        later.rows.mark(stale_row(mosaic, [""], LATER))
        done = later.run("m")
    assert (done.drawn, done.written) == (0, 0)

"""Use case: overview cells are made anew where scenes changed.

A pass takes stale rows, makes the cells under them anew from the deepest up to the top, and deletes
the stale rows that it took. It is right beside other passes and after a crash at any moment:

- A cell's row is read first; then the mosaic and what the cell is made of, as of now; then the row
  is written, if no other builder has written it since. So what a row holds never becomes older.
- The row is written even where nothing changed. Else a slower builder, that has seen an older
  state, would not notice that a newer one has looked, and write the older state. So is the row of a
  cell that is not needed; and one is there before the scenes of a new cell are looked up.
- Cells are made up to the top whatever came out equal below: a pass that died in between may have
  written the cell below, and not the one above.
- A stale row is deleted last, and only the very row that was read. A crash before leaves all of
  them, and the next pass does it all again; whatever is made already is not drawn again.
- Before it is deleted, the extents of deep partitions have the scene that it names (`extents`), and
  the tallies of tiles that its cells touch are made anew (`tallies`).

Where a rival comes first to a cell, only this cell is made again: the ones below, which the pass
has made already, are taken as they are now. So builders of different places meet in the cells
above, and lose no more than one of them by it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from livemosaic.index.overviews import REGIONS, StaleRow, stale_row
from livemosaic.index.schema import Head
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews import sets
from livemosaic.overviews.cells.maker import BuildTally, CellMaker, CellRun
from livemosaic.overviews.extents import ExtentKeeper
from livemosaic.overviews.places import descendants, top_rung, within
from livemosaic.overviews.sets.removal import SetRemover
from livemosaic.overviews.tallies.keeper import TallyKeeper

_TRIES: Final = 12
"""How often a block is drawn again for a scene that cannot be read: over about three days."""
_FIRST_RETRY_S: Final = 60
_ROWS: Final = 10_000
"""Stale rows that one pass takes at most."""
_DEEPEST_PLACE: Final = 9
"""Zoom of the smallest places that builders share a set in the making by: some 80 km wide."""
_ALONE_S: Final = 60.0
"""A set that is made in less time is not shared."""

Spread = Callable[[Sequence[str]], object]
"""Hands places, as quadkeys, to other builders, for each to `prepare` one."""


@dataclass(frozen=True, slots=True)
class OverviewBuilder(CellMaker):
    """Keeps overview cells of mosaics up to date. For one thread; any number may run at once."""

    @property
    def extents(self) -> ExtentKeeper:
        """What keeps the extents of deep partitions."""
        return ExtentKeeper(self.index, self.clock)

    @property
    def tallies(self) -> TallyKeeper:
        """What keeps the tallies of tiles."""
        return TallyKeeper(self.index, self.clock)

    @property
    def remover(self) -> SetRemover:
        """What deletes sets that are over."""
        return SetRemover(self.index, self.objects, self.clock)

    def run(
        self,
        mosaic_id: str,
        *,
        regions: Sequence[str] = REGIONS,
        late: Callable[[], bool] = lambda: False,
        at_most: int = _ROWS,
        spread: Spread | None = None,
    ) -> BuildTally:
        """Brings the cells of a mosaic up to date, by its stale rows in some regions.

        A set in the making is completed first, whatever the regions; but with `spread`, its places
        are handed to that where several builders can make them, and every stale row stays. Raises
        `OutOfTimeError`, with every stale row still there; `NotFoundError` where the mosaic is
        gone; `TableBusyError`.
        """
        tally = BuildTally()
        now = self.clock()
        pending = self._pending(self.index.mosaics.get(mosaic_id), regions, at_most)
        mosaic = self.index.mosaics.get(mosaic_id)  # a set that is begun later has what they mark
        is_off = mosaic.overviews is None
        taken = [row for row in pending if is_off or row.due <= now]
        tally.taken = len(taken)
        begun = partial(sets.begun, now=now)
        if begun(mosaic) != mosaic.overview_sets:
            mosaic = self.index.mosaics.put_overview_sets(mosaic_id, begun)
            late, spread = self._soon(late) if spread else late, None
        changed = sorted({cell for row in taken for cell in row.cells})
        unread: set[str] = set()
        for cells in sets.current(mosaic):
            run = CellRun(mosaic, cells, late, tally)
            if spread and cells.state == "building" and (places := self._places(run, "")):
                spread(places)
                return tally
            self._update(run, changed)
            unread |= run.unread_tiles
            if cells.state == "building":
                complete = partial(sets.completed, set_id=cells.id, now=now)
                self.index.mosaics.put_overview_sets(mosaic_id, complete)
        self._try_again(mosaic, unread, pending, now)
        now_there = self.index.mosaics.get(mosaic_id)
        self.extents.include(now_there, (row.scene for row in taken if row.scene), late)
        self.tallies.update(now_there, changed, late)
        self.rows.settle(taken)
        if not (mosaic.overviews is None and self._pending(mosaic, REGIONS, 1)):
            # else nobody would look for stale rows of a mosaic without sets
            self.remover.drop_replaced(mosaic, now, late)
        return tally

    def _soon(self, late: Callable[[], bool]) -> Callable[[], bool]:
        until = self.clock() + _ALONE_S
        return lambda: late() or self.clock() > until

    def prepare(
        self,
        mosaic_id: str,
        place: str,
        *,
        late: Callable[[], bool] = lambda: False,
        spread: Spread,
    ) -> BuildTally | None:
        """Makes the cell of a place, and the ones below it, for a set in the making.

        Returns None where the places below are handed to `spread` instead, as several builders can
        make them. No stale row is taken, as they count in other places, too: so this is right as a
        pass that died is. Raises as `run` does.
        """
        tally = BuildTally()
        mosaic = self.index.mosaics.get(mosaic_id)
        for cells in sets.current(mosaic):
            run = CellRun(mosaic, cells, late, tally)
            if cells.state != "building" or self.rows.standing(mosaic, cells, [place]):
                continue
            if places := self._places(run, place):
                spread(places)
                return None
            self._prepare(run, place)
        return tally

    def _prepare(self, run: CellRun, place: str) -> None:
        if self._needs_cell(run, run.mosaic, place):
            self._reach(run, place)
            self._refresh(run, place, ())
            if not self._needs_cell(run, self._as_of_now(run), place):
                self._retire(run, place, ())

    def _places(self, run: CellRun, place: str) -> Sequence[str]:
        """The places below that several builders can make at once; none where one builder is best.

        None too where the coarsest cells are not that of the world, and must be searched for.
        """
        if top_rung(run.mosaic.minzoom, self.step):
            return ()
        places = self._unmade(run, place)
        while len(places) == 1 and (below := self._unmade(run, places[0])):
            places = below
        return places if len(places) > 1 else ()

    def _unmade(self, run: CellRun, place: str) -> Sequence[str]:
        """The blocks of a place that need cells of their own, and have none yet."""
        if len(place) >= _DEEPEST_PLACE:
            return ()
        tiles = [*descendants(place, self.step)]
        standing = self.rows.standing(run.mosaic, run.cells, tiles)
        return [t for t in tiles if t not in standing and self._needs_cell(run, run.mosaic, t)]

    def _pending(self, mosaic: Mosaic, regions: Sequence[str], at_most: int) -> list[StaleRow]:
        found: list[StaleRow] = []
        for region in regions:
            found += self.rows.stale(mosaic, region, at_most - len(found))
            if len(found) >= at_most:
                break
        return found

    def _update(self, run: CellRun, changed: Sequence[str]) -> None:
        for top in self._tops(run, changed):
            self._refresh(run, top, within(top, changed))

    def _tops(self, run: CellRun, changed: Sequence[str]) -> list[str]:
        """The coarsest cells to look at: all of them where the set is in the making."""
        above = self._above(run.mosaic, changed)
        return sorted({*above, *self.tops(run.mosaic)} if run.cells.state == "building" else above)

    def tops(self, mosaic: Mosaic) -> set[str]:
        """Returns the coarsest cells of a mosaic's sets: all that stand over its scenes."""
        return self._above(mosaic, self._cells_of_scenes(mosaic))

    def _above(self, mosaic: Mosaic, cells: Iterable[str]) -> set[str]:
        """The coarsest overview cells over some index cells."""
        zoom = top_rung(mosaic.minzoom, self.step)
        return {top for cell in cells for top in _at_zoom(cell, zoom)} if zoom else {""}

    def _cells_of_scenes(self, mosaic: Mosaic) -> Iterator[str]:
        for head in self.index.every_head(mosaic):
            if isinstance(head, Head):
                yield from head.cells

    def _try_again(
        self, mosaic: Mosaic, unread: Iterable[str], pending: Sequence[StaleRow], now: float
    ) -> None:
        """Marks blocks in which a scene could not be read, to be drawn again later and later."""
        for tile in sorted(unread):
            rows = [row for row in pending if within(tile, sorted(row.cells))]
            tries = 1 + max((row.tries for row in rows), default=0)
            if tries > _TRIES or any(row.due > now and row.tries for row in rows):
                continue
            due = now + _FIRST_RETRY_S * 2 ** (tries - 1)
            self.rows.mark(stale_row(mosaic, [tile], due, tries=tries))


def _at_zoom(cell: str, zoom: int) -> Iterator[str]:
    """Yields the tiles of a zoom that share area with a cell."""
    yield from [cell[:zoom]] if len(cell) >= zoom else descendants(cell, zoom - len(cell))

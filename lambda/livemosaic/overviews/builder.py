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
- Before it is deleted, the extents of deep partitions have the scene that it names (`extents`).

Where a rival comes first to a cell, only this cell is made again: the ones below, which the pass
has made already, are taken as they are now. So builders of different places meet in the cells
above, and lose no more than one of them by it.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from livemosaic.cog.write.codec import UnusableCellError
from livemosaic.errors import ConditionFailedError, NotFoundError
from livemosaic.index.overviews import (
    KEPT_S,
    REGIONS,
    RUNG,
    OverviewCell,
    OverviewRows,
    ReplacedObject,
    StaleRow,
    stale_row,
)
from livemosaic.index.scenes import Index
from livemosaic.index.schema import Head
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.model.time import utc_text
from livemosaic.overviews import sets
from livemosaic.overviews.base import BaseBlock, Survey
from livemosaic.overviews.blocks import BlockSource, Drawn, from_row, to_row
from livemosaic.overviews.extents import ExtentKeeper
from livemosaic.overviews.notes import of_blocks
from livemosaic.overviews.objects import CellObjects, Made
from livemosaic.overviews.places import blocks_under, descendants, top_rung, within
from livemosaic.overviews.sets.removal import SetRemover, check_time
from livemosaic.overviews.together.combinations import (
    Assets,
)
from livemosaic.overviews.together.images import (
    changes_of,
    combinations_of,
    combined_blocks,
    images_of,
    source_of,
)
from livemosaic.storage.objects import AbsentError
from livemosaic.table.retry import contended

log = logging.getLogger(__name__)

_DEEPEST: Final = 21
"""Zoom of the deepest cells: their blocks are tiles of zoom 24."""
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


class BaseDrawer(Protocol):
    """Draws base blocks; see `base.Bases`."""

    def survey(
        self,
        mosaic: Mosaic,
        cells: OverviewSet,
        tile: str,
        before: BlockSource | None,
        *,
        may_deepen: bool,
    ) -> Survey:
        """Returns what scenes are at a tile now, beside its source so far."""
        ...

    def draw(self, surveys: Sequence[Survey]) -> list[BaseBlock]:
        """Reads and composes blocks that were surveyed."""
        ...


@dataclass(slots=True)
class BuildTally:
    """What a pass has done so far."""

    taken: int = 0
    """Stale rows."""
    looked: int = 0
    """Cells whose scenes were looked up."""
    drawn: int = 0
    """Base blocks whose pixels were read."""
    written: int = 0
    """Cells with other pixels than before."""
    retired: int = 0
    bytes: int = 0
    """Of the objects written."""
    unread: dict[str, str] = field(default_factory=dict)
    """Why scenes could not be read, by their ids."""


@dataclass(slots=True)
class _Run:
    """One pass over one set of a mosaic."""

    mosaic: Mosaic
    cells: OverviewSet
    late: Callable[[], bool]
    tally: BuildTally
    unread_tiles: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    """Cells below others that the pass has made."""

    def check_time(self) -> None:
        """Raises `OutOfTimeError` where it is too late to begin another cell."""
        check_time(self.late)


@dataclass(frozen=True, slots=True)
class OverviewBuilder:
    """Keeps overview cells of mosaics up to date. For one thread; any number may run at once."""

    index: Index
    bases: BaseDrawer
    objects: CellObjects
    step: int = RUNG
    report: Callable[[BuildTally], None] = lambda _: None
    """Called after each cell."""
    clock: Callable[[], float] = time.time

    @property
    def rows(self) -> OverviewRows:
        """The rows of overviews."""
        return OverviewRows(self.index.table)

    @property
    def extents(self) -> ExtentKeeper:
        """What keeps the extents of deep partitions."""
        return ExtentKeeper(self.index, self.clock)

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
            run = _Run(mosaic, cells, late, tally)
            if spread and cells.state == "building" and (places := self._places(run, "")):
                spread(places)
                return tally
            self._update(run, changed)
            unread |= run.unread_tiles
            if cells.state == "building":
                complete = partial(sets.completed, set_id=cells.id, now=now)
                self.index.mosaics.put_overview_sets(mosaic_id, complete)
        self._try_again(mosaic, unread, pending, now)
        self.extents.include(
            self.index.mosaics.get(mosaic_id), (row.scene for row in taken if row.scene), late
        )
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
            run = _Run(mosaic, cells, late, tally)
            if cells.state != "building" or self.rows.standing(mosaic, cells, [place]):
                continue
            if places := self._places(run, place):
                spread(places)
                return None
            self._prepare(run, place)
        return tally

    def _prepare(self, run: _Run, place: str) -> None:
        if self._needs_cell(run, run.mosaic, place):
            self._reach(run, place)
            self._refresh(run, place, ())
            if not self._needs_cell(run, self._as_of_now(run), place):
                self._retire(run, place, ())

    def _places(self, run: _Run, place: str) -> Sequence[str]:
        """The places below that several builders can make at once; none where one builder is best.

        None too where the coarsest cells are not that of the world, and must be searched for.
        """
        if top_rung(run.mosaic.minzoom, self.step):
            return ()
        places = self._unmade(run, place)
        while len(places) == 1 and (below := self._unmade(run, places[0])):
            places = below
        return places if len(places) > 1 else ()

    def _unmade(self, run: _Run, place: str) -> Sequence[str]:
        """The blocks of a place that need cells of their own, and have none yet."""
        if len(place) >= _DEEPEST_PLACE:
            return ()
        tiles = [*descendants(place, self.step)]
        standing = self.rows.standing(run.mosaic, run.cells, tiles)
        return [t for t in tiles if t not in standing and self._needs_cell(run, run.mosaic, t)]

    def _needs_cell(self, run: _Run, mosaic: Mosaic, tile: str) -> bool:
        deepens = may_deepen(run.cells, tile)
        survey = self.bases.survey(mosaic, run.cells, tile, None, may_deepen=deepens)
        return survey.finding == "cell"

    def _pending(self, mosaic: Mosaic, regions: Sequence[str], at_most: int) -> list[StaleRow]:
        found: list[StaleRow] = []
        for region in regions:
            found += self.rows.stale(mosaic, region, at_most - len(found))
            if len(found) >= at_most:
                break
        return found

    def _update(self, run: _Run, changed: Sequence[str]) -> None:
        for top in self._tops(run, changed):
            self._refresh(run, top, within(top, changed))

    def _tops(self, run: _Run, changed: Sequence[str]) -> list[str]:
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

    def _refresh(self, run: _Run, quadkey: str, changed: Sequence[str]) -> OverviewCell:
        """Makes a cell anew where cells changed; wholly if it is not there; returns it."""
        run.check_time()
        cell = contended(lambda: self._refresh_once(run, quadkey, changed))
        self.report(run.tally)
        return cell

    def _refresh_once(self, run: _Run, quadkey: str, changed: Sequence[str]) -> OverviewCell:
        before = self._claimed(run, self.rows.cell(run.mosaic, run.cells, quadkey))
        is_new = before.retired
        tiles = [*descendants(quadkey, self.step)]
        if not is_new:
            tiles = blocks_under(quadkey, changed, self.step)
            if not tiles:
                return before
        mosaic = self._as_of_now(run)
        run.tally.looked += 1
        sources = {} if is_new else from_row(before)
        blocks = self._look(run, mosaic, quadkey, tiles, sources, changed)
        return self._write(run, mosaic, before, sources, blocks, changed)

    def _claimed(self, run: _Run, cell: OverviewCell) -> OverviewCell:
        """Returns a cell with a row, one that stands for nothing yet where there was none.

        So that a rival who finds meanwhile that there is nothing to stand for has a row to change.
        """
        if cell.revision:
            return cell
        self._as_of_now(run)  # else the row of a set that is gone would be refused again and again
        return self.rows.put(run.mosaic, run.cells, replace(cell, retired=True))

    def _as_of_now(self, run: _Run) -> Mosaic:
        """The mosaic as of now: its levels and watermarks say what there is to be found."""
        mosaic = self.index.mosaics.get(run.mosaic.id)
        now = self.clock()
        known = {each.id: each for each in mosaic.overview_sets if not sets.is_over(each, now)}
        if mosaic.generation != run.mosaic.generation or run.cells.id not in known:
            raise NotFoundError(f"the overviews of mosaic {mosaic.id!r} were begun anew")
        run.cells = known[run.cells.id]
        return mosaic

    def _look(
        self,
        run: _Run,
        mosaic: Mosaic,
        quadkey: str,
        tiles: Iterable[str],
        sources: dict[str, BlockSource],
        changed: Sequence[str],
    ) -> dict[str, Drawn]:
        """Finds what blocks are made of, in place of `sources`; returns what has other pixels."""
        blocks: dict[str, Drawn] = {}
        to_draw: dict[str, Survey] = {}
        for tile in tiles:
            suffix = tile[len(quadkey) :]
            before = sources.get(suffix)
            deepens = may_deepen(run.cells, tile)
            survey = self.bases.survey(mosaic, run.cells, tile, before, may_deepen=deepens)
            if survey.finding == "cell":
                source, block = self._of_cell(run, tile, within(tile, changed), before)
                sources[suffix] = source
                if not source.shows_as(before):
                    blocks[suffix] = block
                continue
            self._retire(run, tile, within(tile, changed))
            if survey.finding == "base":
                to_draw[suffix] = survey
            elif survey.finding == "empty" and before is not None:
                del sources[suffix]
                blocks[suffix] = {}
        blocks |= self._draw(run, quadkey, to_draw, sources)
        return blocks

    def _of_cell(
        self, run: _Run, tile: str, changed: Sequence[str], before: BlockSource | None
    ) -> tuple[BlockSource, Drawn]:
        self._reach(run, tile)
        cell = self._below(run, tile, changed)
        source = source_of(cell)
        return source, {} if source.shows_as(before) else self._smallest(run, cell)

    def _smallest(self, run: _Run, cell: OverviewCell) -> Drawn:
        """Returns the coarsest overview of a cell, for the cell above it.

        Where its objects are missing or damaged, raises ConditionFailedError, and it is made anew
        when the cell above is tried again.
        """
        try:
            return self.objects.smallest(run.cells, cell)
        except (UnusableCellError, AbsentError) as error:
            gone = OverviewCell(quadkey=cell.quadkey, revision=cell.revision, retired=True)
            self._put(run, cell, gone, self.clock())
            raise ConditionFailedError(f"overview {cell.quadkey} is to be made anew") from error

    def _reach(self, run: _Run, tile: str) -> None:
        """Lets readers look for a cell as deep as this one, before it is there."""
        if len(tile) > run.cells.reach:
            deepened = partial(sets.deepened, set_id=run.cells.id, zoom=len(tile))
            self.index.mosaics.put_overview_sets(run.mosaic.id, deepened)
            run.cells = replace(run.cells, reach=len(tile))

    def _below(self, run: _Run, tile: str, changed: Sequence[str]) -> OverviewCell:
        """Returns a cell as of now, made anew once in a pass."""
        if tile in run.made:
            cell = self.rows.cell(run.mosaic, run.cells, tile)
            if cell.revision and not cell.retired:
                return cell
        cell = self._refresh(run, tile, changed)
        run.made.add(tile)
        return cell

    def _draw(
        self,
        run: _Run,
        quadkey: str,
        surveys: Mapping[str, Survey],
        sources: dict[str, BlockSource],
    ) -> dict[str, Drawn]:
        drawn = self.bases.draw([*surveys.values()]) if surveys else []
        blocks: dict[str, Drawn] = {}
        for suffix, base in zip(surveys, drawn, strict=True):
            sources[suffix], blocks[suffix] = base.source, base.pixels
            run.tally.drawn += 1
            run.tally.unread |= dict(base.unread)
            if base.source.skipped:
                run.unread_tiles.add(quadkey + suffix)
        return blocks

    def _write(
        self,
        run: _Run,
        mosaic: Mosaic,
        before: OverviewCell,
        sources: dict[str, BlockSource],
        blocks: dict[str, Drawn],
        changed: Sequence[str],
    ) -> OverviewCell:
        """Writes a cell whose blocks have these sources, some of them other pixels than before."""
        made = self._changed(run, mosaic, before, sources, blocks)
        if made is None:
            self._load_rest(run, mosaic, before.quadkey, sources, blocks, changed)
            made = self._made(run, mosaic, before, sources, blocks, anew=True)
        of, kinds = to_row(sources)
        now = self.clock()
        notes = of_blocks(before.quadkey, sources, combined_blocks(sources))
        cell = replace(before, of=of, kinds=tuple(kinds), notes=notes, retired=False)
        hrefs: Mapping[Assets, Mapping[str, str]] = self.objects.hrefs(run.cells, before)
        if made.digest != before.digest:
            hrefs = self.objects.put(mosaic, run.cells, before, made)
            built = utc_text(datetime.fromtimestamp(now, UTC))
            cell = replace(cell, digest=made.digest, built=built)
            run.tally.written += 1
            run.tally.bytes += made.size
        cell = replace(cell, images=images_of(run.cells, sources, hrefs))
        return self._put(run, before, cell, now)

    def _changed(
        self,
        run: _Run,
        mosaic: Mosaic,
        before: OverviewCell,
        sources: Mapping[str, BlockSource],
        blocks: Mapping[str, Drawn],
    ) -> Made | None:
        """Makes a cell of its objects and some other blocks; None where these cannot be used."""
        shown = combined_blocks(sources)
        if any(each.kind for each in shown):
            if shown != combinations_of(before) or not before.hrefs:
                return None
            if not blocks:
                return Made(before.digest)
        try:
            return self._made(run, mosaic, before, sources, blocks, anew=False)
        except (UnusableCellError, AbsentError):
            log.warning("an overview is missing or damaged", extra={"cell": before.quadkey})
            return None

    def _load_rest(
        self,
        run: _Run,
        mosaic: Mosaic,
        quadkey: str,
        sources: dict[str, BlockSource],
        blocks: dict[str, Drawn],
        changed: Sequence[str],
    ) -> None:
        """Adds the pixels of all blocks that did not change, as they are now."""
        missing = [n for n, source in sources.items() if source.combinations and n not in blocks]
        for name in missing:
            del sources[name]
        tiles = [quadkey + name for name in sorted(missing)]
        blocks |= self._look(run, mosaic, quadkey, tiles, sources, changed)

    def _made(
        self,
        run: _Run,
        mosaic: Mosaic,
        before: OverviewCell,
        sources: Mapping[str, BlockSource],
        blocks: Mapping[str, Drawn],
        *,
        anew: bool,
    ) -> Made:
        """Makes the objects of a cell, of these blocks alone with `anew`; none without pixels."""
        changed = {each: changes_of(sources, blocks, each) for each in combined_blocks(sources)}
        return self.objects.make(mosaic, run.cells, before, changed, anew=anew)

    def _put(self, run: _Run, before: OverviewCell, cell: OverviewCell, now: float) -> OverviewCell:
        """Writes a row in place of the one that was read; deletes objects that nobody reads now."""
        new, old = {*cell.hrefs} - {*before.hrefs}, {*before.hrefs} - {*cell.hrefs}
        until = int(now) + KEPT_S
        kept = [each for each in before.was if each.until > now]
        kept += [ReplacedObject(href, until) for href in sorted(old)]
        try:
            cell = self.rows.put(run.mosaic, run.cells, replace(cell, was=tuple(kept)))
        except ConditionFailedError:
            self._forget(run, cell.quadkey, new)
            raise
        for each in before.was:
            if each.until <= now:
                self.objects.folder.delete(each.href)
        return cell

    def _forget(self, run: _Run, quadkey: str, hrefs: Collection[str]) -> None:
        """Deletes objects that a refused row names, unless a rival's row names the same."""
        row = self.rows.cell(run.mosaic, run.cells, quadkey)
        named = {*row.hrefs, *(each.href for each in row.was)}
        for href in set(hrefs) - named:
            self.objects.folder.delete(href)

    def _retire(self, run: _Run, tile: str, changed: Sequence[str]) -> None:
        """Withdraws the cell of a tile, and the cells below it, which its block no longer shows.

        The ones below first, as only a standing cell names them; also the ones that a pass may have
        made below changed cells, and then died.
        """
        if len(tile) <= run.cells.reach:
            contended(lambda: self._retire_once(run, tile, changed))

    def _retire_once(self, run: _Run, tile: str, changed: Sequence[str]) -> None:
        cell = self.rows.cell(run.mosaic, run.cells, tile)
        named = {tile + name for name, source in _sources(cell).items() if source.is_cell}
        small = [other for other in changed if len(other) >= len(tile) + self.step]
        for child in sorted(named.union(blocks_under(tile, small, self.step))):
            self._retire(run, child, within(child, changed))
        if cell.revision:
            gone = OverviewCell(quadkey=tile, revision=cell.revision, retired=True)
            self._put(run, cell, gone, self.clock())
            run.tally.retired += not cell.retired

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


def may_deepen(cells: OverviewSet, tile: str) -> bool:
    """Returns whether a set may have a cell at a tile."""
    most = cells.policy.maxzoom
    return len(tile) <= (_DEEPEST if most is None else min(most, _DEEPEST))


def _at_zoom(cell: str, zoom: int) -> Iterator[str]:
    """Yields the tiles of a zoom that share area with a cell."""
    yield from [cell[:zoom]] if len(cell) >= zoom else descendants(cell, zoom - len(cell))


def _sources(cell: OverviewCell) -> dict[str, BlockSource]:
    return from_row(cell)

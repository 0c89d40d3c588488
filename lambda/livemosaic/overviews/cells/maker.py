"""One overview cell, made anew of what is at its blocks now, and the cells below it.

It is right beside other builders; what a pass over many cells adds is in `overviews.builder`.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from livemosaic.cog.write.codec import UnusableCellError
from livemosaic.errors import ConditionFailedError, NotFoundError
from livemosaic.index.overviews import (
    KEPT_S,
    RUNG,
    OverviewCell,
    OverviewRows,
    ReplacedObject,
)
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.model.time import utc_text
from livemosaic.overviews import sets
from livemosaic.overviews.base import BaseBlock, Survey
from livemosaic.overviews.blocks import BlockSource, Drawn, from_row, to_row
from livemosaic.overviews.notes import of_blocks
from livemosaic.overviews.objects import CellObjects, Made
from livemosaic.overviews.places import blocks_under, descendants, within
from livemosaic.overviews.sets.removal import check_time
from livemosaic.overviews.together.combinations import Assets
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
class CellRun:
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
class CellMaker:
    """Makes cells of overviews anew. For one thread; any number may run at once."""

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

    def _needs_cell(self, run: CellRun, mosaic: Mosaic, tile: str) -> bool:
        deepens = may_deepen(run.cells, tile)
        survey = self.bases.survey(mosaic, run.cells, tile, None, may_deepen=deepens)
        return survey.finding == "cell"

    def _refresh(self, run: CellRun, quadkey: str, changed: Sequence[str]) -> OverviewCell:
        """Makes a cell anew where cells changed; wholly if it is not there; returns it."""
        run.check_time()
        cell = contended(lambda: self._refresh_once(run, quadkey, changed))
        self.report(run.tally)
        return cell

    def _refresh_once(self, run: CellRun, quadkey: str, changed: Sequence[str]) -> OverviewCell:
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

    def _claimed(self, run: CellRun, cell: OverviewCell) -> OverviewCell:
        """Returns a cell with a row, one that stands for nothing yet where there was none.

        So that a rival who finds meanwhile that there is nothing to stand for has a row to change.
        """
        if cell.revision:
            return cell
        self._as_of_now(run)  # else the row of a set that is gone would be refused again and again
        return self.rows.put(run.mosaic, run.cells, replace(cell, retired=True))

    def _as_of_now(self, run: CellRun) -> Mosaic:
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
        run: CellRun,
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
        self, run: CellRun, tile: str, changed: Sequence[str], before: BlockSource | None
    ) -> tuple[BlockSource, Drawn]:
        self._reach(run, tile)
        cell = self._below(run, tile, changed)
        source = source_of(cell)
        return source, {} if source.shows_as(before) else self._smallest(run, cell)

    def _smallest(self, run: CellRun, cell: OverviewCell) -> Drawn:
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

    def _reach(self, run: CellRun, tile: str) -> None:
        """Lets readers look for a cell as deep as this one, before it is there."""
        if len(tile) > run.cells.reach:
            deepened = partial(sets.deepened, set_id=run.cells.id, zoom=len(tile))
            self.index.mosaics.put_overview_sets(run.mosaic.id, deepened)
            run.cells = replace(run.cells, reach=len(tile))

    def _below(self, run: CellRun, tile: str, changed: Sequence[str]) -> OverviewCell:
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
        run: CellRun,
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
        run: CellRun,
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
        run: CellRun,
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
        run: CellRun,
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
        run: CellRun,
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

    def _put(
        self, run: CellRun, before: OverviewCell, cell: OverviewCell, now: float
    ) -> OverviewCell:
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

    def _forget(self, run: CellRun, quadkey: str, hrefs: Collection[str]) -> None:
        """Deletes objects that a refused row names, unless a rival's row names the same."""
        row = self.rows.cell(run.mosaic, run.cells, quadkey)
        named = {*row.hrefs, *(each.href for each in row.was)}
        for href in set(hrefs) - named:
            self.objects.folder.delete(href)

    def _retire(self, run: CellRun, tile: str, changed: Sequence[str]) -> None:
        """Withdraws the cell of a tile, and the cells below it, which its block no longer shows.

        The ones below first, as only a standing cell names them; also the ones that a pass may have
        made below changed cells, and then died.
        """
        if len(tile) <= run.cells.reach:
            contended(lambda: self._retire_once(run, tile, changed))

    def _retire_once(self, run: CellRun, tile: str, changed: Sequence[str]) -> None:
        cell = self.rows.cell(run.mosaic, run.cells, tile)
        named = {tile + name for name, source in from_row(cell).items() if source.is_cell}
        small = [other for other in changed if len(other) >= len(tile) + self.step]
        for child in sorted(named.union(blocks_under(tile, small, self.step))):
            self._retire(run, child, within(child, changed))
        if cell.revision:
            gone = OverviewCell(quadkey=tile, revision=cell.revision, retired=True)
            self._put(run, cell, gone, self.clock())
            run.tally.retired += not cell.retired


def may_deepen(cells: OverviewSet, tile: str) -> bool:
    """Returns whether a set may have a cell at a tile."""
    most = cells.policy.maxzoom
    return len(tile) <= (_DEEPEST if most is None else min(most, _DEEPEST))

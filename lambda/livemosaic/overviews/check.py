"""Compares overview cells with the scenes and the cells that they are made of, by the index alone.

And extents of deep partitions, and tallies of tiles, with the scenes in them.

Safe beside builders: what looks wrong is no difference where a stale row waits to be built, or the
row was written meanwhile.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from livemosaic.errors import ConditionFailedError
from livemosaic.index.extents.rows import PartitionName
from livemosaic.index.extents.tallies import KIND as TALLY
from livemosaic.index.overviews import REGIONS, OverviewCell, stale_row
from livemosaic.index.verify import Checked, Difference, DifferenceKind
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.overviews.blocks import BlockSource, from_row
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.cells.maker import may_deepen
from livemosaic.overviews.places import descendants, within
from livemosaic.overviews.sets import FORMAT
from livemosaic.overviews.together.images import source_of
from livemosaic.storage.objects import ObjectError

_DEEPEST: Final = 24
_OTHER: Final = "made of other scenes than there are"
_BELOW: Final = "made of another cell below than there is"
_DAMAGED: Final = "is damaged: it is not as it was written"
_UNREAD: Final = "made without a scene that cannot be read"


@dataclass(frozen=True, slots=True)
class OverviewCheck:
    """The overview cells of one mosaic, to be checked."""

    builder: OverviewBuilder
    mosaic: Mosaic
    repair: bool = False
    """Mark cells that are wrong, so that the next build makes them anew, and repair extents."""

    def check(self) -> Iterator[Checked]:
        """Checks the cells of the set that is shown, from the top down; one report each.

        Then all extents and tallies.
        """
        cells = self.mosaic.shown_overviews
        if cells is not None:
            for top in sorted(self.builder.tops(self.mosaic)):
                yield from self._check(cells, top)
        for name in self.builder.extents.rows.names(self.mosaic, self.mosaic.marked_since):
            of = self._of_tally(name.quadkey) if name.kind == TALLY else self._of_extent(name)
            yield Checked(1, [*of])

    def _of_tally(self, quadkey: str) -> Iterator[Difference]:
        if self.builder.tallies.is_outdated(self.mosaic, quadkey):
            if self.repair:
                self.builder.rows.mark(stale_row(self.mosaic, [quadkey], self.builder.clock()))
            detail = "counts other scenes than there are"
            yield Difference(
                "outdated", f"tally of tile {quadkey or 'of the world'}", detail, self.repair
            )

    def _of_extent(self, name: PartitionName) -> Iterator[Difference]:
        lacking = self.builder.extents.lacking(self.mosaic, name)
        if not lacking:
            return
        if self.repair:
            self.builder.extents.repair(self.mosaic, name, [*lacking.values()])
        detail = f"lacks scenes, {len(lacking)} in all, such as {min(lacking)}"
        yield Difference("outdated", f"extent of {name.kind} {name.quadkey}", detail, self.repair)

    def _check(self, cells: OverviewSet, quadkey: str) -> Iterator[Checked]:
        cell = self.builder.rows.cell(self.mosaic, cells, quadkey)
        sources = from_row(cell)
        wrong = dict(self._wrong(cells, cell, sources))
        lost = self._lost(cells, cell)
        yield Checked(1, [*self._settled(cells, cell, wrong), *lost])
        for name, source in sources.items():
            if source.is_cell:
                yield from self._check(cells, quadkey + name)

    def _wrong(
        self, cells: OverviewSet, cell: OverviewCell, sources: Mapping[str, BlockSource]
    ) -> Iterator[tuple[str, str]]:
        """Yields the tiles of blocks that look wrong, and why."""
        for tile in descendants(cell.quadkey, self.builder.step):
            source = sources.get(tile[len(cell.quadkey) :])
            deepens = may_deepen(cells, tile)
            found = self.builder.bases.survey(
                self.mosaic, cells, tile, source, may_deepen=deepens
            ).finding
            if found == "cell" and source is not None and source.is_cell:
                below = self.builder.rows.cell(self.mosaic, cells, tile)
                if below.retired or source_of(below) != source:
                    yield tile, _BELOW
            elif source is not None and source.skipped:
                yield tile, _UNREAD
            elif found != "same" and (found != "empty" or source is not None):
                yield tile, _OTHER

    def _settled(
        self, cells: OverviewSet, cell: OverviewCell, wrong: Mapping[str, str]
    ) -> Iterator[Difference]:
        """Yields what is wrong although nothing waits to be built there."""
        if not wrong:
            return
        rows = self.builder.rows
        waiting = [row for region in REGIONS for row in rows.stale(self.mosaic, region)]
        marked = sorted({quadkey for row in waiting for quadkey in row.cells})
        if rows.cell(self.mosaic, cells, cell.quadkey).revision != cell.revision:
            return
        for tile, detail in wrong.items():
            if not within(tile, marked):
                self._mark(tile)
                kind: DifferenceKind = "unreadable" if detail == _UNREAD else "outdated"
                yield Difference(kind, f"overview of tile {tile}", detail, self.repair)

    def _lost(self, cells: OverviewSet, cell: OverviewCell) -> Iterator[Difference]:
        if problem := self._problem(cells, cell):
            self._renew(cells, cell)
            if problem == _DAMAGED and cell.quadkey:  # the cell above may have a copy of it
                above = cell.quadkey[: -self.builder.step]
                self._renew(cells, self.builder.rows.cell(self.mosaic, cells, above))
            name = f"overview cell {cell.quadkey or 'of the world'}"
            yield Difference("lost", name, f"its object {problem}", self.repair)

    def _problem(self, cells: OverviewSet, cell: OverviewCell) -> str:
        try:
            whole = self.builder.objects.is_whole(cells, cell)
        except ObjectError as error:
            return str(error)
        is_older = cells.format != FORMAT  # whose digests may be of other bytes
        return "" if whole or is_older else _DAMAGED

    def _renew(self, cells: OverviewSet, cell: OverviewCell) -> None:
        """Lets the next build make a whole cell anew, unless one is at it already."""
        if self.repair and cell.revision:
            self._mark(cell.quadkey)
            gone = OverviewCell(quadkey=cell.quadkey, revision=cell.revision, retired=True)
            with suppress(ConditionFailedError):
                self.builder.rows.put(self.mosaic, cells, gone)

    def _mark(self, tile: str) -> None:
        """Marks one place in a tile: cells below it that are right need not be looked at."""
        if self.repair:
            place = tile.ljust(_DEEPEST, "0")
            self.builder.rows.mark(stale_row(self.mosaic, [place], self.builder.clock()))

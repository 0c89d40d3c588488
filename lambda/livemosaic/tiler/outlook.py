"""Looks ahead of the scenes that a view has read, at what is known of deep partitions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from livemosaic.geo.cells import Cell
from livemosaic.index.extents.rows import ExtentRows, PartitionExtent, PartitionName
from livemosaic.index.extents.top import TopRow
from livemosaic.index.merge import scene_of
from livemosaic.index.schema import CellRow
from livemosaic.index.search import OpenPartition, is_row_shown
from livemosaic.model.raster import Runs
from livemosaic.table import Key
from livemosaic.tiler.plan import Ahead, Needs

if TYPE_CHECKING:
    from livemosaic.tiler.candidates import Candidates

_MOST_AHEAD: Final = 64
"""Rows that were read and not given yet, of which the pixels are compared with the holes."""
_MOST_ON_TOP: Final = 40
"""Rows that are read before their turn: a page of a deep partition, in one call."""
_MOST_ASKED: Final = 100
"""Rows on top that show in a view, and keys that are looked up in one call: in a view of several
cells also keys of rows that a scene may have in more than one."""

Extents = Mapping[PartitionName, PartitionExtent]


@dataclass(slots=True, eq=False)
class Outlook:
    """Whether a view needs more scenes, by the extents of partitions that have more."""

    candidates: "Candidates"
    extents: ExtentRows
    needs: Needs
    _glanced: Extents | None = None
    _known: Extents | None = None
    _tried: bool = False
    """Whether rows on top were looked at."""

    def goes_on(
        self, rows: Sequence[CellRow], partitions: Sequence[OpenPartition]
    ) -> bool | Sequence[CellRow]:
        """Whether more scenes are needed, as `SceneReader.find_while` asks.

        Extents that may be a second old say so for most tiles. Only where they deny it, or have
        rows on top, and once, they are read as of now.
        """
        names = [PartitionName.of(each.pk) for each in partitions]
        mosaic = self.candidates.mosaic
        if self._glanced is None:
            self._glanced = self.extents.glance(mosaic, names)
        if self._known is None:
            is_needed = self._is_needed(rows, names, self._glanced)
            if is_needed and not self._may_end(partitions, self._glanced):
                return True
            self._known = self.extents.known(mosaic, names, self.candidates.view.area)
        if not self._is_needed(rows, names, self._known):
            return False
        if self._tried or not self._may_end(partitions, self._known):
            return True
        self._tried = True
        found = self._on_top(rows, partitions, self._known)
        return True if found is None else found

    def _is_needed(
        self, rows: Sequence[CellRow], names: Sequence[PartitionName], extents: Extents
    ) -> bool:
        if len(rows) > _MOST_AHEAD or any(name not in extents for name in names):
            return True
        parts = {(row.place.quadkey, row.footprint) for row in rows}
        parts.update(part for name in names if (part := extents[name].part) is not None)
        ahead = tuple(sorted(parts))
        return self.needs.may_show(Ahead(ahead, partial(self.candidates.pixels_of, ahead)))

    def _may_end(self, partitions: Sequence[OpenPartition], extents: Extents) -> bool:
        """Whether rows on top may be enough: they are known of all rows that were not read."""
        return self.needs.only_top and all(_is_known(each, extents) for each in partitions)

    def _on_top(
        self, rows: Sequence[CellRow], partitions: Sequence[OpenPartition], extents: Extents
    ) -> Sequence[CellRow] | None:
        """Returns the rows that were not read and hide all others, by footprints.

        With them come all other rows of their scenes, and of the ones of `rows`: a scene claims as
        much as in its turn. None where some of them, or of the ones that were read, are gone,
        changed, or take no part: these hide nothing.
        """
        mosaic, index = self.candidates.mosaic, self.candidates.index
        showing = [*islice(self._showing(partitions, extents), _MOST_ASKED + 1)]
        met = {each.pk: each.met for each in partitions}
        unread = {key: top for key, top in showing if key.sk not in met[key.pk]}
        read_to = {each.pk: each.read_to for each in partitions}
        if len(showing) > _MOST_ASKED or len(unread) > _MOST_ON_TOP:
            return None
        if any(key.sk <= read_to[key.pk] for key in unread):
            return None
        asked = {*unread, *_beside((*unread, *(row.key(mosaic) for row in rows)), partitions)}
        if len(asked) > _MOST_ASKED:
            return None
        read = (CellRow.from_row(met[key.pk][key.sk]) for key, _ in showing if key not in unread)
        fetched = index.rows_at(mosaic, asked)
        footprints = {key: top.footprint for key, top in showing}
        every = (*(row for row in read if is_row_shown(row, mosaic)), *fetched)
        there = [row for row in every if row.key(mosaic) in footprints]
        if {row.key(mosaic): row.footprint for row in there} != footprints:
            return None
        scenes = (scene_of(row.place.rank, [row]) for row in there)
        if not all(isinstance(self.candidates.claim(scene), Runs) for scene in scenes):
            return None
        return fetched

    def _showing(
        self, partitions: Sequence[OpenPartition], extents: Extents
    ) -> Iterator[tuple[Key, TopRow]]:
        """Yields the rows on top that others of them do not hide in the view, top first."""
        view = self.candidates.view
        holes = np.ones((view.grid.height, view.grid.width), np.bool_)
        for top, pk in sorted(self._near(partitions, extents)):
            part = PartitionName.of(pk).quadkey, top.footprint
            claimed = self.candidates.pixels_of([part]).mask(*holes.shape)
            if (claimed & holes).any():
                holes &= ~claimed
                yield Key(pk, top.sk), top

    def _near(
        self, partitions: Sequence[OpenPartition], extents: Extents
    ) -> Iterator[tuple[TopRow, str]]:
        """Yields the rows on top that may show in the view, and the keys of their partitions."""
        area = self.candidates.view.area
        for each in partitions:
            name = PartitionName.of(each.pk)
            bounds = area.grid.bounds(Cell.of(name.quadkey))
            for top in extents[name].top or ():
                if top.shows_in(bounds, area.boxes):
                    yield top, each.pk


def _beside(keys: Iterable[Key], partitions: Iterable[OpenPartition]) -> Iterator[Key]:
    """Yields the keys of rows that the scenes of some rows may have, too, and were not read."""
    names = [(PartitionName.of(each.pk), each) for each in partitions]
    for key in keys:
        kind, quadkey = PartitionName.of(key.pk)
        for name, each in names:
            is_beside = name.kind == kind and len(name.quadkey) == len(quadkey)
            if is_beside and name.quadkey != quadkey and key.sk > each.read_to:
                yield Key(each.pk, key.sk)


def _is_known(partition: OpenPartition, extents: Extents) -> bool:
    extent = extents.get(PartitionName.of(partition.pk))
    if extent is None or extent.top is None or extent.top_after is None:
        return False
    return extent.top_after <= partition.read_to

"""Keeps the extents of deep partitions, as `index.extents.rows` promises.

A pass adds the scenes that changed, as they are now, to the extents of their partitions, before it
deletes their stale rows. For one change of several it also looks whether a partition has become
deep. Nothing is made before everybody knows for long that the mosaic has overviews: until then
scenes may be written without a stale row.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from livemosaic.errors import ConditionFailedError
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import WHOLE
from livemosaic.index.extents.rows import ExtentRows, PartitionExtent, PartitionName
from livemosaic.index.extents.shape import united
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index, scene_cover
from livemosaic.index.schema import Head, partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.table.groups import rows_of
from livemosaic.table.retry import contended

_MADE_AFTER_S: Final = 3600
"""How long changes must have been marked before an extent is made: longer than a worker may be at
work with the mosaic as it was before."""
_KEPT_AFTER_S: Final = _MADE_AFTER_S / 2
"""From when on there may be extents, by clocks that differ from the one of who made them."""
_DEEP: Final = 50
"""Rows from which on a partition is deep."""
_MOST_ROWS: Final = 20_000
"""A partition with more rows is not read: its extent is the whole cell, which ends no tile."""
_ONE_IN: Final = 8
"""Changes for each of which a partition without an extent is looked at."""


@dataclass(frozen=True, slots=True)
class ExtentKeeper:
    """Makes extents, and lets them grow. Any number may be at work at once."""

    index: Index
    clock: Callable[[], float] = time.time
    deep: int = _DEEP
    one_in: int = _ONE_IN

    @property
    def rows(self) -> ExtentRows:
        """The rows of extents."""
        return ExtentRows(self.index.table, self.index.mosaics)

    def include(
        self, mosaic: Mosaic, scenes: Iterable[str], late: Callable[[], bool] = lambda: False
    ) -> None:
        """Adds scenes, by their keys, to all extents in which they must be.

        Makes extents of some partitions, as long as it is not `late`.
        """
        since = mosaic.marked_since
        age = self.clock() - since / 1000
        if not since or age < _KEPT_AFTER_S:
            return
        found = self.index.pool.map(partial(self.index.head, mosaic), dict.fromkeys(scenes))
        by_name = _by_partition(head for head in found if isinstance(head, Head))
        extents = self.index.pool.map(partial(self.rows.get, mosaic), by_name)
        covers = _Covers(mosaic)
        for extent in list(extents):
            heads = by_name[extent.name]
            if extent.revision:
                self.widen(mosaic, extent.name, covers.parts(extent.name, heads))
            may_be_deep = not extent.complete and any(map(self._is_drawn, heads))
            if may_be_deep and age >= _MADE_AFTER_S and not late():
                self._make(mosaic, extent.name)

    def lacking(self, mosaic: Mosaic, name: PartitionName) -> dict[str, bytes]:
        """The parts of scenes that an extent lacks although no change of theirs waits, by key.

        It is right beside changes and builders: stale rows are read after the partition, then the
        extent, and the mosaic last. Empty where no reader trusts the extent.
        """
        if self.rows.get(mosaic, name).part in (None, (name.quadkey, WHOLE)):
            return {}
        found = self._scenes(mosaic, name)
        stale = OverviewRows(self.index.table)
        waiting = {row.scene for region in REGIONS for row in stale.stale(mosaic, region)}
        extent = self.rows.get(mosaic, name)
        if extent.part is None or not self.rows.is_marking(mosaic):
            return {}
        grow = partial(united, cell_grid(mosaic.tms), *extent.part)
        beyond = {part for part in {*found.values()} if grow([part]) != extent.footprint}
        return {k: part for k, part in found.items() if part in beyond and k not in waiting}

    def widen(self, mosaic: Mosaic, name: PartitionName, parts: Sequence[bytes]) -> None:
        """Adds parts of scenes, as rows of a partition hold them, to its extent."""
        contended(partial(self._add, mosaic, name, parts))

    def drop(
        self, mosaic: Mosaic, since: int, check_time: Callable[[], None] = lambda: None
    ) -> None:
        """Deletes the extents of an earlier `marked_since`, which no reader trusts any more.

        They are closed first, so that a builder that was held up makes no other. Raises what
        `check_time` raises, between any two; all is found when it is called again.
        """
        self.rows.close(mosaic, since, self.clock())
        for name in self.rows.names(mosaic, since):
            self.rows.delete(mosaic, since, name)
            check_time()

    def _is_drawn(self, head: Head) -> bool:
        digest = hashlib.blake2b(f"{head.key} {head.version}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) % self.one_in == 0

    def _make(self, mosaic: Mosaic, name: PartitionName) -> None:
        """Makes the extent of a partition, if it is deep."""
        if self._is_deep(mosaic, name):
            with suppress(ConditionFailedError):  # it is there already, or they are all closed
                self.rows.put(mosaic, PartitionExtent(name))
            parts = self._footprints(mosaic, name)  # not before the row is there
            contended(partial(self._add, mosaic, name, parts, complete=True))

    def _add(
        self,
        mosaic: Mosaic,
        name: PartitionName,
        parts: Sequence[bytes],
        *,
        complete: bool = False,
    ) -> None:
        before = self.rows.get(mosaic, name)
        if not before.revision:  # all of them are deleted, as overviews are off
            return
        known = before.footprint
        if parts or complete:
            known = united(cell_grid(mosaic.tms), name.quadkey, known, parts)
        after = replace(before, footprint=known, complete=before.complete or complete)
        if after != before:
            self.rows.put(mosaic, after)

    def _is_deep(self, mosaic: Mosaic, name: PartitionName) -> bool:
        page = self.index.table.query(partition(mosaic, *name), limit=self.deep)
        return len(page.rows) == self.deep

    def _scenes(self, mosaic: Mosaic, name: PartitionName) -> dict[str, bytes]:
        """The parts of scenes in a partition as of now, by key; without moved rows."""
        rows = rows_of(self.index.table, partition(mosaic, *name))
        return {
            row.key.sk.partition("#")[2]: row.item["footprint"]
            for row in rows
            if "moved" not in row.item
        }

    def _footprints(self, mosaic: Mosaic, name: PartitionName) -> list[bytes]:
        """The footprints of all rows of a partition as of now; `WHOLE` where there are too many."""
        found: dict[bytes, None] = {}
        for number, row in enumerate(rows_of(self.index.table, partition(mosaic, *name))):
            if number == _MOST_ROWS:
                return [WHOLE]
            found[row.item["footprint"]] = None
        return [*found]


class _Covers:
    """The parts of scenes in cells, each footprint projected once, and only where it is needed."""

    def __init__(self, mosaic: Mosaic) -> None:
        self._mosaic = mosaic
        self._known: dict[str, Callable[[str], bytes | None]] = {}

    def parts(self, name: PartitionName, heads: Iterable[Head]) -> list[bytes]:
        """Returns the parts of scenes in the cell of a partition, as their rows hold them."""
        found = (self._of(head)(name.quadkey) for head in heads)
        return [part for part in found if part is not None]

    def _of(self, head: Head) -> Callable[[str], bytes | None]:
        if head.key not in self._known:
            self._known[head.key] = scene_cover(self._mosaic, head.scene.footprint).part
        return self._known[head.key]


def _by_partition(heads: Iterator[Head]) -> Mapping[PartitionName, list[Head]]:
    """The heads of scenes by the partitions that have a row of theirs, or a moved row."""
    found: dict[PartitionName, list[Head]] = {}
    for head in heads:
        names = {PartitionName(at.kind, at.quadkey) for at in (*head.places(), *head.moved)}
        for name in sorted(names):
            found.setdefault(name, []).append(head)
    return found

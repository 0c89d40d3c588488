"""Keeps the extents of deep partitions, as `index.extents.rows` promises.

A pass adds the scenes that changed, as they are now, to the extents of their partitions, before it
deletes their stale rows. For one change of several it also looks whether a partition has become
deep, and makes its rows on top, which begin below the row that was topmost then. They begin higher
from time to time, as scenes come above all: for that their maker reads the rows above that place.
Nothing is made before everybody knows for long that the mosaic has overviews: until then scenes may
be written without a stale row.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, takewhile
from typing import Final, NamedTuple

from livemosaic.errors import ConditionFailedError
from livemosaic.geo.cells import CellGrid, cell_grid
from livemosaic.geo.covering import WHOLE
from livemosaic.index.extents.rows import ExtentRows, PartitionExtent, PartitionName
from livemosaic.index.extents.shape import united
from livemosaic.index.extents.top import TopRow, on_top
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index, scene_cover
from livemosaic.index.schema import Head, Place, partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.table.groups import rows_of
from livemosaic.table.retry import contended

MADE_AFTER_S: Final = 3600
"""How long changes must have been marked before an extent is made: longer than a worker may be at
work with the mosaic as it was before."""
KEPT_AFTER_S: Final = MADE_AFTER_S / 2
"""From when on there may be extents, by clocks that differ from the one of who made them."""
_DEEP: Final = 50
"""Rows from which on a partition is deep."""
_DEEPER: Final = 200
"""Rows from which on it has rows on top: three pages of a tile's, and more."""
_MOST_ROWS: Final = 20_000
"""A partition with more rows is not read to its end: its extent is the whole cell, which ends no
tile, and it has no rows on top."""
_MOST_ABOVE: Final = 50
"""Rows above the place at which rows on top begin that are read to let them begin higher."""
_MOVED_S: Final = 60
"""How long after it expired a moved row may be believed, by clocks that differ."""


class OneIn(NamedTuple):
    """For one of how many changes, each in a partition, more is done than to add it."""

    made: int = 8
    """The extent of a partition is made, if it is deep."""
    found: int = 8
    """Rows on top are looked for, where nobody did."""
    raised: int = 4
    """Rows on top begin higher, if the scene is above all of them: so the first page of a tile, 10
    rows, mostly reaches the place at which they begin."""
    remade: int = 64
    """Rows on top are made anew: some may be gone, or not have been worth it before."""


_ONE_IN: Final = OneIn()


class _Part(NamedTuple):
    """The part of a scene in a partition, as its row holds it."""

    sk: str
    footprint: bytes
    is_moved: bool
    """Whether it is a moved row that readers may believe."""

    @property
    def row(self) -> TopRow:
        return TopRow(self.sk, self.footprint)

    @property
    def scene(self) -> str:
        """The key of the scene."""
        return self.sk.partition("#")[2]


class _Top(NamedTuple):
    """Rows on top, as their maker found them."""

    rows: tuple[TopRow, ...] | None
    """None where a moved row is believed."""
    after: str | None
    """None where they are not worth it."""


_NOT_WORTH_IT: Final = _Top((), None)


@dataclass(frozen=True, slots=True)
class ExtentKeeper:
    """Makes extents, and lets them grow. Any number may be at work at once."""

    index: Index
    clock: Callable[[], float] = time.time
    deep: int = _DEEP
    deeper: int = _DEEPER
    one_in: OneIn = _ONE_IN

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
        age = marked_for_s(mosaic, self.clock())
        if age < KEPT_AFTER_S:
            return
        found = self.index.pool.map(partial(self.index.head, mosaic), dict.fromkeys(scenes))
        by_name = _by_partition(head for head in found if isinstance(head, Head))
        extents = self.index.pool.map(partial(self.rows.get, mosaic), by_name)
        covers = _Covers(mosaic, self.clock() - _MOVED_S)
        for extent in list(extents):
            heads = by_name[extent.name]
            parts = covers.parts(extent.name, heads)
            if extent.revision:
                contended(partial(self._add, mosaic, extent.name, parts))
            if age >= MADE_AFTER_S and not late():
                self._improve(mosaic, extent, heads, parts)

    def _improve(
        self,
        mosaic: Mosaic,
        extent: PartitionExtent,
        heads: Sequence[Head],
        parts: Sequence[_Part],
    ) -> None:
        """Makes what is not known of a partition, or may be better, if one of its changes is drawn.

        `extent` is as it was before these were added.
        """
        name, top, after, one_in = extent.name, extent.top, extent.top_after, self.one_in
        if not extent.complete:
            if _is_drawn(heads, one_in.made):
                self._make(mosaic, name)
        elif _is_drawn(heads, one_in.found if top is None else one_in.remade):
            self._look(mosaic, name)
        elif top is not None and after is not None:
            above = {part.scene: part.footprint for part in parts if part.sk <= after}
            known = {row.footprint for row in top}
            drawn = _is_drawn([head for head in heads if head.key in above], one_in.raised)
            if drawn and not known.issuperset(above.values()):
                self._raise(mosaic, name)

    def lacking(self, mosaic: Mosaic, name: PartitionName) -> dict[str, bytes]:
        """The parts of scenes that an extent lacks although no change of theirs waits, by key.

        It is right beside changes and builders: stale rows are read after the partition, then the
        extent, and the mosaic last. Empty where no reader trusts the extent.
        """
        before = self.rows.get(mosaic, name)
        if before.part is None or (before.footprint == WHOLE and before.top_after is None):
            return {}
        found = [part for part in self._parts(mosaic, name) if not part.is_moved]
        stale = OverviewRows(self.index.table)
        waiting = {row.scene for region in REGIONS for row in stale.stale(mosaic, region)}
        extent = self.rows.get(mosaic, name)
        if extent.part is None or not self.rows.is_marking(mosaic):
            return {}
        missing = _lacking(cell_grid(mosaic.tms), extent, found)
        return {part.scene: part.footprint for part in missing if part.scene not in waiting}

    def repair(self, mosaic: Mosaic, name: PartitionName, parts: Sequence[bytes]) -> None:
        """Adds parts of scenes to an extent, and forgets its rows on top."""
        contended(partial(self._repair, mosaic, name, parts))

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

    def _is_deep(self, mosaic: Mosaic, name: PartitionName) -> bool:
        page = self.index.table.query(partition(mosaic, *name), limit=self.deep)
        return len(page.rows) == self.deep

    def _make(self, mosaic: Mosaic, name: PartitionName) -> None:
        """Makes the extent of a partition, if it is deep; without rows on top."""
        if self._is_deep(mosaic, name):
            with suppress(ConditionFailedError):  # it is there already, or they are all closed
                self.rows.put(mosaic, PartitionExtent(name))
            parts = [*islice(self._parts(mosaic, name), _MOST_ROWS + 1)]  # not before the row
            found = {part.footprint for part in parts} if len(parts) <= _MOST_ROWS else {WHOLE}
            contended(partial(self._complete, mosaic, name, sorted(found)))

    def _look(self, mosaic: Mosaic, name: PartitionName) -> None:
        """Finds the rows on top of a partition, by all of its rows."""
        before = replace(self.rows.get(mosaic, name), top=())
        if (begun := self._begin(mosaic, before)) is not None:
            parts = islice(self._parts(mosaic, name), _MOST_ROWS + 1)  # not before
            top = self._top(mosaic, name, parts)
            contended(partial(self._finish, mosaic, name, begun, top))

    def _raise(self, mosaic: Mosaic, name: PartitionName) -> None:
        """Lets the rows on top begin higher: after the row that is topmost now."""
        before = self.rows.get(mosaic, name)
        after = before.top_after
        if after is None or (begun := self._begin(mosaic, before)) is None:
            return
        parts = takewhile(lambda part: part.sk <= after, self._parts(mosaic, name, _MOST_ABOVE))
        above = [*islice(parts, _MOST_ABOVE + 1)]
        if not above or len(above) > _MOST_ABOVE:
            self._look(mosaic, name)
            return
        is_moved = any(part.is_moved for part in above)
        rows = None if is_moved else tuple(part.row for part in above[1:])
        contended(partial(self._finish, mosaic, name, begun, _Top(rows, above[0].sk)))

    def _begin(self, mosaic: Mosaic, before: PartitionExtent) -> int | None:
        """Writes that rows on top are being made; returns with which revision.

        None where another builder came first, or no extent can be made any more.
        """
        if not before.complete:
            return None
        begun = replace(before, top_after=None, top_begun=before.revision)
        try:
            self.rows.put(mosaic, begun)
        except ConditionFailedError:
            return None
        return before.revision

    def _top(self, mosaic: Mosaic, name: PartitionName, parts: Iterator[_Part]) -> _Top:
        """The rows on top of a partition, by its rows; they are read as far as needed."""
        first = next(parts, None)
        if first is None:
            return _NOT_WORTH_IT
        count, moved = 1, first.is_moved

        def rows() -> Iterator[TopRow]:
            nonlocal count, moved
            for part in parts:
                count, moved = count + 1, moved or part.is_moved
                yield part.row

        top = on_top(cell_grid(mosaic.tms), name.quadkey, rows())
        if top is None or not self.deeper <= count <= _MOST_ROWS:
            return _NOT_WORTH_IT
        return _Top(None if moved else top, first.sk)

    def _finish(self, mosaic: Mosaic, name: PartitionName, begun: int, made: _Top) -> None:
        """Completes rows on top, unless another maker of them began since."""
        before = self.rows.get(mosaic, name)
        if before.revision and before.top_begun == begun:
            self.rows.put(mosaic, _completed(mosaic, before, made))

    def _complete(self, mosaic: Mosaic, name: PartitionName, footprints: Sequence[bytes]) -> None:
        """Completes an extent with the footprints of all rows that were there after it was made."""
        before = self.rows.get(mosaic, name)
        if not before.revision:  # all of them are deleted, as overviews are off
            return
        after = replace(_wider(mosaic, before, footprints), complete=True)
        if after != before:
            self.rows.put(mosaic, after)

    def _add(self, mosaic: Mosaic, name: PartitionName, parts: Sequence[_Part]) -> None:
        before = self.rows.get(mosaic, name)
        if not before.revision or not parts:
            return
        after = _wider(mosaic, before, [part.footprint for part in parts])
        if before.top_after is not None or before.top_begun is not None:
            rows = [part.row for part in parts if part.sk > (before.top_after or "")]
            is_moved = any(part.is_moved for part in parts)
            after = _without_top(after) if is_moved else _with(mosaic, after, rows)
        if after != before:
            self.rows.put(mosaic, after)

    def _repair(self, mosaic: Mosaic, name: PartitionName, parts: Sequence[bytes]) -> None:
        before = self.rows.get(mosaic, name)
        if before.revision:
            self.rows.put(mosaic, _without_top(_wider(mosaic, before, parts)))

    def _parts(self, mosaic: Mosaic, name: PartitionName, limit: int = _DEEPER) -> Iterator[_Part]:
        """The parts of scenes in a partition as of now, in order, `limit` rows at a time.

        Without moved rows that nobody believes any more.
        """
        now = self.clock() - _MOVED_S
        for row in rows_of(self.index.table, partition(mosaic, *name), limit=limit):
            is_moved = "moved" in row.item
            if not is_moved or row.item["expires"] > now:
                yield _Part(row.key.sk, row.item["footprint"], is_moved)


def marked_for_s(mosaic: Mosaic, now: float) -> float:
    """For how many seconds changes of a mosaic have been marked; 0 where they are not."""
    since = mosaic.marked_since / 1000
    return now - since if since else 0.0


def _wider(mosaic: Mosaic, extent: PartitionExtent, footprints: Sequence[bytes]) -> PartitionExtent:
    """An extent with more footprints, as rows of the partition hold them."""
    grid, quadkey = cell_grid(mosaic.tms), extent.name.quadkey
    return replace(extent, footprint=united(grid, quadkey, extent.footprint, footprints))


def _with(mosaic: Mosaic, extent: PartitionExtent, rows: Iterable[TopRow]) -> PartitionExtent:
    """An extent with more rows among the ones on top, if the others do not hide them."""
    known = extent.top or ()
    if {*known}.issuperset(rows):
        return extent
    every = sorted({*known, *rows})
    top = on_top(cell_grid(mosaic.tms), extent.name.quadkey, every)
    return _without_top(extent, ()) if top is None else replace(extent, top=top)


def _without_top(extent: PartitionExtent, top: tuple[()] | None = None) -> PartitionExtent:
    """An extent that has no rows on top; () where they are not worth it."""
    return replace(extent, top=top, top_after=None, top_begun=None)


def _completed(mosaic: Mosaic, extent: PartitionExtent, made: _Top) -> PartitionExtent:
    """An extent with the rows on top that its maker found."""
    if made.rows is None or made.after is None:
        return _without_top(extent, None if made.rows is None else ())
    found = _with(mosaic, extent, made.rows)
    known = found.top_begun is not None
    return replace(found, top_after=made.after, top_begun=None) if known else found


def _lacking(grid: CellGrid, extent: PartitionExtent, parts: Sequence[_Part]) -> Iterator[_Part]:
    """The parts that lie outside of an extent, or that its rows on top neither have nor hide."""
    footprints = {part.footprint for part in parts}
    quadkey, known = extent.name.quadkey, extent.footprint
    beyond = {each for each in footprints if united(grid, quadkey, known, [each]) != known}
    shown: set[TopRow] = set()
    if (after := extent.top_after) is not None:
        top = {*(extent.top or ())}
        rows = sorted(top.union(part.row for part in parts if part.sk > after))
        shown = {*(on_top(grid, quadkey, rows, every=True) or ())} - top
    return (part for part in parts if part.footprint in beyond or part.row in shown)


class _Covers:
    """The parts of scenes in cells, each footprint projected once, and only where it is needed."""

    def __init__(self, mosaic: Mosaic, now: float) -> None:
        self._mosaic = mosaic
        self._now = now
        """Moved rows that expired before are believed by no reader; epoch seconds."""
        self._known: dict[str, Callable[[str], bytes | None]] = {}

    def parts(self, name: PartitionName, heads: Iterable[Head]) -> list[_Part]:
        """Returns the parts of scenes in the cell of a partition, as their rows hold them."""
        return [
            _Part(place.sk(head.key), footprint, is_moved)
            for head in heads
            for place, is_moved in self._places(name, head)
            if (footprint := self._of(head)(name.quadkey)) is not None
        ]

    def _places(self, name: PartitionName, head: Head) -> Iterator[tuple[Place, bool]]:
        """The rows of a scene in a partition, and whether they are moved rows that are believed."""
        every = [(place, False) for place in head.places()]
        every += [(place, True) for place in head.moved if place.expires > self._now]
        return (each for each in every if (each[0].kind, each[0].quadkey) == name)

    def _of(self, head: Head) -> Callable[[str], bytes | None]:
        if head.key not in self._known:
            self._known[head.key] = scene_cover(self._mosaic, head.scene.footprint).part
        return self._known[head.key]


def _is_drawn(heads: Iterable[Head], one_in: int) -> bool:
    """Whether a change is drawn; each version of a scene always in the same way."""
    texts = (f"{head.key} {head.version}".encode() for head in heads)
    digests = (hashlib.blake2b(text, digest_size=4).digest() for text in texts)
    return any(int.from_bytes(digest) % one_in == 0 for digest in digests)


def _by_partition(heads: Iterator[Head]) -> Mapping[PartitionName, list[Head]]:
    """The heads of scenes by the partitions that have a row of theirs, or a moved row."""
    found: dict[PartitionName, list[Head]] = {}
    for head in heads:
        names = {PartitionName(at.kind, at.quadkey) for at in (*head.places(), *head.moved)}
        for name in sorted(names):
            found.setdefault(name, []).append(head)
    return found

"""Marks of mosaics whose bounds may be too large, as a scene left that touched them.

| row   | pk              | sk  | attributes     |
|-------|-----------------|-----|----------------|
| loose | `mosaics.loose` | id  | `due`, `token` |

`due` is the moment from which on bounds are to be fitted, in epoch seconds: the next whole minute,
so that many scenes that leave at once cost one fit. `token` names the change that it is of, and so
tells the mark from others of the mosaic.

A mark is written after the change that it is about, not with it: no scene waits for the mark of
another. If its writer dies in between, the message comes again, and marks the mosaic.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from livemosaic.errors import ConditionFailedError
from livemosaic.geo.antimeridian import extent, holds
from livemosaic.index.schema import Head, Tombstone
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.table import Delete, Equals, Key, Put, Table
from livemosaic.table.groups import rows_of

LOOSE: Final = "mosaics.loose"
_EVERY_S: Final = 60


@dataclass(frozen=True, slots=True)
class LooseMark:
    """A mark that the bounds of a mosaic may be too large."""

    mosaic: str
    due: int
    token: str

    def put(self, expect: Equals | None = None) -> Put:
        """The write of the row."""
        return Put(Key(LOOSE, self.mosaic), {"due": self.due, "token": self.token}, expect)


@dataclass(frozen=True, slots=True)
class LooseMarks:
    """The marks of all mosaics, in a table."""

    table: Table

    def add(self, mosaic: Mosaic, change: Head | Tombstone, now: float) -> None:
        """Mark a mosaic for a change, in place of any earlier mark."""
        due = (math.floor(now / _EVERY_S) + 1) * _EVERY_S
        self.table.transact([LooseMark(mosaic.id, due, _token_of(change)).put()])

    def has(self, mosaic: Mosaic, change: Head | Tombstone) -> bool:
        """Whether the mark of a change stands: the fit that ends it begins after the change."""
        mark = self.of(mosaic.id)
        return mark is not None and mark.token == _token_of(change)

    def of(self, mosaic_id: str) -> LooseMark | None:
        """The mark of a mosaic as of now, or None."""
        item = self.table.get(Key(LOOSE, mosaic_id))
        return None if item is None else LooseMark(mosaic_id, item["due"], item["token"])

    def due(self, now: float) -> Iterator[str]:
        """The ids of the mosaics whose bounds are to be fitted now."""
        rows = rows_of(self.table, LOOSE)
        return (row.key.sk for row in rows if row.item["due"] <= now)

    def settle(self, mark: LooseMark, again: float | None = None) -> None:
        """Delete a mark, unless there is a later one; or let it be due `again` at that time."""
        same = Equals("token", mark.token)
        later = LooseMark(mark.mosaic, math.ceil(again or 0), mark.token).put(same)
        with suppress(ConditionFailedError):
            self.table.transact([later if again else Delete(later.key, same)])


def _token_of(change: Head | Tombstone) -> str:
    return f"{change.key}@{change.version}"


def has_left(box: BBox, now: Head | Tombstone) -> bool:
    """Whether a scene reaches no more as far as a box in which it was."""
    return isinstance(now, Tombstone) or not holds(extent(now.scene.footprint), box)


def touches(mosaic: Mosaic, box: BBox) -> bool:
    """Whether a box is not well within a mosaic's bounds, as far as these are known."""
    bounds = mosaic.bounds
    if bounds is None or not holds(bounds, box):
        return True
    return any(one == other for one, other in zip(bounds, box, strict=True))

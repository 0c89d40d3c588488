"""Rows of tallies: how many scenes have their places where, kept for tiles that have many of them.

The tally of a tile has the counts of its 16 × 16 squares: with it the density of a million scenes
takes one row. Tiles of few scenes are *leaves*, counted by the index; the others are *inner* tiles,
the sum of the four below them. Only the builder of overviews writes tallies.

| row   | pk                             | sk      | attributes                                    |
|-------|--------------------------------|---------|-----------------------------------------------|
| tally | `{m}#extent.{since}#{quadkey}` | `tally` | `counts`, `inner`, `complete`, `epoch`,       |
|       |                                |         | `revision`                                    |

They are named, closed and deleted with the extents of their `{since}` (`index.extents.rows`), under
the name `tally#{quadkey}`.

**A tally that is complete has every scene without a stale row.** As an overview cell, its row is
read first, then what it is made of, as of now, and then it is written, if nobody has written it
since; and it is written even where nothing changed. A stale row is deleted only after all tallies
that are there, and have a place of it, were made anew.

A tally counts only with the `epoch` of the one of the whole world: where there is no time to make
all of them anew, that begins another epoch, and they are made again some at a time.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from livemosaic.index.extents.rows import extent_group
from livemosaic.index.schema import partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.time import parse_time
from livemosaic.table import ABSENT, Equals, Expect, Item, Key, Put, Table

ALONG: Final = 16
"""Squares along the edge of a tile: tiles four zooms below it."""
Counts = Mapping[tuple[int, int], tuple[int, str | None]]
"""How many scenes have their places in a square, and their latest time, by its column and row."""
KIND: Final = "tally"


@dataclass(frozen=True, slots=True)
class TileTally:
    """How many scenes have their places in the squares of a tile."""

    quadkey: str
    epoch: int = 1
    counts: Counts | None = None
    """None where they are not known; of a tally that is complete, where there are too many."""
    is_inner: bool = False
    """Whether it is the sum of the tallies of the four tiles below."""
    complete: bool = False
    """Whether all scenes were counted."""
    revision: int = 0
    """Of the row as read; 0 where there is none yet."""

    @property
    def total(self) -> int:
        """The number of scenes; 0 where it is not known."""
        return sum(count for count, _ in (self.counts or {}).values())

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row, with the next revision."""
        return {
            "counts": None if self.counts is None else _to_bytes(self.counts),
            "inner": self.is_inner,
            "complete": self.complete,
            "epoch": self.epoch,
            "revision": self.revision + 1,
        }

    @classmethod
    def from_item(cls, quadkey: str, item: Item | None) -> Self:
        """The value of a row, or of its absence."""
        if item is None:
            return cls(quadkey)
        counts = item["counts"]
        return cls(
            quadkey,
            item["epoch"],
            None if counts is None else _from_bytes(counts),
            item["inner"],
            item["complete"],
            item["revision"],
        )


@dataclass(frozen=True, slots=True)
class TallyRows:
    """The tallies of tiles, in a `Table`."""

    table: Table

    def get(self, mosaic: Mosaic, quadkey: str) -> TileTally:
        """The tally of a tile as of now; of revision 0 where there is none."""
        return TileTally.from_item(quadkey, self.table.get(_key(mosaic, quadkey)))

    def put(self, mosaic: Mosaic, tally: TileTally) -> TileTally:
        """Write a tally, if its row is as it was read; returns it as it is now.

        Raises `ConditionFailedError` where it is not, or where a new one comes after
        `ExtentRows.close`.
        """
        expect: Expect = Equals("revision", tally.revision) if tally.revision else ABSENT
        put = Put(_key(mosaic, tally.quadkey), tally.to_item(), expect)
        group = extent_group(self.table, mosaic, mosaic.marked_since)
        group.put(put, f"{KIND}#{tally.quadkey}", is_new=not tally.revision)
        return replace(tally, revision=tally.revision + 1)

    def glance(self, mosaic: Mosaic, quadkey: str) -> TileTally | None:
        """The tally of a tile as the builder knew it a second or so ago; None if it did not."""
        if not mosaic.marked_since or mosaic.sources:
            return None
        world, key = _key(mosaic, ""), _key(mosaic, quadkey)
        items = self.table.batch_get([*{world, key}])
        if world not in items or key not in items:
            return None
        found = TileTally.from_item(quadkey, items[key])
        is_current = found.complete and found.epoch == items[world]["epoch"]
        return found if is_current and found.counts is not None else None


def summed(parts: Mapping[tuple[int, int], Counts]) -> Counts:
    """Returns the counts of a tile, of the four below it by their column and row (0 or 1).

    A square is four of theirs: places where they meet are in one of them at every zoom.
    """
    found: dict[tuple[int, int], tuple[int, str | None]] = {}
    for (right, down), counts in parts.items():
        for (column, row), (count, newest) in counts.items():
            square = (right * ALONG + column) // 2, (down * ALONG + row) // 2
            before, time = found.get(square, (0, None))
            found[square] = before + count, later(time, newest)
    return found


def later(one: str | None, other: str | None) -> str | None:
    """Returns the later one of two times in RFC 3339; None where there is none."""
    if one is None or other is None or one == other:
        return one or other
    return max(one, other, key=parse_time)


def _to_bytes(counts: Counts) -> bytes:
    rows = [[*square, *counted] for square, counted in sorted(counts.items())]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def _from_bytes(stored: bytes) -> Counts:
    rows = json.loads(zlib.decompress(stored))
    return {(column, row): (count, newest) for column, row, count, newest in rows}


def _key(mosaic: Mosaic, quadkey: str) -> Key:
    return Key(partition(mosaic, f"extent.{mosaic.marked_since}", quadkey), KIND)

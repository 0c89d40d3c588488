"""Checks the rows of a mosaic against its heads, and mends them, while events arrive.

All rows are read once, eventually consistent. A row that looks wrong is only suspected until it is
read again as of now: the head, its rows, and the head once more. Where the head has not changed, no
event explains the difference. Mending is conditional on the head as well, so an event that comes
first wins, and the scene is checked again after it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final, Literal

from livemosaic.errors import ConditionFailedError
from livemosaic.geo.cells import cell_grid
from livemosaic.index.scenes import Index, scene_cover
from livemosaic.index.schema import (
    Head,
    Tombstone,
    head_key,
    mosaic_prefix,
    parse_head,
    put_head,
    repeats,
    unchanged,
)
from livemosaic.index.search import is_shown, watermark_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.time import utc_text
from livemosaic.table import Delete, Equals, Item, Key, Row
from livemosaic.table.retry import contended

_CHUNK: Final = 200
_TTL_LATE_S: Final = 7 * 24 * 3600
"""DynamoDB removes expired rows "within a few days" (Developer Guide, "Time to Live")."""

DifferenceKind = Literal[
    "incomplete",
    "stray",
    "truncated",
    "expired",
    "outdated",
    "lost",
    "absent",
    "older",
    "differs",
    "gone",
    "unreadable",
]
"""In the table: a scene whose rows are missing or not its own, a row of no scene, a scene that a
truncation left behind, and a row that the table's TTL did. Against a catalogue (`catalogue.py`): a
scene that is not here, is here in an older version, has other content, is not there, and an Item
that cannot be shown.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a scene and its rows or its catalogue, as of when it was checked."""

    kind: DifferenceKind
    scene: str
    detail: str = ""
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A number of rows, or Items of a catalogue, and their differences."""

    count: int
    differences: Sequence[Difference]
    recent: int = 0
    """Scenes that changed so recently that a catalogue may not have them yet: not judged."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one mosaic, to be checked."""

    index: Index
    mosaic: Mosaic
    repair: bool = False
    clock: Callable[[], float] = time.time

    def check(self) -> Iterator[Checked]:
        """Read the whole table, and report on this mosaic's rows a chunk at a time.

        Rows of the change feed are not among them: they repeat nothing, and expire.
        """
        started = utc_text(datetime.fromtimestamp(self.clock(), UTC))
        scanned = self.index.table.scan(mosaic_prefix(self.mosaic))
        rows = (row for row in scanned if _kind(row.key) != "feed")
        while chunk := list(islice(rows, _CHUNK)):
            found = [*self._check_heads(chunk, started), *self._check_cells(chunk)]
            yield Checked(len(chunk), found)

    def _check_heads(self, chunk: Sequence[Row], started: str) -> Iterator[Difference]:
        heads = [parse_head(row.key.sk, row.item) for row in chunk if _kind(row.key) == "scenes"]
        keys = {head.key: head.row_keys(self.mosaic) for head in heads if isinstance(head, Head)}
        items = self.index.table.batch_get([key for own in keys.values() for key in own])
        for head in heads:
            if isinstance(head, Tombstone):
                suspected = self._is_over(head.expires)
            else:
                rows = {key: items.get(key) for key in keys[head.key]}
                suspected = bool(_wrong(head, rows)) or not is_shown(head, self.mosaic)
                suspected = suspected or _lacks_beyond(self.mosaic, head, rows)
            found = contended(partial(self._scene, head.key, started)) if suspected else None
            if found:
                yield found

    def _check_cells(self, chunk: Sequence[Row]) -> Iterator[Difference]:
        rows = [row for row in chunk if _kind(row.key) in ("cell", "coarse")]
        keys = [head_key(self.mosaic, _scene_key(row.key)) for row in rows]
        items = self.index.table.batch_get(keys)
        for row, key in zip(rows, keys, strict=True):
            head = parse_head(key.sk, items[key]) if key in items else None
            if self._row_kind(row.key, row.item, head):
                found = contended(partial(self._row, row.key))
                if found:
                    yield found

    def _scene(self, key: str, started: str) -> Difference | None:
        """What is wrong with a scene, if it still is; mended with `repair`."""
        head = self.index.head(self.mosaic, key)
        if head is None:
            return None
        if isinstance(head, Tombstone):
            return self._tombstone(head) if self._is_over(head.expires) else None
        mosaic = self.index.mosaics.get(self.mosaic.id)
        if not is_shown(head, mosaic):
            return self._left_behind(mosaic, key, started)
        rows = {at: self.index.table.get(at) for at in head.row_keys(self.mosaic)}
        self._expect_still(key, head)
        wrong = _wrong(head, rows)
        if any(rows[at] is None for at in wrong):  # perhaps the footprint only touches the cell
            cells = scene_cover(mosaic, head.scene.footprint)
            wrong = [at for at in wrong if rows[at] or cells.part(_quadkey(at)) is not None]
        if not wrong and not _lacks_beyond(mosaic, head, rows):
            return None
        if self.repair:
            self.index.rewrite(mosaic, key)
        if not wrong:
            detail = "rows without what lies beyond the edge of the cells, of an earlier release"
            return Difference("incomplete", key, detail, self.repair)
        detail = f"{len(wrong)} of {len(rows)} rows missing or not its own, as in {wrong[0].pk}"
        return Difference("incomplete", key, detail, self.repair)

    def _tombstone(self, tombstone: Tombstone) -> Difference:
        if self.repair:
            at = head_key(self.mosaic, tombstone.key)
            self.index.table.transact([Delete(at, unchanged(tombstone))])
        return Difference("expired", tombstone.key, "tombstone", self.repair)

    def _left_behind(self, mosaic: Mosaic, key: str, started: str) -> Difference | None:
        mark = watermark_of(mosaic, key)
        if mark > started:  # the truncation is still at work
            return None
        if self.repair:
            self.index.apply_watermark(mosaic, key)
        return Difference("truncated", key, f"up to {mark.partition('#')[0]}", self.repair)

    def _row(self, key: Key) -> Difference | None:
        """What is wrong with a row that belongs to no scene, if it still is."""
        scene = _scene_key(key)
        head, item = self.index.head(self.mosaic, scene), self.index.table.get(key)
        self._expect_still(scene, head)
        kind = None if item is None else self._row_kind(key, item, head)
        if item is None or kind is None:
            return None
        if self.repair:
            # The head is written again unchanged: no event on its way may write this row.
            at, same = head_key(self.mosaic, scene), unchanged(head)
            keep = Delete(at, same) if head is None else put_head(self.mosaic, head, same)
            self.index.table.transact([keep, Delete(key, Equals("version", item["version"]))])
        return Difference(kind, scene, f"row in {key.pk}", self.repair)

    def _row_kind(
        self, key: Key, item: Item, head: Head | Tombstone | None
    ) -> DifferenceKind | None:
        if "moved" in item:
            return "expired" if self._is_over(item["expires"]) else None
        own = head.row_keys(self.mosaic) if isinstance(head, Head) else ()
        return None if key in own else "stray"

    def _is_over(self, expires: int) -> bool:
        return expires < self.clock() - _TTL_LATE_S

    def _expect_still(self, key: str, head: Head | Tombstone | None) -> None:
        if self.index.head(self.mosaic, key) != head:
            raise ConditionFailedError(f"the head {key[:200]!r} changed on the way")


def _wrong(head: Head, rows: Mapping[Key, Item | None]) -> list[Key]:
    """The keys of rows that are missing, or differ from the head."""
    scene = replace(head.scene, version=head.written)
    return [key for key, item in rows.items() if item is None or not repeats(item, scene)]


def _lacks_beyond(mosaic: Mosaic, head: Head, rows: Mapping[Key, Item | None]) -> bool:
    """Whether rows lack what lies beyond the edge of a Mercator grid, as of earlier releases."""
    edge, (_, south, _, north) = cell_grid(mosaic.tms).edge, head.scene.footprint.bounds
    if edge is None or max(-south, north) <= edge:
        return False
    now = scene_cover(mosaic, head.scene.footprint)
    kept = {_quadkey(key): item["footprint"] for key, item in rows.items() if item}
    wanted = {
        cell: part for cell in (*now.cells, *now.coarse) if (part := now.part(cell)) is not None
    }
    return kept != wanted


def _scene_key(key: Key) -> str:
    return key.sk.partition("#")[2]


def _kind(key: Key) -> str:
    return key.pk.split("#")[1]


def _quadkey(key: Key) -> str:
    return key.pk.rpartition("#")[2]

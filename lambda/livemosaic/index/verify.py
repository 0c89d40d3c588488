"""Whether the rows of a mosaic are what its heads say; and mending, while events arrive.

All rows are read once, eventually consistent. What looks wrong is a suspicion until it was looked
at again as of now: the head, its rows, and the head once more. Where that has not changed, no event
explains what is between. Mending is conditional on the head as well, so an event that comes first
wins, and what it left is looked at anew.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final, Literal

from livemosaic.errors import ConditionFailedError
from livemosaic.index.scenes import Index, as_read, scene_cover, watermark_of
from livemosaic.index.schema import head_key, keys_of, mosaic_prefix, scene_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.time import utc_text
from livemosaic.table import Delete, Equals, Item, Key, Put, Row
from livemosaic.table.retry import contended

_CHUNK: Final = 200
_TTL_LATE_S: Final = 7 * 24 * 3600
"""DynamoDB removes expired rows "within a few days" (Developer Guide, "Time to Live")."""
_SAME: Final = ("datetime", "assets", "properties")
"""What a scene's rows repeat of its head."""

DifferenceKind = Literal[
    "incomplete", "stray", "truncated", "expired", "absent", "older", "gone", "unreadable"
]
"""Of a scene whose rows are missing or not its own, a row of no scene, a scene that a truncation
left behind, and a row that the table's TTL did. Against a catalogue (`catalogue.py`): a scene that
is not here, is here in an older version, is not there, and an Item that cannot be shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One, as of the moment in which it was looked at."""

    kind: DifferenceKind
    scene: str
    detail: str = ""
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows, or Items of a catalogue, and what is wrong with them."""

    count: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one mosaic, to be checked."""

    index: Index
    mosaic: Mosaic
    repair: bool = False
    clock: Callable[[], float] = time.time

    def check(self) -> Iterator[Checked]:
        """Read the whole table, and tell of this mosaic's rows as they come."""
        started = utc_text(datetime.fromtimestamp(self.clock(), UTC))
        rows = self.index.table.scan(mosaic_prefix(self.mosaic))
        while chunk := list(islice(rows, _CHUNK)):
            found = [*self._of_heads(chunk, started), *self._of_rows(chunk)]
            yield Checked(len(chunk), found)

    def _of_heads(self, chunk: Sequence[Row], started: str) -> Iterator[Difference]:
        heads = [row for row in chunk if self._is_head(row.key)]
        live = [row for row in heads if not row.item.get("deleted")]
        rows = self.index.table.batch_get([k for row in live for k in self._places(row)])
        for row in heads:
            if row.item.get("deleted"):
                suspected = self._is_over(row.item)
            else:
                places = {key: rows.get(key) for key in self._places(row)}
                suspected = bool(_wrong(row.item, places)) or self._is_truncated(self.mosaic, row)
            found = contended(partial(self._scene, row.key.sk, started)) if suspected else None
            if found:
                yield found

    def _of_rows(self, chunk: Sequence[Row]) -> Iterator[Difference]:
        others = [row for row in chunk if row.key.pk.split("#")[1] in ("cell", "coarse")]
        keys = {row.key: head_key(self.mosaic, _scene_of(row.key)) for row in others}
        heads = self.index.table.batch_get(list(keys.values()))
        for row in others:
            if self._row_kind(row.key, row.item, heads.get(keys[row.key])):
                found = contended(partial(self._row, row.key))
                if found:
                    yield found

    def _scene(self, key: str, started: str) -> Difference | None:
        """What is wrong with a scene, if it still is; mended if that is asked for."""
        at = head_key(self.mosaic, key)
        head = self.index.table.get(at)
        if head is None:
            return None
        row = Row(at, head)
        if head.get("deleted"):
            return self._tombstone(row) if self._is_over(head) else None
        mosaic = self.index.mosaics.get(self.mosaic.id)
        if self._is_truncated(mosaic, row):
            return self._left_behind(mosaic, key, started)
        rows = {place: self.index.table.get(place) for place in self._places(row)}
        self._expect_still(at, head)
        wrong = _wrong(head, rows)
        if any(rows[place] is None for place in wrong):  # perhaps the footprint only touches it
            cells = scene_cover(mosaic, scene_of(key, head).footprint)
            wrong = [p for p in wrong if rows[p] or cells.part(_quadkey(p)) is not None]
        if not wrong:
            return None
        if self.repair:
            self.index.rewrite(mosaic, key)
        detail = f"{len(wrong)} of {len(rows)} rows missing or not its own, as in {wrong[0].pk}"
        return Difference("incomplete", key, detail, self.repair)

    def _tombstone(self, row: Row) -> Difference:
        if self.repair:
            self.index.table.transact([Delete(row.key, Equals("version", row.item["version"]))])
        return Difference("expired", row.key.sk, "tombstone", self.repair)

    def _left_behind(self, mosaic: Mosaic, key: str, started: str) -> Difference | None:
        mark = watermark_of(mosaic, key)
        if mark > started:  # who truncates is still at it
            return None
        if self.repair:
            self.index.settle(mosaic, key)
        return Difference("truncated", key, f"up to {mark.partition('#')[0]}", self.repair)

    def _row(self, key: Key) -> Difference | None:
        """What is wrong with a row that stands for no scene, if it still is."""
        scene = _scene_of(key)
        at = head_key(self.mosaic, scene)
        head, row = self.index.table.get(at), self.index.table.get(key)
        self._expect_still(at, head)
        kind = None if row is None else self._row_kind(key, row, head)
        if row is None or kind is None:
            return None
        if self.repair:
            # The head goes with it unchanged: no event that is on its way may write this row.
            same = Delete(at, as_read(head)) if head is None else Put(at, head, as_read(head))
            self.index.table.transact([same, Delete(key, Equals("version", row["version"]))])
        return Difference(kind, scene, f"row in {key.pk}", self.repair)

    def _row_kind(self, key: Key, row: Item, head: Item | None) -> DifferenceKind | None:
        if "moved" in row:
            return "expired" if self._is_over(row) else None
        stands = head is not None and not head.get("deleted")
        at = Row(head_key(self.mosaic, _scene_of(key)), head or {})
        return None if stands and key in self._places(at) else "stray"

    def _places(self, head: Row) -> list[Key]:
        return list(keys_of(self.mosaic, head.key.sk, head.item))

    def _is_head(self, key: Key) -> bool:
        return key.pk.startswith(f"{mosaic_prefix(self.mosaic)}scenes#")

    def _is_over(self, item: Item) -> bool:
        return bool(item["expires"] < self.clock() - _TTL_LATE_S)

    def _is_truncated(self, mosaic: Mosaic, head: Row) -> bool:
        return bool(head.item["written"] <= watermark_of(mosaic, head.key.sk))

    def _expect_still(self, at: Key, head: Item | None) -> None:
        if self.index.table.get(at) != head:
            raise ConditionFailedError(f"the head {at.sk[:200]!r} changed on the way")


def _wrong(head: Item, rows: Mapping[Key, Item | None]) -> list[Key]:
    """Those that are missing, or do not say what the head does."""
    return [key for key, row in rows.items() if row is None or not _tells(row, head)]


def _tells(row: Item, head: Item) -> bool:
    same = all(row.get(name) == head[name] for name in _SAME)
    return same and row["version"] == head["written"] and "moved" not in row


def _scene_of(key: Key) -> str:
    return key.sk.partition("#")[2]


def _quadkey(key: Key) -> str:
    return key.pk.rpartition("#")[2]

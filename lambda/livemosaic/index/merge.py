"""Rows on their way to a reader: partitions merged in rank order, each scene once. Pure.

Where several cells make up what is looked at, a write may fall between the queries of two of them,
and a scene be met in the one as it was and in the other as it is. It is given as the one or the
other, and claims what any of its rows claims: pixels decide. A claim that is met only after the
scene was given is given then, as one more part of the same scene.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from livemosaic.model.scene import IndexedScene, Part
from livemosaic.table import Row


@dataclass(order=True, slots=True)
class _MergedRow:
    """A row on its way out of the merge; sorts by rank, then scene, then newest version."""

    rank: str
    key: str
    row: Row = field(compare=False)
    moved: bool = field(compare=False)
    stream: Iterator[Row] | None = field(compare=False)


def merged(
    streams: Iterable[Iterator[Row]], now: float, gone: Mapping[str, str]
) -> Iterator[IndexedScene]:
    """The scenes of some partitions in rank order, each once or in parts; `now` in epoch seconds.

    `gone` is the version of each truncated collection up to which rows are not there any more.
    """
    heap: list[_MergedRow] = []
    rows = [_still_there(stream, gone) if gone else stream for stream in streams]
    for stream in rows:
        _advance(heap, stream, now)
    given: dict[str, IndexedScene] = {}
    while heap:
        group = [_pop(heap, now)]
        while heap and (heap[0].rank, heap[0].key) == (group[0].rank, group[0].key):
            group.append(_pop(heap, now))
        found = _found(group)
        before = given.setdefault(found.key, found)
        if before is found:
            yield found
        elif more := _beside(before.parts, found.parts):
            given[found.key] = replace(before, parts=before.parts + more)
            yield replace(before, rank=found.rank, parts=more)


def _beside(parts: Sequence[Part], others: Iterable[Part]) -> tuple[Part, ...]:
    """Those of some others whose cells are none of the parts', nor around or within one."""
    cells = [cell for cell, _ in parts]
    return tuple(
        (other, footprint)
        for other, footprint in others
        if not any(other.startswith(cell) or cell.startswith(other) for cell in cells)
    )


def _still_there(rows: Iterator[Row], gone: Mapping[str, str]) -> Iterator[Row]:
    for row in rows:
        collection = row.key.sk.split("#", 2)[1]
        if row.item["version"] > gone.get(collection, ""):
            yield row


def _pop(heap: list[_MergedRow], now: float) -> _MergedRow:
    met = heapq.heappop(heap)
    if met.stream is not None:
        _advance(heap, met.stream, now)
    return met


def _advance(heap: list[_MergedRow], stream: Iterator[Row], now: float) -> None:
    """Put a stream's next row on the heap, and before it any moved rows, at their rank of now."""
    for row in stream:
        rank, _, key = row.key.sk.partition("#")
        if "moved" not in row.item:
            heapq.heappush(heap, _MergedRow(rank, key, row, moved=False, stream=stream))
            return
        if row.item["expires"] > now:
            heapq.heappush(heap, _MergedRow(row.item["moved"], key, row, moved=True, stream=None))


def _found(group: Sequence[_MergedRow]) -> IndexedScene:
    """One scene from all its rows, the newest version of it."""
    version = max(met.row.item["version"] for met in group)
    newest = [met for met in group if met.row.item["version"] == version]
    older = (met for met in group if met.row.item["version"] != version)
    settled = [met for met in newest if not met.moved] or newest
    item = settled[0].row.item
    parts = _parts(newest)
    centre = item.get("centre")
    return IndexedScene(
        group[0].key,
        group[0].rank,
        version,
        item["datetime"],
        item["assets"],
        item["properties"],
        parts + _beside(parts, _parts(older)),
        (centre[0], centre[1]) if centre else None,
    )


def _parts(rows: Iterable[_MergedRow]) -> tuple[Part, ...]:
    parts = [(met.row.key.pk.rpartition("#")[2], met.row.item["footprint"]) for met in rows]
    return tuple(dict.fromkeys(parts))

"""Merges the rows of several partitions in rank order, and gives each scene once. Pure.

Where an area takes several cells, a write may fall between the queries of two of them, so that a
scene is met in one cell as it was and in another as it is. It is given in one of the two versions,
and claims what any of its rows claims: pixels decide. A claim that is met only after the scene was
given is given then, as one more part of that scene.

Before it reads another page of a partition it asks whether that is worth while. Where it is not it
gives None, and asks again when it is asked for more. Where it is enough to know some rows of the
pages that follow, it gives the scenes of these at once (`OnTop`), before their turn.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import NamedTuple

from livemosaic.index.schema import CellRow
from livemosaic.model.order import unmarked
from livemosaic.model.scene import IndexedScene, Part


class PageEnd(NamedTuple):
    """Comes in a stream of rows where the next one takes another query."""

    after: str
    """The sort key that the page ends with."""


Stream = Iterator[CellRow | PageEnd]


def _always(_: Sequence[CellRow]) -> bool:
    return True


class OnTop(NamedTuple):
    """Comes where all other scenes are hidden by the footprints of the ones so far and of these.

    Scenes that come after it come in their turn, as if it had not been: these among them.
    """

    scenes: tuple[IndexedScene, ...]
    """In rank order."""


GoesOn = Callable[[Sequence[CellRow]], bool | Sequence[CellRow]]
"""Whether more scenes are needed, by the rows that come next of each partition; rows, where all
others but these are hidden by footprints."""


class _MergedRow(NamedTuple):
    """A row in the merge; sorts by the key that it has, or has now, then by order of arrival."""

    key: str
    """`{rank}#{scene}`, as tables sort it: of two ranks, one may begin with the other."""
    arrival: int
    """Unique, so that rows themselves are never compared."""
    rank: str
    """The present rank."""
    row: CellRow | None
    """None for the end of a page, which comes after its last row."""
    stream: Stream | None
    """What to read on from once the row is taken; None for a moved row."""


def merged(
    streams: Iterable[Stream],
    now: float,
    watermarks: Mapping[str, str],
    goes_on: GoesOn = _always,
    earlier: Mapping[str, IndexedScene] = MappingProxyType({}),
) -> Iterator[IndexedScene | OnTop | None]:
    """The scenes of some partitions in rank order, each once or in parts; `now` in epoch seconds.

    Skips rows at or below the watermark of their collection, and what was given `earlier`, by key.
    `goes_on` is asked at the end of a page, with the rows that come next of each partition: where
    it denies, None is given.
    """
    heap: list[_MergedRow] = []
    arrivals = count()
    for stream in streams:
        _advance(heap, _above(stream, watermarks) if watermarks else stream, now, arrivals)
    given = dict(earlier)
    while heap:
        while heap[0].row is None:
            answer = goes_on([met.row for met in heap if met.row])
            if answer is True:
                break
            if answer is False:
                yield None
                continue
            ahead = merged([iter(answer)], now, watermarks, earlier=given)
            yield OnTop(tuple(met for met in ahead if isinstance(met, IndexedScene)))
        first = _pop(heap, now, arrivals)
        if first.row is None:
            continue
        rows, passed = [first.row], []
        while heap and heap[0].key <= first.key and heap[0].row is not None:
            if heap[0].key < first.key:  # a moved row, met between rows of this scene
                passed.append(heapq.heappop(heap))
                continue
            rows.append(heap[0].row)
            _pop(heap, now, arrivals)
        for met in passed:
            heapq.heappush(heap, met)
        found = scene_of(first.rank, rows)
        before = given.setdefault(found.key, found)
        if before is found:
            yield found
        elif more := _beside(before.parts, found.parts):
            given[found.key] = replace(before, parts=before.parts + more)
            yield replace(before, rank=found.rank, parts=more)


def distinct(scenes: Iterable[IndexedScene]) -> Iterator[IndexedScene]:
    """The scenes that take part, each once: one that moved a moment ago may come in parts."""
    given: set[str] = set()
    for scene in scenes:
        if scene.key not in given and not scene.is_left_out:
            given.add(scene.key)
            yield scene


def _beside(parts: Sequence[Part], others: Iterable[Part]) -> tuple[Part, ...]:
    """The others whose cells are neither equal to, around nor within the cell of one of `parts`."""
    cells = [cell for cell, _ in parts]
    return tuple(
        (other, footprint)
        for other, footprint in others
        if not any(other.startswith(cell) or cell.startswith(other) for cell in cells)
    )


def _above(rows: Stream, watermarks: Mapping[str, str]) -> Stream:
    for row in rows:
        if isinstance(row, PageEnd) or unmarked(row.version) > watermarks.get(_collection(row), ""):
            yield row


def _collection(row: CellRow) -> str:
    return row.scene.partition("#")[0]


def _pop(heap: list[_MergedRow], now: float, arrivals: Iterator[int]) -> _MergedRow:
    met = heapq.heappop(heap)
    if met.stream is not None:
        _advance(heap, met.stream, now, arrivals)
    return met


def _advance(heap: list[_MergedRow], stream: Stream, now: float, arrivals: Iterator[int]) -> None:
    """Push a stream's next row, and the moved rows before it at the rank that they have now."""
    for row in stream:
        if isinstance(row, PageEnd):
            heapq.heappush(heap, _MergedRow(f"{row.after}\0", next(arrivals), "", None, stream))
            return
        if row.moved is None:
            heapq.heappush(heap, _merged_row(row.place.rank, row, next(arrivals), stream))
            return
        if row.place.expires > now:
            heapq.heappush(heap, _merged_row(row.moved, row, next(arrivals), None))


def _merged_row(rank: str, row: CellRow, arrival: int, stream: Stream | None) -> _MergedRow:
    return _MergedRow(f"{rank}#{row.scene}", arrival, rank, row, stream)


def scene_of(rank: str, rows: Sequence[CellRow]) -> IndexedScene:
    """One scene of a rank from all its rows, in the newest version among them.

    Moved rows beside rows that stay claim no more than these, once all of them are there.
    """
    version = max(row.version for row in rows)
    newest = [row for row in rows if row.version == version]
    older = [row for row in rows if row.version != version]
    staying = [row for row in newest if row.moved is None]
    content = staying[0] if staying else newest[0]
    parts, lasting = _parts(newest), _parts(staying or newest)
    return IndexedScene(
        content.scene,
        rank,
        version,
        content.datetime,
        content.assets,
        content.properties,
        parts + _beside(parts, _parts(older)) if older else parts,
        content.centre,
        content.encodings,
        content.other_kinds,
        tuple(part for part in parts if part not in lasting),
        inside=content.inside,
    )


def _parts(rows: Iterable[CellRow]) -> tuple[Part, ...]:
    return tuple(sorted({(row.place.quadkey, row.footprint) for row in rows}))

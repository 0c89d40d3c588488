"""What the scenes of a mosaic take of its table, by a sample of them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from livemosaic.cli.cost.dollars import SceneUnits
from livemosaic.index.feed.rows import row_of
from livemosaic.index.overviews import changed
from livemosaic.index.scenes import Index
from livemosaic.index.schema import SHARDS, Head, head_partitions, put_head
from livemosaic.ingest.assets.opened import opened_hrefs
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import moment_of
from livemosaic.table import Key, Put, item_size
from livemosaic.table.keys import header_key

_WRITE_BYTES: Final = 1024
_COUNTED: Final = 10_000
"""Heads of a partition that are counted at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some scenes of a mosaic."""

    scenes: int
    """In the whole mosaic: estimated, unless `is_exact`."""
    is_exact: bool
    is_capped: bool
    """Whether there are more than could be estimated."""
    recent: float
    """The part of the scenes that changed since a moment."""
    units: SceneUnits


def sample(index: Index, mosaic: Mosaic, size: int, since: str) -> Sample:
    """Returns what `size` scenes take; `since` is UTC text."""
    heads, shards, is_capped = _some_heads(index, mosaic, size)
    few = heads[:size]
    count = len(heads) if shards == SHARDS else len(heads) * SHARDS // shards
    recent = sum(moment_of(head.version) >= since for head in heads) / max(1, len(heads))
    units = _mean([*_units(index, mosaic, few)])
    return Sample(count, shards == SHARDS and not is_capped, is_capped, recent, units)


def _some_heads(index: Index, mosaic: Mosaic, size: int) -> tuple[list[Head], int, bool]:
    """Returns whole partitions of heads, until they are enough; how many; whether one was cut."""
    heads: list[Head] = []
    is_capped = False
    shards = 0
    for pk in head_partitions(mosaic):
        shards += 1
        there = list(islice(index.heads(pk), _COUNTED))
        is_capped |= len(there) == _COUNTED
        heads += [head for head in there if isinstance(head, Head)]
        if len(heads) >= size:
            break
    return heads, shards, is_capped


def _units(index: Index, mosaic: Mosaic, heads: Sequence[Head]) -> Iterator[SceneUnits]:
    for head in heads:
        rows = index.table.batch_get(head.row_keys(mosaic))
        put = put_head(mosaic, head)
        rows[put.key] = put.item
        headers = index.table.batch_get([header_key(h) for h in head.scene.assets.values()])
        marks = {put.key: put.item for put in _marks(index, mosaic, head)}
        row_sizes = [item_size(key, item) for key, item in rows.items()]
        mark_sizes = [item_size(key, item) for key, item in marks.items()]
        header_sizes = [item_size(key, item) for key, item in headers.items()]
        yield SceneUnits(
            2 * _write_units([*row_sizes, *mark_sizes]) + _deletions(marks),
            _write_units(header_sizes),
            2
            + 0.5 * len(opened_hrefs(mosaic, head.scene)),  # head, registry, a look for each header
            sum(row_sizes) + sum(header_sizes),
        )


def _marks(index: Index, mosaic: Mosaic, head: Head) -> list[Put]:
    """Returns what is written with a scene and removed again: marks of overviews, the feed."""
    row = row_of(head)
    feed = [] if row is None else [row.put(mosaic)]
    return [*changed(mosaic, None, head, index.clock), *feed]


def _deletions(marks: Iterable[Key]) -> int:
    """Returns the units of removing the marks of overviews; rows of the feed expire."""
    return sum("#stale#" in key.pk for key in marks)


def _write_units(sizes: Iterable[int]) -> int:
    return sum(max(1, math.ceil(size / _WRITE_BYTES)) for size in sizes)


def _mean(units: Sequence[SceneUnits]) -> SceneUnits:
    n = max(1, len(units))
    return SceneUnits(
        sum(one.write_units for one in units) / n,
        sum(one.header_units for one in units) / n,
        sum(one.read_units for one in units) / n,
        sum(one.stored_bytes for one in units) / n,
    )

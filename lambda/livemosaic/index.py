"""The meaning of the table: scenes go in with one transaction each, tiles come out in rank order.

A scene has a cell row in each cell of its level, and a coarse row in each ancestor of those on the
ladder of zooms, down to the mosaic's `minzoom`. A tile therefore reads one cell for every level at
or above its zoom, and one coarse cell for all levels below it: never a range that grows with the
zoom, and always in rank order, a page at a time.

**Moves.** A query beside a transaction is only read-committed, and a reader may turn pages for
seconds. When rank or cells change, the old row is not deleted where the new footprint still
reaches: it is overwritten, in the same transaction, by a *moved* row with the new content. A reader
that passed the new place before it was written finds the scene at the old one; every other reader
drops the moved row. Readers believe it for `_GRACE_S`; the table's TTL takes it away later. Until
then the head remembers it, and a further change changes it too.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Literal

from shapely.geometry import MultiPolygon

from livemosaic.cells import Cover, cell_grid, cover, floor_rung
from livemosaic.errors import InvalidRequestError, NotFoundError, TooLargeError
from livemosaic.model import BBox, Mosaic, Scene
from livemosaic.mosaics import Mosaics, contended
from livemosaic.rows import (
    SHARDS,
    head_item,
    head_key,
    head_partitions,
    listed,
    moved_rows,
    partition,
    row_key,
    rows_of,
    scene_of,
)
from livemosaic.table import ABSENT, MAX_ACTIONS, Delete, Equals, Item, Key, Page, Put, Row, Table

_GRACE_S: Final = 120
"""How long a moved row is believed: longer than any request lives."""
_TOMBSTONE_S: Final = 60 * 24 * 3600
"""SQS keeps a message 14 days, and the dead-letter queue 14 more; a replay gets the rest."""
_FIRST_PAGE: Final = 10
"""Rows that every tile reads, of each of its partitions: most need no more, however many are there.
The pages after it grow fourfold, up to `_NEXT_PAGE`, so that a tile of many small scenes takes few.
"""
_NEXT_PAGE: Final = 200
_BATCH: Final = 32
_MAX_AREA_CELLS: Final = 64
"""Cells that one request may read per level."""

Change = Literal["applied", "unchanged", "outdated", "deleted"]


@dataclass(frozen=True, slots=True)
class Found:
    """A scene as a reader meets it: all that planning and reading a tile needs."""

    key: str
    rank: str
    version: str
    datetime: str | None
    assets: Mapping[str, str]
    properties: Mapping[str, Any]
    parts: tuple[tuple[str, bytes], ...]
    """Quadkey and stored footprint of each cell in which it was met."""

    @property
    def collection(self) -> str:
        """The STAC collection; empty where the Item had none."""
        return self.key.partition("#")[0]

    @property
    def id(self) -> str:
        """The id of the STAC Item."""
        return self.key.partition("#")[2]


@dataclass(frozen=True, slots=True)
class Area:
    """What a reader looks at, as cells of the mosaic's own grid: one for a tile of its own."""

    boxes: tuple[BBox, ...]
    """In the CRS of the mosaic's TileMatrixSet; two where the area crosses the antimeridian."""
    zoom: int
    """The zoom of a tile of that size."""


@dataclass(frozen=True, slots=True)
class Index:
    """Scenes of mosaics, in a `Table`. Safe to share between threads."""

    table: Table
    mosaics: Mosaics
    pool: ThreadPoolExecutor
    """Runs the first queries of a tile side by side."""
    clock: Callable[[], float] = time.time

    def apply(self, mosaic: Mosaic, scene: Scene) -> Change:
        """Put a scene where its footprint is, unless a newer version is already there.

        One transaction: a reader meets the old scene or the new one. Raises `TableBusyError`
        (nothing written, send again) and `TooLargeError`.
        """
        return contended(lambda: self._apply_once(mosaic, scene))

    def _apply_once(self, mosaic: Mosaic, scene: Scene) -> Change:
        key = head_key(mosaic, scene.key)
        head = self.table.get(key)
        stop = _not_newer(head, scene.version)
        if stop is not None:
            return stop
        if head is not None and _content(head["version"]) == _content(scene.version):
            # A later event that says the same: the version only.
            bumped = {**head, "version": scene.version}
            self.table.transact([Put(key, bumped, _as_read(head))])
            return "unchanged"
        cells = scene_cover(mosaic, scene.footprint)
        if cells.level is not None:
            self.mosaics.grow(mosaic, scene.footprint.bounds, cells.level, scene.assets)
        rows = dict(rows_of(mosaic, scene, cells))
        left = {k: until for k, until in self._places(mosaic, scene.key, head) if k not in rows}
        moved = dict(moved_rows(left, scene, cells))
        new_head = head_item(scene, cells) | {"moved": listed(moved)}
        self._replace(
            Put(key, new_head, _as_read(head)),
            [Put(k, item) for k, item in rows.items()],
            [Put(k, moved[k]) if k in moved else Delete(k) for k in left],
            head,
        )
        return "applied"

    def _places(self, mosaic: Mosaic, scene: str, head: Item | None) -> Iterator[tuple[Key, int]]:
        """Where rows of a scene are now, and until when readers may still need each of them.

        First those that stand for the scene, then those that moves before this one left behind.
        """
        if head is None or head.get("deleted"):
            return
        now = int(self.clock())
        for kind, quadkeys in (("cell", head["cells"]), ("coarse", head["coarse"])):
            for quadkey in quadkeys:
                yield row_key(mosaic, kind, quadkey, head["rank"], scene), now + _GRACE_S
        for kind, quadkey, rank, until in head["moved"]:
            if until > now:
                yield row_key(mosaic, kind, quadkey, rank, scene), until

    def _replace(
        self,
        head: Put,
        rows: Sequence[Put],
        leave: Sequence[Put | Delete],
        before: Item | None,
    ) -> None:
        """One transaction. Only a scene that moved several times within `_GRACE_S` needs more.

        Then the last of `leave`, moved rows of earlier moves, are changed before it: readers of
        this moment find the new scene there a little early, and no row that stands for the scene
        is touched. `before` says which version they must have, lest a rival's be overwritten.
        """
        room = MAX_ACTIONS - 1 - len(rows)
        for start in range(room, len(leave), MAX_ACTIONS):
            expect = Equals("version", before["written"]) if before else None
            early = [replace(a, expect=expect) for a in leave[start : start + MAX_ACTIONS]]
            self.table.transact(early)
        self.table.transact([head, *rows, *leave[:room]])

    def delete(self, mosaic: Mosaic, key: str, version: str) -> Change:
        """Take a scene out, unless what is there is newer; leave a tombstone of that version.

        The tombstone is written for a scene never seen, too: its upsert may still be on the way.
        """
        return contended(lambda: self._delete_once(mosaic, key, version))

    def _delete_once(self, mosaic: Mosaic, scene: str, version: str) -> Change:
        key = head_key(mosaic, scene)
        head = self.table.get(key)
        stop = _not_newer(head, version)
        if stop is not None:
            return stop
        expires = int(self.clock()) + _TOMBSTONE_S
        tombstone = {"version": version, "deleted": True, "expires": expires}
        leave = [Delete(k) for k, _ in self._places(mosaic, scene, head)]
        self._replace(Put(key, tombstone, _as_read(head)), [], leave, head)
        return "deleted"

    def drop(self, mosaic_id: str) -> Iterator[str]:
        """Delete a mosaic and all its scenes; yields the key of each scene gone.

        Nobody sees it from the start on. Where this is cut off, do it again. `NotFoundError` where
        there is none.
        """
        yield from self.purge(self.mosaics.mark_deleting(mosaic_id))
        self.mosaics.forget(mosaic_id)

    def purge(self, mosaic: Mosaic) -> Iterator[str]:
        """Remove every row of a mosaic marked as deleting; yields the key of each scene gone."""
        for pk in head_partitions(mosaic):
            for row in self._rows(pk, None, _NEXT_PAGE, consistent=True):
                places = [k for k, _ in self._places(mosaic, row.key.sk, row.item)]
                for start in range(0, len(places), MAX_ACTIONS):
                    self.table.transact([*map(Delete, places[start : start + MAX_ACTIONS])])
                self.table.transact([Delete(row.key)])
                yield row.key.sk

    def scene(self, mosaic: Mosaic, key: str) -> Scene:
        """One scene as stored now; `NotFoundError` where it is not there or was deleted."""
        head = self._head(mosaic, key)
        if head is None or head.get("deleted"):
            raise NotFoundError(f"mosaic {mosaic.id!r} has no item {key.partition('#')[2][:200]!r}")
        return scene_of(key, head)

    def _head(self, mosaic: Mosaic, key: str) -> Item | None:
        try:
            return self.table.get(head_key(mosaic, key))
        except TooLargeError:  # an id that no row can have
            return None

    def scenes(self, mosaic: Mosaic, keys: Iterable[str]) -> Iterator[Scene]:
        """The scenes of some keys as stored now, in their order; those gone are left out."""
        remaining = iter(keys)
        while chunk := list(islice(remaining, _BATCH)):
            wanted = [head_key(mosaic, key) for key in chunk]
            heads = self.table.batch_get(wanted)
            for key in wanted:
                if key in heads and not heads[key].get("deleted"):
                    yield scene_of(key.sk, heads[key])

    def list_scenes(
        self, mosaic: Mosaic, *, limit: int, token: str = ""
    ) -> tuple[list[Scene], str | None]:
        """Scenes in no useful order, and the token of what follows; None at the end.

        A token is `{shard}#{scene}`; a malformed one raises `InvalidRequestError`.
        """
        shard_text, _, after = token.partition("#")
        known = shard_text.isascii() and shard_text.isdecimal() and int(shard_text) < SHARDS
        if token and not known:
            raise InvalidRequestError(f"token {token[:80]!r} is not one that was given out")
        scenes: list[Scene] = []
        for shard in range(int(shard_text or 0), SHARDS):
            pk = partition(mosaic, "scenes", str(shard))
            for row in self._rows(pk, after or None, limit, consistent=True):
                if len(scenes) == limit:
                    return scenes, f"{shard}#{after}"
                after = row.key.sk
                if not row.item.get("deleted"):
                    scenes.append(scene_of(row.key.sk, row.item))
            after = ""
        return scenes, None

    def find(self, mosaic: Mosaic, area: Area) -> Iterator[Found]:
        """The scenes that share a cell with an area, in rank order, read a page at a time.

        Stop iterating and nothing more is read. A scene met twice is given once, in its newest
        version. Reads are eventually consistent (a second or so behind a write).
        """
        partitions = _partitions(mosaic, area)
        firsts = self.pool.map(lambda pk: self.table.query(pk, limit=_FIRST_PAGE), partitions)
        streams = [
            self._from_first(pk, page) for pk, page in zip(partitions, list(firsts), strict=True)
        ]
        yield from _merged(streams, self.clock())

    def _from_first(self, pk: str, page: Page) -> Iterator[Row]:
        limit = _FIRST_PAGE
        yield from page.rows
        while page.next is not None:
            limit = min(4 * limit, _NEXT_PAGE)
            page = self.table.query(pk, after=page.next, limit=limit)
            yield from page.rows

    def _rows(
        self, pk: str, after: str | None, limit: int, *, consistent: bool = False
    ) -> Iterator[Row]:
        while True:
            page = self.table.query(pk, after=after, limit=limit, consistent=consistent)
            yield from page.rows
            if page.next is None:
                return
            after = page.next


def scene_cover(mosaic: Mosaic, footprint: MultiPolygon) -> Cover:
    """The cells of a footprint in a mosaic."""
    return cover(
        cell_grid(mosaic.tms),
        footprint,
        quadkey_zoom=mosaic.quadkey_zoom,
        minzoom=mosaic.minzoom,
        max_cells=mosaic.max_cells,
    )


def _partitions(mosaic: Mosaic, area: Area) -> list[str]:
    """The partitions that hold every scene of an area: base cells at or above, coarse below."""
    rung = floor_rung(mosaic.quadkey_zoom, max(area.zoom, mosaic.minzoom))
    wanted = [("cell", level) for level in mosaic.levels if level <= rung]
    if any(level > rung for level in mosaic.levels):
        wanted.append(("coarse", rung))
    return [
        partition(mosaic, kind, quadkey)
        for kind, zoom in wanted
        for quadkey in _area_cells(mosaic, area, zoom)
    ]


def _area_cells(mosaic: Mosaic, area: Area, zoom: int) -> list[str]:
    grid = cell_grid(mosaic.tms)
    count = sum(grid.count(bounds, zoom) for bounds in area.boxes)
    if count > _MAX_AREA_CELLS:
        raise InvalidRequestError(
            f"the area takes {count:,} index cells at zoom {zoom}, at most {_MAX_AREA_CELLS} can "
            f"be read at once; ask for a smaller one (the mosaic's minzoom is {mosaic.minzoom})"
        )
    return sorted({c.quadkey for bounds in area.boxes for c in grid.cells_of(bounds, zoom)})


@dataclass(order=True, slots=True)
class _Met:
    """A row on its way out of the merge; sorts by rank, then scene, then newest version."""

    rank: str
    key: str
    row: Row = field(compare=False)
    moved: bool = field(compare=False)
    stream: Iterator[Row] | None = field(compare=False)


def _merged(streams: Iterable[Iterator[Row]], now: float) -> Iterator[Found]:
    heap: list[_Met] = []
    for stream in streams:
        _advance(heap, stream, now)
    given: set[str] = set()
    while heap:
        group = [_pop(heap, now)]
        while heap and (heap[0].rank, heap[0].key) == (group[0].rank, group[0].key):
            group.append(_pop(heap, now))
        if group[0].key not in given:
            given.add(group[0].key)
            yield _found(group)


def _pop(heap: list[_Met], now: float) -> _Met:
    met = heapq.heappop(heap)
    if met.stream is not None:
        _advance(heap, met.stream, now)
    return met


def _advance(heap: list[_Met], stream: Iterator[Row], now: float) -> None:
    """Put a stream's next row on the heap, and before it any moved rows, at their rank of now."""
    for row in stream:
        rank, _, key = row.key.sk.partition("#")
        if "moved" not in row.item:
            heapq.heappush(heap, _Met(rank, key, row, moved=False, stream=stream))
            return
        if row.item["expires"] > now:
            heapq.heappush(heap, _Met(row.item["moved"], key, row, moved=True, stream=None))


def _found(group: Sequence[_Met]) -> Found:
    """One scene from all its rows of the newest version."""
    version = max(met.row.item["version"] for met in group)
    newest = [met for met in group if met.row.item["version"] == version]
    settled = [met for met in newest if not met.moved] or newest
    item = settled[0].row.item
    parts = tuple((met.row.key.pk.rpartition("#")[2], met.row.item["footprint"]) for met in newest)
    return Found(
        group[0].key,
        group[0].rank,
        version,
        item["datetime"],
        item["assets"],
        item["properties"],
        tuple(dict.fromkeys(parts)),
    )


def _not_newer(head: Item | None, version: str) -> Change | None:
    if head is None or head["version"] < version:
        return None
    return "unchanged" if head["version"] == version else "outdated"


def _as_read(head: Item | None) -> Equals | Literal["absent"]:
    return ABSENT if head is None else Equals("version", head["version"])


def _content(version: str) -> str:
    return version.rpartition("#")[2]

"""The meaning of the table: scenes go in with one transaction each, tiles come out in rank order.

A scene has a cell row in each cell of its level, and a coarse row in each ancestor of those on the
coarse rungs, down to the mosaic's `minzoom`. A tile therefore reads one cell for every level at or
above its zoom, and one coarse cell for all levels below it (at zooms 2 to 0 the 4 to 64 of rung 3
that the mosaic's bounds reach): never a range that grows with the zoom, and always in rank order,
a page at a time.

**Moves.** A query beside a transaction is only read-committed, and a reader may turn pages for
seconds. When rank or cells change, the old row is not deleted where the new footprint still
reaches: it is overwritten, in the same transaction, by a *moved* row with the new content. A reader
that passed the new place before it was written finds the scene at the old one; every other reader
drops the moved row. Readers believe it for `_GRACE_S`; the table's TTL takes it away later. Until
then the head remembers it, and a further change changes it too.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidRequestError, NotFoundError, TooLargeError
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import Cover, cover
from livemosaic.index.merge import merged
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.partitions import Area, partitions
from livemosaic.index.schema import (
    SHARDS,
    head_item,
    head_key,
    head_partitions,
    keys_of,
    listed,
    mosaic_prefix,
    moved_rows,
    partition,
    row_key,
    rows_of,
    scene_of,
)
from livemosaic.model.mosaic import Mosaic, Watermark
from livemosaic.model.scene import DELETION, IndexedScene, Scene
from livemosaic.table import ABSENT, MAX_ACTIONS, Delete, Equals, Item, Key, Page, Put, Row, Table
from livemosaic.table.retry import contended

_GRACE_S: Final = 120
"""How long a moved row is believed: longer than any request lives."""
TOMBSTONE_S: Final = 60 * 24 * 3600
"""How long what is gone is remembered: longer than an event is kept by any queue, and by the queue
and the dead-letter queue once more after it was sent back."""
_FIRST_PAGE: Final = 10
"""Rows that every tile reads, of each of its partitions: most need no more, however many are there.
The pages after it grow fourfold, up to `_NEXT_PAGE`, so that a tile of many small scenes takes few.
"""
_NEXT_PAGE: Final = 200
_BATCH: Final = 32

Change = Literal["applied", "unchanged", "outdated", "contested", "deleted", "truncated"]
"""`contested`: another document has the same version. Of the two, the one with the larger content
hash is shown, in whatever order they came."""


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

        Nor is it put at or below the watermark of its collection. One transaction: a reader meets
        the old scene or the new one. Raises `TableBusyError` (nothing written, send again) and
        `TooLargeError`.
        """
        return contended(lambda: self._apply_once(mosaic, scene))

    def _apply_once(self, mosaic: Mosaic, scene: Scene) -> Change:
        key = head_key(mosaic, scene.key)
        head = self.table.get(key)
        mark = mosaic.watermark(scene.collection)
        if scene.version <= mark:
            self._settle_once(mosaic, scene.key)  # it may have been put before there was a mark
            return "outdated"
        contested = head is not None and _contested(head["version"], scene.version)
        if head is not None and head["version"] > scene.version:
            return "contested" if contested else "outdated"
        if (
            head is not None
            and _stands(head, mark)
            and same_content(head["version"], scene.version)
        ):
            if head["version"] < scene.version:  # a later event that says the same
                bumped = {**head, "version": scene.version}
                self.table.transact([Put(key, bumped, as_read(head))])
            return "unchanged"
        self._put(mosaic, scene, head)
        return "contested" if contested else "applied"

    def _put(self, mosaic: Mosaic, scene: Scene, head: Item | None) -> None:
        cells = scene_cover(mosaic, scene.footprint)
        if cells.level is not None:
            self.mosaics.grow(mosaic, scene.footprint.bounds, cells.level, scene.assets)
        rows = dict(rows_of(mosaic, scene, cells))
        left = {k: until for k, until in self._places(mosaic, scene.key, head) if k not in rows}
        moved = dict(moved_rows(left, scene, cells))
        new_head = head_item(scene, cells) | {"moved": listed(moved)}
        self._replace(
            Put(head_key(mosaic, scene.key), new_head, as_read(head)),
            [Put(k, item) for k, item in rows.items()],
            [Put(k, moved[k]) if k in moved else Delete(k) for k in left],
            head,
        )

    def rewrite(self, mosaic: Mosaic, key: str) -> None:
        """Write the rows of a scene anew, as its head says, whatever they are."""
        contended(lambda: self._rewrite_once(mosaic, key))

    def _rewrite_once(self, mosaic: Mosaic, key: str) -> None:
        head = self.table.get(head_key(mosaic, key))
        if head is not None and _stands(head, watermark_of(mosaic, key)):
            self._put(mosaic, scene_of(key, head), head)

    def _places(self, mosaic: Mosaic, scene: str, head: Item | None) -> Iterator[tuple[Key, int]]:
        """Where rows of a scene are now, and until when readers may still need each of them.

        First those that stand for the scene, then those that moves before this one left behind.
        """
        if head is None or head.get("deleted"):
            return
        now = int(self.clock())
        for key in keys_of(mosaic, scene, head):
            yield key, now + _GRACE_S
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
        head = self.table.get(head_key(mosaic, scene))
        if head is not None and head["version"] == version:
            return "unchanged"
        newest = max(watermark_of(mosaic, scene), "" if head is None else head["version"])
        if newest >= version:
            return "outdated"
        self._bury(mosaic, scene, head, version)
        return "deleted"

    def _bury(self, mosaic: Mosaic, scene: str, head: Item | None, version: str) -> None:
        expires = int(self.clock()) + TOMBSTONE_S
        tombstone = {"version": version, "deleted": True, "expires": expires}
        leave = [Delete(k) for k, _ in self._places(mosaic, scene, head)]
        self._replace(Put(head_key(mosaic, scene), tombstone, as_read(head)), [], leave, head)

    def truncate(self, mosaic: Mosaic, collection: str, version: str) -> Change:
        """Make all scenes of a collection up to a version gone, for everyone and at once.

        Their rows are still there, and `left_over` tells of which scenes. `InvalidRequestError`
        where too many collections of a mosaic were truncated lately.
        """
        now = int(self.clock())
        mark = Watermark(collection, version, now + TOMBSTONE_S)
        raised = self.mosaics.truncate(mosaic.id, mark, now)
        return "truncated" if raised.watermark(collection) == version else "outdated"

    def left_over(self, mosaic: Mosaic, collection: str) -> Iterator[str]:
        """The keys of scenes with rows at or below the watermark of their collection."""
        mark = mosaic.watermark(collection)
        for pk in head_partitions(mosaic):
            for row in self._rows(pk, None, _NEXT_PAGE, prefix=f"{collection}#", consistent=True):
                if not row.item.get("deleted") and not _stands(row.item, mark):
                    yield row.key.sk

    def settle(self, mosaic: Mosaic, key: str) -> None:
        """Make the rows of a scene what the watermark of its collection says; again is the same.

        Mends what was written by those who did not know of the watermark yet. `mosaic` as of now.
        """
        contended(lambda: self._settle_once(mosaic, key))

    def _settle_once(self, mosaic: Mosaic, key: str) -> None:
        head = self.table.get(head_key(mosaic, key))
        mark = watermark_of(mosaic, key)
        if head is None or head.get("deleted") or _stands(head, mark):
            return
        if head["version"] > mark:  # a later event said the same: its rows tell of an older one
            self._put(mosaic, scene_of(key, head), head)
        else:
            self._bury(mosaic, key, head, mark)

    def drop(self, mosaic_id: str, *, scan: bool = False) -> Iterator[str]:
        """Delete a mosaic and all its scenes; yields the key of each scene gone.

        Nobody sees it from the start on. Where this is cut off, do it again. With `scan` the whole
        table is read in the end, for rows that no scene knows of, such as those that an event wrote
        meanwhile; they cost storage, and nothing else. `NotFoundError` where there is none.
        """
        mosaic = self.mosaics.mark_deleting(mosaic_id)
        yield from self.purge(mosaic)
        if scan:
            rows = self.table.scan(mosaic_prefix(mosaic))
            while chunk := [Delete(row.key) for row in islice(rows, MAX_ACTIONS)]:
                self.table.transact(chunk)
        self.mosaics.forget(mosaic_id)

    def purge(self, mosaic: Mosaic) -> Iterator[str]:
        """Remove every row of a mosaic marked as deleting; yields the key of each scene gone."""
        for pk in head_partitions(mosaic):
            for row in self._rows(pk, None, _NEXT_PAGE, consistent=True):
                self._remove(mosaic, row.key, row.item)
                yield row.key.sk

    def forget(self, mosaic: Mosaic, scene: str) -> None:
        """Remove every row of a scene that was put into a mosaic while that was deleted."""
        key = head_key(mosaic, scene)
        head = self.table.get(key)
        if head is not None:
            self._remove(mosaic, key, head)

    def _remove(self, mosaic: Mosaic, key: Key, head: Item) -> None:
        places = [k for k, _ in self._places(mosaic, key.sk, head)]
        for start in range(0, len(places), MAX_ACTIONS):
            self.table.transact([*map(Delete, places[start : start + MAX_ACTIONS])])
        self.table.transact([Delete(key)])

    def scene(self, mosaic: Mosaic, key: str) -> Scene:
        """One scene as stored now; `NotFoundError` where it is not there or was deleted."""
        head = self._head(mosaic, key)
        if head is None or not _is_shown(mosaic, key, head):
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
                if key in heads and _is_shown(mosaic, key.sk, heads[key]):
                    yield scene_of(key.sk, heads[key])

    def footprints(self, mosaic: Mosaic, scenes: Sequence[IndexedScene]) -> dict[str, MultiPolygon]:
        """The whole footprints of scenes just met, by key; empty of those gone since."""
        heads = {scene.key: scene for scene in self.scenes(mosaic, [met.key for met in scenes])}
        for met in scenes:
            if met.key not in heads or not same_content(heads[met.key].version, met.version):
                # A batch may be a second behind the rows.
                with suppress(NotFoundError):
                    heads[met.key] = self.scene(mosaic, met.key)
        nowhere = MultiPolygon()
        return {m.key: heads[m.key].footprint if m.key in heads else nowhere for m in scenes}

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
                if _is_shown(mosaic, row.key.sk, row.item):
                    scenes.append(scene_of(row.key.sk, row.item))
            after = ""
        return scenes, None

    def find(self, mosaic: Mosaic, area: Area) -> Iterator[IndexedScene]:
        """The scenes that share a cell with an area, in rank order, read a page at a time.

        Stop iterating and nothing more is read. A scene met twice is given once, in its newest
        version. Reads are eventually consistent (a second or so behind a write).
        """
        keys = partitions(mosaic, area)
        firsts = self.pool.map(lambda pk: self.table.query(pk, limit=_FIRST_PAGE), keys)
        streams = [self._from_first(pk, page) for pk, page in zip(keys, list(firsts), strict=True)]
        gone = {mark.collection: mark.version for mark in mosaic.watermarks}
        yield from merged(streams, self.clock(), gone)

    def _from_first(self, pk: str, page: Page) -> Iterator[Row]:
        limit = _FIRST_PAGE
        yield from page.rows
        while page.next is not None:
            limit = min(4 * limit, _NEXT_PAGE)
            page = self.table.query(pk, after=page.next, limit=limit)
            yield from page.rows

    def _rows(
        self,
        pk: str,
        after: str | None,
        limit: int,
        *,
        prefix: str = "",
        consistent: bool = False,
    ) -> Iterator[Row]:
        while True:
            page = self.table.query(
                pk, prefix=prefix, after=after, limit=limit, consistent=consistent
            )
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


def watermark_of(mosaic: Mosaic, key: str) -> str:
    """The watermark of the collection that a scene is of, by its key."""
    return mosaic.watermark(key.partition("#")[0])


def _stands(head: Item, watermark: str) -> bool:
    """Whether the rows of a scene are above a watermark, so that readers see them."""
    return not head.get("deleted") and head["written"] > watermark


def _is_shown(mosaic: Mosaic, key: str, head: Item) -> bool:
    return not head.get("deleted") and head["version"] > watermark_of(mosaic, key)


def as_read(head: Item | None) -> Equals | Literal["absent"]:
    """What a write expects that was decided by a head: that it has not changed since."""
    return ABSENT if head is None else Equals("version", head["version"])


def same_content(one: str, other: str) -> bool:
    """Whether two versions are of equal content."""
    return one.rpartition("#")[2] == other.rpartition("#")[2]


def _contested(one: str, other: str) -> bool:
    """Whether two versions are of one moment, and of two documents."""
    moment, _, content = one.rpartition("#")
    other_moment, _, other_content = other.rpartition("#")
    documents = {content, other_content} - {DELETION}
    return moment == other_moment and len(documents) == 2

"""The index of scenes: each is written in one transaction, and read in rank order (`search.py`).

A scene has a cell row in each cell of its level, and a coarse row in each ancestor of them on the
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

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, reduce
from itertools import islice
from typing import Final

from shapely.geometry import MultiPolygon

from livemosaic.errors import NotFoundError
from livemosaic.geo.antimeridian import extent
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import Cover, cover
from livemosaic.index.bounds.marks import LooseMarks, has_left, touches
from livemosaic.index.change import Change, Effect, newest
from livemosaic.index.feed.rows import (
    area_of_change,
    milliseconds,
    recent_area,
    repeat_if_doubtful,
    repeat_if_late,
    row_of,
)
from livemosaic.index.learning.meanings import compared
from livemosaic.index.overviews import changed, is_of_cells, region_changed
from livemosaic.index.schema import (
    SHARDS,
    Head,
    Place,
    Tombstone,
    cell_rows,
    head_key,
    mosaic_prefix,
    partition,
    put_head,
    unchanged,
)
from livemosaic.index.search import (
    SceneReader,
    is_above,
    is_shown,
    same_content,
    same_scene,
    watermark_of,
)
from livemosaic.model.mosaic import Mosaic, Watermark
from livemosaic.model.order import DELETION, raised, remade, unmarked
from livemosaic.model.scene import Scene
from livemosaic.table import MAX_ACTIONS, Delete, Equals, Key, Put
from livemosaic.table.retry import contended

_GRACE_S: Final = 120
"""How long a moved row is believed: longer than any request lives."""
_PURGED_AT_ONCE: Final = 64
"""Scenes that are removed side by side: some 600 rows."""
_REMOVED_AT_ONCE: Final = 25
"""Rows of one call to the table."""
TOMBSTONE_S: Final = 60 * 24 * 3600
"""How long a deletion is remembered: longer than a queue keeps an event, and than the queue and the
dead-letter queue keep it once more after it was sent back."""


@dataclass(frozen=True, slots=True)
class Index(SceneReader):
    """Scenes of mosaics, in a `Table`: its writes; `SceneReader` has the reads."""

    def apply(
        self, mosaic: Mosaic, scene: Scene, *, force: bool = False, again: bool = True
    ) -> Effect:
        """Write a scene, unless a version as new or newer is there, or the watermark is above it.

        With `force` it becomes the newest: its version is of now, or of a microsecond after what is
        there, and it is never outdated. A stored scene of equal content is written anew where it
        differs nevertheless: an earlier release made it, or another allow-list. `again` is False
        for an event that nobody can have begun to apply before. One transaction: a reader meets
        the old scene or the new one. Raises `TableBusyError` (nothing written, send again) and
        `TooLargeError`.
        """
        return contended(lambda: self._apply_once(mosaic, scene, force=force, again=again))

    def _apply_once(self, mosaic: Mosaic, scene: Scene, *, force: bool, again: bool) -> Effect:
        mosaic.check_own_scenes()
        head = self.head(mosaic, scene.key)
        if force:
            mosaic = self._now(mosaic)
            there = _newest_version(head, watermark_of(mosaic, scene.key))
            scene = replace(scene, version=raised(scene.version, self._clocked(), there))
        mark = mosaic.watermark(scene.collection)
        if scene.version <= mark:
            self._apply_watermark_once(mosaic, scene.key)  # it may have been put before the mark
            return Effect("outdated", newest(head, mark))
        before = "" if head is None else unmarked(head.version)
        contested = head is not None and _contested(before, scene.version)
        if before > scene.version:
            return Effect("contested" if contested else "outdated", newest(head, mark))
        if head is not None and before == scene.version != head.version:
            scene = replace(scene, version=head.version)  # its rows were made anew since
        if is_above(head, mark) and same_content(head.version, scene.version):
            mosaic, judged = self._judged(mosaic, scene, head)
            if same_scene(head, judged):
                self._raise(mosaic, head, scene.version)
                self._hold(mosaic, head)
                if again:
                    self._repeat(mosaic, head)
                return Effect("unchanged", other_kinds=judged.other_kinds)
        put = self._put(mosaic, scene, head)
        change: Change = "contested" if contested else "applied"
        return Effect(
            change,
            other_kinds=put.scene.other_kinds,
            replaced="" if head is None else head.version,
            region=region_changed(mosaic, head, put),
        )

    def _judged(self, mosaic: Mosaic, scene: Scene, head: Head) -> tuple[Mosaic, Scene]:
        """Returns a scene of the content that is stored, compared with what the mosaic knows.

        The same event once more was compared when it came first.
        """
        if head.version == scene.version:
            found = head.scene.other_kinds
            return mosaic, replace(scene, other_kinds=found) if found else scene
        known = self.mosaics.learn(mosaic, scene)
        return known, compared(known, scene)

    def _raise(self, mosaic: Mosaic, head: Head, version: str) -> None:
        """Gives a stored scene the version of a later event of equal content."""
        if head.version < version:
            newer = replace(head, scene=replace(head.scene, version=version))
            self.table.transact([put_head(mosaic, newer, unchanged(head))])

    def _put(self, mosaic: Mosaic, scene: Scene, before: Head | Tombstone | None) -> Head:
        """Writes all rows of a scene, under a version that `before` does not have."""
        if before is not None and before.version == scene.version:
            scene = replace(scene, version=remade(scene.version))
        cells = scene_cover(mosaic, scene.footprint)
        if cells.level is not None:
            scene = compared(self.mosaics.grow(mosaic, scene, cells.level), scene)
        head = Head(scene, scene.version, cells.cells, cells.coarse)
        head = replace(head, area=area_of_change(before, head, milliseconds(self.clock())))
        rows = {row.key(mosaic): row for row in cell_rows(scene, cells, head.places())}
        old = {place.key(mosaic, scene.key): place for place in self._places(before)}
        left = {key: place for key, place in old.items() if key not in rows}
        replaced = cell_rows(scene, cells, left.values(), scene.rank)
        moved = {row.key(mosaic): row for row in replaced}
        head = replace(head, moved=[row.place for row in moved.values()])
        self._replace(
            mosaic,
            head,
            [row.put(mosaic) for row in rows.values()],
            [moved[key].put(mosaic) if key in moved else Delete(key) for key in left],
            before,
        )
        self._mark_left(mosaic, before, head)
        return head

    def _repeat(self, mosaic: Mosaic, head: Head | Tombstone) -> None:
        """Does what a worker does after it wrote a scene, and may have died before."""
        repeat_if_doubtful(self.table, mosaic, head, self.clock)
        left = recent_area(head, milliseconds(self.clock()))
        if left and has_left(left, head) and touches(mosaic, left):
            marks = LooseMarks(self.table)
            if not marks.has(mosaic, head):
                marks.add(mosaic, head, self.clock())

    def meet_fit(self, mosaic_id: str, key: str) -> None:
        """Extend the bounds of a mosaic to a scene that is there, as both are now.

        For a writer that may not have known of a fit of these bounds when it wrote the scene, or
        removed it. So the fit may have seen it where it was before, and is to be done again.
        """
        with suppress(NotFoundError):
            mosaic = self.mosaics.get(mosaic_id)
            head = self.head(mosaic, key)
            self._hold(mosaic, head)
            left = recent_area(head, milliseconds(self.clock())) if head else None
            if head and left and has_left(left, head):
                LooseMarks(self.table).add(mosaic, head, self.clock())

    def _hold(self, mosaic: Mosaic, head: Head | Tombstone | None) -> None:
        if isinstance(head, Head) and head.cells:
            self.mosaics.widen(mosaic, extent(head.scene.footprint))

    def _mark_left(
        self, mosaic: Mosaic, before: Head | Tombstone | None, after: Head | Tombstone
    ) -> None:
        """Marks bounds that may be too large, as a scene touched them where it is no more."""
        left = extent(before.scene.footprint) if isinstance(before, Head) else None
        if left and has_left(left, after) and touches(mosaic, left):
            LooseMarks(self.table).add(mosaic, after, self.clock())

    def rewrite(self, mosaic: Mosaic, key: str) -> None:
        """Write the rows of a scene anew from its head, whatever they hold."""
        contended(lambda: self._rewrite_once(mosaic, key))

    def revise(
        self,
        mosaic: Mosaic,
        key: str,
        change: Callable[[Head | Tombstone], Scene | Tombstone | None],
    ) -> None:
        """Write a scene's head and rows, or its tombstone, as a migration changes them.

        `change` returns None where nothing is to be done; it may be called several times.
        """
        contended(lambda: self._revise_once(mosaic, key, change))

    def _revise_once(
        self,
        mosaic: Mosaic,
        key: str,
        change: Callable[[Head | Tombstone], Scene | Tombstone | None],
    ) -> None:
        head = self.head(mosaic, key)
        after = None if head is None else change(head)
        if isinstance(after, Scene):
            self._put(mosaic, after, head)
            self.meet_fit(mosaic.id, key)
        elif after is not None:
            self.table.transact([put_head(mosaic, after, unchanged(head))])

    def _rewrite_once(self, mosaic: Mosaic, key: str) -> None:
        head = self.head(mosaic, key)
        if is_shown(head, mosaic):
            self._put(mosaic, head.scene, head)
            self.meet_fit(mosaic.id, key)

    def _places(self, head: Head | Tombstone | None) -> Iterator[Place]:
        """Where rows of a scene are now, and until when readers may still need each of them.

        First the cell and coarse rows, then the moved rows of earlier moves.
        """
        if isinstance(head, Head):
            now = int(self.clock())
            yield from head.places(now + _GRACE_S)
            yield from (place for place in head.moved if place.expires > now)

    def _replace(
        self,
        mosaic: Mosaic,
        head: Head | Tombstone,
        rows: Sequence[Put],
        retired: Sequence[Put | Delete],
        before: Head | Tombstone | None,
    ) -> None:
        """Write all in one transaction; a scene moved several times within `_GRACE_S` needs more.

        Then the last of `retired`, moved rows of earlier moves, are changed before it: readers of
        this moment find the new scene there a little early, and no cell or coarse row is touched.
        `before` holds the version that they must have, lest a rival's be overwritten.
        """
        put = put_head(mosaic, head, unchanged(before))
        row = row_of(head)
        marks = changed(mosaic, before, head, self.clock)
        marks += [] if row is None else [row.put(mosaic)]
        room = MAX_ACTIONS - 1 - len(rows) - len(marks)
        expect = Equals("version", before.written) if isinstance(before, Head) else None
        for start in range(room, len(retired), MAX_ACTIONS):
            early = [replace(a, expect=expect) for a in retired[start : start + MAX_ACTIONS]]
            self.table.transact(early)
        self.table.transact([put, *rows, *retired[:room], *marks])
        if row is not None:
            repeat_if_late(self.table, mosaic, row, self.clock)

    def delete(
        self, mosaic: Mosaic, key: str, version: str, *, force: bool = False, again: bool = True
    ) -> Effect:
        """Delete a scene, unless the stored one is newer; leave a tombstone of that version.

        The tombstone is written for a scene never seen, too: its upsert may still be on the way.
        `force` and `again` are as in `apply`.
        """
        return contended(lambda: self._delete_once(mosaic, key, version, force=force, again=again))

    def _delete_once(
        self, mosaic: Mosaic, key: str, version: str, *, force: bool, again: bool
    ) -> Effect:
        mosaic.check_own_scenes()
        head = self.head(mosaic, key)
        if force:
            mosaic = self._now(mosaic)
            there = _newest_version(head, watermark_of(mosaic, key))
            version = raised(version, self._clocked(), there)
        if head is not None and unmarked(head.version) == version:
            if again:
                self._repeat(mosaic, head)
            return Effect("unchanged")
        mark = watermark_of(mosaic, key)
        if _newest_version(head, mark) >= version:
            return Effect("outdated", newest(head, mark))
        tombstone = self._write_tombstone(mosaic, key, head, version)
        return Effect("deleted", region=region_changed(mosaic, head, tombstone))

    def _write_tombstone(
        self, mosaic: Mosaic, key: str, head: Head | Tombstone | None, version: str
    ) -> Tombstone:
        now = self.clock()
        tombstone = Tombstone(key, version, int(now) + TOMBSTONE_S)
        area = area_of_change(head, tombstone, milliseconds(now))
        tombstone = replace(tombstone, area=area)
        retired = [Delete(place.key(mosaic, key)) for place in self._places(head)]
        self._replace(mosaic, tombstone, [], retired, head)
        self._mark_left(mosaic, head, tombstone)
        return tombstone

    def truncate(
        self, mosaic: Mosaic, collection: str, version: str, *, force: bool = False
    ) -> Effect:
        """Hide all scenes of a collection up to a version, for everyone and at once.

        Their rows are still there; `left_over` lists the scenes. With `force` all heads of the
        collection are read first, and the version is raised above each of them. Raises
        `InvalidRequestError` where too many collections of the mosaic were truncated lately.
        """
        mosaic.check_own_scenes()
        if force:
            version = raised(version, self._clocked(), self._newest_of(mosaic, collection))
        now = int(self.clock())
        mark = Watermark(collection, version, now + TOMBSTONE_S)
        there = self.mosaics.truncate(mosaic.id, mark, now).watermark(collection)
        if there == version or force:  # a rival that is higher hides all of them, too
            return Effect("truncated")
        return Effect("outdated", newest(None, there))

    def _newest_of(self, mosaic: Mosaic, collection: str) -> str:
        """The newest version in a collection: of a scene, a deletion or a truncation."""
        heads = self.every_head(mosaic, prefix=f"{collection}#")
        mark = self._now(mosaic).watermark(collection)
        return reduce(max, (head.version for head in heads), mark)

    def _now(self, mosaic: Mosaic) -> Mosaic:
        """The mosaic with its watermarks as of now; as it is known where it was deleted since."""
        with suppress(NotFoundError):
            return replace(mosaic, watermarks=self.mosaics.get(mosaic.id).watermarks)
        return mosaic

    def _clocked(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def left_over(self, mosaic: Mosaic, collection: str) -> Iterator[str]:
        """The keys of scenes with rows at or below the watermark of their collection."""
        for head in self.every_head(mosaic, prefix=f"{collection}#"):
            if isinstance(head, Head) and not is_shown(head, mosaic):
                yield head.key

    def apply_watermark(self, mosaic: Mosaic, key: str) -> None:
        """Rewrite or delete the rows of a scene at or below its watermark; idempotent.

        Mends what writers left that did not know the watermark yet. `mosaic` is as of now.
        """
        contended(lambda: self._apply_watermark_once(mosaic, key))

    def _apply_watermark_once(self, mosaic: Mosaic, key: str) -> None:
        head = self.head(mosaic, key)
        mark = watermark_of(mosaic, key)
        if not isinstance(head, Head) or is_above(head, mark):
            return
        if unmarked(head.version) > mark:
            # Raised by a later event of equal content: its rows are older.
            self._put(mosaic, head.scene, head)
            self.meet_fit(mosaic.id, key)
        else:
            self._write_tombstone(mosaic, key, head, mark)

    def drop(self, mosaic_id: str, *, scan: bool = False, force: bool = False) -> Iterator[str]:
        """Delete a mosaic and all its scenes; yields the key of each scene deleted.

        The mosaic is hidden from the start. Where this is cut off, call it again. With `scan` the
        whole table is read in the end, for rows that no scene knows of, such as an event wrote
        meanwhile; they cost storage, and nothing else. Overviews stay, for readers of this moment:
        a builder deletes them later (`Mosaics.remains`). Raises `NotFoundError` where there is
        none, and `InUseError` for a source of others, unless `force`.
        """
        mosaic = self.mosaics.mark_deleting(mosaic_id, force=force)
        for keys in self.purge(mosaic):
            yield from keys
        if scan:
            found = self.table.scan(mosaic_prefix(mosaic))
            rows = (row.key for row in found if not is_of_cells(row.key))
            while chunk := [*map(Delete, islice(rows, MAX_ACTIONS))]:
                self.table.transact(chunk)
        self.mosaics.forget(mosaic)

    def purge(self, mosaic: Mosaic, shards: Iterable[int] = range(SHARDS)) -> Iterator[list[str]]:
        """Remove the scenes of a mosaic marked as deleting; yields the keys of some that are gone.

        Many at once, without transactions: heads go last, so that what was interrupted is found
        again.
        """
        for shard in shards:
            pk = partition(mosaic, "scenes", str(shard))
            heads = self.heads(pk)
            while chunk := [*islice(heads, _PURGED_AT_ONCE)]:
                places = ((head, place) for head in chunk for place in self._places(head))
                self._remove_all([place.key(mosaic, head.key) for head, place in places])
                self._remove_all([Key(pk, head.key) for head in chunk])
                yield [head.key for head in chunk]

    def _remove_all(self, keys: Sequence[Key]) -> None:
        starts = range(0, len(keys), _REMOVED_AT_ONCE)
        parts = [keys[start : start + _REMOVED_AT_ONCE] for start in starts]
        for _ in self.pool.map(self.table.remove, parts):
            pass

    def forget(self, mosaic: Mosaic, key: str) -> None:
        """Remove every row of a scene that was put into a mosaic while that was deleted."""
        head = self.head(mosaic, key)
        if head is not None:
            self._remove(mosaic, head_key(mosaic, key), head)

    def _remove(self, mosaic: Mosaic, at: Key, head: Head | Tombstone) -> None:
        keys = [place.key(mosaic, head.key) for place in self._places(head)]
        for start in range(0, len(keys), MAX_ACTIONS):
            self.table.transact([*map(Delete, keys[start : start + MAX_ACTIONS])])
        self.table.transact([Delete(at)])


def scene_cover(mosaic: Mosaic, footprint: MultiPolygon) -> Cover:
    """The cells that a footprint takes in a mosaic."""
    return _cover(mosaic.tms, footprint, mosaic.quadkey_zoom, mosaic.minzoom, mosaic.max_cells)


@lru_cache(maxsize=32)
def _cover(
    tms: str, footprint: MultiPolygon, quadkey_zoom: int, minzoom: int, max_cells: int
) -> Cover:
    """Kept for the next mosaic that an Item comes into, and for the next version of the Item."""
    zooms = {"quadkey_zoom": quadkey_zoom, "minzoom": minzoom}
    return cover(cell_grid(tms), footprint, **zooms, max_cells=max_cells)


def _newest_version(head: Head | Tombstone | None, mark: str) -> str:
    """The newest version of a scene, its deletion and a watermark; empty where there is none."""
    return max(mark, "" if head is None else unmarked(head.version))


def _contested(one: str, other: str) -> bool:
    """Whether two versions have the same order key but come from two documents."""
    moment, _, content = one.rpartition("#")
    other_moment, _, other_content = other.rpartition("#")
    documents = {content, other_content} - {DELETION}
    return moment == other_moment and len(documents) == 2

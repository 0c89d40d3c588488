"""Reads scenes from the table: by key, page by page, or by area in rank order."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Final, TypeGuard

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidRequestError, NotFoundError, TooLargeError
from livemosaic.index.derived import reads as derived
from livemosaic.index.merge import OnTop, PageEnd, Stream, merged
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.partitions import Area, partitions
from livemosaic.index.schema import (
    SHARDS,
    CellRow,
    Head,
    Tombstone,
    head_key,
    head_partitions,
    parse_head,
    partition,
)
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import unmarked
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.table import Key, Page, Row, Table
from livemosaic.table.groups import rows_of

_FIRST_PAGE: Final = 10
"""Rows that every tile reads from each of its partitions: most need no more, however many there
are. Later pages grow fourfold, up to `_NEXT_PAGE`, so that a tile of small scenes takes few."""
_NEXT_PAGE: Final = 200
_BATCH: Final = 32


@dataclass(slots=True, eq=False)
class OpenPartition:
    """A partition whose rows are read in order, a page at a time."""

    pk: str
    page: Page
    """The page read last."""
    read: Callable[[str, str, int], Page]
    """Reads a page by partition, the sort key that it comes after, and the number of rows."""
    _met: list[Row] = field(default_factory=list)
    """The rows of earlier pages."""
    _taken: int = 0

    def rows(self) -> Stream:
        """All rows in order, and the ends of pages between them."""
        limit = _FIRST_PAGE
        while True:
            for row in self.page.rows:
                self._taken += 1
                yield CellRow.from_row(row)
            if self.page.next is None:
                return
            yield PageEnd(self.page.next)
            limit = min(4 * limit, _NEXT_PAGE)
            self._met += self.page.rows
            self.page, self._taken = self.read(self.pk, self.page.next, limit), 0

    @property
    def read_to(self) -> str:
        """The sort key up to which all rows were read, where there are more; empty where none."""
        return self.page.next or ""

    @property
    def met(self) -> dict[str, Row]:
        """All rows that were read, by their sort keys."""
        return {row.key.sk: row for row in (*self._met, *self.page.rows)}

    def left(self) -> Iterator[CellRow]:
        """The rows of the page that `rows` has not given yet."""
        return map(CellRow.from_row, self.page.rows[self._taken :])


GoesOn = Callable[[Sequence[CellRow], Sequence[OpenPartition]], bool | Sequence[CellRow]]
"""Whether more scenes are needed, by the rows that were read and not given yet, and the partitions
that have more. Rows of what was not read yet, where these hide all others there by footprints."""


@dataclass(frozen=True, slots=True)
class SceneReader:
    """Scenes of mosaics, in a `Table`: the reads of `Index`. Safe to share between threads."""

    table: Table
    mosaics: Mosaics
    pool: Executor
    """Runs the first queries of a tile side by side."""
    clock: Callable[[], float] = time.time
    """Epoch seconds."""
    consistent: bool = False
    """Whether areas are read as of now, at twice the price, not a second or so behind."""

    def find(self, mosaic: Mosaic, area: Area, after: str = "") -> Iterator[IndexedScene]:
        """The scenes that share a cell with an area, in rank order, read a page at a time.

        Stop iterating and nothing more is read; go on `after` the position of the last scene. A
        scene met twice is given once, in its newest version. Reads are eventually consistent (a
        second or so behind a write), unless `consistent`.
        """
        if mosaic.sources:
            return (
                m for m in derived.found_scenes(self, mosaic, area, after) if m.position > after
            )
        found = self.find_while(mosaic, area, _always, after)
        return (m for m in found if isinstance(m, IndexedScene) and m.position > after)

    def opened(self, mosaic: Mosaic, area: Area, after: str = "") -> Iterator[IndexedScene]:
        """As `find`, with the first pages being read already."""
        firsts = self._first_pages(mosaic, area, after)
        found = self._merged(mosaic, *firsts, _always)
        return (m for m in found if isinstance(m, IndexedScene) and m.position > after)

    def find_while(
        self, mosaic: Mosaic, area: Area, goes_on: GoesOn, after: str = ""
    ) -> Iterator[IndexedScene | OnTop | None]:
        """The scenes of `find`; None where `goes_on` denies that more of them are needed.

        It is asked before each page but the first ones, and again when the iteration goes on. Where
        it gives rows, their scenes come before their turn.
        """
        yield from self._merged(mosaic, *self._first_pages(mosaic, area, after), goes_on)

    def _first_pages(
        self, mosaic: Mosaic, area: Area, after: str
    ) -> tuple[Sequence[str], Iterator[Page]]:
        """The partitions of an area, and their first pages, which are read side by side."""
        keys = partitions(mosaic, area)
        return keys, self.pool.map(partial(self._page, after=after or None), keys)

    def _merged(
        self, mosaic: Mosaic, keys: Sequence[str], firsts: Iterator[Page], goes_on: GoesOn
    ) -> Iterator[IndexedScene | OnTop | None]:
        parts = [OpenPartition(pk, page, self._page) for pk, page in zip(keys, firsts, strict=True)]

        def asked(next_rows: Sequence[CellRow]) -> bool | Sequence[CellRow]:
            ahead = [*next_rows, *(row for part in parts for row in part.left())]
            answer = goes_on(ahead, [part for part in parts if part.page.next is not None])
            return answer if isinstance(answer, bool) else sorted([*ahead, *answer], key=_sk)

        watermarks = {mark.collection: mark.version for mark in mosaic.watermarks}
        yield from merged([part.rows() for part in parts], self.clock(), watermarks, asked)

    def _page(self, pk: str, after: str | None = None, limit: int = _FIRST_PAGE) -> Page:
        return self.table.query(pk, after=after, limit=limit, consistent=self.consistent)

    def rows_at(self, mosaic: Mosaic, keys: Collection[Key]) -> list[CellRow]:
        """The cell and coarse rows with these keys that readers see, a second or so old.

        Without moved rows, and ones at or below the watermark of their collection.
        """
        items = self.table.batch_get([*keys])
        rows = (CellRow.from_row(Row(key, item)) for key, item in items.items())
        return [row for row in rows if is_row_shown(row, mosaic)]

    def scene(self, mosaic: Mosaic, key: str) -> Scene:
        """One scene as stored now; `NotFoundError` where there is none or it was deleted."""
        if mosaic.sources:
            return self._derived_scene(mosaic, key)
        head = None
        with suppress(TooLargeError):  # an id that no row can have
            head = self.head(mosaic, key)
        if not is_shown(head, mosaic):
            raise _no_item(mosaic, key)
        return head.scene

    def _derived_scene(self, mosaic: Mosaic, key: str) -> Scene:
        with suppress(TooLargeError):
            for scene in derived.scenes_of(self, mosaic, [key]):
                return scene
        raise _no_item(mosaic, key)

    def scenes(self, mosaic: Mosaic, keys: Iterable[str]) -> Iterator[Scene]:
        """The scenes with these keys in their order, about a second old; skips deleted ones."""
        if mosaic.sources:
            yield from derived.scenes_of(self, mosaic, keys)
            return
        remaining = iter(keys)
        while chunk := list(islice(remaining, _BATCH)):
            wanted = [head_key(mosaic, key) for key in chunk]
            items = self.table.batch_get(wanted)
            heads = (parse_head(key.sk, items[key]) for key in wanted if key in items)
            yield from (head.scene for head in heads if is_shown(head, mosaic))

    def footprints(self, mosaic: Mosaic, scenes: Sequence[IndexedScene]) -> dict[str, MultiPolygon]:
        """The whole footprints of scenes just found, by key; empty where a scene is gone since."""
        now = {scene.key: scene for scene in self.scenes(mosaic, [met.key for met in scenes])}
        for met in scenes:
            if met.key not in now or not same_content(now[met.key].version, met.version):
                with suppress(NotFoundError):  # the batch may be a second behind the rows
                    now[met.key] = self.scene(mosaic, met.key)
        nowhere = MultiPolygon()
        return {m.key: now[m.key].footprint if m.key in now else nowhere for m in scenes}

    def list_scenes(
        self, mosaic: Mosaic, *, limit: int, token: str = ""
    ) -> tuple[list[Scene], str | None]:
        """A page of scenes in no useful order, and the token of the next page; None at the end.

        A token is `{shard}#{scene}`, of a derived mosaic with its member before that; a malformed
        one raises `InvalidRequestError`.
        """
        if mosaic.sources:
            return derived.listed_scenes(self, mosaic, limit=limit, token=token)
        shard_text, _, after = token.partition("#")
        known = shard_text.isascii() and shard_text.isdecimal() and int(shard_text) < SHARDS
        if token and not known:
            raise InvalidRequestError(f"token {token[:80]!r} is not one that was given out")
        scenes: list[Scene] = []
        for shard in range(int(shard_text or 0), SHARDS):
            pk = partition(mosaic, "scenes", str(shard))
            for head in self.heads(pk, limit, after=after or None):
                if len(scenes) == limit:
                    return scenes, f"{shard}#{after}"
                after = head.key
                if is_shown(head, mosaic):
                    scenes.append(head.scene)
            after = ""
        return scenes, None

    def token_after(self, mosaic: Mosaic, scene: Scene) -> str:
        """The token of the page after a scene that `list_scenes` gave."""
        own = f"{head_key(mosaic, scene.key).pk.rpartition('#')[2]}#{scene.key}"
        return derived.token_of(mosaic, scene, own) if mosaic.sources else own

    def every_scene(self, mosaic: Mosaic) -> Iterator[Scene]:
        """All scenes in no useful order, as stored now, read a page at a time."""
        if mosaic.sources:
            return derived.every_scene(self, mosaic)
        return (head.scene for head in self.every_head(mosaic) if is_shown(head, mosaic))

    def every_head(self, mosaic: Mosaic, *, prefix: str = "") -> Iterator[Head | Tombstone]:
        """All heads and tombstones whose keys have a prefix, as stored now; see `heads`."""
        for pk in head_partitions(mosaic):
            yield from self.heads(pk, prefix=prefix)

    def head(self, mosaic: Mosaic, key: str) -> Head | Tombstone | None:
        """The head or tombstone of a scene as stored now, by the key of the scene."""
        item = self.table.get(head_key(mosaic, key))
        return None if item is None else parse_head(key, item)

    def heads(
        self, pk: str, limit: int = _NEXT_PAGE, *, after: str | None = None, prefix: str = ""
    ) -> Iterator[Head | Tombstone]:
        """The heads and tombstones of a partition as stored now, read `limit` rows at a time."""
        rows = rows_of(self.table, pk, prefix=prefix, after=after, limit=limit)
        return (parse_head(row.key.sk, row.item) for row in rows)


def _no_item(mosaic: Mosaic, key: str) -> NotFoundError:
    return NotFoundError(f"mosaic {mosaic.id!r} has no item {key.partition('#')[2][:200]!r}")


def _sk(row: CellRow) -> str:
    return row.place.sk(row.scene)


def _always(_rows: Sequence[CellRow], _partitions: Sequence[OpenPartition]) -> bool:
    return True


def watermark_of(mosaic: Mosaic, key: str) -> str:
    """The watermark of a scene's collection, by the key of the scene."""
    return mosaic.watermark(key.partition("#")[0])


def is_above(head: Head | Tombstone | None, watermark: str) -> TypeGuard[Head]:
    """Whether the rows of a scene are above a watermark, so that readers see them."""
    return isinstance(head, Head) and unmarked(head.written) > watermark


def is_shown(head: Head | Tombstone | None, mosaic: Mosaic) -> TypeGuard[Head]:
    """Whether images show a scene: its rows are above the watermark of its collection."""
    return head is not None and is_above(head, watermark_of(mosaic, head.key))


def is_row_shown(row: CellRow, mosaic: Mosaic) -> bool:
    """Whether a row stays where it is, and is above the watermark of its collection."""
    return row.moved is None and unmarked(row.version) > watermark_of(mosaic, row.scene)


def same_scene(head: Head, scene: Scene) -> bool:
    """Whether a stored scene is what an Item of equal content is made into now."""
    if head.version == scene.version:
        return head.scene == scene
    same = same_content(head.version, scene.version)
    return same and replace(head.scene, version=scene.version) == scene


def same_content(one: str, other: str) -> bool:
    """Whether two versions have the same content hash."""
    return one.rpartition("#")[2] == other.rpartition("#")[2]

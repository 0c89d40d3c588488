"""Compares a mosaic with a catalogue of STAC Items, and repairs it by ingesting Items.

A difference is one of what the mosaic keeps of an Item: its assets and their kinds, its footprint,
its time, some properties, its encodings, and its place in the order. `created` and `updated` alone
are none, as catalogues stamp their own, so that an Item from a catalogue and from its events has
others. Nor is another way to write a number, a time or a position, a link, or a signature.

A catalogue may be behind its own events. What changed in the mosaic after `settled` is therefore
not judged, and repairs are made as of `settled`: every event since then is newer than they are.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Protocol, Self

from livemosaic.errors import InvalidItemError
from livemosaic.index.change import newest
from livemosaic.index.learning.meanings import compared
from livemosaic.index.schema import Head, Tombstone
from livemosaic.index.search import is_above, same_content
from livemosaic.index.verify import Checked, Difference, DifferenceKind
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.subscriptions import passes
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order, updated_of
from livemosaic.model.rank import processing_of, value_of
from livemosaic.model.scene import Scene, scene_key
from livemosaic.model.time import parse_time, utc_text
from livemosaic.storage.allowlist import AllowList

_CHUNK: Final = 100
_AT_ONCE: Final = 8
"""Suspects that are fetched from the catalogue in parallel."""
_FOREVER: Final = datetime(9000, 1, 1, tzinfo=UTC)
_SAME_PLACE: Final = 1e-6
"""Degrees, some 0.1 m: RFC 7946, 11.2, advises catalogues to write no more digits."""


class Catalogue(Protocol):
    """The source of a mosaic's Items."""

    def items(self) -> Iterator[Message]:
        """Yields all Items of its collections, with or without concurrent changes."""
        ...

    def item(self, collection: str, item_id: str) -> Message | None:
        """Returns an Item as the catalogue has it now, or None."""
        ...


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A scene that seems to differ from its Item."""

    kind: DifferenceKind
    collection: str
    id: str
    detail: str = ""

    @property
    def key(self) -> str:
        return scene_key(self.collection, self.id)


class _TooRecentError(Exception):
    """A scene changed so recently that it is not judged."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mosaic, and the collections of a catalogue that it should hold."""

    ingest: Ingest
    mosaic: Mosaic
    catalogue: Catalogue
    collections: Collection[str]
    settled: datetime
    """Later changes are not judged: the catalogue may lag behind its events."""
    repair: bool = False

    def check(self) -> Iterator[Checked]:
        """Compares the Items of the catalogue, then the scenes that it has no Item of.

        What seems to differ is fetched once more on its own first, as pages lag, and lose Items.
        """
        listed: set[str] = set()
        messages = self.catalogue.items()
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            while chunk := list(islice(messages, _CHUNK)):
                yield self._as_of_now()._of_items(chunk, listed, pool)
            token: str | None = ""
            while token is not None:
                index = self.ingest.index
                scenes, token = index.list_scenes(self.mosaic, limit=_CHUNK, token=token)
                unlisted = [scene for scene in scenes if scene.key not in listed]
                yield self._as_of_now()._of_scenes(unlisted, pool)
        finally:
            pool.shutdown(cancel_futures=True)

    def _as_of_now(self) -> Self:
        """Returns the comparison with the mosaic's settings and watermarks as they are now."""
        return replace(self, mosaic=self.ingest.index.mosaics.get(self.mosaic.id))

    def _of_items(self, chunk: Sequence[Message], listed: set[str], pool: Executor) -> Checked:
        """Compares Items with their scenes, and adds their keys to the ones listed."""
        suspects: dict[str, _Suspect] = {}
        found: list[Difference] = []
        recent = 0
        for message in chunk:
            if not isinstance(message.body, Mapping):
                found.append(Difference("unreadable", message.id, "it is not a STAC Item"))
                continue
            listed.add(_key(message.body))
            try:
                suspect = self._suspect(message)
            except _TooRecentError:
                recent += 1
            else:
                suspects |= {suspect.key: suspect} if suspect else {}
        return Checked(len(chunk), [*found, *self._confirmed(suspects.values(), pool)], recent)

    def _of_scenes(self, scenes: Sequence[Scene], pool: Executor) -> Checked:
        """Suspects scenes that the catalogue did not list."""
        ours = [scene for scene in scenes if scene.collection in self.collections]
        old = [scene for scene in ours if not self._is_recent(scene.version)]
        suspects = [_Suspect("gone", scene.collection, scene.id) for scene in old]
        return Checked(0, list(self._confirmed(suspects, pool)), len(ours) - len(old))

    def _confirmed(self, suspects: Iterable[_Suspect], pool: Executor) -> Iterator[Difference]:
        return (found for found in pool.map(self._checked_again, suspects) if found)

    def _checked_again(self, suspect: _Suspect) -> Difference | None:
        """Compares a scene with its Item as that is now, and repairs it; None if they agree."""
        message = self.catalogue.item(suspect.collection, suspect.id)
        try:
            again = self._judged(suspect.key, message)
        except _TooRecentError:
            return None
        if again is None:
            return None
        if self.repair and again.kind != "unreadable":
            return self._mended(again, message)
        return Difference(again.kind, again.key, again.detail)

    def _judged(self, key: str, message: Message | None) -> _Suspect | None:
        """Compares a scene with its Item, if there is one; None if they agree."""
        if message:
            return self._suspect(message)
        head, mark = self._now(key)
        if not is_above(head, mark):
            return None
        return _Suspect("gone", head.scene.collection, head.scene.id)

    def _suspect(self, message: Message) -> _Suspect | None:
        """Compares an Item with its scene, as that is now; None if they agree."""
        document: Any = message.body
        name = str(document.get("collection") or ""), str(document.get("id"))
        if not self.mosaic.accepts_collection(name[0]):
            return None
        try:
            item = StacItem.parse(document, order=Order(self.settled), base=message.base)
            shown = passes(item, self.mosaic)
            made = item.scene(self.mosaic, self.ingest.allow) if shown else None
            scene = None if made is None else compared(self.mosaic, made)
        except InvalidItemError as error:
            return _Suspect("unreadable", *name, str(error))
        head, mark = self._now(scene_key(*name))
        if scene is None:
            wrong = _Suspect("gone", *name, "it does not pass the filter")
            return wrong if is_above(head, mark) else None
        if not is_above(head, mark):
            return _Suspect("absent", *name, str(newest(head, mark)) if head or mark else "")
        parts = differing_parts(head.scene, scene, item, self.ingest.allow)
        return _Suspect(_kind(head, item), *name, ", ".join(parts)) if parts else None

    def _now(self, key: str) -> tuple[Head | Tombstone | None, str]:
        """Returns the head of a scene and its watermark; raises where they are recent."""
        head = self.ingest.index.head(self.mosaic, key)
        mark = self.mosaic.watermark(key.partition("#")[0])
        if self._is_recent(max(mark, "" if head is None else head.version)):
            raise _TooRecentError
        return head, mark

    def _is_recent(self, version: str) -> bool:
        return version > utc_text(self.settled)

    def _mended(self, suspect: _Suspect, message: Message | None) -> Difference | None:
        """Puts or deletes an Item as of `settled`; None where an event came first."""
        body = message.body if message else _deletion(suspect)
        base = message.base if message else None
        put = Message(suspect.key, body, self.settled, {}, base)
        outcome = self.ingest.batch([put], only=self.mosaic)[0]
        if outcome.older:
            return None
        left = replace(self._as_of_now(), settled=_FOREVER)._judged(suspect.key, message)
        detail = outcome.reason or suspect.detail
        return Difference(suspect.kind, suspect.key, detail, mended=left is None)


def _key(document: Mapping[str, Any]) -> str:
    return scene_key(str(document.get("collection") or ""), str(document.get("id")))


def _deletion(suspect: _Suspect) -> Mapping[str, Any]:
    return {"op": "delete", "collection": suspect.collection or None, "id": suspect.id}


def _kind(head: Head, item: StacItem) -> DifferenceKind:
    """Returns `older` where the Item was updated since the scene was, else `differs`."""
    try:
        updated = utc_text(parse_time(str(item.properties.get("updated"))))
    except ValueError:
        return "differs"
    return "older" if updated > (updated_of(head.version) or head.version) else "differs"


def differing_parts(stored: Scene, scene: Scene, item: StacItem, allow: AllowList) -> list[str]:
    """Returns the names of the parts in which a stored scene differs from its Item's scene now."""
    same = {
        "assets": _unsigned(stored, allow) == _unsigned(scene, allow),
        "footprint": _same_place(stored, scene),
        "datetime": _same(stored.datetime, scene.datetime),
        "properties": _same(stored.properties, scene.properties),
        "encodings": _encodings(stored.encodings) == _encodings(scene.encodings),
        "kinds": stored.other_kinds == scene.other_kinds,
        "rank": _same_rank(stored, scene, item),
    }
    return [name for name, is_same in same.items() if not is_same]


def _unsigned(scene: Scene, allow: AllowList) -> dict[str, str]:
    return {key: allow.unsigned(href) for key, href in scene.assets.items()}


def _same_place(one: Scene, other: Scene) -> bool:
    shape, other_shape = one.footprint, other.footprint
    return bool(shape == other_shape or shape.hausdorff_distance(other_shape) <= _SAME_PLACE)


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, or two texts the same time."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or _same_time(one, other)


def _same_time(one: Any, other: Any) -> bool:
    try:
        return bool(parse_time(one) == parse_time(other))
    except (ValueError, TypeError, AttributeError):
        return False


def _encodings(text: str) -> dict[str, Any]:
    """Returns encodings by asset, with numbers that are equal however they are written."""
    numbers: Any = {"parse_int": Decimal, "parse_float": Decimal, "parse_constant": str}
    groups = json.loads(text or "[]", **numbers)
    return {name: bands for bands, names in groups for name in names}


def _same_rank(stored: Scene, scene: Scene, item: StacItem) -> bool:
    """Whether two ranks are equal, apart from a time of processing that a catalogue may stamp."""
    if same_content(stored.version, scene.version):
        return stored.rank == scene.rank
    if value_of(stored.rank) != value_of(scene.rank):
        return False
    states = "processing:datetime" in item.properties
    return not states or processing_of(stored.rank) == processing_of(scene.rank)

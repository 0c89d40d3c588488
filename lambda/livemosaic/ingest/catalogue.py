"""Compares a mosaic with a catalogue of STAC Items, and repairs it by ingesting Items."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

from livemosaic.errors import InvalidItemError
from livemosaic.index.schema import Head
from livemosaic.index.search import same_content, same_scene
from livemosaic.index.verify import Checked, Difference, DifferenceKind
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.subscriptions import passes
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import deletion_version
from livemosaic.model.scene import Scene, scene_key
from livemosaic.model.time import utc_text

_CHUNK: Final = 100


class Catalogue(Protocol):
    """The source of a mosaic's Items."""

    def items(self) -> Iterator[Message]:
        """Yields all Items of its collections, with or without concurrent changes."""
        ...

    def has(self, collection: str, item_id: str) -> bool:
        """Returns whether the catalogue has an Item now."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mosaic, and the collections of a catalogue that it should hold."""

    ingest: Ingest
    mosaic: Mosaic
    catalogue: Catalogue
    collections: Collection[str]
    started: datetime
    """Later changes are no differences: events or the catalogue may lag behind."""
    repair: bool = False

    def check(self) -> Iterator[Checked]:
        """Compares the Items of the catalogue, then the scenes that it has no Item of."""
        listed: set[str] = set()
        messages = self.catalogue.items()
        while chunk := list(islice(messages, _CHUNK)):
            yield Checked(len(chunk), list(self._of_items(chunk, listed)))
        token: str | None = ""
        while token is not None:
            scenes, token = self.ingest.index.list_scenes(self.mosaic, limit=_CHUNK, token=token)
            unseen = [scene for scene in scenes if scene.key not in listed]
            yield Checked(0, [gone for scene in unseen if (gone := self._gone(scene))])

    def _of_items(self, chunk: Sequence[Message], listed: set[str]) -> Iterator[Difference]:
        for message in chunk:
            if not isinstance(message.body, Mapping):
                yield Difference("unreadable", message.id, "it is not a STAC Item")
                continue
            name = str(message.body.get("id"))
            key = scene_key(str(message.body.get("collection") or ""), name)
            listed.add(key)
            try:
                item = StacItem.parse(message.body, event_time=message.time, base=message.base)
                shown = passes(item, self.mosaic)
                scene = item.scene(self.mosaic, self.ingest.allow) if shown else None
            except InvalidItemError as error:
                yield Difference("unreadable", key, str(error))
                continue
            kind = self._kind(key, item, scene)
            changed = item.properties.get("updated") and item.order > utc_text(self.started)
            if kind is not None and not changed:
                yield self._mended(kind, key, item, scene, message)

    def _kind(self, key: str, item: StacItem, scene: Scene | None) -> DifferenceKind | None:
        head = self.ingest.index.head(self.mosaic, key)
        if head is not None and head.version > utc_text(self.started):
            return None
        if scene is None:  # the Item does not pass the filter
            return "gone" if isinstance(head, Head) and head.version < item.left else None
        if not isinstance(head, Head):
            return "absent"
        return "older" if _is_older(head, scene) else None

    def _mended(
        self, kind: DifferenceKind, key: str, item: StacItem, scene: Scene | None, message: Message
    ) -> Difference:
        if not self.repair:
            return Difference(kind, key)
        outcome = self.ingest.batch([message], only=self.mosaic)[0]
        left = self._kind(key, item, scene)
        why = outcome.reason or "a later event deleted or truncated it"
        return Difference(kind, key, why if left else "", mended=left is None)

    def _gone(self, scene: Scene) -> Difference | None:
        """Checks a scene without an Item in the catalogue once more, as pages may lose an Item."""
        if scene.collection not in self.collections or scene.version > utc_text(self.started):
            return None
        if self.catalogue.has(scene.collection, scene.id):
            return None
        if not self.repair:
            return Difference("gone", scene.key)
        version = deletion_version(self.started)
        effect = self.ingest.index.delete(self.mosaic, scene.key, version)
        return None if effect.newer else Difference("gone", scene.key, "", mended=True)


def _is_older(head: Head, scene: Scene) -> bool:
    """Whether a stored scene is of an older version, or of an older release or allow-list."""
    if same_content(head.version, scene.version):
        return head.version <= scene.version and not same_scene(head, scene)
    return head.version < scene.version

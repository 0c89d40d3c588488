"""Use case: messages about STAC Items change mosaics. One message succeeds or fails alone."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, Literal

from cql2 import Expr

from livemosaic.errors import LivemosaicError, TableBusyError, TableUnavailableError
from livemosaic.events import Delivery, Message, deliveries
from livemosaic.hrefs import AllowList
from livemosaic.index import Change, Index
from livemosaic.model import Mosaic, scene_key
from livemosaic.stac import StacItem, deletion_version

log = logging.getLogger(__name__)

_RETRYABLE: Final = (TableBusyError, TableUnavailableError)
"""What is wrong with the table, not with the message."""

KeepHeaders = Callable[[Collection[str], Executor | None], None]
"""Keeps the headers of the COGs at some hrefs, writing side by side if it can; fails in silence."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one Item in one mosaic."""

    mosaic: str
    collection: str
    id: str
    change: Change
    hrefs: Collection[str] = field(default=(), repr=False)
    """Of its assets that the mosaic shows; they may have been overwritten, whatever the change."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message."""

    message_id: str
    status: Literal["done", "ignored", "rejected", "failed"]
    """`ignored`: no mosaic wants it. `rejected`: it can never succeed as it stands. `failed`: send
    it again."""
    changes: Sequence[Applied] = ()
    """What was done, in a failed message too: doing it again changes nothing."""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the message can be forgotten."""
        return self.status in ("done", "ignored")


@dataclass(frozen=True, slots=True)
class Ingest:
    """Applies messages to every mosaic that subscribes to their collection."""

    index: Index
    allow: AllowList
    keep_headers: KeepHeaders | None = None

    def batch(
        self,
        messages: Sequence[Message],
        *,
        only: Mosaic | None = None,
        pool: Executor | None = None,
    ) -> list[Outcome]:
        """One outcome per message, in order; with `only`, no other mosaic is touched.

        Order within a batch means nothing: versions decide, so messages may run side by side.
        """
        mosaics = [only] if only else self.index.mosaics.all()
        run = pool.map if pool else map
        outcomes = list(run(lambda message: self._one(message, mosaics), messages))
        if self.keep_headers:  # once the scenes are there to be seen
            hrefs = {href for o in outcomes for change in o.changes for href in change.hrefs}
            self.keep_headers(hrefs, pool)
        return outcomes

    def _one(self, message: Message, mosaics: Sequence[Mosaic]) -> Outcome:
        changes: list[Applied] = []
        rejected: list[str] = []
        try:
            for delivery in deliveries(message):
                try:
                    changes += self._deliver(delivery, message, mosaics)
                except _RETRYABLE:
                    raise
                except LivemosaicError as error:  # the other Items of the message go on
                    rejected.append(f"item {delivery.id!r}: {error}")
        except _RETRYABLE as error:
            return _not_done(message, "failed", changes, str(error))
        except LivemosaicError as error:
            rejected.append(str(error))
        except Exception:
            log.exception("message failed", extra={"message_id": message.id})
            return Outcome(message.id, "failed", changes, "an unexpected error; it was logged")
        if rejected:
            return _not_done(message, "rejected", changes, "; ".join(rejected))
        return Outcome(message.id, "done" if changes else "ignored", changes)

    def _deliver(
        self, delivery: Delivery, message: Message, mosaics: Iterable[Mosaic]
    ) -> list[Applied]:
        wanting = [m for m in mosaics if m.accepts_collection(delivery.collection)]
        if not wanting:
            return []
        if delivery.document is None:
            version = deletion_version(delivery.time)
            return [self._delete(m, delivery.collection, delivery.id, version) for m in wanting]
        item = StacItem.parse(delivery.document, event_time=delivery.time, base=message.base)
        return [self._upsert(item, mosaic) for mosaic in wanting]

    def _delete(self, mosaic: Mosaic, collection: str, item_id: str, version: str) -> Applied:
        change = self.index.delete(mosaic, scene_key(collection, item_id), version)
        return Applied(mosaic.id, collection, item_id, change)

    def _upsert(self, item: StacItem, mosaic: Mosaic) -> Applied:
        if not _passes(item, mosaic):
            # It may have passed before, and an older event that did may still be on the way.
            return self._delete(mosaic, item.collection, item.id, item.left)
        scene = item.scene(mosaic, self.allow)
        change = self.index.apply(mosaic, scene)
        hrefs = () if change == "outdated" else tuple(scene.assets.values())
        return Applied(mosaic.id, item.collection, item.id, change, hrefs)


def _passes(item: StacItem, mosaic: Mosaic) -> bool:
    if mosaic.filter is None:
        return True
    try:
        # Not `parse_filter`: it was valid when it was stored, and checking it again takes 13 ms.
        return Expr(dict(mosaic.filter)).matches(dict(item.document))
    except Exception:  # noqa: BLE001 (cql2 raises bare Exception where a property is missing)
        return False  # CQL2: a comparison with null is not true


def _not_done(
    message: Message, status: Literal["rejected", "failed"], changes: Sequence[Applied], reason: str
) -> Outcome:
    log.warning("message %s", status, extra={"message_id": message.id, "reason": reason})
    return Outcome(message.id, status, changes, reason)

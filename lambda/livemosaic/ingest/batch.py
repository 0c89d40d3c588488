"""Use case: messages about STAC Items change mosaics. One message succeeds or fails alone."""

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final, Literal

from livemosaic.errors import (
    InvalidItemError,
    LivemosaicError,
    SourceUnavailableError,
    TableBusyError,
    TableUnavailableError,
)
from livemosaic.index.scenes import Index
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.body import parse
from livemosaic.ingest.events.changes import (
    Deletion,
    ItemChange,
    Reference,
    TrackedChange,
    Truncation,
    Upsert,
)
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.subscriptions import Applied, RecentMosaics, Subscribers
from livemosaic.ingest.tracked_objects import ItemName, TrackedObject, TrackedObjects
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import DELETION, deletion_version
from livemosaic.model.time import MAX_SKEW, utc_text
from livemosaic.storage.allowlist import AllowList, redact
from livemosaic.storage.fetch import Fetch, MissingError

log = logging.getLogger(__name__)

_RETRYABLE: Final = (TableBusyError, TableUnavailableError, SourceUnavailableError)
"""What is wrong with the table or a source of Items, not with the message."""
_PURGED_AT_ONCE: Final = 64
_NO_TIME: Final = "the time of this run is nearly over: the rest is left to the next delivery"
_OBJECT: Final = "s3://"

KeepHeaders = Callable[[Collection[str], Executor | None], None]
"""Keeps the headers of the COGs at some hrefs, writing side by side if it can; fails in silence."""

Deadline = Callable[[], bool]
"""Whether it is too late to begin anything."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message."""

    message_id: str
    status: Literal["done", "ignored", "rejected", "failed"]
    """`ignored`: there is nothing to do, as no mosaic wants it, or a later event of the same object
    came first. `rejected`: it can never succeed as it stands. `failed`: send it again."""
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
    fetch: Fetch | None = None
    """Without it, events that only refer to an Item are refused."""
    recent: RecentMosaics = field(default_factory=RecentMosaics)

    def batch(
        self,
        messages: Sequence[Message],
        *,
        only: Mosaic | None = None,
        pool: Executor | None = None,
        deadline: Deadline | None = None,
    ) -> list[Outcome]:
        """One outcome per message, in order; with `only`, no other mosaic is touched.

        Order within a batch means nothing: versions decide, so messages may run side by side. A
        message that was not begun before the deadline has failed, the others are done.
        """
        late = deadline or (lambda: False)
        mosaics = self.index.mosaics
        to = Subscribers(self.index, self.allow, [only] if only else self.recent.recent(mosaics))
        outcomes = self._all(messages, to, pool, late)
        now = self.recent.now(mosaics)
        if only is None and to.missed(now):
            to.settle(_changes(outcomes), now)
            to = replace(to, mosaics=now)
            outcomes = self._all(messages, to, pool, late)  # what was done is not done twice
            now = self.recent.now(mosaics)
        changes = _changes(outcomes)
        to.settle(changes, now)
        if self.keep_headers and not late():  # once the scenes are there to be seen
            self.keep_headers({href for change in changes for href in change.hrefs}, pool)
        return [self._purged(outcome, pool, late) for outcome in outcomes]

    def _all(
        self, messages: Sequence[Message], to: Subscribers, pool: Executor | None, late: Deadline
    ) -> list[Outcome]:
        run = pool.map if pool else map
        return list(run(lambda message: self._one(message, to, late), messages))

    def _one(self, message: Message, to: Subscribers, late: Deadline) -> Outcome:
        changes: list[Applied] = []
        rejected: list[str] = []
        try:
            for delivery in read_changes(message):
                if late():
                    return _not_done(message.id, "failed", changes, _NO_TIME)
                try:
                    changes += self._deliver(delivery, message, to)
                except _RETRYABLE:
                    raise
                except LivemosaicError as error:  # the other Items of the message go on
                    rejected.append(f"{_subject(delivery)}: {error}")
        except _RETRYABLE as error:
            return _not_done(message.id, "failed", changes, str(error))
        except LivemosaicError as error:
            rejected.append(str(error))
        except Exception:
            log.exception("message failed", extra={"message_id": message.id})
            return Outcome(message.id, "failed", changes, "an unexpected error; it was logged")
        _warn_of_contested(message.id, changes)
        if rejected:
            return _not_done(message.id, "rejected", changes, "; ".join(rejected))
        return Outcome(message.id, "done" if changes else "ignored", changes)

    def _deliver(self, delivery: ItemChange, message: Message, to: Subscribers) -> list[Applied]:
        _check_time(delivery.time, message.time)
        match delivery:
            case Upsert():
                return self._upsert(delivery, to)
            case Deletion():
                name = ItemName(delivery.collection, delivery.id)
                return to.remove([name], deletion_version(delivery.time))
            case Truncation():
                return to.truncate(delivery.collection, deletion_version(delivery.time))
            case Reference():
                return self._refer(delivery, to)
            case TrackedChange():
                return self._track(delivery, to)

    def _upsert(self, upsert: Upsert, to: Subscribers) -> list[Applied]:
        if not to.want(upsert.collection):
            return []
        item = StacItem.parse(upsert.document, event_time=upsert.time, base=upsert.base)
        return self._put(item, upsert.base, upsert.time, to)

    def _refer(self, reference: Reference, to: Subscribers) -> list[Applied]:
        item = self._item_at(reference.href, reference.time)
        if not to.want(item.collection):
            return []
        return self._put(item, reference.href, reference.time, to)

    def _put(
        self, item: StacItem, found_at: str | None, time: datetime, to: Subscribers
    ) -> list[Applied]:
        if found_at is not None and found_at.startswith(_OBJECT):
            self._things.remember(found_at, time, ItemName(item.collection, item.id))
        return to.put(item)

    def _track(self, event: TrackedChange, to: Subscribers) -> list[Applied]:
        """Nothing that an event refers to is older than it, so its Item may be fetched first."""
        known = self._things.get(event.thing)
        if known is not None and known.sequence > event.sequence:
            return []
        item = self._item_of(event)
        held = ItemName(item.collection, item.id) if item else None
        thing = self._things.claim(event, held, lambda before: _leave(before, to))
        if thing is None:
            return []
        left = _leave(thing, to)
        return left + (to.put(replace(item, order=thing.order)) if item else [])

    @property
    def _things(self) -> TrackedObjects:
        return TrackedObjects(self.index.table, self.index.clock)

    def _item_of(self, event: TrackedChange) -> StacItem | None:
        """What a thing holds now; None where that is nothing."""
        if event.href is None:
            return None
        try:
            return self._item_at(event.href, event.time)
        except MissingError as error:
            if event.thing.startswith(_OBJECT):  # of which S3 shows what is, from the event on
                return None
            raise SourceUnavailableError(f"{error}; it may be on its way there") from error

    def _item_at(self, href: str, time: datetime) -> StacItem:
        if self.fetch is None:
            raise InvalidItemError(f"it is at {redact(href)}, and nothing is fetched here")
        document = parse(self.fetch(href))
        return StacItem.parse(document, event_time=time, base=href)

    def _purged(self, outcome: Outcome, pool: Executor | None, late: Deadline) -> Outcome:
        """The outcome once rows are gone of what it truncated; that they are hidden is enough
        for everyone but the bill, so it comes last."""
        truncated = [c for c in outcome.changes if c.change == "truncated"]
        try:
            done = all(self._purge(c, pool, late) for c in truncated)
        except LivemosaicError as error:
            return _not_done(outcome.message_id, "failed", outcome.changes, str(error))
        if done:
            return outcome
        return _not_done(outcome.message_id, "failed", outcome.changes, _NO_TIME)

    def _purge(self, truncated: Applied, pool: Executor | None, late: Deadline) -> bool:
        mosaic = self.index.mosaics.get(truncated.mosaic)
        keys = self.index.left_over(mosaic, truncated.collection)
        run = pool.map if pool else map
        while chunk := list(islice(keys, _PURGED_AT_ONCE)):
            if late():
                return False
            list(run(lambda key: self.index.apply_watermark(mosaic, key), chunk))
        return True


def _changes(outcomes: Sequence[Outcome]) -> list[Applied]:
    return [change for outcome in outcomes for change in outcome.changes]


def _leave(thing: TrackedObject, to: Subscribers) -> list[Applied]:
    return to.remove(thing.left, f"{thing.order}#{DELETION}")


def _check_time(time: datetime, sent: datetime) -> None:
    if time > sent + MAX_SKEW:
        raise InvalidItemError(
            f"its time {utc_text(time)} is more than a day after its message was sent "
            f"({utc_text(sent)}): it would keep every later version out"
        )


def _subject(delivery: ItemChange) -> str:
    """What a delivery is about, as messages say it."""
    match delivery:
        case Upsert() | Deletion():
            return f"item {delivery.id!r}"
        case Truncation():
            return f"collection {delivery.collection!r}"
        case Reference():
            return redact(delivery.href)
        case TrackedChange():
            return redact(delivery.thing)


def _warn_of_contested(message_id: str, changes: Sequence[Applied]) -> None:
    for change in changes:
        if change.change == "contested":
            log.warning(
                "two documents of one version: the one with the larger content hash is shown",
                extra={
                    "message_id": message_id,
                    "mosaic": change.mosaic,
                    "item": change.id,
                    "collection": change.collection,
                },
            )


def _not_done(
    message_id: str,
    status: Literal["rejected", "failed"],
    changes: Sequence[Applied],
    reason: str,
) -> Outcome:
    log.warning("message %s", status, extra={"message_id": message_id, "reason": reason})
    return Outcome(message_id, status, changes, reason)

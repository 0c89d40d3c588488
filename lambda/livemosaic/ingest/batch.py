"""Use case: messages about STAC Items change mosaics. One message succeeds or fails alone."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final, Literal

from livemosaic.errors import (
    InvalidItemError,
    LivemosaicError,
    NewerFormatError,
    NotYetThereError,
    SourceUnavailableError,
    TableBusyError,
    TableUnavailableError,
)
from livemosaic.index.registry.roster import RecentMosaics, Roster
from livemosaic.index.scenes import Index
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.body import parse
from livemosaic.ingest.events.changes import (
    Deletion,
    ItemChange,
    OffloadedMessage,
    Reference,
    TrackedChange,
    Truncation,
    Upsert,
)
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.events.turns import overlap, turns
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.subscriptions import Applied, Subscribers
from livemosaic.ingest.tracked_objects import ItemName, TrackedObject, TrackedObjects
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import DELETION, Order
from livemosaic.model.time import MAX_SKEW, utc_text
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.fetch import Fetch, MissingError
from livemosaic.storage.hrefs import redact
from livemosaic.traces import carried, span

log = logging.getLogger(__name__)

_RETRYABLE: Final = (TableBusyError, TableUnavailableError, SourceUnavailableError)
"""Errors of the table or of a source of Items, not of the message."""
_PURGE_CHUNK: Final = 64
_NO_TIME: Final = "the time of this run is nearly over: the rest is left to the next delivery"
_IN_VAIN: Final = "not begun, as an earlier message about the same Item failed: send both again"
_OBJECT: Final = "s3://"
_PATIENCE_S: Final = 240
"""How long a reference may lead to nothing: APIs publish Items before, or behind, their caches."""

KeepHeaders = Callable[[Collection[str], Executor | None], None]
"""Caches the headers of the COGs at some hrefs, in parallel on the executor; never raises."""

Deadline = Callable[[], bool]
"""Returns whether it is too late to begin more work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one message."""

    message_id: str
    status: Literal["done", "ignored", "rejected", "failed"]
    """`ignored`: it changes nothing, as no mosaic subscribes to it, each has something newer, or a
    later event of its object came first. `rejected`: it can never succeed as it stands. `failed`:
    send it again."""
    changes: Sequence[Applied] = ()
    """Changes that were made, in a failed message too: repeating them changes nothing."""
    reason: str = ""
    soon: bool = False
    """Whether a failed message should be sent again within a minute, and not much later."""

    @property
    def ok(self) -> bool:
        """Whether the message can be forgotten."""
        return self.status in ("done", "ignored")

    @property
    def warnings(self) -> list[str]:
        """Assets that scenes were put into mosaics without, each with the reason."""
        return [warning for change in self.changes for warning in change.warnings]

    @property
    def older(self) -> list[Applied]:
        """Changes without effect, as their mosaic has something newer."""
        return [change for change in self.changes if change.newer]


@dataclass(frozen=True, slots=True)
class Ingest:
    """Applies messages to every mosaic that subscribes to their collection."""

    index: Index
    allow: AllowList
    keep_headers: KeepHeaders | None = None
    fetch: Fetch | None = None
    """Without it, events that only refer to an Item are rejected."""
    recent: RecentMosaics = field(default_factory=RecentMosaics)

    def batch(
        self,
        messages: Sequence[Message],
        *,
        only: Mosaic | None = None,
        pool: Executor | None = None,
        deadline: Deadline | None = None,
        force: bool = False,
    ) -> list[Outcome]:
        """Returns one outcome per message, in order; with `only`, no other mosaic is changed.

        The order within a batch means nothing: versions decide, so messages may run in parallel. A
        message that was not begun before the deadline fails.

        With `force`, which only a user may ask for, each change is newer than all that is there
        when it is made, whatever its times are. Then the order within a batch counts.
        """
        late = deadline or (lambda: False)
        mosaics = self.index.mosaics
        known = Roster.of([only]) if only else self.recent.get(mosaics)
        index = replace(self.index, mosaics=replace(mosaics, note=self.recent.note))
        subscribers = Subscribers(index, self.allow, known, force)
        outcomes = self._all(messages, subscribers, pool, late)
        now = self.recent.refresh(mosaics)
        if only is None and subscribers.are_outdated(now):
            subscribers.reconcile(_applied(outcomes), now)
            subscribers = replace(subscribers, mosaics=now)
            outcomes = self._all(messages, subscribers, pool, late)  # repeating changes nothing
            now = self.recent.refresh(mosaics)
        applied = _applied(outcomes)
        subscribers.reconcile(applied, now)
        if self.keep_headers and not late():  # scenes are visible first
            with span("headers"):
                self.keep_headers({href for change in applied for href in change.hrefs}, pool)
        return [self._purged(outcome, pool, late) for outcome in outcomes]

    def _all(
        self,
        messages: Sequence[Message],
        subscribers: Subscribers,
        pool: Executor | None,
        late: Deadline,
    ) -> list[Outcome]:
        if subscribers.force:
            return self._in_turn(messages, subscribers, pool, late)
        return self._side_by_side(messages, subscribers, pool, late)

    def _in_turn(
        self,
        messages: Sequence[Message],
        subscribers: Subscribers,
        pool: Executor | None,
        late: Deadline,
    ) -> list[Outcome]:
        """Applies the later of two messages about one Item after the earlier one, or not at all."""
        outcomes: list[Outcome] = []
        for group in turns(messages):
            begun = zip(messages, outcomes, strict=False)
            failed = [message for message, outcome in begun if outcome.status == "failed"]
            waits = [any(overlap(one, other) for other in failed) for one in group]
            ready = [one for one, wait in zip(group, waits, strict=True) if not wait]
            done = iter(self._side_by_side(ready, subscribers, pool, late))
            outcomes += [
                _unfinished(one.id, "failed", (), _IN_VAIN) if wait else next(done)
                for one, wait in zip(group, waits, strict=True)
            ]
        return outcomes

    def _side_by_side(
        self,
        messages: Sequence[Message],
        subscribers: Subscribers,
        pool: Executor | None,
        late: Deadline,
    ) -> list[Outcome]:
        """Returns one outcome per message, in order.

        The first message runs alone where it may bring the first Item of a mosaic, which decides
        what the mosaic shows: not the fastest of several workers.
        """
        run = pool.map if pool else map
        alone = 0 if subscribers.mosaics.all_chosen else 1

        def one(message: Message) -> Outcome:
            again = replace(subscribers, again=not message.is_first)
            with span("message", **{"messaging.message.id": message.id}) as made:
                outcome = self._one(message, again, late)
                if made:
                    made.attributes["livemosaic.outcome"] = outcome.status
                return outcome

        return [*map(one, messages[:alone]), *run(carried(one), messages[alone:])]

    def _one(self, message: Message, subscribers: Subscribers, late: Deadline) -> Outcome:
        applied: list[Applied] = []
        rejected: list[str] = []
        unwritten: list[str] = []
        try:
            for change in self._changes(message):
                if late():
                    return _unfinished(message.id, "failed", applied, _NO_TIME)
                try:
                    for one in self._apply(change, message, subscribers):
                        applied.append(one)  # noqa: PERF402 (kept where a later one fails)
                except NewerFormatError as error:  # a later release can apply it, when it is here
                    unwritten.append(str(error))
                except _RETRYABLE:
                    raise
                except LivemosaicError as error:  # other Items of the message continue
                    rejected.append(f"{_subject(change)}: {error}")
        except _RETRYABLE as error:
            failed = _unfinished(message.id, "failed", applied, str(error))
            return replace(failed, soon=isinstance(error, NotYetThereError))
        except LivemosaicError as error:
            rejected.append(str(error))
        except Exception:
            log.exception("message failed", extra={"message_id": message.id})
            return Outcome(message.id, "failed", applied, "an unexpected error; it was logged")
        _warn_of_contested(message.id, applied)
        _warn_of_left_out(message.id, applied)
        if unwritten:
            reasons = "; ".join(dict.fromkeys([*unwritten, *rejected]))
            return _unfinished(message.id, "failed", applied, reasons)
        if rejected:
            return _unfinished(message.id, "rejected", applied, "; ".join(rejected))
        done = any(change.newer is None for change in applied)
        return Outcome(message.id, "done" if done else "ignored", applied)

    def _changes(self, message: Message) -> Iterator[ItemChange]:
        """Yields the changes of a message; fetches its body where that is in S3."""
        for change in read_changes(message):
            if not isinstance(change, OffloadedMessage):
                yield change
                continue
            for inner in read_changes(replace(change.message, body=self._body(change.href))):
                if isinstance(inner, OffloadedMessage):
                    raise InvalidItemError(f"its body at {redact(change.href)} is a pointer again")
                yield inner

    def _body(self, href: str) -> bytes:
        if self.fetch is None:
            raise InvalidItemError(f"its body is at {redact(href)}, and nothing is fetched here")
        return self.fetch(href)

    def _apply(
        self, change: ItemChange, message: Message, subscribers: Subscribers
    ) -> Iterator[Applied]:
        if not subscribers.force:
            check_time(_moment(change), message.time)
        match change:
            case Upsert(collection, document=document, base=base, order=order):
                if subscribers.of(collection):
                    with span("parse"):
                        item = StacItem.parse(document, order=order, base=base)
                    yield from self._put(item, base, order, subscribers)
            case Reference(href, order):
                found = self._referenced(href, order, message)
                yield from self._put(found, href, order, subscribers)
            case Deletion(collection, item_id, order):
                name = ItemName(collection, item_id)
                yield from subscribers.remove([name], order.of_deletion())
            case Truncation(collection, order):
                yield from subscribers.truncate(collection, order.of_deletion())
            case TrackedChange():
                yield from self._track(change, subscribers)

    def _put(
        self, item: StacItem, found_at: str | None, order: Order, subscribers: Subscribers
    ) -> Iterator[Applied]:
        if not subscribers.of(item.collection):
            return
        if found_at is not None and found_at.startswith(_OBJECT):
            name = ItemName(item.collection, item.id)
            if since := self._tracked.remember(found_at, order.moment, name):
                # An event that came first could not remove an Item that nobody knew of.
                deletion = f"{since.order}#{DELETION}"
                list(replace(subscribers, force=False).remove([name], deletion))
        yield from subscribers.put(item)

    def _track(self, event: TrackedChange, subscribers: Subscribers) -> Iterator[Applied]:
        """Applies an event of a tracked object.

        What a href has is never older than the event, so the Item may be fetched before the claim.
        A user who insists on an event that is not the latest gets the Item that is there now.
        """
        known = self._tracked.get(event.object_name)
        if known is not None and known.sequence > event.sequence:
            if current := self._current_item(event) if subscribers.force else None:
                yield from subscribers.put(current)
            return
        item = self._current_item(event)
        held = ItemName(item.collection, item.id) if item else None
        with span("claim"):
            claimed = self._tracked.claim(
                event, held, lambda before: list(_retire(before, subscribers))
            )
        if claimed is None:
            return
        if known is None and item is None:
            log.info("an object is gone whose Item was never known", extra={"object": claimed.name})
        yield from _retire(claimed, subscribers, force=subscribers.force and item is None)
        if item:
            yield from subscribers.put(replace(item, order=claimed.order))

    @property
    def _tracked(self) -> TrackedObjects:
        return TrackedObjects(self.index.table, self.index.clock)

    def _current_item(self, event: TrackedChange) -> StacItem | None:
        """Returns the Item that a tracked object holds now, or None."""
        if event.href is None:
            return None
        try:
            return self._fetch(event.href, Order(event.time))
        except MissingError as error:
            if event.object_name.startswith(_OBJECT):  # S3 is strongly consistent
                return None
            raise SourceUnavailableError(f"{error}; it may be on its way there") from error

    def _referenced(self, href: str, order: Order, message: Message) -> StacItem:
        """Returns the Item at a reference, which may be a little behind its event."""
        try:
            return self._fetch(href, order)
        except MissingError as error:
            began = message.received
            if began is None or self.index.clock() - began.timestamp() > _PATIENCE_S:
                raise
            raise NotYetThereError(f"{error}; it may be on its way there") from error

    def _fetch(self, href: str, order: Order) -> StacItem:
        if self.fetch is None:
            raise InvalidItemError(f"it is at {redact(href)}, and nothing is fetched here")
        with span("fetch"):
            body = self.fetch(href)
        with span("parse"):
            return StacItem.parse(parse(body), order=order, base=href)

    def _purged(self, outcome: Outcome, pool: Executor | None, late: Deadline) -> Outcome:
        """Deletes the rows of truncated collections, and returns the outcome.

        Readers do not see them from the watermark on, so this comes last.
        """
        truncated = [c for c in outcome.changes if c.change == "truncated"]
        try:
            done = all(self._purge(c, pool, late) for c in truncated)
        except LivemosaicError as error:
            return _unfinished(outcome.message_id, "failed", outcome.changes, str(error))
        if done:
            return outcome
        return _unfinished(outcome.message_id, "failed", outcome.changes, _NO_TIME)

    def _purge(self, truncated: Applied, pool: Executor | None, late: Deadline) -> bool:
        mosaic = self.index.mosaics.get(truncated.mosaic)
        keys = self.index.left_over(mosaic, truncated.collection)
        run = pool.map if pool else map
        while chunk := list(islice(keys, _PURGE_CHUNK)):
            if late():
                return False
            list(run(lambda key: self.index.apply_watermark(mosaic, key), chunk))
        return True


def _applied(outcomes: Sequence[Outcome]) -> list[Applied]:
    return [change for outcome in outcomes for change in outcome.changes]


def _retire(
    tracked: TrackedObject, subscribers: Subscribers, *, force: bool = False
) -> Iterator[Applied]:
    """Removes the Items that a tracked object held before."""
    deletion = f"{tracked.order}#{DELETION}"
    return replace(subscribers, force=force).remove(tracked.left, deletion)


def _moment(change: ItemChange) -> datetime:
    return change.time if isinstance(change, TrackedChange) else change.order.moment


def check_time(time: datetime, sent: datetime) -> None:
    """Raises `InvalidItemError` for the time of a change that is too far in the future."""
    if time > sent + MAX_SKEW:
        raise InvalidItemError(
            f"its time {utc_text(time)} is more than a day after its message was sent "
            f"({utc_text(sent)}): it would keep every later version out"
        )


def _subject(change: ItemChange) -> str:
    """Returns the subject of a change for an error message."""
    match change:
        case Upsert() | Deletion():
            return f"item {change.id!r}"
        case Truncation():
            return f"collection {change.collection!r}"
        case Reference():
            return redact(change.href)
        case TrackedChange():
            return redact(change.object_name)


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


def _warn_of_left_out(message_id: str, changes: Sequence[Applied]) -> None:
    for change in changes:
        for warning in change.warnings:
            log.warning("asset", extra={"message_id": message_id, "reason": warning})


def _unfinished(
    message_id: str, status: Literal["rejected", "failed"], changes: Sequence[Applied], reason: str
) -> Outcome:
    log.warning("message %s", status, extra={"message_id": message_id, "reason": reason})
    return Outcome(message_id, status, changes, reason)

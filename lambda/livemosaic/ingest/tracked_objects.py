"""Rows of objects that hold one Item each, as in S3: which Item, and after which event.

The events of an object are ordered by their sequence alone, and its Items by an order key that
rises with it. An event therefore *claims* its object, by a conditional put of its row, before it
changes a scene. A slower event finds a larger sequence and stops, or its versions are too old. A
crash after the claim is repaired when the same event is delivered again and finds its own
sequence, or by the object's next event, which sees the Items to remove.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from livemosaic.index.scenes import TOMBSTONE_S
from livemosaic.ingest.events.changes import TrackedChange
from livemosaic.model.order import moment_of
from livemosaic.model.time import utc_text
from livemosaic.table import ABSENT, Equals, Expect, Item, Put, Table
from livemosaic.table.keys import tracked_object_key
from livemosaic.table.retry import contended

_BEFORE_ALL: Final = ""
"""The sequence of what a list of objects says, before that of every event."""


class ItemName(NamedTuple):
    """Collection and id of a STAC Item."""

    collection: str
    id: str


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """An object, as of the largest sequence seen."""

    name: str
    sequence: str
    order: str
    """Order key of that event, in every version that it writes."""
    held: ItemName | None
    """The Item that it has held since."""
    left: Sequence[ItemName] = ()
    """Items that it held before. They are removed at `order`, or still have to be."""
    seen: Sequence[ItemName] = ()
    """Items of lists that are later than that event: the event that put them is still to come. They
    are removed at the next one, as a removal at `order` is older than they are."""
    revision: int = 0
    """Grows by one with each write; 0 before the first."""


def claimed(
    before: TrackedObject | None, event: TrackedChange, held: ItemName | None
) -> TrackedObject:
    """Returns the object after an event that is not outdated; it holds the Item `held` now."""
    if before is None:
        return TrackedObject(event.object_name, event.sequence, _order(event), held)
    again = before.sequence == event.sequence
    unretired = again or before.sequence == _BEFORE_ALL
    left = tuple(before.left) if unretired else ()
    if before.held is not None:
        left = (*left, before.held)
    if not again:
        left = (*left, *before.seen)
    return replace(
        before,
        sequence=event.sequence,
        order=before.order if again and event.sequence else _order(event, before),
        held=held,
        left=tuple(name for name in dict.fromkeys(left) if name != held),
        seen=before.seen if again else (),
    )


def _order(event: TrackedChange, before: TrackedObject | None = None) -> str:
    """Returns the event's time, not before that of an earlier sequence, and its sequence."""
    times = [utc_text(event.time)] + ([before.order.partition("~")[0]] if before else [])
    return f"{max(times)}~{event.sequence}"


@dataclass(frozen=True, slots=True)
class TrackedObjects:
    """Rows of tracked objects, in a `Table`."""

    table: Table
    clock: Callable[[], float]

    def get(self, name: str) -> TrackedObject | None:
        """Returns an object; None where it was never seen, or was removed long ago."""
        row = self.table.get(tracked_object_key(name))
        return None if row is None else _from_row(row)

    def claim(
        self, event: TrackedChange, held: ItemName | None, retire: Callable[[TrackedObject], object]
    ) -> TrackedObject | None:
        """Writes the row of an event's object and returns it; None where the event is outdated.

        `retire` removes the Items that the event before may have left behind, before the row
        forgets them.
        """

        def attempt() -> TrackedObject | None:
            before = self.get(event.object_name)
            if before is not None and before.sequence > event.sequence:
                return None
            if before is not None and before.sequence < event.sequence and before.left:
                retire(before)
            after = claimed(before, event, held)
            if after != before:
                self._put(after)
            return after

        return contended(attempt)

    def remember(self, name: str, time: datetime, held: ItemName) -> TrackedObject | None:
        """Records the Item of an object without an event: a later event may remove the object.

        Returns the object where an event came first after which it does not hold the Item.
        """
        listed = TrackedChange(name, _BEFORE_ALL, time, name)
        if self.claim(listed, held, lambda _: None):
            return None
        return contended(lambda: self._see(listed, held))

    def _see(self, listed: TrackedChange, held: ItemName) -> TrackedObject | None:
        known = self.get(listed.object_name)
        if known is None:
            return None
        if utc_text(listed.time) > moment_of(known.order) and held not in known.seen:
            self._put(replace(known, seen=(*known.seen, held)))
        return known if known.held != held else None

    def _put(self, tracked: TrackedObject) -> None:
        row = _to_row(replace(tracked, revision=tracked.revision + 1))
        holds = tracked.held or tracked.seen
        gone = {} if holds else {"expires": int(self.clock()) + TOMBSTONE_S}
        expect: Expect = Equals("revision", tracked.revision) if tracked.revision else ABSENT
        self.table.transact([Put(tracked_object_key(tracked.name), row | gone, expect)])


def _to_row(tracked: TrackedObject) -> dict[str, Any]:
    return {
        "name": tracked.name,
        "sequence": tracked.sequence,
        "order": tracked.order,
        "held": list(tracked.held) if tracked.held else None,
        "left": [list(name) for name in tracked.left],
        "revision": tracked.revision,
    } | ({"seen": [list(name) for name in tracked.seen]} if tracked.seen else {})


def _from_row(row: Item) -> TrackedObject:
    return TrackedObject(
        name=row["name"],
        sequence=row["sequence"],
        order=row["order"],
        held=ItemName(*row["held"]) if row["held"] else None,
        left=tuple(ItemName(*name) for name in row["left"]),
        seen=tuple(ItemName(*name) for name in row.get("seen", ())),
        revision=int(row["revision"]),
    )

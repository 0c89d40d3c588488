"""TrackedObjects that hold one Item each, as objects of S3 do: which one, and after which event.

The events of a thing are ordered by its sequence alone, and what they say of Items by an order key
that rises with it. An event therefore *claims* its thing, by a conditional put of its row, before
it changes a scene. Whoever was slower finds a larger sequence and stops, or his versions are too
old. A crash after the claim is mended by the same event delivered again, which finds its own
sequence, or else by the next event of the thing, which sees what was to go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from livemosaic.index.scenes import TOMBSTONE_S
from livemosaic.ingest.events.changes import TrackedChange
from livemosaic.model.time import utc_text
from livemosaic.table import ABSENT, Equals, Expect, Item, Put, Table
from livemosaic.table.keys import tracked_object_key
from livemosaic.table.retry import contended

_BEFORE_ALL: Final = ""
"""Sorts before the sequence of every event."""


class ItemName(NamedTuple):
    """What a STAC Item is known by."""

    collection: str
    id: str


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One, as of the largest sequence that was met."""

    name: str
    sequence: str
    order: str
    """The order key of that event, of all that it says."""
    held: ItemName | None
    """The Item that it holds since."""
    left: Sequence[ItemName] = ()
    """Items that it held before. They are gone at `order`, if that has been carried out."""
    revision: int = 0
    """Grows by one with each write; 0 before the first."""


def claimed(
    before: TrackedObject | None, event: TrackedChange, held: ItemName | None
) -> TrackedObject:
    """What an event that is not outdated makes of a thing that holds that Item now."""
    if before is None:
        return TrackedObject(event.thing, event.sequence, _order(event), held)
    left = tuple(before.left) if before.sequence == event.sequence else ()
    if before.held is not None:
        left = (*left, before.held)
    return replace(
        before,
        sequence=event.sequence,
        order=before.order if before.sequence == event.sequence else _order(event, before),
        held=held,
        left=tuple(name for name in dict.fromkeys(left) if name != held),
    )


def _order(event: TrackedChange, before: TrackedObject | None = None) -> str:
    """Its time, but none before that of an earlier sequence, and then its sequence."""
    times = [utc_text(event.time)] + ([before.order.partition("~")[0]] if before else [])
    return f"{max(times)}~{event.sequence}"


@dataclass(frozen=True, slots=True)
class TrackedObjects:
    """The rows of things, in a `Table`."""

    table: Table
    clock: Callable[[], float]

    def get(self, name: str) -> TrackedObject | None:
        """One as of now; None where no event of it was met, or it has been gone for long."""
        row = self.table.get(tracked_object_key(name))
        return None if row is None else _from_row(row)

    def claim(
        self, event: TrackedChange, held: ItemName | None, finish: Callable[[TrackedObject], object]
    ) -> TrackedObject | None:
        """The thing as an event makes it that says what it holds; None where that is outdated.

        `finish` carries out what the event before may have left undone, before its traces are lost.
        """

        def attempt() -> TrackedObject | None:
            before = self.get(event.thing)
            if before is not None and before.sequence > event.sequence:
                return None
            if before is not None and before.sequence < event.sequence and before.left:
                finish(before)
            thing = claimed(before, event, held)
            if thing != before:
                self._put(thing)
            return thing

        return contended(attempt)

    def remember(self, name: str, time: datetime, held: ItemName) -> None:
        """Note what a thing holds that no event told of: a later one may tell that it is gone."""
        seen = TrackedChange(name, _BEFORE_ALL, time, name)
        self.claim(seen, held, lambda _: None)

    def _put(self, thing: TrackedObject) -> None:
        row = _to_row(replace(thing, revision=thing.revision + 1))
        gone = {} if thing.held else {"expires": int(self.clock()) + TOMBSTONE_S}
        expect: Expect = Equals("revision", thing.revision) if thing.revision else ABSENT
        self.table.transact([Put(tracked_object_key(thing.name), row | gone, expect)])


def _to_row(thing: TrackedObject) -> dict[str, Any]:
    return {
        "name": thing.name,
        "sequence": thing.sequence,
        "order": thing.order,
        "held": list(thing.held) if thing.held else None,
        "left": [list(name) for name in thing.left],
        "revision": thing.revision,
    }


def _from_row(row: Item) -> TrackedObject:
    return TrackedObject(
        name=row["name"],
        sequence=row["sequence"],
        order=row["order"],
        held=ItemName(*row["held"]) if row["held"] else None,
        left=tuple(ItemName(*name) for name in row["left"]),
        revision=int(row["revision"]),
    )

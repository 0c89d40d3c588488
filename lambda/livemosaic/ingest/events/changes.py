"""Changes of Items that messages ask for. Values only; `read_changes` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from livemosaic.ingest.events.message import Message
from livemosaic.model.order import Order


@dataclass(frozen=True, slots=True)
class Upsert:
    """An Item was created or replaced by a document."""

    collection: str
    """Empty where the Item names none."""
    id: str
    order: Order
    document: Mapping[str, Any]
    """The STAC Item, unchecked."""
    base: str | None = None
    """URL of the Item; relative hrefs are resolved against it."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """An Item was deleted."""

    collection: str
    id: str
    order: Order


@dataclass(frozen=True, slots=True)
class Truncation:
    """All Items of a collection that are not newer were deleted."""

    collection: str
    order: Order


@dataclass(frozen=True, slots=True)
class Reference:
    """An Item was created or replaced, and must be fetched from an href as it is there now."""

    href: str
    order: Order


@dataclass(frozen=True, slots=True)
class TrackedChange:
    """An object that holds one Item, in S3 or as a concept of CMR, was written or removed.

    The Item must be fetched, and a removed object has none to fetch: so the table keeps which Item
    each object held (`tracked_objects`), and the sequence of its last event, which alone orders
    its events.
    """

    object_name: str
    """`s3://{bucket}/{key}`, or a concept id of CMR."""
    sequence: str
    """Orders the events of one object by code points; events of two objects do not compare."""
    time: datetime
    href: str | None
    """URL of the Item; None where the object was removed."""


@dataclass(frozen=True, slots=True)
class OffloadedMessage:
    """A message whose body is in S3, and must be fetched to be read."""

    href: str
    message: Message
    """The message that the body belongs to, with its time and attributes."""


ItemChange: TypeAlias = Upsert | Deletion | Truncation | Reference | TrackedChange

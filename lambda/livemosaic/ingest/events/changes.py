"""What a message says of Items, once its envelope is understood. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Upsert:
    """An Item is as this document says."""

    collection: str
    """Empty where the Item names none."""
    id: str
    time: datetime
    """Of the event, aware: its version where the Item has no `updated`."""
    document: Mapping[str, Any]
    """The STAC Item, unchecked."""
    base: str | None = None
    """Where it was found; relative hrefs are resolved against it."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """An Item is gone."""

    collection: str
    id: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Truncation:
    """All Items of a collection are gone that are not newer than this."""

    collection: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Reference:
    """An Item is at an href, to be fetched: what is there now is what counts."""

    href: str
    time: datetime


@dataclass(frozen=True, slots=True)
class TrackedChange:
    """A thing that holds one Item changed or is gone: an object of S3, a concept of CMR.

    The Item must be fetched, and of one that is gone nothing is left to fetch: so the table keeps
    which Item a thing held, and the sequence of its last event, by which alone its events are
    ordered.
    """

    thing: str
    """Its name: `s3://{bucket}/{key}`, or a concept id of CMR."""
    sequence: str
    """Sorts the events of one thing by its code points; events of two things do not compare."""
    time: datetime
    href: str | None
    """Where the Item is now; None where the thing is gone."""


ItemChange: TypeAlias = Upsert | Deletion | Truncation | Reference | TrackedChange

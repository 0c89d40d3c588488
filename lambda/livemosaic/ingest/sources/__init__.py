"""What `livemosaic ingest` reads: files, stac-geoparquet, prefixes of S3, a STAC API.

Each is read in an order of its own, so that a run that was cut off can go on where it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from livemosaic.ingest.events.message import Message


@dataclass(frozen=True, slots=True)
class Mark:
    """A source has been read as far as a place, and can be read on from there."""

    source: str
    place: Any
    """JSON that the source understands, and nobody else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a source."""

    message: Message
    source: str
    """File, object or URL that it is from, as people know it."""
    line: int | None = None
    """Number of the Item in there, from 1."""
    weight: int = 1
    """What it counts of the source's total."""
    problem: str = ""
    """Why there is no message in it that anybody could take."""
    mark: Mark | None = None
    """Set where the source can be read on from here; where not, from the mark before."""


class Source(Protocol):
    """What can be read, and read on."""

    @property
    def name(self) -> str:
        """Tells it from the other sources of a run."""
        ...

    @property
    def identity(self) -> Any:
        """JSON; where it has changed, a place of before means nothing."""
        ...

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """What comes after a place, or everything after None.

        `began` is when the run began, however often it was cut off: the time of what has none.
        `InvalidRequestError` where it cannot be read.
        """
        ...

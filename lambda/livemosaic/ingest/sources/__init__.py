"""Sources of `livemosaic ingest`: files, stac-geoparquet, COGs, MosaicJSON, S3, STAC APIs.

Each is read in a fixed order, so that an interrupted run can be resumed where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from livemosaic.ingest.events.message import Message


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source from which reading can be resumed."""

    source: str
    place: Any
    """JSON, opaque to all but the source."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a source."""

    message: Message
    source: str
    """File, object or URL that the message comes from, for people."""
    line: int | None = None
    """Number of the Item in the source, from 1."""
    weight: int = 1
    """Share of the source's total, in its unit."""
    problem: str = ""
    """Why the entry cannot be ingested; empty if it can."""
    mark: Mark | None = None
    """Set where reading can be resumed after this entry; else it resumes at the mark before."""
    notes: Sequence[str] = ()
    """Sentences about what the source says and no mosaic can show."""


class Source(Protocol):
    """A source that can be read from any of its places."""

    @property
    def name(self) -> str:
        """Name that is unique among the sources of a run."""
        ...

    @property
    def identity(self) -> Any:
        """JSON that changes where earlier places become invalid."""
        ...

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """Yields the entries after a place, or all with None.

        `began` is when the run first began, however often it was resumed: of changes of one
        moment the one of a later run is newer. Raises `InvalidRequestError` where the source cannot
        be read.
        """
        ...

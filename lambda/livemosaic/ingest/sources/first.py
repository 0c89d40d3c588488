"""The first entries of a source."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from livemosaic.ingest.sources import Entry, Mark, Source


@dataclass(frozen=True, slots=True)
class First:
    """The first `count` entries of a source; a `Source`."""

    source: Source
    count: int

    @property
    def name(self) -> str:
        """See `Source`."""
        return self.source.name

    @property
    def identity(self) -> Any:
        """The identity of the source, and how many of its entries are read."""
        return {"source": self.source.identity, "count": self.count}

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. A place is one of the source, and the number of entries before it."""
        at, read = (place["at"], place["read"]) if place else (None, 0)
        if read == self.count:
            return
        for entry in islice(self.source.read(began, at), self.count - read):
            read += 1
            at = entry.mark.place if entry.mark else at
            marked = entry.mark or read == self.count
            mark = Mark(self.name, {"at": at, "read": read}) if marked else None
            yield replace(entry, mark=mark)

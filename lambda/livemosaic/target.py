"""What the CLI works on: mosaics at hand in an index, or behind an API (`remote.py`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from livemosaic.api.mosaics import MosaicOut, NewMosaic, shown, values
from livemosaic.errors import LivemosaicError
from livemosaic.events import Message
from livemosaic.ingest import Outcome
from livemosaic.model import Mosaic
from livemosaic.services import Services

_CHUNK: Final = 64
_WORKERS: Final = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one message."""

    name: str
    """Of the message: file and line."""
    status: str
    """See `Outcome.status`."""
    changes: Sequence[str] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it needs no more attention."""
        return self.status in ("done", "ignored")

    @property
    def words(self) -> set[str]:
        """What it counts as."""
        return set(self.changes) or {self.status}


class Target(Protocol):
    """Mosaics, as commands see them."""

    def create(self, new: NewMosaic) -> MosaicOut:
        """Add a mosaic."""
        ...

    def all(self) -> list[MosaicOut]:
        """Every mosaic, by id."""
        ...

    def get(self, mosaic: str) -> MosaicOut:
        """One mosaic."""
        ...

    def drop(self, mosaic: str) -> Iterator[int]:
        """Delete a mosaic; yields how many more scenes are gone."""
        ...

    def ingest(
        self, messages: Iterable[tuple[Message, int]], mosaic: str | None
    ) -> Iterator[tuple[Told, int]]:
        """Put messages of some bytes each into a mosaic, or into all that want them."""
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """Mosaics of an index, from this process."""

    services: Services

    def create(self, new: NewMosaic) -> MosaicOut:
        """See `Target`."""
        return shown(self.services.mosaics.create(Mosaic(id=new.id, **values(new))))

    def all(self) -> list[MosaicOut]:
        """See `Target`."""
        return [shown(mosaic) for mosaic in self.services.mosaics.all()]

    def get(self, mosaic: str) -> MosaicOut:
        """See `Target`."""
        return shown(self.services.mosaics.get(mosaic))

    def drop(self, mosaic: str) -> Iterator[int]:
        """See `Target`."""
        return (1 for _ in self.services.index.drop(mosaic))

    def ingest(
        self, messages: Iterable[tuple[Message, int]], mosaic: str | None
    ) -> Iterator[tuple[Told, int]]:
        """See `Target`."""
        only = self.services.mosaics.get(mosaic) if mosaic else None
        with ThreadPoolExecutor(_WORKERS) as pool:
            for chunk in grouped(messages, lambda group, _: len(group) < _CHUNK):
                taken, sizes = zip(*chunk, strict=True)
                outcomes = self.services.ingest.batch(taken, only=only, pool=pool)
                yield from zip(map(_told, outcomes), sizes, strict=True)


def _told(outcome: Outcome) -> Told:
    changes = [applied.change for applied in outcome.changes]
    return Told(outcome.message_id, outcome.status, changes, outcome.reason)


def grouped(things: Iterable[T], fits: Callable[[list[T], T], bool]) -> Iterator[list[T]]:
    """Neighbours in groups, closed where the next one does not fit.

    Where `things` ends with an error of ours, what was read before comes all the same.
    """
    group: list[T] = []
    try:
        for thing in things:
            if group and not fits(group, thing):
                yield group
                group = []
            group.append(thing)
    except LivemosaicError:
        if group:
            yield group
        raise
    if group:
        yield group

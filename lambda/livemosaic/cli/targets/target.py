"""What the CLI works on: mosaics at hand in an index, or behind an API (`remote.py`)."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from livemosaic.api.schemas import MosaicOut, NewMosaic, TokenOut, shown, told, values
from livemosaic.auth.tokens import scope_of
from livemosaic.errors import LivemosaicError
from livemosaic.ingest.batch import Outcome
from livemosaic.ingest.sources import Entry
from livemosaic.model.mosaic import Access, Mosaic
from livemosaic.services import Services

_CHUNK: Final = 64
_CHUNKS_AT_ONCE: Final = 2
"""The next one is written while headers of the one before are read."""
_WORKERS: Final = 8
_ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.5

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """What became of one message."""

    entry: Entry
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

    def all(self, *, private: bool = False) -> list[MosaicOut]:
        """Every mosaic, by id; of an API, private ones only if asked for."""
        ...

    def get(self, mosaic: str) -> MosaicOut:
        """One mosaic."""
        ...

    def open_to(self, access: Access, mosaic: str) -> MosaicOut:
        """Change who may see a mosaic."""
        ...

    def token(self, mosaic: str, seconds: int) -> TokenOut:
        """Make a token that opens a mosaic."""
        ...

    def drop(self, mosaic: str) -> Iterator[int]:
        """Delete a mosaic; yields how many more scenes are gone."""
        ...

    def ingest(self, entries: Iterable[Entry], mosaic: str | None) -> Iterator[EntryOutcome]:
        """Put entries into a mosaic, or into all that want them; told of in their order.

        What the index is too busy for is tried again some times. More are read before all is told.
        """
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """Mosaics of an index, from this process."""

    services: Services

    def create(self, new: NewMosaic) -> MosaicOut:
        """See `Target`."""
        return shown(self.services.mosaics.create(Mosaic(id=new.id, **values(new))))

    def all(self, *, private: bool = False) -> list[MosaicOut]:
        """See `Target`. Whoever has the index sees all of it."""
        del private
        return [shown(mosaic) for mosaic in self.services.mosaics.all()]

    def get(self, mosaic: str) -> MosaicOut:
        """See `Target`."""
        return shown(self.services.mosaics.get(mosaic))

    def open_to(self, access: Access, mosaic: str) -> MosaicOut:
        """See `Target`."""
        return shown(self.services.mosaics.update(mosaic, {"access": access}))

    def token(self, mosaic: str, seconds: int) -> TokenOut:
        """See `Target`."""
        scope = scope_of(self.services.mosaics.get(mosaic))
        return told(self.services.tokens.mint(scope, seconds))

    def drop(self, mosaic: str) -> Iterator[int]:
        """See `Target`."""
        return (1 for _ in self.services.index.drop(mosaic, scan=True))

    def ingest(self, entries: Iterable[Entry], mosaic: str | None) -> Iterator[EntryOutcome]:
        """See `Target`."""
        only = self.services.mosaics.get(mosaic) if mosaic else None
        with ThreadPoolExecutor(_WORKERS) as pool:
            groups = group_adjacent(entries, lambda group, _: len(group) < _CHUNK)
            for told in map_in_order(
                groups, lambda g: self._patiently(g, only, pool), _CHUNKS_AT_ONCE
            ):
                yield from told

    def _patiently(
        self, entries: list[Entry], only: Mosaic | None, pool: Executor
    ) -> list[EntryOutcome]:
        told = {
            n: EntryOutcome(x, "rejected", (), x.problem)
            for n, x in enumerate(entries)
            if x.problem
        }
        pending = [n for n in range(len(entries)) if n not in told]
        for attempt in range(_ATTEMPTS):
            messages = [entries[n].message for n in pending]
            outcomes = self.services.ingest.batch(messages, only=only, pool=pool)
            told |= {n: _told(entries[n], o) for n, o in zip(pending, outcomes, strict=True)}
            pending = [n for n in pending if told[n].status == "failed"]
            if not pending:
                break
            if attempt < _ATTEMPTS - 1:
                time.sleep(random.uniform(0.5, 1) * _FIRST_PAUSE_S * 2**attempt)  # noqa: S311
        return [told[n] for n in range(len(entries))]


def _told(entry: Entry, outcome: Outcome) -> EntryOutcome:
    changes = [applied.change for applied in outcome.changes]
    return EntryOutcome(entry, outcome.status, changes, outcome.reason)


def map_in_order(things: Iterable[T], work: Callable[[T], R], at_once: int) -> Iterator[R]:
    """What comes of each thing, in their order, worked on side by side.

    Where `things` ends with an error of ours, what came before is worked on and told first.
    """
    running: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(at_once)
    failure: LivemosaicError | None = None
    try:
        for thing in _until_error(things):
            if isinstance(thing, LivemosaicError):
                failure = thing
                break
            running.append(pool.submit(work, thing))
            if len(running) > at_once:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
        if failure:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)


def _until_error(things: Iterable[T]) -> Iterator[T | LivemosaicError]:
    try:
        yield from things
    except LivemosaicError as error:
        yield error


def group_adjacent(things: Iterable[T], fits: Callable[[list[T], T], bool]) -> Iterator[list[T]]:
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

"""Targets of the CLI: mosaics in an index (`Local`), or behind an API (`remote.Remote`)."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from livemosaic.api.schemas import ExportList, MosaicOut, NewMosaic, TokenOut, patched
from livemosaic.auth.tokens import scope_of
from livemosaic.errors import LivemosaicError
from livemosaic.index.change import Newer, NewerKind
from livemosaic.ingest.batch import Outcome
from livemosaic.ingest.sources import Entry
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services
from livemosaic.table.retry import Backoff

_CHUNK: Final = 64
_CHUNKS_AT_ONCE: Final = 2
"""One chunk is written while the COG headers of the one before are read."""
_WORKERS: Final = 8
_BACKOFF: Final = Backoff(math.inf, 0.5, math.inf, max_attempts=5, least=0.5)

T = TypeVar("T")
R = TypeVar("R")


_OUTDATED: Final = "outdated"
_REASONS: Final[Mapping[NewerKind, str]] = {
    "version": "a newer version is there",
    "deletion": "deleted since",
    "truncation": "truncated since",
}


@dataclass(frozen=True, slots=True)
class Older:
    """A mosaic in which an Item changes nothing, as it is older than what is there."""

    mosaic: str
    id: str
    newer: Newer


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """The outcome of one entry of a source."""

    entry: Entry
    status: str
    """See `Outcome.status`."""
    changes: Sequence[str] = ()
    reason: str = ""
    warnings: Sequence[str] = ()
    """See `Outcome.warnings`."""
    older: Sequence[Older] = ()
    """The mosaics that have something newer."""

    @property
    def ok(self) -> bool:
        """Whether the entry was ingested, or nothing had to be done."""
        return self.status in ("done", "ignored")

    @property
    def labels(self) -> set[str]:
        """Names under which the entry is counted: its changes; its status if there are none, or if
        it was rejected or failed in part."""
        kinds = {one.newer.kind for one in self.older}
        outdated = {f"{_OUTDATED} ({_REASONS.get(kind, kind)})" for kind in kinds}
        changes = {change for change in self.changes if change != _OUTDATED or not outdated}
        status = set() if self.ok and (changes or outdated) else {self.status}
        return changes | outdated | status


class Target(Protocol):
    """Mosaics that commands work on."""

    def create(self, new: NewMosaic) -> MosaicOut:
        """Creates a mosaic."""
        ...

    def all(self, *, private: bool = False) -> list[MosaicOut]:
        """Returns every mosaic, by id; behind an API, private ones only with `private`."""
        ...

    def get(self, mosaic: str) -> MosaicOut:
        """Returns one mosaic."""
        ...

    def change(self, mosaic: str, settings: Mapping[str, Any]) -> MosaicOut:
        """Changes some settings of a mosaic, by a JSON Merge Patch; the others stay."""
        ...

    def exports(self, mosaic: str) -> ExportList:
        """Returns where the scheduled archives of a mosaic stand."""
        ...

    def token(self, mosaic: str, seconds: int) -> TokenOut:
        """Creates an access token of a mosaic."""
        ...

    def drop(self, mosaic: str, *, wait: bool = True, force: bool = False) -> Iterator[int]:
        """Deletes a mosaic; yields numbers of scenes as they are deleted.

        With `force` also one that derived mosaics show. Without `wait` it ends once builders go on
        in the background, where there are some.
        """
        ...

    def ingest(
        self, entries: Iterable[Entry], mosaic: str | None, *, force: bool = False
    ) -> Iterator[EntryOutcome]:
        """Ingests entries into a mosaic, or into all that subscribe; yields outcomes in order.

        Entries that fail because the index is busy are tried again a few times. Later entries are
        read before earlier outcomes are yielded. With `force` each is newer than all that is
        there, and they are applied in their order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """Mosaics of an index, opened by this process."""

    services: Services

    def create(self, new: NewMosaic) -> MosaicOut:
        """See `Target`."""
        mosaic = Mosaic(id=new.id, **new.mosaic_fields())
        created = self.services.create(mosaic, is_overviews_open=new.is_overviews_open)
        return MosaicOut.of(created)

    def all(self, *, private: bool = False) -> list[MosaicOut]:
        """See `Target`. Private mosaics are always included."""
        del private
        return list(map(MosaicOut.of, self.services.mosaics.after()))

    def get(self, mosaic: str) -> MosaicOut:
        """See `Target`."""
        return MosaicOut.of(self.services.mosaics.get(mosaic))

    def change(self, mosaic: str, settings: Mapping[str, Any]) -> MosaicOut:
        """See `Target`."""
        changed = self.services.mosaics.revise(mosaic, lambda now: patched(now, settings))
        return MosaicOut.of(changed)

    def exports(self, mosaic: str) -> ExportList:
        """See `Target`."""
        from livemosaic.export.schedule.status import stated

        found = self.services.mosaics.get(mosaic)
        return ExportList.of(stated(self.services.settings.archives, found))

    def token(self, mosaic: str, seconds: int) -> TokenOut:
        """See `Target`."""
        scope = scope_of(self.services.mosaics.get(mosaic))
        return TokenOut.of(self.services.tokens.mint(scope, seconds))

    def drop(self, mosaic: str, *, wait: bool = True, force: bool = False) -> Iterator[int]:
        """See `Target`. Nobody goes on in the background of an index at hand."""
        del wait
        return (1 for _ in self.services.index.drop(mosaic, scan=True, force=force))

    def ingest(
        self, entries: Iterable[Entry], mosaic: str | None, *, force: bool = False
    ) -> Iterator[EntryOutcome]:
        """See `Target`."""
        only = self.services.mosaics.get(mosaic) if mosaic else None
        if only is not None:
            only.check_own_scenes()
        with ThreadPoolExecutor(_WORKERS) as pool:
            groups = group_adjacent(entries, lambda group, _: len(group) < _CHUNK)
            work = partial(self._ingest, only=only, pool=pool, force=force)
            for outcomes in map_in_order(groups, work, 1 if force else _CHUNKS_AT_ONCE):
                yield from outcomes

    def _ingest(
        self, entries: list[Entry], *, only: Mosaic | None, pool: Executor, force: bool
    ) -> list[EntryOutcome]:
        done = {
            n: EntryOutcome(x, "rejected", (), x.problem)
            for n, x in enumerate(entries)
            if x.problem
        }
        pending = [n for n in range(len(entries)) if n not in done]
        for _ in _BACKOFF.attempts():
            messages = [entries[n].message for n in pending]
            outcomes = self.services.ingest.batch(messages, only=only, pool=pool, force=force)
            done |= {n: _outcome(entries[n], o) for n, o in zip(pending, outcomes, strict=True)}
            pending = [n for n in pending if done[n].status == "failed"]
            if not pending:
                break
        return [done[n] for n in range(len(entries))]


def mosaic_of(found: MosaicOut) -> Mosaic:
    """Returns a mosaic as far as its description tells it."""
    learned = {"chosen_assets": tuple(found.shown_assets), "native_zoom": found.deepest_zoom}
    return Mosaic(id=found.id, **found.mosaic_fields() | learned)


def _outcome(entry: Entry, outcome: Outcome) -> EntryOutcome:
    changes = [applied.change for applied in outcome.changes]
    older = [Older(one.mosaic, one.id, one.newer) for one in outcome.older if one.newer]
    return EntryOutcome(entry, outcome.status, changes, outcome.reason, outcome.warnings, older)


def map_in_order(values: Iterable[T], work: Callable[[T], R], at_once: int) -> Iterator[R]:
    """Yields the result of `work` for each value, in order, with `at_once` calls in parallel.

    Where `values` ends with a `LivemosaicError`, the results before it are yielded first.
    """
    running: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(at_once)
    failure: LivemosaicError | None = None
    try:
        for value in _ending_with_error(values):
            if isinstance(value, LivemosaicError):
                failure = value
                break
            running.append(pool.submit(work, value))
            if len(running) > at_once:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
        if failure:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)


def _ending_with_error(values: Iterable[T]) -> Iterator[T | LivemosaicError]:
    try:
        yield from values
    except LivemosaicError as error:
        yield error


def group_adjacent(values: Iterable[T], fits: Callable[[list[T], T], bool]) -> Iterator[list[T]]:
    """Yields groups of adjacent values; a group ends where `fits(group, next)` is false.

    Where `values` ends with a `LivemosaicError`, the last group is yielded first.
    """
    group: list[T] = []
    try:
        for value in values:
            if group and not fits(group, value):
                yield group
                group = []
            group.append(value)
    except LivemosaicError:
        if group:
            yield group
        raise
    if group:
        yield group

"""All mosaics in memory: found by collection, and kept as of now by one read of the registry."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Final, Self

from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.row import is_growth
from livemosaic.model.mosaic import ANY_COLLECTION, Mosaic

_MAX_AGE_S: Final = 5.0
_UNKNOWN: Final = -1


@dataclass(frozen=True)
class Roster:
    """Mosaics as of a version of the registry, or a later moment."""

    by_id: Mapping[str, Mosaic]
    by_collection: Mapping[str, Collection[str]]
    """Ids of the mosaics that subscribe to each collection by name, or by `ANY_COLLECTION`."""
    version: int = _UNKNOWN

    @classmethod
    def of(cls, mosaics: Iterable[Mosaic], version: int = _UNKNOWN) -> Self:
        """A roster of some mosaics."""
        by_id = {mosaic.id: mosaic for mosaic in mosaics}
        by_collection: dict[str, set[str]] = {}
        for mosaic in by_id.values():
            for collection in mosaic.collections:
                by_collection.setdefault(collection, set()).add(mosaic.id)
        return cls(by_id, by_collection, version)

    def subscribers(self, collection: str) -> list[Mosaic]:
        """The mosaics that subscribe to a collection, by id."""
        ids = {
            *self.by_collection.get(collection, ()),
            *self.by_collection.get(ANY_COLLECTION, ()),
        }
        return [self.by_id[mosaic_id] for mosaic_id in sorted(ids)]

    def get(self, mosaic_id: str) -> Mosaic | None:
        """One mosaic, or None."""
        return self.by_id.get(mosaic_id)

    @cached_property
    def all_chosen(self) -> bool:
        """Whether each mosaic has chosen what it shows."""
        return all(mosaic.chosen_assets for mosaic in self.by_id.values())

    def changed(self, now: Mapping[str, Mosaic | None], version: int) -> "Roster":
        """The roster with some mosaics as they are now; None is of one that was deleted."""
        others = (mosaic for mosaic in self.by_id.values() if mosaic.id not in now)
        return Roster.of([*others, *(each for each in now.values() if each)], version)

    def grown(self, mosaic: Mosaic) -> "Roster":
        """The roster with a later state of a mosaic that has the same settings."""
        return replace(self, by_id={**self.by_id, mosaic.id: mosaic})


class RecentMosaics:
    """All mosaics, as a moment ago or as of now. Safe to share between threads.

    A process reads each of them once. After that the registry says which of them changed, at one
    read unit whatever their number is.
    """

    def __init__(
        self,
        known: Sequence[Mosaic] | None = None,
        max_age_s: float = _MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s, self._clock = max_age_s, clock
        self._lock = Lock()
        self._roster = None if known is None else Roster.of(known)
        self._read_at = clock()

    def get(self, mosaics: Mosaics) -> Roster:
        """Returns the mosaics of a moment ago, or as of now."""
        with self._lock:
            is_recent = self._clock() - self._read_at <= self._max_age_s
            if self._roster is not None and is_recent:
                return self._roster
        return self.refresh(mosaics)

    def refresh(self, mosaics: Mosaics) -> Roster:
        """Returns the mosaics as of now, and keeps them for the next batch."""
        read_at = self._clock()
        registry = mosaics.registry()  # before the mosaics: what changes meanwhile is read again
        known = self._roster
        changed = None if known is None else registry.since(known.version)
        if known is None or changed is None:
            roster = Roster.of(mosaics.all(), registry.version)
        elif changed:
            roster = known.changed(mosaics.some(changed), registry.version)
        else:
            roster = known
        with self._lock:
            self._roster, self._read_at = roster, read_at
        return roster

    def note(self, mosaic: Mosaic) -> None:
        """Keep a mosaic as this process has just written or read it, where it only grew."""
        with self._lock:
            known = None if self._roster is None else self._roster.get(mosaic.id)
            if self._roster is None or known is None or not _is_later(known, mosaic):
                return
            self._roster = self._roster.grown(mosaic)


def _is_later(known: Mosaic, mosaic: Mosaic) -> bool:
    return known.revision < mosaic.revision and is_growth(known, mosaic)

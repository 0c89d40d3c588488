"""One mosaic on one table, filled step by step, and events that are timed on it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.items import EXPECTED, Kind, Shape, event
from bench.lap import Lap, timed
from bench.meter import Metered, Usage
from livemosaic.events import Message
from livemosaic.ingest import Ingest
from livemosaic.services import build
from livemosaic.settings import Settings
from livemosaic.table import Table

WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Timing:
    """Some events of one kind."""

    alone: Lap
    """Medians of one event, one at a time."""
    together: Lap
    """Means of one event, side by side."""
    usage: Usage
    """Mean of one event."""


@dataclass(slots=True)
class Archive:
    """A mosaic of scenes of one shape. `open_archive` makes it."""

    shape: Shape
    ingest: Ingest
    meter: Metered
    pool: ThreadPoolExecutor
    size: int = 0
    """Scenes added so far."""
    _used: int = 0
    """Scenes changed so far, from the first one on."""

    def fill(self, size: int) -> None:
        """Add scenes up to that number."""
        self._apply("new", self._events("new", size - self.size), self.pool)
        self.meter.take()

    def add(self) -> Lap:
        """Add one scene."""
        return self._apply("new", self._events("new", 1))

    def time(self, kind: Kind, count: int) -> Timing:
        """So many events one at a time, and as many others side by side."""
        alone, together = self._events(kind, count), self._events(kind, count)
        self.meter.take()
        laps = [self._apply(kind, [message]) for message in alone]
        usage = self.meter.take().per(count)
        all_at_once = self._apply(kind, together, self.pool)
        return Timing(
            Lap(median(lap.wall_ms for lap in laps), median(lap.cpu_ms for lap in laps)),
            Lap(all_at_once.wall_ms / count, all_at_once.cpu_ms / count),
            usage,
        )

    def _events(self, kind: Kind, count: int) -> list[Message]:
        if kind == "new":
            first, self.size = self.size, self.size + count
        else:  # scenes that no other kind has changed
            first, self._used = self._used, self._used + count
        return [event(self.shape, kind, n) for n in range(first, first + count)]

    def _apply(
        self, kind: Kind, messages: Sequence[Message], pool: ThreadPoolExecutor | None = None
    ) -> Lap:
        outcomes, lap = timed(lambda: self.ingest.batch(messages, pool=pool))
        for outcome in outcomes:
            became = outcome.changes[0].change if outcome.changes else outcome.status
            if became != EXPECTED[kind]:
                raise RuntimeError(f"{kind}: {became}, not {EXPECTED[kind]}: {outcome.reason}")
        return lap


@contextmanager
def open_archive(shape: Shape, table: Table) -> Iterator[Archive]:
    """An empty archive on an empty table."""
    meter = Metered(table)
    services = build(Settings.model_construct(), meter)
    services.mosaics.create(shape.mosaic)
    with ExitStack() as stack:
        stack.enter_context(services.index.pool)
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield Archive(shape, services.ingest, meter, pool)

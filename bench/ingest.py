"""What an event costs: time, and units of DynamoDB; and whether that grows with the archive."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import peer_index
from bench.items import EXPECTED, KINDS, SHAPES, Kind, Shape, event
from bench.meter import Metered, Usage
from bench.report import Sheet, show, step
from bench.servers import Emulator, emulator
from livemosaic.events import Message
from livemosaic.ingest import Ingest, Outcome
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    tables: Sequence[str]
    """Among `sqlite` and `dynamodb`."""
    shapes: Sequence[str]
    """Names of `SHAPES`."""
    sizes: Sequence[int]
    """Scenes already there; kinds are compared at the first, growth is shown over all."""
    events: int
    """Events timed of each kind, one at a time and again side by side."""
    peer: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """Some events of one kind."""

    median_s: float
    """Of one event, one at a time."""
    per_second: float
    """One at a time."""
    per_second_parallel: float
    usage: Usage
    """Of one event."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One mosaic on one table."""

    shape: Shape
    ingest: Ingest
    meter: Metered
    pool: ThreadPoolExecutor

    def fill(self, start: int, stop: int) -> None:
        """Add scenes, unmeasured."""
        batch = [event(self.shape, "new", n) for n in range(start, stop)]
        _check(self.ingest.batch(batch, pool=self.pool), "new")
        self.meter.take()

    def time(self, kind: Kind, numbers: Sequence[int]) -> Timing:
        """Half of the events one at a time, half of them side by side."""
        half = len(numbers) // 2
        alone, together = (
            [event(self.shape, kind, n) for n in part] for part in (numbers[:half], numbers[half:])
        )
        seconds = [self._seconds([message], kind) for message in alone]
        parallel_s = self._seconds(together, kind, self.pool)
        return Timing(
            median_s=median(seconds),
            per_second=half / sum(seconds),
            per_second_parallel=len(together) / parallel_s,
            usage=self._usage([event(self.shape, kind, n) for n in numbers]),
        )

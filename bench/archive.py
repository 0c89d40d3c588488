"""One mosaic on one table, filled step by step, and events that are timed on it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from bench.items import EXPECTED, Kind, Shape, event
from bench.lap import Lap, timed
from bench.meter import Metered, Usage
from livemosaic.errors import TableBusyError
from livemosaic.ingest.batch import Outcome
from livemosaic.ingest.events.message import Message
from livemosaic.services import Services, build
from livemosaic.settings import Settings
from livemosaic.table import Table

BATCH: Final = 10
"""Messages that a worker takes at once, as the Lambda function does."""
_LISTED_AT_ONCE: Final = 1000


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
    services: Services
    meter: Metered
    pool: ThreadPoolExecutor
    """The workers."""
    size: int = 0
    """Scenes added so far."""
    deleted: set[str] = field(default_factory=set)
    sent_again: int = 0
    """Messages that failed, as the table was busy, and came once more, as a queue would see to."""
    _used: int = 0
    """Scenes changed so far, from the first one on."""

    def fill(self, size: int) -> None:
        """Add scenes up to that number."""
        self.deliver("new", self.events("new", size - self.size))
        self.meter.take()

    def add(self) -> Lap:
        """Add one scene."""
        return self.once("new")

    def once(self, kind: Kind) -> Lap:
        """One event, by itself."""
        return self._apply(kind, self.events(kind, 1))

    def time(self, kind: Kind, count: int) -> Timing:
        """So many events one at a time, and as many others side by side."""
        alone, together = self.events(kind, count), self.events(kind, count)
        self.meter.take()
        laps = [self._apply(kind, [message]) for message in alone]
        usage = self.meter.take().per(count)
        all_at_once = self._apply(kind, together, self.pool)
        return Timing(
            Lap(median(lap.wall_ms for lap in laps), median(lap.cpu_ms for lap in laps)),
            all_at_once.per(count),
            usage,
        )

    def events(self, kind: Kind, count: int) -> list[Message]:
        """So many messages about scenes that no other message has changed."""
        if kind == "new":
            first, self.size = self.size, self.size + count
        else:
            first, self._used = self._used, self._used + count
        numbers = range(first, first + count)
        if kind == "delete":
            self.deleted |= {self.shape.scene_id(n) for n in numbers}
        return [event(self.shape, kind, n) for n in numbers]

    def deliver(self, kind: Kind, messages: Sequence[Message], *, again: bool = False) -> Lap:
        """Lets the workers apply messages in batches; failed messages are delivered once more."""
        outcomes, lap = timed(lambda: self._batches(messages))
        failed = [m for m, o in zip(messages, outcomes, strict=True) if o.status == "failed"]
        if not failed or len(failed) == len(messages):
            _check(kind, outcomes, again=again)
            return lap
        _check(kind, [outcome for outcome in outcomes if outcome.ok], again=again)
        self.sent_again += len(failed)
        return lap + self.deliver(kind, failed, again=True)

    def _batches(self, messages: Sequence[Message]) -> list[Outcome]:
        batches = [messages[n : n + BATCH] for n in range(0, len(messages), BATCH)]
        return [outcome for outcomes in self.pool.map(self._batch, batches) for outcome in outcomes]

    def _batch(self, messages: Sequence[Message]) -> list[Outcome]:
        try:
            return self.services.ingest.batch(messages)
        except TableBusyError as error:  # as the Lambda function takes it
            return [Outcome(message.id, "failed", reason=str(error)) for message in messages]

    def listed(self) -> Iterator[str]:
        """The ids of the scenes that are there, as the mosaic lists them."""
        index, token = self.services.index, ""
        mosaic = self.services.mosaics.get(self.shape.name)
        while True:
            scenes, following = index.list_scenes(mosaic, limit=_LISTED_AT_ONCE, token=token)
            yield from (scene.id for scene in scenes)
            if following is None:
                return
            token = following

    def _apply(
        self, kind: Kind, messages: Sequence[Message], pool: ThreadPoolExecutor | None = None
    ) -> Lap:
        outcomes, lap = timed(lambda: self.services.ingest.batch(messages, pool=pool))
        _check(kind, outcomes)
        return lap


def _check(kind: Kind, outcomes: Sequence[Outcome], *, again: bool = False) -> None:
    """Refuse to measure anything else. What failed may have been done: only the answer was lost."""
    right = {EXPECTED[kind], *([EXPECTED["duplicate"]] if again else [])}
    for outcome in outcomes:
        became = outcome.changes[0].change if outcome.changes else outcome.status
        if became not in right:
            raise RuntimeError(f"{kind}: {became}, not {EXPECTED[kind]}: {outcome.reason}")


@contextmanager
def open_archive(shape: Shape, table: Table, workers: int) -> Iterator[Archive]:
    """An empty archive on an empty table. Headers of COGs are not kept: there are no COGs."""
    meter = Metered(table)
    services = build(Settings.model_construct(), meter)
    services = replace(services, ingest=replace(services.ingest, keep_headers=None))
    services.mosaics.create(shape.mosaic)
    with ExitStack() as stack:
        stack.enter_context(services.index.pool)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        yield Archive(shape, services, meter, pool)

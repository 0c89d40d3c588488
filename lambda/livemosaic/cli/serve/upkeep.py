"""Keeps overviews and bounds up to date: for `overviews watch`, and in a process beside a server.

The process begins when a mosaic has overviews, or bounds to be fitted, and may end at any moment,
as any builder may (`overviews.builder`).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from livemosaic.cli.serve.beside import SideWork, Task, begun
from livemosaic.errors import NotFoundError
from livemosaic.index.bounds.fit import BoundsFitter
from livemosaic.overviews.cells.maker import BuildTally
from livemosaic.overviews.sets import can_be_cleared, is_kept
from livemosaic.services import Services, building, running

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
"""Between two looks for changes."""
_LONGEST_PAUSE_S: Final = 60.0
"""After failures, from the second on: it doubles with each."""


def passes(services: Services, mosaic: str, report: Callable[[BuildTally], None]) -> BuildTally:
    """Builds until no change of a mosaic is due, and fits its bounds; returns what was built."""
    BoundsFitter(services.index).fit(mosaic)
    tallies: list[BuildTally] = []
    with building(services, report) as builder:
        builder.remover.clear(mosaic)
        while not tallies or tallies[-1].taken:
            tallies.append(builder.run(mosaic))
    return _sum(tallies)


def _sum(tallies: Sequence[BuildTally]) -> BuildTally:
    whole = BuildTally()
    for tally in tallies:
        for name in ("taken", "looked", "drawn", "written", "retired", "bytes"):
            setattr(whole, name, getattr(whole, name) + getattr(tally, name))
        whole.unread |= tally.unread
    return whole


@dataclass(slots=True)
class Upkeep:
    """Builds what changed in mosaics with overviews. A failure of one stops no other."""

    services: Services
    only: Sequence[str] = ()
    """Ids of mosaics; none is all."""
    built: Callable[[str, BuildTally], None] = lambda *_: None
    """Called with the id of a mosaic after each of its builds that changed something."""
    failed: Callable[[str, Exception], None] = lambda *_: None
    """Called with the id of a mosaic that cannot be built, once for each reason."""
    clock: Callable[[], float] = time.monotonic
    _failures: "dict[str, _Failure]" = field(default_factory=dict)

    def look(self) -> None:
        """Builds every mosaic in which something is due, except ones that failed just now."""
        for mosaic in _with_work(self.services):
            failure = self._failures.get(mosaic)
            is_meant = not self.only or mosaic in self.only
            if is_meant and (failure is None or failure.until <= self.clock()):
                self._build(mosaic, failure)

    def _build(self, mosaic: str, before: "_Failure | None") -> None:
        try:
            done = passes(self.services, mosaic, lambda _: None)
        except NotFoundError:  # it was deleted, and what was due of it is deleted, too
            done = BuildTally()
        except Exception as error:  # noqa: BLE001 (whatever it is, other mosaics are built)
            self._failures[mosaic] = _Failure.after(before, error, self.clock())
            if before is None or before.reason != str(error):
                self.failed(mosaic, error)
            return
        self._failures.pop(mosaic, None)
        if done.taken or done.written:
            self.built(mosaic, done)


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    pause_s: float
    until: float

    @classmethod
    def after(cls, before: "_Failure | None", error: Exception, now: float) -> "_Failure":
        pause = min(before.pause_s * 2, _LONGEST_PAUSE_S) if before else _EVERY_S
        return cls(str(error), pause, now + pause)


def _with_work(services: Services) -> list[str]:
    """Ids of mosaics with overviews to be built or deleted, or with bounds to be fitted."""
    mosaics, now = services.mosaics, time.time()
    kept = [mosaic.id for mosaic in mosaics.all() if is_kept(mosaic)]
    gone = [mosaic.id for mosaic in mosaics.remains() if can_be_cleared(mosaic, now)]
    return [*dict.fromkeys([*gone, *kept, *BoundsFitter(services.index).due()])]


def upkeep(services: Services) -> SideWork:
    """Returns the upkeep of overviews beside a server, for `beside`."""

    def find() -> Task | None:
        return {} if _with_work(services) else None

    return SideWork("builder of overviews", __name__, find)


def main() -> None:
    """Runs the process beside a server: builds until its input ends."""
    settings, _ = begun()
    with running(settings) as services:
        kept = Upkeep(services, built=_log_built, failed=_log_failed)
        while True:
            kept.look()
            time.sleep(_EVERY_S)


def _log_built(mosaic: str, done: BuildTally) -> None:
    fields = {"changes": done.taken, "drawn": done.drawn, "written": done.written}
    log.info("overviews are up to date", extra={"mosaic": mosaic, **fields})


def _log_failed(mosaic: str, error: Exception) -> None:
    log.error("overviews cannot be built", extra={"mosaic": mosaic}, exc_info=error)

"""Keeps overviews up to date: for `overviews watch`, and in a process beside a server.

A process and not a thread: drawing and encoding would hold the interpreter that tiles need. It runs
at low priority, begins when a mosaic has overviews, and ends with its server, however that ends. It
may end at any moment, as any builder may (`overviews.builder`).
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from livemosaic import logs
from livemosaic.errors import NotFoundError
from livemosaic.overviews.cells.maker import BuildTally
from livemosaic.overviews.sets import can_be_cleared, is_kept
from livemosaic.process import working
from livemosaic.services import Services, building, running
from livemosaic.settings import Settings

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
"""Between two looks for changes."""
_LONGEST_PAUSE_S: Final = 60.0
"""After failures, from the second on: it doubles with each."""
_NICENESS: Final = 10
_ENDING_S: Final = 5.0
_PROGRAM: Final = "from livemosaic.cli.serve.upkeep import main; main()"


def passes(services: Services, mosaic: str, report: Callable[[BuildTally], None]) -> BuildTally:
    """Builds until no change of a mosaic is due; returns what was done."""
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
    """Ids of mosaics with overviews to be built or deleted, also of ones that were deleted."""
    mosaics, now = services.mosaics, time.time()
    kept = [mosaic.id for mosaic in mosaics.all() if is_kept(mosaic)]
    gone = [mosaic.id for mosaic in mosaics.remains() if can_be_cleared(mosaic, now)]
    return [*dict.fromkeys([*gone, *kept])]


@contextmanager
def beside(services: Services, *, is_terminal: bool = False) -> Iterator[None]:
    """Keeps overviews up to date in a process of its own, while the caller serves.

    With `is_terminal` it prints errors for people, else logs as JSON (`logs`).
    """
    ending = threading.Event()
    how = _Beside(services, is_terminal, ending)
    thread = threading.Thread(target=how.run, name="overviews", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@dataclass(slots=True)
class _Beside:
    """Starts the process once a mosaic has overviews, and again where it died."""

    services: Services
    is_terminal: bool
    ending: threading.Event
    pause_s: float = _EVERY_S

    def run(self) -> None:
        while not self.ending.wait(self.pause_s):
            if self._is_needed():
                with self._process() as process:
                    self._attend(process)

    def _is_needed(self) -> bool:
        try:
            return bool(_with_work(self.services))
        except Exception as error:  # noqa: BLE001 (the server says what is wrong with its table)
            log.warning("overviews wait for the table", extra={"reason": str(error)})
            self._wait_longer()
            return False

    def _attend(self, process: "subprocess.Popen[bytes]") -> None:
        while not self.ending.wait(_EVERY_S):
            if process.poll() is not None:
                self._wait_longer()
                log.error("the builder of overviews died", extra={"status": process.returncode})
                return

    def _wait_longer(self) -> None:
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)

    @contextmanager
    def _process(self) -> "Iterator[subprocess.Popen[bytes]]":
        """The process, in a session of its own, so that Ctrl-C is for the server alone."""
        settings = self.services.settings.model_dump_json(exclude={"token"})
        given, giving = os.pipe()
        with os.fdopen(giving, "wb") as words:
            words.write(f"{json.dumps([self.is_terminal, settings])}\n".encode())
            words.flush()
            with os.fdopen(given, "rb") as stdin:
                command = [sys.executable, "-c", _PROGRAM]
                process = subprocess.Popen(command, stdin=stdin, start_new_session=True)  # noqa: S603
            yield process
        _reap(process)


def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Waits for a process whose input has ended."""
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Runs the process beside a server: reads what to do, then builds until its input ends."""
    is_terminal, settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_server, daemon=True).start()
    os.nice(_NICENESS)
    logs.configure_terminal() if is_terminal else logs.configure()
    working()
    with running(Settings.model_validate_json(settings)) as services:
        upkeep = Upkeep(services, built=_log_built, failed=_log_failed)
        while True:
            upkeep.look()
            time.sleep(_EVERY_S)


def _end_with_server() -> None:
    """The input ends when the server does, even if it is killed."""
    sys.stdin.buffer.read()
    os._exit(0)


def _log_built(mosaic: str, done: BuildTally) -> None:
    fields = {"changes": done.taken, "drawn": done.drawn, "written": done.written}
    log.info("overviews are up to date", extra={"mosaic": mosaic, **fields})


def _log_failed(mosaic: str, error: Exception) -> None:
    log.error("overviews cannot be built", extra={"mosaic": mosaic}, exc_info=error)

"""Work in a process of its own beside a server, while that serves.

A process and not a thread: drawing and encoding would hold the interpreter that tiles need. It runs
at low priority, begins when there is something to do, and ends with its server, however that ends.
It may end at any moment.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from livemosaic import logs
from livemosaic.process import working
from livemosaic.services import Services
from livemosaic.settings import Settings

log = logging.getLogger(__name__)

_POLL_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
"""After failures, from the second on: it doubles with each."""
_NICENESS: Final = 10
_ENDING_S: Final = 5.0

Task = Mapping[str, Any]
"""What a process is to do, as JSON."""


@dataclass(frozen=True, slots=True)
class SideWork:
    """A kind of work."""

    name: str
    """Of who does it, for the log."""
    program: str
    """Module whose `main` does it, with `begun`."""
    find: Callable[[], Task | None]
    """Returns what there is to do; None for nothing."""
    every_s: float = 1.0
    """Between two calls of `find`."""
    died: Callable[[Task, int], None] = lambda *_: None
    """Called where a process did not end with status 0."""


@contextmanager
def beside(services: Services, work: SideWork, *, is_terminal: bool = False) -> Iterator[None]:
    """Does a kind of work in processes of its own, one at a time, while the caller serves.

    With `is_terminal` they print errors for people, else log as JSON (`logs`).
    """
    ending = threading.Event()
    how = _Beside(services, work, is_terminal, ending, work.every_s)
    thread = threading.Thread(target=how.run, name=work.name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@dataclass(slots=True)
class _Beside:
    """Starts a process once there is something to do, and again where it died."""

    services: Services
    work: SideWork
    is_terminal: bool
    ending: threading.Event
    pause_s: float

    def run(self) -> None:
        wait_s = _POLL_S
        while not self.ending.wait(wait_s):
            wait_s = self.pause_s
            if (task := self._task()) is not None:
                with self._process(task) as process:
                    wait_s = self._attend(process, task)

    def _task(self) -> Task | None:
        try:
            return self.work.find()
        except Exception as error:  # noqa: BLE001 (the server says what is wrong with its table)
            log.warning("the %s waits for the table", self.work.name, extra={"reason": str(error)})
            self._wait_longer()
            return None

    def _attend(self, process: "subprocess.Popen[bytes]", task: Task) -> float:
        """Waits for a process to end; returns the seconds until the next one may begin."""
        while not self.ending.wait(_POLL_S):
            if (status := process.poll()) is None:
                continue
            if status == 0:
                return _POLL_S
            log.error("the %s died", self.work.name, extra={"status": status})
            self._say_died(task, status)
            self._wait_longer()
            break
        return self.pause_s

    def _say_died(self, task: Task, status: int) -> None:
        try:
            self.work.died(task, status)
        except Exception:  # the next task is still to be done
            log.exception("the end of the %s was not reported", self.work.name)

    def _wait_longer(self) -> None:
        self.pause_s = min(self.pause_s * 2, max(_LONGEST_PAUSE_S, self.work.every_s))

    @contextmanager
    def _process(self, task: Task) -> "Iterator[subprocess.Popen[bytes]]":
        """The process, in a session of its own, so that Ctrl-C is for the server alone."""
        settings = self.services.settings.model_dump_json(exclude={"token"})
        given, giving = os.pipe()
        with os.fdopen(giving, "wb") as words:
            words.write(f"{json.dumps([self.is_terminal, settings, dict(task)])}\n".encode())
            words.flush()
            with os.fdopen(given, "rb") as stdin:
                code = f"from {self.work.program} import main; main()"
                command = [sys.executable, "-c", code]
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


def begun(*, is_interrupted: bool = False) -> tuple[Settings, Task]:
    """Begins a process beside a server: returns the settings, and what to do.

    When the server ends, even if it is killed, the process ends on the spot, or is interrupted by
    SIGINT first, so that it can remove its temporary files.
    """
    is_terminal, settings, task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_server, args=(is_interrupted,), daemon=True).start()
    os.nice(_NICENESS)
    logs.configure_terminal() if is_terminal else logs.configure()
    working()
    return Settings.model_validate_json(settings), task


def _end_with_server(is_interrupted: bool) -> None:
    """The input ends when the server does.

    It is read without the lock of its buffer, which a process must have to end by itself.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    if is_interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_ENDING_S - 1)
    os._exit(0)

"""Reads sources in parallel, ahead of their consumer."""

import threading
from collections.abc import Generator, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Final, TypeAlias

from livemosaic.ingest.sources import Entry

_LEAST: Final = 100
"""Entries of a chunk, at least, except the last."""
_WAITING: Final = 8
"""Chunks that may wait for the consumer."""
_STOP_S: Final = 0.1

_Handed: TypeAlias = list[Entry] | BaseException | None


def read_ahead(readings: Sequence[Iterator[Entry]], at_once: int) -> Generator[Entry]:
    """Yields the entries of all readings as they arrive, with the order of each reading kept.

    Entries between two marks of a reading are not interleaved with others. The first error is
    raised.
    """
    todo: Queue[Iterator[Entry]] = Queue()
    for reading in readings:
        todo.put(reading)
    ready: Queue[_Handed] = Queue(_WAITING)
    stopped = threading.Event()
    workers = [
        threading.Thread(target=_work, args=(todo, ready, stopped), daemon=True)
        for _ in range(min(at_once, len(readings)))
    ]
    for worker in workers:
        worker.start()
    try:
        running = len(workers)
        while running:
            handed = ready.get()
            if isinstance(handed, BaseException):
                raise handed
            running -= handed is None
            yield from handed or ()
    finally:
        stopped.set()
        for worker in workers:
            worker.join(_STOP_S * 5)  # one that waits for a response is abandoned


def _work(todo: Queue[Iterator[Entry]], ready: "Queue[_Handed]", stopped: threading.Event) -> None:
    try:
        while not stopped.is_set():
            for entries in _to_marks(todo.get_nowait()):
                if not _put(entries, ready, stopped):
                    return
    except Empty:
        _put(None, ready, stopped)
    except BaseException as error:  # noqa: BLE001 (raised in the consumer)
        _put(error, ready, stopped)


def _to_marks(reading: Iterator[Entry]) -> Iterator[list[Entry]]:
    entries: list[Entry] = []
    try:
        for entry in reading:
            entries.append(entry)
            if entry.mark and len(entries) >= _LEAST:
                yield entries
                entries = []
    except Exception:
        yield entries  # entries before an error count
        raise
    yield entries


def _put(handed: "_Handed", ready: "Queue[_Handed]", stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            ready.put(handed, timeout=_STOP_S)
        except Full:
            continue
        return True
    return False

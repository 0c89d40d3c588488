"""A lock that threads take in the order in which they asked for it."""

from collections import deque
from threading import Lock


class Turns:
    """A lock that goes to the thread that has waited longest.

    A `Lock` goes to the first to wake: where twenty threads write, some then wait for minutes.
    """

    def __init__(self) -> None:
        self._mutex = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for a turn; returns False where none came in time."""
        turn = Lock()
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=timeout_s):
            return True
        with self._mutex:
            if turn not in self._waiting:  # it came just now
                return True
            self._waiting.remove(turn)
            return False

    def pass_on(self) -> None:
        """End a turn, and begin that of the next thread."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

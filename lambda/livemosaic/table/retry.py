"""Retries: how often, for how long and after which pauses a busy service is called again."""

import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from livemosaic.errors import ConditionFailedError, TableBusyError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses of random length ("full jitter"), so that callers that collided do not meet again.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """

    deadline_s: float = 10.0
    """No attempt begins later than this after the first."""
    first_s: float = 0.02
    """Upper bound of the first pause; it doubles with each."""
    longest_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    max_attempts: int = sys.maxsize
    least: float = 0.0
    """The shortest pause, as a fraction of its upper bound."""

    def attempts(self) -> Iterator[None]:
        """Yield for every attempt, after a pause for all but the first; end at the deadline."""
        end = self.clock() + self.deadline_s
        bound = self.first_s
        yield
        for _ in range(1, self.max_attempts):
            left = end - self.clock()
            if left <= 0:
                return
            self.sleep(min(random.uniform(self.least * bound, bound), left))  # noqa: S311
            bound = min(bound * 2, self.longest_s)
            yield


_RIVALS: Final = Backoff(math.inf, first_s=0.01, max_attempts=30)


def contended(attempt: Callable[[], T]) -> T:
    """Run a read-then-write again, after a jittered pause, where another writer came first.

    Raises `TableBusyError` when others keep coming first.
    """
    for _ in _RIVALS.attempts():
        try:
            return attempt()
        except ConditionFailedError:
            continue
    raise TableBusyError(
        f"another writer came first {_RIVALS.max_attempts} times in a row; send it again"
    )

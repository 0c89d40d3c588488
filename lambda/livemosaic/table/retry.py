"""How long an adapter goes on asking a table that is busy."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from livemosaic.errors import ConditionFailedError, TableBusyError

_ATTEMPTS: Final = 30
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses of random length ("full jitter"), so that those who collided do not meet again.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """

    deadline_s: float = 10.0
    """No attempt begins later than this after the first."""
    first_s: float = 0.02
    """Upper bound of the first pause; it doubles with each."""
    longest_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def attempts(self) -> Iterator[None]:
        """Yield for every attempt, after a pause for all but the first; end at the deadline."""
        end = self.clock() + self.deadline_s
        bound = self.first_s
        yield
        while (left := end - self.clock()) > 0:
            self.sleep(min(random.uniform(0, bound), left))  # noqa: S311
            bound = min(bound * 2, self.longest_s)
            yield


def contended(attempt: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Run a read-then-write again, after a jittered pause, where another writer came first.

    Raises `TableBusyError` when others keep coming first.
    """
    for n in range(_ATTEMPTS):
        try:
            return attempt()
        except ConditionFailedError:
            sleep(random.uniform(0, min(1.0, 0.01 * 2**n)))  # noqa: S311 (jitter, not a secret)
    raise TableBusyError(f"another writer came first {_ATTEMPTS} times in a row; send it again")

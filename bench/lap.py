"""How long something took, on the wall and on this process's processors."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lap:
    """One stretch of time. CPU is that of all threads of this process, and of no other."""

    wall_ms: float
    cpu_ms: float

    def __add__(self, other: "Lap") -> "Lap":
        return Lap(self.wall_ms + other.wall_ms, self.cpu_ms + other.cpu_ms)

    def per(self, count: int) -> "Lap":
        """The mean over so many."""
        return Lap(self.wall_ms / count, self.cpu_ms / count)


def timed(work: Callable[[], T]) -> tuple[T, Lap]:
    """Do it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return done, Lap(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu))

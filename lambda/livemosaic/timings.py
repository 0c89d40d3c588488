"""Where the time of one picture goes."""

from collections.abc import Mapping
from time import perf_counter


class Timings:
    """Seconds by step, from when this was made on; a step may come several times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._since = perf_counter()

    def end(self, step: str) -> None:
        """All time since the end of the last step was for this one."""
        now = perf_counter()
        self._seconds[step] = self._seconds.get(step, 0.0) + now - self._since
        self._since = now

    def seconds(self) -> Mapping[str, float]:
        """By step, in the order of their first ends."""
        return self._seconds

"""Routes that are imported when something is asked for that the others do not answer."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from starlette.routing import BaseRoute, Match
from starlette.types import Scope


class Later(BaseRoute):
    """Stands for routes that come after it in a list, once they are wanted.

    A tile needs few routes, and FastAPI takes milliseconds to make each: a sixth of a cold start.
    """

    def __init__(self, routes: list[BaseRoute], make: Callable[[], Sequence[BaseRoute]]) -> None:
        self._routes, self._make = routes, make
        self._lock: Final = Lock()
        self._done = False

    def load(self) -> None:
        """Put the routes where they belong."""
        with self._lock:
            if not self._done:
                after = self._routes.index(self) + 1
                self._routes[after:after] = self._make()
                self._done = True

    def matches(self, scope: Scope) -> tuple[Match, Scope]:  # noqa: ARG002
        """Nothing; but whoever goes on looking finds the routes."""
        self.load()
        return Match.NONE, {}

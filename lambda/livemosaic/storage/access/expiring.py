"""Credentials that expire: fetched once for many readers, and anew before their end."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from livemosaic.storage.objects import DeniedError, ObjectError, UnavailableError

T = TypeVar("T")

_EARLY_S: Final = 360.0
"""How long before its end a credential is replaced: obstore asks for a new one 300 s before."""
_DENIED_S: Final = 30.0
_UNAVAILABLE_S: Final = 3.0
"""How long a failure is remembered, so that the reads of one image wait for it once."""
_FRESH_S: Final = 10.0
"""How long a credential is not replaced though a server refused it: age is not the reason."""


class Expiring(Generic[T]):
    """One credential. Thread-safe: while one thread fetches it, the others wait for that."""

    def __init__(
        self, fetch: Callable[[], tuple[T, float]], clock: Callable[[], float] = time.time
    ) -> None:
        """`fetch` returns the credential and its end in Unix time; it raises ObjectError."""
        self._fetch, self._clock = fetch, clock
        self._lock = Lock()
        self._kept: tuple[T, float] | None = None
        self._fetched_at = self._renew_at = 0.0
        self._failed: tuple[ObjectError, float] | None = None

    def get(self) -> T:
        """Returns a valid credential; ObjectError if there is none.

        One that is still valid is used while no new one can be fetched.
        """
        return self.with_end()[0]

    def with_end(self) -> tuple[T, float]:
        """Returns a valid credential, and its end in Unix time."""
        with self._lock:
            now = self._clock()
            if self._kept is None or now >= self._renew_at:
                self._replace(now)
            if self._kept is None or now >= self._kept[1]:
                assert self._failed  # noqa: S101 (what is fetched is valid)
                raise type(self._failed[0])(str(self._failed[0]))
            return self._kept

    def drop(self, refused: T) -> bool:
        """Forgets a credential that was refused; returns whether another may now be had."""
        with self._lock:
            if self._kept is None or self._kept[0] != refused:
                return True
            if self._clock() - self._fetched_at < _FRESH_S:
                return False
            self._kept = None
            return True

    def _replace(self, now: float) -> None:
        if self._failed and now < self._failed[1]:
            return
        try:
            value, end = self._fetch()
        except ObjectError as error:
            rest = _UNAVAILABLE_S if isinstance(error, UnavailableError) else _DENIED_S
            self._failed = error, now + rest
            return
        if end <= now:
            self._failed = DeniedError("may not be read: its login has expired"), now + _DENIED_S
            return
        self._kept, self._failed = (value, end), None
        self._fetched_at = now
        self._renew_at = end - min(_EARLY_S, (end - now) / 2)

"""Asks HTTP servers of new assets whether they want a login, before a scene counts on them."""

import asyncio
from threading import Lock
from typing import Final

from cachetools import TTLCache

from livemosaic.errors import ForbiddenHrefError
from livemosaic.storage.allowlist import SETTING, AllowList
from livemosaic.storage.hrefs import Location, redact
from livemosaic.storage.objects import ClosedError, ObjectError
from livemosaic.storage.stores import Stores

_WAIT_S: Final = 3.0
_KEPT: Final = 1024
_OPEN_S: Final = 3600.0
"""How long a place that gave a byte is not asked again."""
_UNCLEAR_S: Final = 60.0
"""How long a place is not asked again that gave no clear answer, as in an outage."""


class LoginProbe:
    """Finds out, by one request for a byte, what is given to nobody without a login.

    Only HTTP without a way in is asked: a place with one may be closed here and open to the tiler.
    A place, which is a host and the first folder of a path, is asked until it gives a byte. No
    answer refuses nothing. Thread-safe.
    """

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow
        self._lock = Lock()
        self._stores: Stores | None = None
        self._open: TTLCache[str, None] = TTLCache(_KEPT, _OPEN_S)
        self._unclear: TTLCache[str, None] = TTLCache(_KEPT, _UNCLEAR_S)
        self._closed: TTLCache[str, str] = TTLCache(_KEPT, _UNCLEAR_S)
        """Why, by href: one file may have moved while the others are there."""

    def check(self, href: str) -> None:
        """Raises ForbiddenHrefError for an allowed href if its server asks for a login."""
        location, way = self._allow.find(href)
        if location.scheme not in ("https", "http") or way.is_named:
            return
        place = _place(location)
        with self._lock:
            known = place in self._open or place in self._unclear
            reason = self._closed.get(href)
        if reason is None and not known:
            reason = self._ask(href, place)
        if reason is not None:
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} {reason}; {SETTING} can name a way in, such as "
                f"'{place} bearer=env:VARIABLE' or '{place} earthdata'"
            )

    def _ask(self, href: str, place: str) -> str | None:
        """Requests a byte, and returns the reason if none is ever given."""
        try:
            asyncio.run(self._read(href))
        except ClosedError as error:
            with self._lock:
                self._closed[href] = str(error)
            return str(error)
        except (ObjectError, TimeoutError):  # missing, denied or unreachable: perhaps not for long
            with self._lock:
                self._unclear[place] = None
            return None
        with self._lock:
            self._open[place] = None
        return None

    async def _read(self, href: str) -> None:
        with self._lock:
            self._stores = self._stores or Stores(self._allow)
            source = self._stores.open(href)
        async with asyncio.timeout(_WAIT_S):
            await source.read(0, 1)


def _place(location: Location) -> str:
    host = location.host.removesuffix(":443" if location.scheme == "https" else ":80")
    folder, slash, _ = location.path.removeprefix("/").partition("/")
    return f"{location.scheme}://{host}/{folder}/" if slash else f"{location.scheme}://{host}/"

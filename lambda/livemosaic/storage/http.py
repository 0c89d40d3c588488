"""Objects over HTTP, read with urllib3.

obstore's HTTPStore follows redirects, which would carry a read past the allow-list, and cannot keep
the query string of a signed URL beside a path.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import certifi
import urllib3
import urllib3.connection

from livemosaic.storage.hrefs import Location, redact
from livemosaic.storage.objects import (
    Buffer,
    Edition,
    ObjectError,
    Pin,
    UnavailableError,
    UnreachableError,
    opaque_tag,
    size_error,
    status_error,
    too_short,
)

if TYPE_CHECKING:
    from livemosaic.storage.access.logins import Login, Logins
    from livemosaic.storage.access.way import Way

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 15.0
WHOLE_READ_S: Final = 5.0
WHOLE_S: Final = 10.0
"""Time limit for all of a small object, however slowly its bytes arrive."""
_PART: Final = 64 * 1024
RANGE_S: Final = 30.0
"""Time limit for a range, as for an asset of an image (`AssetLimits`): no reader waits longer."""
RETRIES: Final = 2
CONCURRENT_REQUESTS: Final = 32
"""Threads that wait for HTTP servers; S3 and files wait in obstore's runtime."""


class _TimedStream(io.RawIOBase):
    """The bytes of a socket, of which the first ones must come until some time."""

    def __init__(self, stream: io.RawIOBase, sock: socket.socket) -> None:
        self._stream, self._sock = stream, sock
        self._timeout = sock.gettimeout()
        self._until = None if self._timeout is None else time.monotonic() + self._timeout

    def end(self) -> None:
        """What follows has no time of its own, but for each wait."""
        self._until = None
        self._sock.settimeout(self._timeout)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Response(HTTPResponse):
    """Has the time of a single wait for all of its headers, however slowly their bytes arrive."""

    def __init__(self, sock: socket.socket, *args: Any, **how: Any) -> None:
        super().__init__(sock, *args, **how)
        self._head = _TimedStream(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._head)

    def begin(self) -> None:
        """Reads the headers; TimeoutError if they take longer."""
        super().begin()
        self._head.end()


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Connections(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsConnections(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class TimelyPools(urllib3.PoolManager):
    """Connections on which headers that drip end like a server that says nothing."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.pool_classes_by_scheme = {"http": _Connections, "https": _TlsConnections}


class HttpPool:
    """Kept-alive connections to HTTP servers, and the threads that wait for them.

    urllib3 is thread-safe and knows no event loop. Proxy variables of the environment are ignored.
    """

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="http")
        self._pool = TimelyPools(
            num_pools=64,
            maxsize=CONCURRENT_REQUESTS,
            ssl_context=trust(),
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            retries=urllib3.Retry(
                total=RETRIES,
                redirect=0,
                status_forcelist=(429, 500, 502, 503, 504),
                backoff_factor=0.1,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
        )
        self._logins: Logins | None = None
        for name in ("urllib3.connectionpool", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_without_queries)

    def login(self, way: Way) -> Login | None:
        """Returns the login of a way in; None where it takes none."""
        return self.logins().of(way) if way.logs_in else None

    def logins(self) -> Logins:
        """Returns the logins of this pool, imported and made when first needed."""
        if self._logins is None:
            from livemosaic.storage.access.logins import Logins

            self._logins = Logins(self._pool)
        return self._logins

    def get(self, url: str, start: int, stop: int, pin: Pin, login: Login | None = None) -> bytes:
        """Returns the bytes of a half-open range, fewer at the end of the object."""
        range_ = {"Range": f"bytes={start}-{stop - 1}"}
        with self._response(url, login, headers=range_) as answer:
            if answer.status == 416:
                pin.check_end(start)
            size = _size_of_object(answer, start, stop)
            headers = answer.headers
            pin.check(Edition(size, opaque_tag(headers.get("ETag")), headers.get("Last-Modified")))
            body = _timely(answer, min(stop, size) - start, RANGE_S)
            # Drained connections go back to the pool; one that still has bytes is closed.
            answer.read(1)
        return body

    def get_whole(self, url: str, at_most: int, login: Login | None = None) -> bytes:
        """Returns all of a small object, even without ranges or a length from its server."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=WHOLE_READ_S)
        # Not decoded: a small body could become a large one.
        with self._response(url, login, decode_content=False, timeout=timeout) as answer:
            if answer.status != 200:
                raise status_error(answer.status)
            if encoding := answer.headers.get("Content-Encoding"):
                raise ObjectError(f"is encoded as {encoding[:40]}, though requested as it is")
            return _limited(answer, at_most)

    @contextmanager
    def _response(
        self,
        url: str,
        login: Login | None,
        *,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yields the response, its body unread; UnreachableError if the connection fails.

        Where a login is refused, a new one is tried once: it may have expired or been replaced.
        """
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            with self._logged_in(url, login, headers, how) as answer:
                yield answer
        except urllib3.exceptions.HTTPError as e:
            raise UnreachableError(
                f"cannot be read: its server failed or could not be reached ({type(e).__name__})"
            ) from e

    def _logged_in(
        self, url: str, login: Login | None, headers: Mapping[str, str], how: Mapping[str, Any]
    ) -> urllib3.BaseHTTPResponse:
        if login is None:
            return self._request(url, headers, how)
        signed = login.sign(url)
        answer = self._request(signed.url, {**headers, **signed.headers}, how)
        if answer.status in (401, 403) and login.renew(url, signed):
            answer.close()
            signed = login.sign(url)
            answer = self._request(signed.url, {**headers, **signed.headers}, how)
        return answer

    def _request(
        self, url: str, headers: Mapping[str, str], how: Mapping[str, Any]
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "GET", url, headers=headers, redirect=False, preload_content=False, **how
        )


def _without_queries(record: logging.LogRecord) -> bool:
    """Removes the queries of URLs from urllib3's own log, as they may be credentials."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            redact(value) if isinstance(value, str) and "?" in value else value
            for value in record.args
        )
    return True


def _limited(answer: urllib3.BaseHTTPResponse, at_most: int) -> bytes:
    body = _timely(answer, at_most + 1, WHOLE_S)
    if len(body) > at_most:
        raise size_error(len(body), at_most)
    return body


def _timely(answer: urllib3.BaseHTTPResponse, at_most: int, seconds: float) -> bytes:
    try:
        return read_within(answer, at_most, seconds)
    except TimeoutError as error:
        raise UnavailableError(f"cannot be read: it takes its server over {seconds:g} s") from error


def read_within(answer: urllib3.BaseHTTPResponse, at_most: int, seconds: float) -> bytes:
    """Returns the first bytes of a response; TimeoutError if they take longer.

    A timeout of urllib3 is one of each wait for the socket: a byte now and then never meets it.
    """
    until = time.monotonic() + seconds
    body = bytearray()
    while len(body) < at_most and (part := answer.read1(min(at_most - len(body), _PART))):
        body += part
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(body)


@cache
def trust() -> ssl.SSLContext:
    """Returns this process's context with the system's CAs, which may be none, and certifi's.

    Reading them takes 40 ms.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _size_of_object(answer: urllib3.BaseHTTPResponse, start: int, stop: int) -> int:
    """Returns the object's size by a range response's headers; ObjectError if they do not fit."""
    status = answer.status
    if status not in (200, 206, 416):
        raise status_error(status)
    if status == 416:
        raise ObjectError(too_short(start))
    length = answer.headers.get("Content-Length", "")
    if status == 200 and start == 0 and length.isdigit() and int(length) <= stop:
        return int(length)
    if status == 200:
        raise ObjectError("cannot be read in parts: its server ignores the Range header")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if not found or int(found[1]) != start:
        raise ObjectError("cannot be read: its server gives another range than was requested")
    return int(found[2])


class HttpObject:
    """An object at a URL, requested exactly as the href has it, with its query, or by a login."""

    def __init__(
        self, pool: HttpPool, location: Location, pin: Pin, login: Login | None = None
    ) -> None:
        self._pool = pool
        self._login = login
        self._pin = pin
        query = f"?{location.query}" if location.query else ""
        self._url = f"{location.scheme}://{location.host}{location.path}{query}"

    async def read(self, start: int, stop: int) -> Buffer:
        """Returns bytes of a half-open range, for an event loop; fewer where the object ends."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool.threads, self.read_blocking, start, stop)

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Returns bytes of a half-open range, for a thread; fewer where the object ends."""
        return self._pool.get(self._url, start, stop, self._pin, self._login)

    def whole_blocking(self, at_most: int) -> bytes:
        """Returns the whole object, for a thread; ObjectError if it exceeds `at_most` bytes."""
        return self._pool.get_whole(self._url, at_most, self._login)

    def size_blocking(self) -> int:
        """Returns the object's length in bytes, for a thread."""
        self._pool.get(self._url, 0, 1, self._pin, self._login)
        return self._pin.edition.length if self._pin.edition else 0

"""Objects read by byte range: on S3 and on disk with obstore, over HTTP with urllib3.

Why HTTP is not obstore's: its HTTPStore follows redirects, which would carry a read past the
allow-list, and it cannot keep the query string of a signed URL next to a path. S3 answers come from
AWS or from the endpoint that the operator set, so a redirect there is not a stranger's to make.
"""

import asyncio
import os
import re
import ssl
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import certifi
import obstore
import urllib3
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from livemosaic.credentials import CredentialsError, Identity
from livemosaic.hrefs import AllowList, Location

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 15.0
RETRIES: Final = 2
CONCURRENT_REQUESTS: Final = 32
"""Threads that wait for HTTP servers; S3 and files wait in obstore's own runtime."""
COALESCE_GAP: Final = 256 * 1024
"""Bytes that cost less than a request: 3 to 5 ms, where a first byte from S3 takes 20 and more."""
COALESCED_MAX: Final = 8 * 1024 * 1024
KEYS_LAST: Final = timedelta(minutes=10)
"""How long keys are good at least: see `Identity.keys`."""
LOST_S: Final = 30.0
"""How long it is remembered that there are no credentials, as finding that out takes seconds."""

_OBSTORE_ERRORS: Final = (BaseError, OSError, ValueError)

Buffer: TypeAlias = Any
"""Bytes in any form, obstore's own among them; collections.abc.Buffer came with Python 3.12."""


class ObjectError(Exception):
    """Bytes that cannot be had. The message continues a sentence: `is missing`.

    It crosses Rust, which keeps no exception but its text: see `lost_in`.
    """

    @classmethod
    def lost_in(cls, error: BaseException) -> "ObjectError | None":
        """The ObjectError that async-tiff turned into an error of its own, if it was one."""
        if isinstance(error, cls):
            return error
        kinds = {kind.__name__: kind for kind in (ObjectError, ChangedError, UnreachableError)}
        found = re.search(rf"\b({'|'.join(kinds)}): (.+)", str(error))
        return kinds[found[1]](found[2]) if found else None


class ChangedError(ObjectError):
    """The object is not the one any more that its header was read of: see `Edition`."""


class UnreachableError(ObjectError):
    """Nobody answered at all, so other objects of the same host are as far."""


@dataclass(frozen=True, slots=True)
class Edition:
    """What tells one content of an object from the next; every answer of a store says it."""

    length: int
    etag: str | None = None
    """Without the `W/` of a weak one: proxies add it to what has not changed."""
    modified: str | None = None
    """Last-Modified. Of use only where there is no ETag."""

    def is_other_than(self, other: "Edition") -> bool:
        """Whether the content differs; one that nothing tells apart is taken for the same."""
        if self.length != other.length:
            return True
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)


class Pin:
    """Holds all answers about an object to one edition: a given one, or that of the first."""

    def __init__(self, edition: Edition | None = None) -> None:
        self.edition = edition

    def check(self, found: Edition) -> None:
        """ChangedError if an answer is of another edition."""
        if self.edition is None:
            self.edition = found
        elif self.edition.is_other_than(found):
            raise ChangedError("was overwritten while it was read")

    def check_end(self, start: int) -> None:
        """The same where there is no byte from `start` on, but should be."""
        if self.edition is not None and start < self.edition.length:
            raise ChangedError("was overwritten while it was read, by something shorter")


class Object(Protocol):
    """One edition of one object of a store; ChangedError where there is another by now.

    Ranges are half-open, and shorter where the object ends.
    """

    async def read(self, start: int, stop: int) -> Buffer:
        """Bytes of one range, for an event loop."""
        ...

    async def read_many(self, starts: Sequence[int], stops: Sequence[int]) -> Sequence[Buffer]:
        """Bytes of several ranges; neighbours may share a request."""
        ...

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Bytes of one range, for a thread."""
        ...

    def size_blocking(self) -> int:
        """Length in bytes."""
        ...


class Stores:
    """The connections of a process, at most `limit` S3 buckets, the least used dropped first.

    Knows no event loop, so it can be shared by many, one after the other.
    """

    def __init__(self, allow: AllowList, *, limit: int = 64) -> None:
        self._allow = allow
        self._limit = limit
        self._buckets: OrderedDict[str, Any] = OrderedDict()
        self._http = HttpPool()
        self._identity = _SharedIdentity()

    def open(self, href: str, pin: Pin | None = None) -> Object:
        """The object of an href, one edition of it; another is a ChangedError.

        ForbiddenHrefError if the allow-list does not have it.
        """
        location = self._allow.locate(href)
        pin = pin or Pin()
        match location.scheme:
            case "s3":
                return StoredObject(self._bucket(location.host), location.path, pin)
            case "file":
                path = self._allow.file(location)
                return StoredObject(LocalStore("/"), path.as_posix().lstrip("/"), pin)
            case "https" | "http":
                return HttpObject(self._http, location, pin)

    def _bucket(self, name: str) -> Any:
        if name not in self._buckets:
            self._buckets[name] = _s3_store(name, self._identity)
            while len(self._buckets) > self._limit:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return self._buckets[name]


class _SharedIdentity:
    """What obstore asks for credentials: one boto3 session for all buckets, made when needed.

    Only where the environment has no keys: obstore alone knows neither profiles nor SSO.
    """

    def __init__(self) -> None:
        self._found: Identity | None = None
        self._lost: tuple[float, CredentialsError] | None = None

    @property
    def config(self) -> "S3Config":
        """The profile's region, which obstore takes where the environment names none."""
        region = self._find().region
        return {"region": region} if region else {}

    def __call__(self) -> "S3Credential":
        """Credentials as obstore takes them. It asks again five minutes before they expire."""
        try:
            keys = self._find().keys()
        except CredentialsError as error:
            raise _denied(error) from error
        return {
            "access_key_id": keys.access_key or "",
            "secret_access_key": keys.secret_key or "",
            "token": keys.token,
            "expires_at": datetime.now(UTC) + KEYS_LAST,
        }

    def _find(self) -> Identity:
        if self._found is None:
            if self._lost and time.monotonic() < self._lost[0]:
                raise _denied(self._lost[1])
            try:
                self._found = Identity.find()
            except CredentialsError as error:
                self._lost = time.monotonic() + LOST_S, error
                raise _denied(error) from error
        return self._found


def _denied(error: CredentialsError) -> ObjectError:
    return ObjectError(f"may not be read: {error}; AWS_NO_SIGN_REQUEST=YES reads public buckets")


def _s3_store(bucket: str, identity: _SharedIdentity) -> Any:
    """A bucket with what obstore itself takes from the environment.

    Those are keys, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_REQUEST_PAYER` and more. Added here:
    plain HTTP when the endpoint says so (an emulator), the AWS CLI's name for no signing, and,
    where the environment has no keys, credentials from wherever else the AWS CLI finds them.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    unsigned = os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes")
    return S3Store(
        bucket,
        config={"skip_signature": True} if unsigned else None,
        credential_provider=(None if unsigned or os.environ.get("AWS_ACCESS_KEY_ID") else identity),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "timeout": timedelta(seconds=READ_TIMEOUT_S),
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=READ_TIMEOUT_S),
        },
    )


class StoredObject:
    """An object of an obstore store.

    Not `obstore.get_ranges`: its answers do not say of which edition they are.
    """

    def __init__(self, store: Any, path: str, pin: Pin) -> None:
        self._store = store
        self._path = path
        self._pin = pin

    async def read(self, start: int, stop: int) -> Buffer:
        """See `Object`."""
        try:
            got = await obstore.get_async(self._store, self._path, options={"range": (start, stop)})
            self._pin.check(_edition(got.meta))
            body: Buffer = await got.bytes_async()
        except _OBSTORE_ERRORS as e:
            raise _explained(e, start, self._pin) from e
        return body

    async def read_many(self, starts: Sequence[int], stops: Sequence[int]) -> Sequence[Buffer]:
        """See `Object`."""
        return await read_coalesced(self.read, starts, stops)

    def read_blocking(self, start: int, stop: int) -> bytes:
        """See `Object`."""
        try:
            got = obstore.get(self._store, self._path, options={"range": (start, stop)})
            self._pin.check(_edition(got.meta))
            return bytes(got.bytes())
        except _OBSTORE_ERRORS as e:
            raise _explained(e, start, self._pin) from e

    def size_blocking(self) -> int:
        """See `Object`."""
        try:
            found = _edition(obstore.head(self._store, self._path))
        except _OBSTORE_ERRORS as e:
            raise _explained(e, 0, self._pin) from e
        self._pin.check(found)
        return found.length


def _edition(meta: Any) -> Edition:
    """Of obstore's ObjectMeta."""
    return Edition(meta["size"], _opaque(meta["e_tag"]), meta["last_modified"].isoformat())


def _opaque(etag: str | None) -> str | None:
    return etag.removeprefix("W/") if etag else None


def _explained(error: Exception, start: int, pin: Pin) -> ObjectError:
    """Say what went wrong; obstore's own text shows local paths and internals."""
    if (lost := ObjectError.lost_in(error)) is not None:
        return lost
    text = str(error)
    status = re.search(r"status code: (\d{3}[A-Za-z ]*)", text)
    if isinstance(error, FileNotFoundError):
        return ObjectError("is missing")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return ObjectError("may not be read: its store denies access")
    if "range" in text.lower() or (status and status[1].startswith("416")):
        pin.check_end(start)
        return ObjectError(too_short(start))
    if "region" in text.lower():
        return ObjectError("is in a bucket of another region: set AWS_REGION")
    if status:
        return ObjectError(f"cannot be read: its store answers {status[1].strip()}")
    return UnreachableError("cannot be read: its store failed or could not be reached")


def too_short(start: int) -> str:
    """Why a range from `start` on is not there."""
    return "is empty" if start == 0 else f"is cut short: it ends before byte {start:,}"


class HttpPool:
    """Kept-alive connections to HTTP servers, and the threads that wait for them.

    urllib3 is thread-safe and knows no event loop. Proxy variables of the environment are ignored.
    """

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="http")
        self._pool = urllib3.PoolManager(
            num_pools=64,
            maxsize=CONCURRENT_REQUESTS,
            ssl_context=_trust(),
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

    def get(self, url: str, start: int, stop: int, pin: Pin) -> bytes:
        """Bytes of a half-open range, shorter at the end of the object."""
        try:
            answer = self._pool.request(
                "GET",
                url,
                headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
                redirect=False,
                preload_content=False,
            )
            with answer:
                if answer.status == 416:
                    pin.check_end(start)
                size = _size_of_object(answer, start, stop)
                told = answer.headers
                pin.check(Edition(size, _opaque(told.get("ETag")), told.get("Last-Modified")))
                body = answer.read(min(stop, size) - start)
                # Drained connections go back to the pool; one that still has bytes is closed.
                answer.read(1)
        except urllib3.exceptions.HTTPError as e:
            raise UnreachableError(
                f"cannot be read: its server failed or could not be reached ({type(e).__name__})"
            ) from e
        return body


def _trust() -> ssl.SSLContext:
    """The system's authorities and certifi's, as not every container has the former."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _size_of_object(answer: urllib3.BaseHTTPResponse, start: int, stop: int) -> int:
    """Check an answer to a range request before its body is read; ObjectError if it is none."""
    status = answer.status
    if status in (404, 410):
        raise ObjectError("is missing")
    if status in (401, 403):
        raise ObjectError("may not be read: its server denies access")
    if 300 <= status < 400:
        raise ObjectError(f"is redirected (HTTP {status}); redirects are not followed")
    if status == 416:
        raise ObjectError(too_short(start))
    length = answer.headers.get("Content-Length", "")
    if status == 200 and start == 0 and length.isdigit() and int(length) <= stop:
        return int(length)
    if status == 200:
        raise ObjectError("cannot be read in parts: its server ignores the Range header")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if status != 206 or not found or int(found[1]) != start:
        raise ObjectError(f"cannot be read: its server gives HTTP {status} for a range")
    return int(found[2])


class HttpObject:
    """An object at a URL, asked for exactly as the href has it, query included."""

    def __init__(self, pool: HttpPool, location: Location, pin: Pin) -> None:
        self._pool = pool
        self._pin = pin
        query = f"?{location.query}" if location.query else ""
        self._url = f"{location.scheme}://{location.host}{location.path}{query}"

    async def read(self, start: int, stop: int) -> Buffer:
        """See `Object`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool.threads, self.read_blocking, start, stop)

    async def read_many(self, starts: Sequence[int], stops: Sequence[int]) -> Sequence[Buffer]:
        """See `Object`."""
        return await read_coalesced(self.read, starts, stops)

    def read_blocking(self, start: int, stop: int) -> bytes:
        """See `Object`."""
        return self._pool.get(self._url, start, stop, self._pin)

    def size_blocking(self) -> int:
        """See `Object`."""
        self._pool.get(self._url, 0, 1, self._pin)
        return self._pin.edition.length if self._pin.edition else 0


async def read_coalesced(
    read: Callable[[int, int], Awaitable[Buffer]], starts: Sequence[int], stops: Sequence[int]
) -> Sequence[Buffer]:
    """Bytes of several ranges, with as few reads as `coalesce` makes of them, side by side."""
    ranges = list(zip(starts, stops, strict=True))
    spans = coalesce(ranges)
    bodies = await asyncio.gather(*(read(*span) for span in spans))
    firsts = [first for first, _ in spans]
    parts = []
    for start, stop in ranges:
        i = bisect_right(firsts, start) - 1
        parts.append(memoryview(bodies[i])[start - firsts[i] : stop - firsts[i]])
    return parts


def coalesce(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Disjoint spans, fewer and larger, each range inside exactly one of them."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(set(ranges)):
        first, last = spans[-1] if spans else (start, start - COALESCE_GAP - 1)
        overlaps = start < last
        near = start <= last + COALESCE_GAP and stop - first <= COALESCED_MAX
        if spans and (overlaps or near):
            spans[-1] = (first, max(last, stop))
        else:
            spans.append((start, stop))
    return spans

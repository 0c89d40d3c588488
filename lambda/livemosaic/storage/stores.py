"""Stores of objects: S3 and local files by obstore, and HTTP.

obstore follows redirects of S3: they come from AWS, or from the endpoint that the operator set.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from livemosaic.auth.credentials import CredentialsError, Identity
from livemosaic.storage.access.known import EARTHDATA_REGION
from livemosaic.storage.access.way import Way
from livemosaic.storage.adapters import RangeFile
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.http import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, RETRIES, HttpObject, HttpPool
from livemosaic.storage.objects import (
    AbsentError,
    Buffer,
    DeniedError,
    Edition,
    ObjectError,
    Pin,
    UnreachableError,
    opaque_tag,
    size_error,
    status_error,
    too_short,
)

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

KEYS_LAST: Final = timedelta(minutes=10)
"""The shortest validity of keys: see `Identity.keys`."""
LOST_S: Final = 30.0
"""How long missing credentials are remembered, as looking for them takes seconds."""

_OBSTORE_ERRORS: Final = (BaseError, OSError, ValueError)


class Stores:
    """The connections of a process: at most `limit` S3 buckets, least recently used dropped first.

    Bound to no event loop, so several may use it in turn.
    """

    def __init__(self, allow: AllowList, *, limit: int = 64) -> None:
        self._allow = allow
        self._limit = limit
        self._buckets: OrderedDict[tuple[str, Way], Any] = OrderedDict()
        self._keys: dict[object, Any] = {}
        self._http = HttpPool()
        self._identity = _SharedIdentity()

    def open(self, href: str, pin: Pin | None = None) -> StoredObject | HttpObject:
        """Returns the object of an href, which reads one edition of it.

        ForbiddenHrefError if the href is outside the allow-list.
        """
        # Rows may hold a signature from before their prefix named a way in.
        location, way = self._allow.find(self._allow.unsigned(href))
        pin = pin or Pin()
        match location.scheme:
            case "s3":
                return StoredObject(self._bucket(location.host, way), location.path, pin)
            case "file":
                path = self._allow.file(location)
                return StoredObject(LocalStore("/"), path.as_posix().lstrip("/"), pin)
            case "https" | "http":
                return HttpObject(self._http, location, pin, self._http.login(way))

    def _bucket(self, name: str, way: Way) -> Any:
        key = name, way
        if key not in self._buckets:
            self._buckets[key] = self._open_bucket(name, way)
            while len(self._buckets) > self._limit:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return self._buckets[key]

    def _open_bucket(self, name: str, way: Way) -> Any:
        if not way.has_keys:
            return _s3_store(name, self._identity, way)
        from livemosaic.storage.access import s3

        shared = way if way.role or way.keys else (name, way)
        if shared not in self._keys:
            self._keys[shared] = s3.keys(way, name, self._http.logins)
        return _s3_store(name, self._keys[shared], way)


class _SharedIdentity:
    """Provides obstore with credentials: one boto3 session for all buckets, made when needed.

    Used only if the environment has no keys, as obstore knows neither profiles nor SSO.
    """

    def __init__(self) -> None:
        self._found: Identity | None = None
        self._lost: tuple[float, CredentialsError] | None = None

    @property
    def config(self) -> S3Config:
        """The profile's region, which obstore uses if the environment names none."""
        region = self._find().region
        return {"region": region} if region else {}

    def __call__(self) -> S3Credential:
        """Returns credentials for obstore, which calls again five minutes before they expire."""
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
    return DeniedError(f"may not be read: {error}; AWS_NO_SIGN_REQUEST=YES reads public buckets")


def _s3_store(bucket: str, provider: Any, way: Way | None = None) -> Any:
    """Opens a bucket, configured by its prefix's way in, else by the environment.

    obstore itself reads keys, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_REQUEST_PAYER` and more. Added
    here: plain HTTP if the endpoint is (an emulator), the AWS CLI's variable for no signing, and,
    if the environment has no keys, credentials from wherever else the AWS CLI finds them.
    """
    way = way or Way()
    endpoint = (
        way.endpoint
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or ""
    )
    unsigned = os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes")
    unsigned = way.anonymous or (unsigned and not way.signs)
    from_environment = bool(os.environ.get("AWS_ACCESS_KEY_ID")) and not way.has_keys
    return S3Store(
        bucket,
        config=_config(way, unsigned) or None,
        credential_provider=None if unsigned or from_environment else provider,
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


def _config(way: Way, unsigned: bool) -> S3Config:
    config: S3Config = {}
    if unsigned:
        config["skip_signature"] = True
    if way.requester_pays:
        config["request_payer"] = True
    if way.endpoint:
        config["endpoint"] = way.endpoint
        config["virtual_hosted_style_request"] = False
    if region := way.region or (EARTHDATA_REGION if way.earthdata else ""):
        config["region"] = region
    return config


class StoredObject:
    """An object of an obstore store.

    `obstore.get_ranges` is not used: its answers do not name their edition.
    """

    def __init__(self, store: Any, path: str, pin: Pin) -> None:
        self._store = store
        self._path = path
        self._pin = pin

    async def read(self, start: int, stop: int) -> Buffer:
        """Returns bytes of a half-open range, for an event loop; fewer where the object ends."""
        try:
            got = await obstore.get_async(self._store, self._path, options={"range": (start, stop)})
            self._pin.check(_edition(got.meta))
            body: Buffer = await got.bytes_async()
        except _OBSTORE_ERRORS as e:
            raise _explained(e, start, self._pin) from e
        return body

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Returns bytes of a half-open range, for a thread; fewer where the object ends."""
        try:
            got = obstore.get(self._store, self._path, options={"range": (start, stop)})
            self._pin.check(_edition(got.meta))
            return bytes(got.bytes())
        except _OBSTORE_ERRORS as e:
            raise _explained(e, start, self._pin) from e

    def whole_blocking(self, at_most: int) -> bytes:
        """Returns the whole object, for a thread; ObjectError if it exceeds `at_most` bytes."""
        try:
            got = obstore.get(self._store, self._path)
            if got.meta["size"] > at_most:
                raise size_error(got.meta["size"], at_most)
            return bytes(got.bytes())
        except (*_OBSTORE_ERRORS, ObjectError) as e:
            raise _explained(e, 0, self._pin) from e

    def size_blocking(self) -> int:
        """Returns the object's length in bytes, for a thread."""
        try:
            found = _edition(obstore.head(self._store, self._path))
        except _OBSTORE_ERRORS as e:
            raise _explained(e, 0, self._pin) from e
        self._pin.check(found)
        return found.length


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as its bucket lists it."""

    key: str
    size: int
    etag: str | None
    modified: datetime


class Bucket:
    """An S3 bucket, to list and read whole objects. Raises ObjectError where that fails."""

    def __init__(self, name: str, way: Way | None = None) -> None:
        self.name = name
        self._store = Stores(AllowList(()))._bucket(name, way or Way())

    @property
    def store(self) -> Any:
        """The bucket as obstore opens it."""
        return self._store

    def listed(self, prefix: str, after: str | None = None) -> Iterator[Listed]:
        """Yields the objects below a prefix in key order, from the one after the key `after`."""
        with explaining():
            for chunk in obstore.list(self._store, prefix, offset=after, chunk_size=1000):
                yield from map(listed_of, chunk)

    def head(self, key: str) -> Listed:
        """Returns an object as it would be listed."""
        with explaining():
            return listed_of(obstore.head(self._store, key))

    def read(self, key: str) -> bytes:
        """Returns all bytes of an object."""
        with explaining():
            return bytes(obstore.get(self._store, key).bytes())

    def object(self, key: str) -> StoredObject:
        """Opens one edition of an object."""
        return StoredObject(self._store, key, Pin())

    def file(self, key: str) -> RangeFile:
        """Opens one edition of an object as a file."""
        source = self.object(key)
        return RangeFile(source.read_blocking, source.size_blocking())

    def delete(self, key: str) -> None:
        """Deletes an object; succeeds where there is none."""
        with suppress(AbsentError), explaining():
            obstore.delete(self._store, key)


def listed_of(meta: Any) -> Listed:
    """Returns what a store lists, by obstore's ObjectMeta."""
    return Listed(meta["path"], meta["size"], opaque_tag(meta["e_tag"]), meta["last_modified"])


@contextmanager
def explaining() -> Iterator[None]:
    """Turns errors of stores into ObjectError."""
    try:
        yield
    except _OBSTORE_ERRORS as error:
        raise _explained(error, 0, Pin()) from error


def _edition(meta: Any) -> Edition:
    """Returns the edition in obstore's ObjectMeta."""
    return Edition(meta["size"], opaque_tag(meta["e_tag"]), meta["last_modified"].isoformat())


def _explained(error: Exception, start: int, pin: Pin) -> ObjectError:
    """Returns an error fit to be shown; obstore's own text has local paths and internals."""
    if (lost := ObjectError.lost_in(error)) is not None:
        return lost
    # Words with a slash are removed: words in keys mean nothing.
    text = re.sub(r"\S*/\S*", "", str(error).partition("\n\nDebug source")[0])
    status = re.search(r"status code: (\d{3})", text)
    if isinstance(error, FileNotFoundError):
        return AbsentError("is missing")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return DeniedError("may not be read: its store denies access")
    if "range" in text.lower() or (status and status[1] == "416"):
        pin.check_end(start)
        return ObjectError(too_short(start))
    if "region" in text.lower():
        return ObjectError(
            "is in a bucket of another region: add region=NAME to its allowed prefix, or set "
            "AWS_REGION"
        )
    if status:
        return status_error(int(status[1]))
    return UnreachableError("cannot be read: its store failed or could not be reached")

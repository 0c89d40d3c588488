"""Logins over HTTP: what each adds to a request, and what it does where the server refuses."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import urllib3
from cachetools import LRUCache

from livemosaic.auth.secrets import SecretName
from livemosaic.storage.access.earthdata import EarthdataKeys, EarthdataTokens, login_host
from livemosaic.storage.access.endpoints import Endpoints, is_sendable, read_secret
from livemosaic.storage.access.expiring import Expiring
from livemosaic.storage.access.known import bucket_and_key
from livemosaic.storage.access.planetary_computer import SasTokens
from livemosaic.storage.access.signed import find_signature
from livemosaic.storage.access.way import Way, is_local, is_safe
from livemosaic.storage.objects import DeniedError, ObjectError, UnreachableError, status_error

_SECRET_S: Final = 300.0
"""How long a secret is kept: one that was replaced is used so long, if it is not refused."""
_URLS: Final = 4096
_URL_S: Final = 300.0
"""How long a redirect is used whose URL does not say when it ends."""
_HOPS: Final = 3
_CLOUDFRONT: Final = re.compile(r"[\w-]+\.cloudfront\.net")


@dataclass(frozen=True, slots=True)
class Signed:
    """What is requested in place of a URL."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)
    """The credential in it."""


class Login(Protocol):
    """A way in to URLs. Methods raise ObjectError and may wait for a token, so need a thread."""

    def sign(self, url: str) -> Signed:
        """Returns what to request in place of a URL."""
        ...

    def renew(self, url: str, refused: Signed) -> bool:
        """Forgets what was refused; returns whether to sign anew and try once more."""
        ...


class BearerLogin:
    """A bearer token (RFC 6750). Only `Way` decides where it is sent."""

    def __init__(self, name: SecretName) -> None:
        self._name = name
        self._token = Expiring(lambda: (read_secret(name), time.time() + _SECRET_S))

    def sign(self, url: str) -> Signed:
        """Returns the URL with the header."""
        token = self._token.get()
        if not is_sendable(token):
            raise DeniedError(f"may not be read: the secret {self._name.text} is no bearer token")
        return Signed(url, _bearer(token), token)

    def renew(self, url: str, refused: Signed) -> bool:
        """Forgets the token: the secret may have been replaced."""
        del url
        return self._token.drop(refused.token)


class SasLogin:
    """SAS tokens of the Planetary Computer."""

    def __init__(self, tokens: SasTokens) -> None:
        self._tokens = tokens

    def sign(self, url: str) -> Signed:
        """Returns the URL with the token of its container."""
        joint = "&" if "?" in url else "?"
        token = self._token(url).get()
        return Signed(f"{url}{joint}{token}", token=token)

    def renew(self, url: str, refused: Signed) -> bool:
        """Forgets the token."""
        return self._token(url).drop(refused.token)

    def _token(self, url: str) -> Expiring[str]:
        parts = urlsplit(url)
        container, _, blob = parts.path.removeprefix("/").partition("/")
        if not blob:
            raise DeniedError("may not be read: its URL names no container")
        return self._tokens.of((parts.hostname or "").partition(".")[0], container)


class EarthdataLogin:
    """URLs of Earthdata: its hosts redirect to signed URLs, which are kept until they end.

    The token is sent to the host that the href names and to no other.
    """

    def __init__(self, pool: urllib3.PoolManager, tokens: EarthdataTokens) -> None:
        self._pool, self._tokens = pool, tokens
        self._lock = Lock()
        self._urls: LRUCache[str, Expiring[Signed]] = LRUCache(_URLS)

    def sign(self, url: str) -> Signed:
        """Returns the signed URL that stands for a URL."""
        return self._signed(url).get()

    def renew(self, url: str, refused: Signed) -> bool:
        """Forgets a signed URL that was refused."""
        return self._signed(url).drop(refused)

    def _signed(self, url: str) -> Expiring[Signed]:
        with self._lock:
            if url not in self._urls:
                self._urls[url] = Expiring(lambda: self._resolve(url))
            return self._urls[url]

    def _resolve(self, url: str) -> tuple[Signed, float]:
        token = self._tokens.get()
        try:
            return self._follow(url, token)
        except _TokenRefusedError as error:
            if not self._tokens.drop(token):
                raise DeniedError(str(error)) from error
        try:
            return self._follow(url, self._tokens.get())
        except _TokenRefusedError as error:
            raise DeniedError(str(error)) from error

    def _follow(self, url: str, token: str) -> tuple[Signed, float]:
        target = url
        for _ in range(_HOPS):
            status, location = self._ask(target, token)
            if location is None:
                if status not in (200, 206):
                    raise _refusal(status)
                return Signed(target, _bearer(token)), time.time() + _URL_S
            target = urljoin(target, location)
            if not _same_host(url, target):
                return Signed(_delivery(target, url)), _end(target)
        raise ObjectError("cannot be read: its server redirects in circles")

    def _ask(self, url: str, token: str) -> tuple[int, str | None]:
        """Requests a byte of a URL; returns the status, and the target of a redirect."""
        headers = {**_bearer(token), "Range": "bytes=0-0", "Accept-Encoding": "identity"}
        try:
            answer = self._pool.request(
                "GET", url, headers=headers, redirect=False, preload_content=False
            )
            with answer:
                status, target = answer.status, answer.headers.get("Location")
                if not target or not 300 <= status < 400:
                    answer.read(1)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(
                "cannot be read: its server failed or could not be reached "
                f"({type(error).__name__})"
            ) from error
        return status, target if 300 <= status < 400 else None


class _TokenRefusedError(Exception):
    """Earthdata asks for another login."""


def _refusal(status: int) -> Exception:
    if status == 401:
        return _TokenRefusedError("may not be read: Earthdata Login refuses the token")
    if status == 403:
        return DeniedError(
            "may not be read: Earthdata denies access; its licence may have to be accepted once, "
            "in the profile of the user at urs.earthdata.nasa.gov"
        )
    return status_error(status)


def _delivery(target: str, url: str) -> str:
    """Returns the target of a redirect, if it is of a host that delivers for Earthdata.

    Its archives redirect to CloudFront or S3, with a signature of theirs (Thin Egress App).
    """
    host = urlsplit(target).hostname or ""
    if urlsplit(target).netloc == login_host():
        raise _TokenRefusedError("may not be read: Earthdata Login refuses the token")
    nearby = is_local(host) and is_local(urlsplit(url).hostname or "")
    delivers = _CLOUDFRONT.fullmatch(host) or bucket_and_key(host, "/")
    if is_safe(target) and (nearby or delivers):
        return target
    raise DeniedError(
        f"may not be read: its server redirects to {host[:100]!r}, which does not deliver for "
        "Earthdata"
    )


def _same_host(url: str, target: str) -> bool:
    return urlsplit(url)[:2] == urlsplit(target)[:2]


def _end(url: str) -> float:
    signature = find_signature(urlsplit(url).query)
    if signature is None or signature.expires is None:
        return time.time() + _URL_S
    return signature.expires.timestamp()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Logins:
    """The logins of a process, made where a prefix asks for one. Thread-safe."""

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool
        self._endpoints = Endpoints()
        self._lock = Lock()
        self._made: dict[object, Login] = {}
        self._tokens: dict[object, EarthdataTokens] = {}
        self._keys: dict[object, EarthdataKeys] = {}

    def of(self, way: Way) -> Login | None:
        """Returns the login that a way in takes over HTTP; None for no login."""
        with self._lock:
            if way not in self._made and (made := self._make(way)):
                self._made[way] = made
            return self._made.get(way)

    def earthdata_keys(self, way: Way, url: str) -> EarthdataKeys:
        """Returns the AWS keys of an `s3credentials` endpoint, shared by its buckets."""
        with self._lock:
            key = way.earthdata, url
            if key not in self._keys:
                tokens = self._earthdata_tokens(way)
                self._keys[key] = EarthdataKeys(self._endpoints, tokens, url)
            return self._keys[key]

    def _earthdata_tokens(self, way: Way) -> EarthdataTokens:
        name = way.earthdata if isinstance(way.earthdata, SecretName) else None
        if name not in self._tokens:
            self._tokens[name] = EarthdataTokens(self._endpoints, name)
        return self._tokens[name]

    def _make(self, way: Way) -> Login | None:
        if way.bearer:
            return BearerLogin(way.bearer)
        if way.planetary_computer:
            return SasLogin(SasTokens(self._endpoints))
        if way.earthdata:
            return EarthdataLogin(self._pool, self._earthdata_tokens(way))
        return None

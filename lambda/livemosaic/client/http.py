"""HTTP client of a livemosaic API: signs requests, and retries transient failures."""

import ipaddress
import json
import math
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from livemosaic.auth.signing import Authorize, AwsSignature
from livemosaic.errors import (
    AlreadyExistsError,
    InvalidRequestError,
    LivemosaicError,
    NotFoundError,
    UnauthorizedError,
)
from livemosaic.storage.http import trust
from livemosaic.table.retry import Backoff

ATTEMPTS: Final = 5
_BACKOFF: Final = Backoff(math.inf, 1.0, math.inf, max_attempts=ATTEMPTS, least=0.5)
_CONNECT_S: Final = 10.0
_READ_S: Final = 40.0
"""API Gateway gives up after 30 s (HTTP API quotas, "Maximum integration timeout")."""
CONNECTIONS: Final = 8
_ERRORS: Final[Mapping[int, type[LivemosaicError]]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    404: NotFoundError,
    409: AlreadyExistsError,
}
_BUSY: Final = frozenset({429, 502, 503, 504})
_LONGEST_WAIT_S: Final = 60.0
"""The longest pause that a server may ask for; one that asks for more is asked again then."""
_UNREACHABLE: Final = (ConnectTimeoutError, ProxyError, SSLError)
"""Errors that occur before the request is sent."""


_BINARY: Final = ("image/", "application/x-binary")
"""How media types of images begin."""


class ApiError(LivemosaicError):
    """The API did not fulfil a request; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of an API."""

    status: int
    document: Mapping[str, Any] | None
    """None where the body is not a JSON object."""
    start: str
    """The first characters of the body."""
    repeated: bool
    """Whether an earlier attempt may have succeeded, and only its response was lost."""
    location: str = ""
    """Where a redirect leads."""
    wait_s: float = 0.0
    """The pause that the server asks for before the next request."""
    content: bytes = b""
    """The whole body, of any kind."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By names in lower case."""

    @classmethod
    def of(
        cls, status: int, headers: Mapping[str, str], content: bytes, *, repeated: bool = False
    ) -> "Answer":
        """Reads a response; the body of an image is not looked into."""
        found = {name.lower(): value for name, value in headers.items()}
        is_binary = found.get("content-type", "").startswith(_BINARY)
        text = "" if is_binary else content.decode(errors="replace")
        return cls(
            status,
            _object(text) if text else None,
            text[:100],
            repeated,
            found.get("location", ""),
            _wait_s(found) if status in (429, 503) else 0.0,
            content,
            found,
        )

    @property
    def body(self) -> str:
        """The whole body as text."""
        return self.content.decode(errors="replace")

    def text(self, name: str) -> str | None:
        """Returns a member: `detail` comes from livemosaic, `message` from API Gateway."""
        value = (self.document or {}).get(name)
        return None if value is None else str(value)[:1000]

    def elsewhere(self, path: str) -> str:
        """Returns the URL of the API to which it sends the client for the same path; else empty."""
        there, path = unquote(self.location), unquote(path)
        return there.removesuffix(path) if self.status == 307 and there.endswith(path) else ""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed in a moment."""
        if self.document is not None and "outcomes" in self.document:
            return False  # it says which Items failed
        # API Gateway says 500 for a Lambda that ran out of time, our application for a bug.
        return self.status in _BUSY or (self.status == 500 and self.text("message") is not None)


class ApiClient:
    """Sends requests to one API, all of which may be repeated. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        authorize: Authorize,
        *,
        follows: bool = True,
        reader: Authorize | None = None,
    ) -> None:
        """`follows` is whether GET requests go where the API sends them: to its CDN; `reader`
        authorizes requests that only read, where callers choose so."""
        self.reader = reader
        self.url = check_url(url)
        self._authorize = authorize
        self._pool = _pool(self.url)
        self._base, self._host = _connect_to(self.url)
        self._reached = False
        self._resume_at = 0.0
        self._follows = follows
        self._cdn: ApiClient | None = None
        self._is_closed = False

    def close(self) -> None:
        """Closes the connections; later requests raise `InvalidRequestError`."""
        self._is_closed = True
        self._pool.clear()
        if self._cdn:
            self._cdn.close()

    def attempts(self) -> Iterator[None]:
        """Yields for every attempt, after a pause for all but the first."""
        return _BACKOFF.attempts()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        reader: Authorize | None = None,
        reads: bool = False,
    ) -> Answer:
        """Returns the response of any status; `ApiError` without one, or if the API stays busy.

        GET requests, and others that only read (`reads`), are not signed, as API Gateway does not
        require it; `reader` adds a token. An API behind a CDN sends GET requests there; others stay
        with the API, whose host signatures name.
        """
        if self._is_closed:
            raise InvalidRequestError(f"{self.url} is closed")
        if method == "GET" and self._cdn:
            return self._cdn.ask(method, path, reader=reader)
        authorize = reader if reads or method == "GET" else self._authorize
        repeated = False
        failure: str = ""
        for _ in self.attempts():
            self._wait()
            try:
                answer = self._once(method, path, body, repeated, authorize)
            except HTTPError as error:
                failure = self._unanswered(error)
                if not self._may_pass(error):
                    raise ApiError(failure) from error
                repeated = repeated or not isinstance(error, _UNREACHABLE)
                continue
            self._reached = True
            self._resume_at = max(self._resume_at, time.monotonic() + answer.wait_s)
            if self._follows and method == "GET" and (url := answer.elsewhere(path)):
                self._cdn = ApiClient(url, self._authorize, follows=False)
                return self._cdn.ask(method, path, reader=reader)
            if not answer.is_transient:
                return answer
            failure = str(self.refusal(answer))
            repeated = repeated or answer.status != 429
        raise ApiError(f"{failure} (asked {ATTEMPTS} times)")

    def _wait(self) -> None:
        """Sleeps until the time that the server named, for all threads, after their own pauses."""
        if (left := self._resume_at - time.monotonic()) > 0:
            time.sleep(left)

    def _once(
        self, method: str, path: str, body: bytes, repeated: bool, authorize: Authorize | None
    ) -> Answer:
        url = self.url + path
        headers: Mapping[str, str] = {"Accept": "application/json"}
        if body:
            headers = {**headers, "Content-Type": "application/json"}
        if authorize:
            headers = authorize(method, url, headers, body)
        answer = self._pool.request(
            method,
            self._base + path,
            body=body or None,
            headers={**headers, "Host": self._host},
            redirect=False,
            retries=False,
        )
        return Answer.of(answer.status, answer.headers, answer.data, repeated=repeated)

    def _may_pass(self, error: HTTPError) -> bool:
        """Returns whether to try again; a URL that never answered is probably wrong."""
        if isinstance(error, SSLError | LocationParseError):
            return False
        return self._reached or not isinstance(error, _UNREACHABLE)

    def _unanswered(self, error: HTTPError) -> str:
        host = urlsplit(self.url).netloc
        if isinstance(error, NameResolutionError):
            return f"there is no host {host!r}: is {self.url} the right URL?"
        if isinstance(error, SSLError):
            return f"no safe connection to {host!r}: {_ssl_reason(error)}"
        if isinstance(error, ProxyError):
            return f"the proxy of HTTPS_PROXY does not lead to {host!r}: {_cause(error)}"
        if isinstance(error, NewConnectionError):  # a ConnectTimeoutError to urllib3
            return f"nothing listens at {self.url} ({_cause(error)})"
        if isinstance(error, ConnectTimeoutError):
            return f"{host!r} does not answer within {_CONNECT_S:g} s: is {self.url} the right URL?"
        return f"{self.url} did not answer ({type(error).__name__})"

    def refusal(self, answer: Answer) -> LivemosaicError:
        """Returns the error that a failed response stands for."""
        detail, message = answer.text("detail"), answer.text("message")
        if 300 <= answer.status < 400:
            return ApiError(f"{self.url} leads elsewhere (HTTP {answer.status}): use that URL")
        unknown = {404: ("Not Found", None), 405: ("Method Not Allowed",)}
        if detail in unknown.get(answer.status, ()):
            return ApiError(self._no_such_route())
        if answer.status == 401 and detail is not None and "bearer" in detail.lower():
            return ApiError(f"{detail}; --token or LIVEMOSAIC_TOKEN gives it")
        if detail is not None:
            return error_of(answer.status, detail)
        if answer.status == 403 and message == "Forbidden":
            return ApiError(self._forbidden())
        if message is not None:
            return ApiError(f"the API at {self.url} answers HTTP {answer.status}: {message}")
        return self.unknown_api(answer)

    def unknown_api(self, answer: Answer) -> ApiError:
        """Returns the error for a response that does not come from a livemosaic API.

        A server that fails, or a proxy that refuses, may stand before one.
        """
        answers = f"answers HTTP {answer.status} and {answer.start!r}"
        if answer.status in (413, 429) or answer.status >= 500:
            return ApiError(f"{self.url} {answers}")
        return ApiError(f"there is no livemosaic API at {self.url}: it {answers}")

    def _no_such_route(self) -> str:
        health = self.ask("GET", "/health")
        if health.text("status") or health.text("detail") not in (None, "Not Found"):
            return f"the livemosaic API at {self.url} does not know this request: is it older?"
        return f"there is no livemosaic API at {self.url}"

    def _forbidden(self) -> str:
        if isinstance(self._authorize, AwsSignature):
            return (
                f"AWS forbids this identity to write to {self.url}: it needs execute-api:Invoke on "
                "that API; `aws sts get-caller-identity` says who it is"
            )
        return (
            f"{self.url} does not take a bearer token: leave out --token and LIVEMOSAIC_TOKEN, and "
            "it is signed with AWS credentials"
        )


def error_of(status: int, detail: str) -> LivemosaicError:
    """Returns the error that a status of livemosaic's API stands for."""
    return _ERRORS.get(status, ApiError)(detail)


def check_url(url: str) -> str:
    """Returns the URL of an API without a slash at its end; raises `InvalidRequestError`.

    Tokens and signed requests must go over TLS, or stay on this machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 (raises where it is none)
    except ValueError as error:
        raise InvalidRequestError(f"{url[:200]!r} is no URL: {error}") from error
    if parts.scheme not in ("https", "http") or not host or not url.isascii() or " " in url:
        raise InvalidRequestError(f"{url[:200]!r} is no URL of an API: use https://HOST")
    if "@" in parts.netloc:
        raise InvalidRequestError("the URL of an API holds no user or password: use --token")
    if parts.query or parts.fragment:
        raise InvalidRequestError(f"{url[:200]!r} is no URL of an API: it has a query or fragment")
    if parts.scheme == "http" and not _is_here(host):
        raise InvalidRequestError(
            f"{url[:200]!r} would send credentials in the clear: use https://, http:// is for "
            "localhost only"
        )
    return url.rstrip("/")


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _connect_to(url: str) -> tuple[str, str]:
    """Returns the URL to connect to, and the Host header.

    Names below localhost are this machine (RFC 6761, 6.3), which not every resolver knows. An
    emulated API Gateway distinguishes its APIs by them.
    """
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return url, parts.netloc
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"127.0.0.1{port}").geturl(), parts.netloc


def _pool(url: str) -> urllib3.PoolManager:
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "maxsize": CONNECTIONS,
        "timeout": urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        "ssl_context": trust(),
    }
    if (parts.hostname or "").endswith(".localhost"):  # not the name connected to
        options |= {"server_hostname": parts.hostname, "assert_hostname": parts.hostname}
    proxy = urllib.request.getproxies().get("https")
    if proxy and parts.scheme == "https" and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _wait_s(headers: Mapping[str, str]) -> float:
    """Returns the seconds of `Retry-After` (RFC 9110, 10.2.3); 0 without, or where it is neither.

    A date is compared with the server's own `Date`, where there is one.
    """
    text = headers.get("retry-after", "").strip()
    seconds = float(text) if text.isdecimal() and text.isascii() else _seconds_until(text, headers)
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _seconds_until(text: str, headers: Mapping[str, str]) -> float:
    then = _http_date(text)
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return 0.0 if then is None else (then - now).total_seconds()


def _http_date(text: str) -> datetime | None:
    """Returns the time of a header; None where it is no date."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _ssl_reason(error: SSLError) -> str:
    cause = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    return f"it does not speak TLS ({getattr(cause, 'reason', None) or type(cause).__name__})"


def _cause(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or type(error).__name__

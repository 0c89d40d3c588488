"""Asset hrefs: which of them may be read, and where they point.

Items come from strangers. An href is checked when its item is ingested and again when it is read,
and only by its text: nothing here opens a connection.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from livemosaic.errors import ForbiddenHrefError, InvalidRequestError

SETTING: Final = "LIVEMOSAIC_ALLOWED_PREFIXES"
MAX_HREF_LENGTH: Final = 2048
_SHOWN: Final = 200

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
"""S3's naming rules of today and of 2010; they keep `/ @ : ? #` out of a host."""
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER: Final = re.compile(r"\d+|0[xX][0-9A-Fa-f]*")
"""Many parsers take a host whose last label matches for an IPv4 address (WHATWG URL, 3.5)."""
_PRIVATE: Final = ("localhost", "internal", "local")
_PORTS: Final = {"https": 443, "http": 80}

Scheme = Literal["s3", "https", "http", "file"]


@dataclass(frozen=True, slots=True)
class Location:
    """The object that an href points at."""

    scheme: Scheme
    host: str
    """Bucket of `s3`, lower-case `host:port` of `https` and `http`, empty for `file`."""
    path: str
    """Key of `s3` without a leading slash; percent-encoded URL path; absolute path of `file`."""
    query: str = ""
    """Query of a signed URL: a credential, never to be shown."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """The prefixes that hrefs must have, from settings.

    A prefix is a scheme (`s3://`, `https://`), or a scheme with a host or bucket and perhaps a
    path, or a local folder (`/data` or `file:///data`). `http` and local files have no bare form.
    Paths match whole segments: `/data` does not allow `/database/x`.
    """

    prefixes: Sequence[str] = ("s3://", "https://")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        for prefix in self.prefixes:
            _parse_prefix(prefix)

    def check(self, href: str) -> None:
        """Raises ForbiddenHrefError unless the href may be read."""
        self.locate(href)

    def locate(self, href: str) -> Location:
        """Returns the location of an href; ForbiddenHrefError if it may not be read."""
        location = parse(href)
        granting = [p for p in map(_parse_prefix, self.prefixes) if _covers(p, location)]
        if not granting:
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} is outside the allowed prefixes; "
                f"{SETTING} lists what may be read"
            )
        if _is_private(location) and not any(p.host for p in granting):
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} is on a private host; "
                f"{SETTING} must name that very host to allow it"
            )
        return location

    def file(self, location: Location) -> Path:
        """Returns the real file behind a local location, resolved when it is read.

        A symlink that leads out of every allowed folder raises ForbiddenHrefError; a prefix that
        is itself a symlink is followed. Touches the disk.
        """
        real = Path(location.path).resolve()
        folders = [p.path for p in map(_parse_prefix, self.prefixes) if p.scheme == "file"]
        if not any(real.is_relative_to(Path(folder).resolve()) for folder in folders):
            raise ForbiddenHrefError(
                f"asset href {location.path!r} links out of the folders that {SETTING} allows"
            )
        return real


def redact(href: str) -> str:
    """Returns the href as messages may show it: without query and user info, and cut to length."""
    shown = re.sub(r"[?#].*", "?…", href, flags=re.DOTALL)
    shown = re.sub(r"(://|^//)[^/\\]*@", r"\1…@", shown)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def parse(href: str) -> Location:
    """Parses an href; ForbiddenHrefError for a form that no allow-list can permit."""
    _refuse_unsafe_text(href)
    if href.startswith("/"):
        return _file(href, href)
    scheme, separator, _ = href.partition("://")
    if not separator:
        raise _never(href, "is neither a URL nor an absolute path")
    try:
        parts = urlsplit(href)
        _ = parts.port
    except ValueError as e:
        raise _never(href, "is not a valid URL") from e
    match scheme.lower():
        case "file":
            return _file(href, unquote(parts.path), parts.netloc, parts.query)
        case "s3":
            return _s3(href)
        case "https" | "http":
            return _http(href, parts)
    raise ForbiddenHrefError(
        f"asset href {redact(href)!r} has the scheme {scheme[:20]!r}: it must start with "
        "s3:// or https:// to be read"
    )


def _refuse_unsafe_text(href: str) -> None:
    if len(href) > MAX_HREF_LENGTH:
        raise _never(href, f"has {len(href)} characters; at most {MAX_HREF_LENGTH} are read")
    is_url = not href.startswith(("s3://", "/"))  # keys and paths may hold both, URLs may not
    if not href.isprintable() or (is_url and " " in href):
        raise _never(href, "holds white space or control characters")
    if is_url and "#" in href:
        raise _never(href, "has a fragment")
    plain = _fully_unquoted(href.partition("?")[0] if is_url else href)
    if not plain.isprintable():
        raise _never(href, "holds control characters")
    if "\\" in plain:
        raise _never(href, "holds a backslash")
    if ".." in plain.split("/"):
        raise _never(href, "holds a '..' segment")
    if re.match(r"(?:[a-z0-9]+:/*)?/vsi", plain, flags=re.IGNORECASE):
        raise _never(href, "is a GDAL virtual path")


def _fully_unquoted(text: str) -> str:
    """Decodes percent-encoding repeatedly: `%252e` is `.` encoded twice."""
    while (plain := unquote(text)) != text:
        text = plain
    return text


def _file(href: str, path: str, host: str = "", query: str = "") -> Location:
    if host or query or not path.startswith("/") or path.endswith("/"):
        raise _never(href, "is not the absolute path of a file")
    return Location("file", "", re.sub("/+", "/", path))


def _s3(href: str) -> Location:
    """Splits by hand, as `#` is a part of keys."""
    bucket, _, key = href.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise _never(href, "names no valid S3 bucket")
    if not key or "?" in href:
        raise _never(href, "names no object key, or has a query string")
    return Location("s3", bucket, key)


def _http(href: str, parts: SplitResult) -> Location:
    host = (parts.hostname or "").lower()
    if "@" in parts.netloc:
        raise _never(href, "holds user info")
    if not host or not parts.path.strip("/"):
        raise _never(href, "has no host or no path")
    if "[" in parts.netloc or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise _never(href, "has an IP address as host")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _never(href, "has no valid host name")
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return Location(scheme, f"{host}:{parts.port or _PORTS[scheme]}", parts.path, parts.query)


@lru_cache(256)
def _parse_prefix(prefix: str) -> Location:
    """Parses a prefix: host or path may be empty; InvalidRequestError if it is malformed."""
    if prefix in ("s3://", "https://"):
        return Location("s3" if prefix == "s3://" else "https", "", "")
    # The prefix itself must have the form of an allowed href: a name is added to make it one.
    try:
        location = parse(prefix.rstrip("/") + "/x")
    except ForbiddenHrefError as e:
        raise InvalidRequestError(f"{SETTING}: {e}") from e
    if location.query:
        raise InvalidRequestError(f"{SETTING}: {redact(prefix)!r} has a query string")
    path = location.path.removesuffix("x").rstrip("/")
    if location.scheme == "file" and not path:
        raise InvalidRequestError(f"{SETTING}: {prefix!r} would allow every file of the machine")
    return Location(location.scheme, location.host, path)


def _covers(prefix: Location, location: Location) -> bool:
    same_store = prefix.scheme == location.scheme and prefix.host in ("", location.host)
    # A bare `https://` means the port of https: any other must be named.
    if not prefix.host and location.scheme == "https" and not location.host.endswith(":443"):
        return False
    return same_store and (not prefix.path or location.path.startswith(prefix.path + "/"))


def _is_private(location: Location) -> bool:
    if location.scheme not in _PORTS:
        return False
    labels = location.host.partition(":")[0].split(".")
    return len(labels) == 1 or labels[-1] in _PRIVATE


def _never(href: str, why: str) -> ForbiddenHrefError:
    return ForbiddenHrefError(f"asset href {redact(href)!r} {why}, which is never allowed")

"""Asset hrefs: the object that each points at, and how messages may show it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from livemosaic.errors import ForbiddenHrefError

MAX_HREF_LENGTH: Final = 2048
_SHOWN: Final = 200

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
"""S3's naming rules of today and of 2010; they keep `/ @ : ? #` out of a host."""
_IN_S3: Final = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]+)/(.*)")
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

    @property
    def is_private(self) -> bool:
        """Whether it is on a host whose name has no meaning in public."""
        if self.scheme not in _PORTS:
            return False
        labels = self.host.partition(":")[0].split(".")
        return len(labels) == 1 or labels[-1] in _PRIVATE


def redact(href: str) -> str:
    """Returns the href as messages may show it: without query and user info, and cut to length."""
    shown = re.sub(r"[?#].*", "?…", href, flags=re.DOTALL)
    shown = re.sub(r"(://|^//)[^/\\]*@", r"\1…@", shown)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def without_query(href: str) -> str:
    """Returns an href that others may have: of a URL without query, fragment and user info.

    A signature in the query is a credential. Keys of S3 and local paths, in which `?` and `#` have
    no meaning, are as they stand.
    """
    scheme, separator, rest = href.partition("://")
    if not separator or scheme.lower() not in ("https", "http"):
        return href
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def path_segment(text: str, safe: str = "") -> str:
    """Returns any text as one segment of a URL's path: `/` leads nowhere, `..` leads not up.

    Characters of `safe` are not percent-encoded.

    Programs remove the segments `.` and `..` before they send a URL (RFC 3986, 5.2.4), and not
    their percent-encoded forms.
    """
    return quote(text, safe=safe) if text.strip(".") else "%2E" * len(text)


def local_path(href: str) -> str:
    """Returns the path of a local file, `file:///PATH` or a path already; others as they stand."""
    return unquote(href.removeprefix("file://")) if href.startswith("file:///") else href


def bucket_and_key(url: str) -> tuple[str, str] | None:
    """Returns bucket and key, or prefix, of `s3://BUCKET/KEY`; None for anything else."""
    found = _IN_S3.fullmatch(url)
    return (found[1], found[2]) if found else None


@lru_cache(1024)  # an Item's hrefs are asked about several times
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


def _never(href: str, why: str) -> ForbiddenHrefError:
    return ForbiddenHrefError(f"asset href {redact(href)!r} {why}, which is never allowed")

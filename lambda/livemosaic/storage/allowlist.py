"""Asset hrefs: which of them may be read.

Items come from strangers. An href is checked when its item is ingested and again when it is read,
and only by its text: nothing here opens a connection.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from livemosaic.errors import ForbiddenHrefError, InvalidRequestError
from livemosaic.storage.access import way
from livemosaic.storage.access.known import (
    bucket_and_key,
    prefix_of_bucket,
    prefix_of_url,
)
from livemosaic.storage.access.way import Way
from livemosaic.storage.hrefs import Location, parse, redact

if TYPE_CHECKING:
    from livemosaic.storage.access.signed import Signature

SETTING: Final = "LIVEMOSAIC_ALLOWED_PREFIXES"
OUTSIDE: Final = "outside the allowed prefixes"
"""What the message says of an href that no prefix allows."""


@dataclass(frozen=True, slots=True)
class AllowedPrefix:
    """An allowed prefix: hrefs below it may be read, in the way that it names."""

    text: str
    """The prefix without its way in."""
    place: Location
    """Host and path may be empty, for any; a host with a leading dot is any label below it."""
    way: Way

    @property
    def names_host(self) -> bool:
        """Whether it names one host or bucket."""
        return bool(self.place.host) and not self.place.host.startswith(".")

    @property
    def precision(self) -> tuple[int, int, bool]:
        """Orders the prefixes of an href; the greatest decides how to get in."""
        host = bool(self.place.host) + self.names_host
        return host, len(self.place.path), self.way.is_named

    def covers(self, location: Location) -> bool:
        """Whether a location is below it."""
        place = self.place
        if place.scheme != location.scheme or not self._covers_host(location):
            return False
        return not place.path or location.path.startswith(place.path + "/")

    def _covers_host(self, location: Location) -> bool:
        host = self.place.host
        if not host:  # a bare `https://` means the port of https: any other must be named
            return location.scheme != "https" or location.host.endswith(":443")
        if host.startswith("."):
            label, _, rest = location.host.partition(".")
            return bool(label) and f".{rest}" == host
        return host == location.host


@dataclass(frozen=True, slots=True)
class AllowList:
    """The prefixes that hrefs must have, from settings.

    A prefix is a scheme (`s3://`, `https://`), or a scheme with a host or bucket and perhaps a
    path, or a local folder (`/data` or `file:///data`). `http` and local files have no bare form.
    Paths match whole segments: `/data` does not allow `/database/x`. The first label of an HTTPS
    host may be `*`. After a prefix may come the way in (`access.way`); of several prefixes of an
    href, that of the longest is taken.
    """

    prefixes: Sequence[str] = ("s3://", "https://")
    probe: Callable[[str], None] | None = field(default=None, repr=False, compare=False)
    """Asks the server of an href that is to be admitted; raises ForbiddenHrefError if closed."""
    closed: Sequence[str] = ()
    """Folders of our own, in the form of prefixes: no Item may name an object there, whatever else
    is allowed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        _ = self.parsed  # raises for a malformed one
        _ = self._kept_out

    @property
    def parsed(self) -> Sequence[AllowedPrefix]:
        """The prefixes, the most precise first."""
        return _parse_prefixes(tuple(self.prefixes))

    def check(self, href: str) -> None:
        """Raises ForbiddenHrefError unless the href may be read, and can be with what is here."""
        self.admit(href)

    def admit(self, href: str) -> str:
        """Returns an href as it is stored, without a signature that can be made anew.

        ForbiddenHrefError if it may not be read, or never can be with the ways in that are set:
        the signature has expired, or the place is known or found to ask for a login.
        """
        unsigned = self.unsigned(href)
        location, prefix = self._find(unsigned)
        signature = _signature(location.query)
        if signature and signature.expires and signature.expires < datetime.now(UTC):
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} cannot be read any more: its signature "
                f"({signature.kind}) expired at {signature.expires:%Y-%m-%dT%H:%M:%SZ}; a prefix "
                f"of {SETTING} that names a way in signs anew"
            )
        line = None if signature else _missing(location, prefix)
        # Where a bucket is named, the tiler's environment may hold what opens it.
        if line and not (location.scheme == "s3" and prefix.names_host):
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} cannot be read with what is configured: its store "
                f"is not open to everyone; {SETTING} would need the prefix {line!r}"
            )
        if signature is None and self.probe is not None:
            self.probe(unsigned)
        return unsigned

    def unsigned(self, href: str) -> str:
        """Returns an href without a signature that can be made anew, else as it is.

        Dropped below a prefix that names a way in, and for URLs of a bucket that an `s3://` prefix
        names, which become `s3://BUCKET/KEY`. Hrefs that may not be read stay as they are.
        """
        if (signature := _signature(href.partition("?")[2])) is None:
            return href
        plain = href.partition("?")[0] + (f"?{signature.rest}" if signature.rest else "")
        try:
            if not signature.rest and (named := self._in_bucket(parse(plain))):
                return named
            return plain if self._find(href)[1].way.is_named else href
        except ForbiddenHrefError:
            return href

    def doubt(self, href: str) -> str | None:
        """Returns why an admitted href may not be readable, now or later; None without a doubt."""
        location, prefix = self._find(href)
        signature = _signature(location.query)
        if signature and signature.expires:
            end = f"{signature.expires:%Y-%m-%dT%H:%M:%SZ}"
            return (
                f"is readable only until its signature ({signature.kind}) expires at {end}; a "
                f"prefix of {SETTING} that names a way in signs anew"
            )
        line = None if signature else _missing(location, prefix)
        return f"needs the prefix {line!r} in {SETTING}, or the same of the tiler" if line else None

    def locate(self, href: str) -> Location:
        """Returns the location of an href; ForbiddenHrefError if it may not be read."""
        return self.find(href)[0]

    def find(self, href: str) -> tuple[Location, Way]:
        """Returns the location of an href, and the way in that its longest prefix names.

        ForbiddenHrefError if it may not be read.
        """
        location, prefix = self._find(href)
        return location, prefix.way

    def way_to_bucket(self, bucket: str, prefix: str = "") -> Way:
        """Returns the way in to a bucket, allowed or not, for what the operator names by hand."""
        place = Location("s3", bucket, f"{prefix}x")
        return next((p.way for p in self.parsed if p.covers(place)), Way())

    @property
    def _kept_out(self) -> Sequence[AllowedPrefix]:
        return _parse_prefixes(tuple(self.closed))

    def _find(self, href: str) -> tuple[Location, AllowedPrefix]:
        location = parse(href)
        if self._keeps_out(location):
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} is in the folder of overviews, which no Item may name"
            )
        granting = [prefix for prefix in self.parsed if prefix.covers(location)]
        if not granting:
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} is {OUTSIDE}; {SETTING} lists what may be read"
            )
        if location.is_private and not any(prefix.names_host for prefix in granting):
            raise ForbiddenHrefError(
                f"asset href {redact(href)!r} is on a private host; "
                f"{SETTING} must name that very host to allow it"
            )
        return location, granting[0]

    def _keeps_out(self, location: Location) -> bool:
        """Whether a location is in a folder of our own, by its bucket's URLs, too."""
        if not self.closed:
            return False
        places = [location]
        if location.scheme != "s3" and (found := bucket_and_key(location.host, location.path)):
            places.append(Location("s3", found[0], unquote(found[1])))
        return any(own.covers(place) for own in self._kept_out for place in places)

    def _in_bucket(self, location: Location) -> str | None:
        """Returns the `s3://` href of a URL whose bucket an `s3://` prefix names."""
        for prefix in self.parsed:
            if prefix.place.scheme != "s3" or not prefix.place.host:
                continue
            found = bucket_and_key(location.host, location.path, prefix.way.endpoint)
            if found and found[0] == prefix.place.host:
                named = f"s3://{found[0]}/{unquote(found[1])}"
                if prefix.covers(parse(named)):
                    return named
        return None

    def file(self, location: Location) -> Path:
        """Returns the real file behind a local location, resolved when it is read.

        A symlink that leads out of every allowed folder raises ForbiddenHrefError; a prefix that
        is itself a symlink is followed. Touches the disk.
        """
        real = os.path.realpath(location.path)
        if not _is_in(real, self.parsed):
            raise ForbiddenHrefError(
                f"asset href {location.path!r} links out of the folders that {SETTING} allows"
            )
        if _is_in(real, self._kept_out):
            raise ForbiddenHrefError(
                f"asset href {location.path!r} links into the folder of overviews"
            )
        return Path(real)


def _is_in(real: str, prefixes: Sequence[AllowedPrefix]) -> bool:
    """Whether a resolved path lies in a local folder of some prefixes, which may be symlinks."""
    folders = (os.path.realpath(p.place.path) for p in prefixes if p.place.scheme == "file")
    return any(real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


@lru_cache(64)
def _parse_prefixes(prefixes: tuple[str, ...]) -> Sequence[AllowedPrefix]:
    parsed = [parse_prefix(prefix) for prefix in prefixes]
    _check_ways(parsed)
    return tuple(sorted(parsed, key=lambda prefix: prefix.precision, reverse=True))


@lru_cache(256)
def parse_prefix(text: str) -> AllowedPrefix:
    """Parses a prefix and the way in after it; InvalidRequestError if one is malformed."""
    prefix, words = way.split(text)
    place = _place(prefix)
    try:
        return AllowedPrefix(prefix, place, way.parse(words, place.scheme, place.host))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{SETTING}: {prefix!r}: {error}") from error


def _place(prefix: str) -> Location:
    """Parses a prefix: host or path may be empty."""
    if prefix in ("s3://", "https://"):
        return Location("s3" if prefix == "s3://" else "https", "", "")
    # The prefix itself must have the form of an allowed href: a name is added to make it one.
    any_label = prefix.startswith("https://*.")
    try:
        location = parse(prefix.replace("*.", "any.", any_label).rstrip("/") + "/x")
    except ForbiddenHrefError as e:
        raise InvalidRequestError(f"{SETTING}: {e}") from e
    if location.query:
        raise InvalidRequestError(f"{SETTING}: {redact(prefix)!r} has a query string")
    path = location.path.removesuffix("x").rstrip("/")
    if location.scheme == "file" and not path:
        raise InvalidRequestError(f"{SETTING}: {prefix!r} would allow every file of the machine")
    if not any_label:
        return Location(location.scheme, location.host, path)
    host = location.host.removeprefix("any")
    if host.count(".") < 2:
        raise InvalidRequestError(f"{SETTING}: {prefix!r} would allow all of a top-level domain")
    return Location(location.scheme, host, path)


def _check_ways(prefixes: Sequence[AllowedPrefix]) -> None:
    """Raises InvalidRequestError if one prefix names two ways in."""
    ways: dict[Location, Way] = {}
    for prefix in prefixes:
        if prefix.way.is_named and ways.setdefault(prefix.place, prefix.way) != prefix.way:
            raise InvalidRequestError(f"{SETTING}: {prefix.text} is listed with two ways in")


def _missing(location: Location, prefix: AllowedPrefix) -> str | None:
    """Returns the prefix line that an href needs, if it can never be read without it."""
    way = prefix.way
    if location.scheme == "file":
        return None
    if location.scheme != "s3":
        closed = prefix_of_url(location.scheme, location.host, location.path)
        return None if way.is_named else closed
    elsewhere = way.endpoint or _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    pays = way.requester_pays or _environment("AWS_REQUEST_PAYER", "AWS_REQUESTER_PAYS")
    if elsewhere:
        return None
    return prefix_of_bucket(location.host, pays=bool(pays), keys=way.has_keys)


def _signature(query: str) -> "Signature | None":
    if not query:
        return None
    from livemosaic.storage.access.signed import find_signature  # most hrefs have no query

    return find_signature(query)


def _environment(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")

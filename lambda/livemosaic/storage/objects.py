"""One object read by byte range: what every store means by it, and what can go wrong."""

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

COALESCE_GAP: Final = 1024 * 1024
"""Bytes between two ranges that are rather read than a second request made.

They are waited for, where a second request beside the first takes no time; but that costs what a
Lambda of 1,769 MB costs in 14 ms, in which S3 sends about as much. Of the benchmark's tiles it
saves 8 % of the requests, for 3 % more bytes; 4 MB would save 30 %, for half as many bytes again.
"""
COALESCED_MAX: Final = 8 * 1024 * 1024

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
        kinds = {kind.__name__: kind for kind in (ObjectError, *_KINDS)}
        found = re.search(rf"\b({'|'.join(kinds)}): (.+)", str(error))
        return kinds[found[1]](found[2]) if found else None


class ChangedError(ObjectError):
    """The object is not the one any more that its header was read of: see `Edition`."""


class AbsentError(ObjectError):
    """The store has no such object."""


class UnavailableError(ObjectError):
    """The store fails or is too busy now; it may not be in a while."""


class UnreachableError(UnavailableError):
    """Nobody answered at all, so other objects of the same host are as far."""


_KINDS: Final = (ChangedError, AbsentError, UnavailableError, UnreachableError)


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

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Bytes of one range, for a thread."""
        ...

    def size_blocking(self) -> int:
        """Length in bytes."""
        ...


def refused(status: int) -> ObjectError:
    """What an HTTP status means that has no bytes of the object."""
    if status in (404, 410):
        return AbsentError("is missing")
    if status in (401, 403):
        return ObjectError("may not be read: its server denies access")
    if 300 <= status < 400:
        return ObjectError(f"is redirected (HTTP {status}); redirects are not followed")
    kind = UnavailableError if status == 429 or status >= 500 else ObjectError
    return kind(f"cannot be read: its server gives HTTP {status}")


def too_large(size: int, at_most: int) -> ObjectError:
    """Why an object is not read at all."""
    return ObjectError(f"has {size:,} bytes or more; at most {at_most:,} are read")


def opaque(etag: str | None) -> str | None:
    """An ETag as an `Edition` has it."""
    return etag.removeprefix("W/") if etag else None


def too_short(start: int) -> str:
    """Why a range from `start` on is not there."""
    return "is empty" if start == 0 else f"is cut short: it ends before byte {start:,}"


def coalesce(ranges: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Disjoint spans, fewer and larger, each range inside exactly one of them.

    Ranges that are at most `gap` bytes apart are in one, unless it became too large.
    """
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(set(ranges)):
        first, last = spans[-1] if spans else (start, start - gap - 1)
        overlaps = start < last
        near = start <= last + gap and stop - first <= COALESCED_MAX
        if spans and (overlaps or near):
            spans[-1] = (first, max(last, stop))
        else:
            spans.append((start, stop))
    return spans

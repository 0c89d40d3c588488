"""The protocol of an object read by byte range, its editions and its errors."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from livemosaic.errors import Reason

Buffer: TypeAlias = Any
"""Bytes in any form, obstore's own among them; collections.abc.Buffer came with Python 3.12."""


class ObjectError(Exception):
    """Bytes that cannot be read. The message continues a sentence: `is missing`.

    Rust, which it passes through, keeps only its text: see `lost_in`.
    """

    reason: ClassVar[Reason] = "unreadable"
    """Why a scene with such an asset is skipped, for metrics and logs."""

    @classmethod
    def lost_in(cls, error: BaseException) -> "ObjectError | None":
        """Recovers the ObjectError whose text async-tiff put into an error of its own, if any."""
        if isinstance(error, cls):
            return error
        kinds = {kind.__name__: kind for kind in (ObjectError, *_KINDS)}
        found = re.search(rf"\b({'|'.join(kinds)}): (.+)", str(error))
        return kinds[found[1]](found[2]) if found else None


class ChangedError(ObjectError):
    """The object was overwritten since its header was read: see `Edition`."""


class AbsentError(ObjectError):
    """The store has no such object."""

    reason = "missing"


class DeniedError(ObjectError):
    """The store, or who gives the credential for it, refuses."""

    reason = "denied"


class ClosedError(DeniedError):
    """The server asks for a login, or leads elsewhere: it gives nothing to who asks like this."""


class UnavailableError(ObjectError):
    """The store fails or is too busy now; trying again later may help."""

    reason = "unavailable"


class UnreachableError(UnavailableError):
    """The store did not answer at all, so other objects of its host are unreachable, too."""


class LimitError(ObjectError):
    """Reading it for this image needs more memory, bytes or samples than are allowed."""

    reason = "limit"


_KINDS: Final = (
    *(ChangedError, AbsentError, DeniedError, ClosedError, UnavailableError, UnreachableError),
)


@dataclass(frozen=True, slots=True)
class Edition:
    """Identifies one content of an object; every response of a store carries it."""

    length: int
    etag: str | None = None
    """Without the `W/` of a weak one, which proxies add to unchanged content."""
    modified: str | None = None
    """Last-Modified; compared only if there is no ETag."""

    def is_other_than(self, other: "Edition") -> bool:
        """Whether the content differs; without evidence it counts as unchanged."""
        if self.length != other.length:
            return True
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)


class Pin:
    """Requires all responses to be of one edition: a given one, or the first one's."""

    def __init__(self, edition: Edition | None = None) -> None:
        self.edition = edition

    def check(self, found: Edition) -> None:
        """Raises ChangedError if a response is of another edition."""
        if self.edition is None:
            self.edition = found
        elif self.edition.is_other_than(found):
            raise ChangedError("was overwritten while it was read")

    def check_end(self, start: int) -> None:
        """Raises ChangedError if the edition has bytes from `start` on; the store has none."""
        if self.edition is not None and start < self.edition.length:
            raise ChangedError("was overwritten while it was read, by something shorter")


class Object(Protocol):
    """One edition of a stored object; reads raise ChangedError once it was overwritten.

    Ranges are half-open, and shorter where the object ends.
    """

    async def read(self, start: int, stop: int) -> Buffer:
        """Returns the bytes of one range, for an event loop."""
        ...

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Returns the bytes of one range, for a thread."""
        ...

    def size_blocking(self) -> int:
        """Returns the length in bytes, for a thread."""
        ...


def status_error(status: int) -> ObjectError:
    """Returns the error that an HTTP status without bytes of the object means."""
    if status in (404, 410):
        return AbsentError("is missing")
    if status == 401:
        return ClosedError("may not be read: its server denies access without a login (HTTP 401)")
    if status == 403:
        return DeniedError("may not be read: its server denies access")
    if 300 <= status < 400:
        return ClosedError(f"is redirected (HTTP {status}); redirects are not followed")
    kind = UnavailableError if status == 429 or status >= 500 else ObjectError
    return kind(f"cannot be read: its server gives HTTP {status}")


def size_error(size: int, at_most: int) -> ObjectError:
    """Returns the error for an object with more bytes than are read."""
    return ObjectError(f"has {size:,} bytes or more; at most {at_most:,} are read")


def opaque_tag(etag: str | None) -> str | None:
    """Returns an ETag without `W/`, as `Edition` stores it."""
    return etag.removeprefix("W/") if etag else None


def too_short(start: int) -> str:
    """Returns the message for a range from `start` on that is missing."""
    return "is empty" if start == 0 else f"is cut short: it ends before byte {start:,}"

"""One base class, and one class per decision that a caller can make.

Messages name the wrong value and, if there is one, the fix. Users of the API see them, so they
never contain a local path, a credential or a stack trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

Reason = Literal[
    "missing",
    "denied",
    "not_allowed",
    "unavailable",
    "timeout",
    "unreadable",
    "error",
    "limit",
    "request",
]
"""Why a scene is skipped: its object is not there; its store, or a login, refuses; the allow-list
has no such prefix; the store fails; reading took too long; the file cannot be decoded or placed; a
bug; it needs more than one image may; the request asks for what the scene does not have."""

ASKED_FOR: Final[frozenset[Reason]] = frozenset({"limit", "request"})
"""Reasons that lie in the request, so that no operator has to act."""


class LivemosaicError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequestError(LivemosaicError):
    """The request can never succeed as it stands."""


class AreaTooLargeError(InvalidRequestError):
    """An area that takes more of the index than one request may read."""


class UnauthorizedError(LivemosaicError):
    """The request lacks a valid credential."""


class KeysUnavailableError(LivemosaicError):
    """The keys that sign access tokens are unavailable now; try again."""


class NotFoundError(LivemosaicError):
    """The named mosaic, scene or tile does not exist."""


class AlreadyExistsError(LivemosaicError):
    """A mosaic of that id already exists."""


class InUseError(LivemosaicError):
    """A mosaic that others show cannot be deleted, unless it is forced."""


class OutdatedError(LivemosaicError):
    """Something newer is there than what was asked for, which therefore changed nothing."""


class InvalidItemError(LivemosaicError):
    """A STAC Item that can never become a scene; sending it again changes nothing."""


class ForbiddenHrefError(InvalidItemError):
    """An asset href outside the allow-list, or of a form that is never allowed."""


class UnreadableAssetError(LivemosaicError):
    """An asset's pixels cannot be read; the tile leaves its scene out."""

    def __init__(self, message: str, reason: Reason = "unreadable", host: str = "") -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.host = host
        """Bucket or host of the asset; empty if none was asked."""


class AmbiguousAssetError(LivemosaicError):
    """The name of an asset, a title or a pattern, stands for several assets of a scene."""


class TableBusyError(LivemosaicError):
    """The table stays throttled, locked or in conflict after our retries; safe to send again."""


class ConditionFailedError(LivemosaicError):
    """A row was not what the transaction expected; nothing was written."""


class TooLargeError(LivemosaicError):
    """An item or a transaction beyond what the table can hold (DynamoDB: 400 KB, 4 MB, 100)."""


class TableUnavailableError(LivemosaicError):
    """The table is unusable until an operator acts: missing, forbidden, full, or not ours."""


class NewerFormatError(TableUnavailableError):
    """A later release stored a mosaic, in a format that this one knows nothing of."""


class SourceUnavailableError(LivemosaicError):
    """An event's reference cannot be fetched now: 5xx, throttled, timed out or cut; try again."""


class NotYetThereError(SourceUnavailableError):
    """The source has no document at an event's reference yet; try again within a minute."""


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Around imports of an extra of the package: raises `InvalidRequestError` where it is missing.

    `what` is what cannot be done without it, as in `*.parquet`.
    """
    try:
        yield
    except ImportError as error:
        raise InvalidRequestError(
            f"{error.name} is not installed, which {what} needs: pip install 'livemosaic[{extra}]'"
        ) from error

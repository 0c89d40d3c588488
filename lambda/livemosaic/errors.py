"""One base, one class per decision that a caller can make.

Messages name the value that is wrong and, where there is one, the fix. They are shown to users of
the API, so they never carry a path of this machine, a credential or a stack trace.
"""


class LivemosaicError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequestError(LivemosaicError):
    """The request can never succeed as it stands."""


class UnauthorizedError(LivemosaicError):
    """The request needs a credential that it does not carry."""


class KeysUnavailableError(LivemosaicError):
    """The keys that sign access tokens cannot be had now; try again."""


class NotFoundError(LivemosaicError):
    """The mosaic, scene or tile that was named does not exist."""


class AlreadyExistsError(LivemosaicError):
    """A mosaic of that id is already there."""


class InvalidItemError(LivemosaicError):
    """A STAC Item that can never become a scene; sending it again changes nothing."""


class ForbiddenHrefError(InvalidItemError):
    """An asset href outside the allow-list, or of a form that is never allowed."""


class UnreadableAssetError(LivemosaicError):
    """An asset whose pixels cannot be had; the tile goes on without its scene."""


class TableBusyError(LivemosaicError):
    """Throttled, locked or in conflict for longer than we retry; safe to send again."""


class ConditionFailedError(LivemosaicError):
    """A row was not what the transaction expected; nothing was written."""


class TooLargeError(LivemosaicError):
    """An item or a transaction beyond what the table can hold (DynamoDB: 400 KB, 4 MB, 100)."""


class TableUnavailableError(LivemosaicError):
    """The table stays unusable until an operator acts: missing, forbidden, full, or not ours."""


class SourceUnavailableError(LivemosaicError):
    """What an event refers to could not be fetched now: 5xx, throttled, late or cut; try again."""

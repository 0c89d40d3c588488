"""Fetches Items that events only refer to, from S3 or over HTTPS."""

from collections.abc import Callable
from threading import Lock
from typing import Final, TypeAlias

from livemosaic.errors import ForbiddenHrefError, InvalidItemError, SourceUnavailableError
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import redact
from livemosaic.storage.objects import AbsentError, ObjectError, UnavailableError
from livemosaic.storage.stores import Stores

Fetch: TypeAlias = Callable[[str], bytes]
"""Returns the body at an href; raises `FetchError`, or `SourceUnavailableError` to try again."""

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest Item: four times an SQS message."""


class FetchError(InvalidItemError):
    """An Item cannot be fetched from its href, and trying again changes nothing."""


class MissingError(FetchError):
    """No object exists at the href."""


class Fetcher:
    """Fetches the bodies at hrefs. Thread-safe.

    Same rules as for assets: the allow-list decides, redirects are not followed, S3 is read
    with the credentials found. Connections are made by the first fetch.
    """

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow
        self._stores: Stores | None = None
        self._lock = Lock()

    def __call__(self, href: str) -> bytes:
        """Returns the body at an href, of at most `MAX_BYTES`.

        `MissingError`, another `FetchError`, or `SourceUnavailableError` if trying again may help.
        """
        try:
            if self._allow.locate(href).scheme == "file":
                raise FetchError(f"{redact(href)!r} is a local file, which no event may refer to")
            with self._lock:
                self._stores = self._stores or Stores(self._allow)
                source = self._stores.open(href)
            return source.whole_blocking(MAX_BYTES)
        except ForbiddenHrefError as error:
            raise FetchError(str(error).removeprefix("asset ")) from error
        except AbsentError as error:
            raise MissingError(f"{redact(href)!r} {error}") from error
        except UnavailableError as error:
            raise SourceUnavailableError(f"{redact(href)!r} {error}") from error
        except ObjectError as error:
            raise FetchError(f"{redact(href)!r} {error}") from error

"""The order of changes: which of two changes of a scene is the newer one (docs/order.md).

A version is `{order}#{content hash}`, or `{order}#~deleted`; the larger text is the newer version.
An order is a moment (`model.time.utc_text`), perhaps with `~` and a second word behind it.
"""

from datetime import datetime, timedelta
from typing import Final

from livemosaic.model.time import parse_time, utc_text

DELETION: Final = "~deleted"
"""Content of a tombstone's version: at equal orders a deletion wins over any content hash."""
_TICK: Final = timedelta(microseconds=1)


def moment_of(version: str) -> str:
    """Returns the moment of a version, as UTC text."""
    return version.partition("#")[0].partition("~")[0]


def deletion_version(time: datetime) -> str:
    """Returns the version of a deletion at a time."""
    return f"{utc_text(time)}#{DELETION}"


def raised(version: str, now: datetime, newest: str) -> str:
    """Returns a version of the same content of now, or of a microsecond after the newest one.

    The newest is an empty text where there is none.
    """
    content = version.rpartition("#")[2]
    least = [parse_time(moment_of(newest)) + _TICK] if newest else []
    return f"{utc_text(max([now, *least]))}#{content}"

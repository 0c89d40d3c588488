"""The order of changes: which of two changes of a scene is the newer one (docs/order.md).

A version is `{order}#{content hash}`, or `{order}#~deleted`; the larger text is the newer version.
An order is the moment that the source of a change gives (`model.time.utc_text`), perhaps with `~`
and a second word, which decides between changes of one moment. `~` sorts after `#`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from livemosaic.model.time import parse_time, utc_text

DELETION: Final = "~deleted"
"""Content of a tombstone's version: at equal orders a deletion wins over any content hash."""
_LAST: Final = "~"
"""Second word of a deletion without one: it sorts after that of any Item of the same moment."""
_LISTED: Final = "-"
"""Begins the second word of what a list says: it sorts before `updated` and the sequence of an
event, as a list has no event that has not happened yet."""
_REMADE: Final = "$"
"""Begins the mark of rows that were made anew by the change that made them; a number follows. An
earlier release put nothing but another of these for each time. Sorts after `#`, and before all that
a second word may begin or go on with, so that readers believe the later rows. Changes are compared
without it."""
_TICK: Final = timedelta(microseconds=1)
_UPDATED: Final = re.compile(r"[^~]+~(\d{4}-[^~]+Z)")
"""The order of an event whose Item has `updated`."""


@dataclass(frozen=True, slots=True)
class Order:
    """The moment of a change, by its source: of two changes of a scene the later is newer."""

    moment: datetime
    """Aware: the time of an event, a request or a file."""
    second: str = ""
    """Decides between changes of one moment; where it is empty, an Item's `updated` does."""
    snapshot: bool = False
    """Whether the source says what there is, and not since when: then an Item is as old as its
    `updated`, which no event since can be."""

    @classmethod
    def listed(
        cls, moment: datetime, read: datetime, number: int = 0, *, snapshot: bool = False
    ) -> "Order":
        """Returns the order of one of several changes that are listed as of a moment.

        `read` is when the run began that reads the list, and `number` its place there. Of changes
        of one moment the one that was read later is newer, then the one further down; and an event
        is newer than any of them.
        """
        return cls(moment, f"{_LISTED}{utc_text(read)}~{number:09}", snapshot)

    def of_item(self, updated: datetime | None) -> str:
        """Returns the order of an Item, by its `updated`, if it has one."""
        if updated is None:
            return _text(self.moment, self.second)
        if not self.snapshot:
            return _text(self.moment, self.second or utc_text(updated))
        since = min(updated.replace(microsecond=0), self.moment)  # EventBridge cuts seconds as well
        return _text(since, f"{_LISTED}{utc_text(self.moment)}~{self.second}")

    def of_deletion(self) -> str:
        """Returns the version of a deletion, or of a truncation."""
        return f"{_text(self.moment, self.second or _LAST)}#{DELETION}"


def moment_of(version: str) -> str:
    """Returns the moment of a version, as UTC text."""
    return version.partition("#")[0].partition("~")[0]


def updated_of(version: str) -> str:
    """Returns the `updated` of an Item that came by an event, as UTC text; else an empty text."""
    found = _UPDATED.fullmatch(unmarked(version).rpartition("#")[0])
    return found[1] if found and not version.endswith(DELETION) else ""


def not_after(version: str, now: datetime) -> str:
    """Returns a version with its moment, or with that of now where it lies in the future."""
    if moment_of(version) <= utc_text(now):
        return version
    return f"{utc_text(now)}#{version.rpartition('#')[2]}"


def remade(version: str) -> str:
    """Returns another text for a version, with the next mark; it sorts after the version.

    Rows are written on the condition of the version that was read: where they are made anew by the
    same change, a writer that has read the old ones fails.
    """
    order, _, content = version.rpartition("#")
    change, _, number = order.partition(_REMADE)
    mark = f"{_REMADE}{int(number.strip(_REMADE) or 0) + 1:06}"
    return f"{change}{'' if '~' in change else '~'}{mark}#{content}"


def unmarked(version: str) -> str:
    """Returns the version that a change gave, without the mark of `remade`."""
    if _REMADE not in version:
        return version
    order, _, content = version.rpartition("#")
    moment, _, second = order.partition(_REMADE)[0].partition("~")
    return f"{moment}~{second}#{content}" if second else f"{moment}#{content}"


def raised(version: str, now: datetime, newest: str) -> str:
    """Returns a version of the same content of now, or of a microsecond after the newest one.

    The newest is an empty text where there is none.
    """
    content = version.rpartition("#")[2]
    least = [parse_time(moment_of(newest)) + _TICK] if newest else []
    return f"{utc_text(max([now, *least]))}#{content}"


def _text(moment: datetime, second: str) -> str:
    return f"{utc_text(moment)}~{second}" if second else utc_text(moment)

"""Readers of the change feed: what changed since a cursor, in one query.

Every change is returned at least once when it is `settled`: `SETTLE_S` old, when all readers of the
table see it. Before that each request returns it again, so that nobody has to wait.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from livemosaic.errors import InvalidRequestError
from livemosaic.index.feed.rows import (
    KEPT_S,
    SETTLE_S,
    Clock,
    FeedRow,
    feed_partition,
    milliseconds,
    position,
)
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Page, Table

_RENEWED_S: Final = 3600
"""The age from which on a cursor moves although nothing happened, for a consistent read."""
_CURSOR: Final = re.compile(r"(?P<generation>[0-9a-f]{8})\.(?P<position>\d{15}(#[0-9a-f]{8})?)")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed of a mosaic: all changes up to it were returned as settled."""

    generation: str
    """Of the mosaic: one created again has another feed."""
    position: str
    """A sort key, or the beginning of one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor in a request; `InvalidRequestError` for text that was never returned."""
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        except ValueError:
            plain = ""
        found = _CURSOR.fullmatch(plain)
        if found is None:
            raise InvalidRequestError(
                f"since={text[:80]!r} is no cursor of this feed: leave it out to begin now, then "
                "send the `cursor` of each response"
            )
        return cls(found["generation"], found["position"])

    def __str__(self) -> str:
        """Returns it as a response has it."""
        plain = f"{self.generation}.{self.position}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @property
    def stamp_ms(self) -> int:
        """Epoch milliseconds of the position."""
        return int(self.position.partition("#")[0])


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a mosaic since a cursor."""

    cursor: Cursor
    """Where to go on."""
    rows: Sequence[FeedRow] = ()
    """In the order of their stamps."""
    settled: int = 0
    """How many of them, from the first, will not be returned again."""
    reset: bool = False
    """Whether the cursor was of no use: anything may have changed."""
    more: bool = False
    """Whether further changes are there already."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The change feeds of mosaics, in a `Table`."""

    table: Table
    clock: Clock

    def since(self, mosaic: Mosaic, cursor: Cursor | None, limit: int) -> Changes:
        """At most `limit` changes after a cursor; without one, only the cursor of this moment.

        Only a consistent read moves the cursor. Whether there is anything to read, an eventually
        consistent one finds out at half the price: what it misses, the next one finds.
        """
        generation = _generation(mosaic)
        now = milliseconds(self.clock())
        horizon = position(now - milliseconds(SETTLE_S))
        if cursor is None:
            return Changes(Cursor(generation, horizon))
        if cursor.generation != generation or not 0 <= now - cursor.stamp_ms < KEPT_S * 1000:
            return Changes(Cursor(generation, horizon), reset=True)
        after = cursor.position
        shown = {each.id: each for each in (mosaic, *mosaic.stored)}
        feeds = [feed_partition(each) for each in shown.values()]
        is_recent = now - cursor.stamp_ms < _RENEWED_S * 1000
        if is_recent and not any(self.table.query(f, after=after, limit=1).rows for f in feeds):
            return Changes(cursor)
        pages = [self.table.query(f, after=after, limit=limit, consistent=True) for f in feeds]
        return _changes(generation, _joined(pages, limit), after, horizon)


def _generation(mosaic: Mosaic) -> str:
    """What cursors of a mosaic have: its generation; of a derived one also its members."""
    if not mosaic.sources:
        return mosaic.generation
    return hashlib.blake2b(repr(mosaic.identity).encode(), digest_size=4).hexdigest()


def _joined(pages: Sequence[Page], limit: int) -> Page:
    """The first rows of several feeds: keys are times, and sort alike in all of them."""
    if len(pages) == 1:
        return pages[0]
    rows = sorted((row for page in pages for row in page.rows), key=lambda row: row.key.sk)
    ends = [page.next for page in pages if page.next is not None]
    sure = [row for row in rows if not ends or row.key.sk <= min(ends)]
    is_cut = bool(ends) or len(sure) > limit
    return Page(sure[:limit], sure[:limit][-1].key.sk if is_cut else None)


def _changes(generation: str, page: Page, after: str, horizon: str) -> Changes:
    rows = [FeedRow.from_row(row) for row in page.rows]
    settled = sum(row.id <= horizon for row in rows)
    if page.next is None:
        reached = max(after, horizon)
    else:
        reached = rows[settled - 1].id if settled else after
    more = page.next is not None and settled == len(rows)
    return Changes(Cursor(generation, reached), rows, settled, more=more)

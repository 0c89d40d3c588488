"""Rows of a partition, page by page, and groups of rows that can be listed and closed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livemosaic.table import ABSENT, Delete, Key, Put, Row, Table

_PAGE: Final = 500


def rows_of(
    table: Table, pk: str, *, prefix: str = "", after: str | None = None, limit: int | None = _PAGE
) -> Iterator[Row]:
    """The rows of a partition, in order, as of when each page of `limit` is read."""
    while True:
        page = table.query(pk, prefix=prefix, after=after, limit=limit, consistent=True)
        yield from page.rows
        if page.next is None:
            return
        after = page.next


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of many partitions that are deleted together, listed without a scan.

    Each has a row with its name in `listing`, written with it. The group is closed before it is
    deleted: none comes from then on, however late its writer is.
    """

    table: Table
    listing: str
    """The partition of names."""
    closed: Key
    """The row that is there while the group is closed."""

    def put(self, row: Put, name: str, *, is_new: bool) -> None:
        """Write a row; one that `is_new` with its name.

        Raises `ConditionFailedError` where the row is not as it expects, or for a new one of a
        group that is closed.
        """
        new: list[Put | Delete] = [Put(Key(self.listing, name), {}), Delete(self.closed, ABSENT)]
        self.table.transact([row, *(new if is_new else [])])

    def close(self, expires: int) -> None:
        """Refuse all new rows from now on, until epoch seconds that no writer lives to see."""
        self.table.transact([Put(self.closed, {"expires": expires})])

    def names(self) -> Iterator[str]:
        """The names of all rows that were ever written and not deleted, as of now."""
        return (row.key.sk for row in rows_of(self.table, self.listing))

    def delete(self, key: Key, name: str) -> None:
        """Delete a row of a closed group, its name last: what was interrupted can be repeated."""
        self.table.transact([Delete(key)])
        self.table.transact([Delete(Key(self.listing, name))])

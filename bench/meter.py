"""What calls on a table would cost in DynamoDB, counted while they run on any adapter.

Units are computed from the protocol: "DynamoDB read and write operations" and "Amazon DynamoDB
Transactions: how it works" in the Amazon DynamoDB Developer Guide. The emulator's ConsumedCapacity,
where it was asked for, was the same. Calls are only noted while the clock runs; `take` does the
sums afterwards.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial

from livemosaic.errors import ConditionFailedError
from livemosaic.table import Delete, Item, Key, Page, Put, Row, Table, item_size

_WRITE_UNIT = 1024
_READ_UNIT = 4096
_MOSAICS = "mosaics"
"""The partition of the mosaics' own rows."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The cost of some calls."""

    write_units: float = 0
    read_units: float = 0
    rows_written: float = 0
    """Rows put or deleted."""
    bytes_written: float = 0
    rows_read: float = 0
    gets: float = 0
    batches: float = 0
    """Of gets."""
    queries: float = 0
    of_mosaics: float = 0
    """Of the gets and batches, what reads a mosaic's own row alone."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def per(self, count: int) -> "Usage":
        """The mean over so many events or tiles."""
        return Usage(*(value / count for value in astuple(self)))


@dataclass(slots=True)
class Metered:
    """A `Table` that notes its calls. Safe to share between threads."""

    table: Table
    _calls: list[Callable[[], Usage]] = field(default_factory=list)
    _sizes: dict[Key, int] = field(default_factory=dict)
    """Bytes of each row written through this meter."""

    def take(self) -> Usage:
        """The cost of the calls since the last time; not for use beside calls."""
        calls, self._calls = self._calls, []
        return sum((cost() for cost in calls), Usage())

    def get(self, key: Key) -> Item | None:
        item = self.table.get(key)
        own = _of_mosaics([key])
        self._calls.append(lambda: replace(_read([_size(key, item)]), gets=1, of_mosaics=own))
        return item

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        items = self.table.batch_get(keys)
        unique = list(dict.fromkeys(keys))
        own = _of_mosaics(unique)

        def cost() -> Usage:
            sizes = [_size(key, items.get(key)) for key in unique]
            return replace(_read(sizes, share=0.5), batches=1, of_mosaics=own)

        self._calls.append(cost)
        return items

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Page:
        page = self.table.query(pk, prefix=prefix, after=after, limit=limit, consistent=consistent)
        self._calls.append(lambda: _query(page, share=1 if consistent else 0.5))
        return page

    def scan(self, prefix: str) -> Iterator[Row]:
        """Not counted: it is of maintenance, and whole tables are paid for."""
        return self.table.scan(prefix)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        try:
            self.table.transact(actions)
        except ConditionFailedError:  # is paid for too
            self._calls.append(lambda: self._refused(actions))
            raise
        self._calls.append(lambda: self._written(actions))

    def remove(self, keys: Sequence[Key]) -> None:
        self.table.remove(keys)
        for key in dict.fromkeys(keys):
            self._calls.append(partial(self._written, [Delete(key)]))

    def close(self) -> None:
        self.table.close()

    def _written(self, actions: Sequence[Put | Delete]) -> Usage:
        usage = self._refused(actions)
        for action in actions:
            if isinstance(action, Put):
                self._sizes[action.key] = item_size(action.key, action.item)
            else:
                self._sizes.pop(action.key, None)
        written = sum(self._sizes.get(action.key, 0) for action in actions)
        return usage + Usage(rows_written=len(actions), bytes_written=written)

    def _refused(self, actions: Sequence[Put | Delete]) -> Usage:
        # `DynamoTable` writes a lone action without expectation outside a transaction.
        blind = len(actions) == 1 and actions[0].expect is None
        units = sum(_units(self._counted(action), _WRITE_UNIT) for action in actions)
        return Usage(write_units=units * (1 if blind else 2))

    def _counted(self, action: Put | Delete) -> int:
        """The larger of the row before and after."""
        before = self._sizes.get(action.key, 0)
        after = item_size(action.key, action.item) if isinstance(action, Put) else 0
        return max(before, after)


def _of_mosaics(keys: Sequence[Key]) -> bool:
    return all(key.pk == _MOSAICS for key in keys)


def _read(sizes: Sequence[int], share: float = 1) -> Usage:
    units = share * sum(_units(size, _READ_UNIT) for size in sizes)
    return Usage(read_units=units, rows_read=sum(size > 0 for size in sizes))


def _query(page: Page, share: float) -> Usage:
    total = sum(item_size(row.key, row.item) for row in page.rows)
    return Usage(read_units=share * _units(total, _READ_UNIT), rows_read=len(page.rows), queries=1)


def _size(key: Key, item: Item | None) -> int:
    return 0 if item is None else item_size(key, item)


def _units(size: int, unit: int) -> int:
    """What is not there costs one unit too."""
    return max(1, math.ceil(size / unit))

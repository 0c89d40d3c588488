"""The table: ordered string keys, small items, one conditional transaction per event.

`Table` is all that the index knows of storage. Its adapters, `SqliteTable` and `DynamoTable`, pass
one contract suite (`tests/contract`), so the meaning of the index is written and tested once.

Keys sort by their UTF-8 bytes. An item is a plain mapping; numbers come back equal (`1 == 1.0`),
bytes as bytes. An attribute `expires` (epoch seconds) lets the table drop the row some time
*after* that moment (DynamoDB TTL), so a reader must be right whether it is gone or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

from livemosaic.errors import TooLargeError

Item = Mapping[str, Any]
"""Attributes by name: str, int, float (finite), bool, None, bytes, and lists and dicts of them."""

MAX_ITEM_BYTES: Final = 400_000
"""DynamoDB's 400 KB, keys included, as `item_size` measures it."""
MAX_ACTIONS: Final = 100
"""Actions in one TransactWriteItems call."""
MAX_TRANSACTION_BYTES: Final = 4_000_000
"""Bytes of all items in one TransactWriteItems call."""
MAX_PK_BYTES: Final = 2048
MAX_SK_BYTES: Final = 1024
MAX_NESTING: Final = 32
"""Levels of lists and dicts in an attribute, the innermost value included."""


class Key(NamedTuple):
    """The key of a row: `pk` chooses the partition, `sk` the position in its order."""

    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class Row:
    """An item and its key."""

    key: Key
    item: Item


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a range, in key order."""

    rows: Sequence[Row]
    next: str | None
    """Pass as `after` to go on; None where the range is exhausted."""


@dataclass(frozen=True, slots=True)
class Equals:
    """Expect the row to exist with this value in this attribute."""

    attribute: str
    value: str | int


ABSENT: Final = "absent"
"""Expect that no row is at the key."""

Expect = Equals | Literal["absent"] | None


@dataclass(frozen=True, slots=True)
class Put:
    """Write the whole row, if the stored one is as expected."""

    key: Key
    item: Item
    expect: Expect = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the row; succeeds for a row that does not exist, unless `expect` requires one."""

    key: Key
    expect: Expect = None


class Table(Protocol):
    """The storage of the index. Safe to share between threads.

    Every method raises `TableBusyError` where throttling, locks or conflicts outlast the retries.
    """

    def get(self, key: Key) -> Item | None:
        """The row as of now (strongly consistent), or None."""
        ...

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """The rows that exist among any number of keys, each read once.

        Eventually consistent, at half the price: it may miss a write of the last second.
        """
        ...

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Page:
        """One page of the rows whose `sk` starts with `prefix`, in order, beginning after `after`.

        A page ends at `limit` rows or at about 1 MB, whichever is first, and may be short or even
        empty while `next` is not None. Beside a transaction it is only read-committed: it may see
        one row of it and not another.
        """
        ...

    def scan(self, prefix: str) -> Iterator[Row]:
        """The rows whose `pk` starts with `prefix`, in no order, eventually consistent.

        For maintenance: DynamoDB reads and bills the whole table, whatever the prefix. A row
        written meanwhile may be returned or not.
        """
        ...

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        """Do all of it or nothing; at most one action per key.

        Raises `ConditionFailedError` where an expectation did not hold (nothing is written) and
        `TooLargeError` beyond the limits above. Safe against a lost response: a retry of a
        transaction that was committed does not fail on its own writes.
        """
        ...

    def remove(self, keys: Sequence[Key]) -> None:
        """Remove rows, each on its own: at half the price of a transaction.

        Where it fails, some of them are gone. A row that does not exist is no error.
        """
        ...

    def close(self) -> None:
        """Close files and connections; the table must not be used afterwards."""
        ...


def item_size(key: Key, item: Item) -> int:
    """The bytes that DynamoDB counts for a row: names and values, in UTF-8.

    Source: "DynamoDB item sizes and formats" in the Amazon DynamoDB Developer Guide.
    """
    total = len("pk") + len("sk") + len(key.pk.encode()) + len(key.sk.encode())
    return total + sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Any, level: int = 1) -> int:
    if level > MAX_NESTING:
        raise TooLargeError(f"an attribute nests at most {MAX_NESTING} levels deep")
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, int | float):
        return _number_size(value)
    if isinstance(value, Mapping):
        names = sum(1 + len(name.encode()) for name in value)
        return 3 + names + sum(_value_size(v, level + 1) for v in value.values())
    if isinstance(value, list | tuple):
        return 3 + sum(1 + _value_size(v, level + 1) for v in value)
    raise TypeError(f"the table cannot hold a {type(value).__name__}")


def _number_size(value: float) -> int:
    if isinstance(value, int):
        fits = -(2**63) <= value < 2**63
    else:
        fits = value == 0 or 1e-130 <= abs(value) < 1e126
    if not fits:  # NaN compares false with everything
        raise ValueError(f"the table cannot hold the number {value!r}")
    return len(repr(value)) // 2 + 2


def check_transaction(actions: Sequence[Put | Delete]) -> None:
    """Raise `TooLargeError` or `ValueError` for a transaction that DynamoDB would reject."""
    if len(actions) > MAX_ACTIONS:
        raise TooLargeError(
            f"a transaction holds at most {MAX_ACTIONS} actions, not {len(actions)}"
        )
    if len({action.key for action in actions}) != len(actions):
        raise ValueError("a transaction acts on one key twice")
    total = 0
    for action in actions:
        check_key(action.key)
        if isinstance(action, Put) and not {"pk", "sk"}.isdisjoint(action.item):
            raise ValueError("pk and sk name the key of a row, not attributes of its item")
        size = item_size(action.key, action.item) if isinstance(action, Put) else 0
        if size > MAX_ITEM_BYTES:
            raise TooLargeError(
                f"the row {action.key.sk[:200]!r} takes {size:,} bytes; the table holds at most "
                f"{MAX_ITEM_BYTES:,} per row"
            )
        total += size
    if total > MAX_TRANSACTION_BYTES:
        raise TooLargeError(
            f"the rows of one transaction take {total:,} bytes; at most "
            f"{MAX_TRANSACTION_BYTES:,} fit"
        )


def check_key(key: Key) -> None:
    """Raise `TooLargeError` for a key that is empty, or too long for DynamoDB."""
    if not 1 <= len(key.pk.encode()) <= MAX_PK_BYTES:
        raise TooLargeError(f"a partition key takes 1 to {MAX_PK_BYTES} bytes: {key.pk[:200]!r}")
    if not 1 <= len(key.sk.encode()) <= MAX_SK_BYTES:
        raise TooLargeError(f"a sort key takes 1 to {MAX_SK_BYTES} bytes: {key.sk[:200]!r}")

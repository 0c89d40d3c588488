"""A table in memory: pure functions of its rows, so that states of it can be kept and compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import msgpack

from livemosaic.errors import ConditionFailedError
from livemosaic.table import Delete, Equals, Item, Key, Page, Put, Row, check_key, check_transaction

Rows = Mapping[Key, bytes]
"""Packed items by key: two tables are equal where these are."""

PAGE_BYTES = 1_000_000


def get(rows: Rows, key: Key) -> Item | None:
    check_key(key)
    return unpacked(rows[key]) if key in rows else None


def page(
    rows: Rows, pk: str, *, prefix: str = "", after: str | None = None, limit: int | None = None
) -> Page:
    check_key(Key(pk, after or prefix or "-"))
    if limit is not None and limit < 1:
        raise ValueError(f"a page holds at least one row, not {limit}")
    found: list[Row] = []
    size = 0
    for key in sorted(k for k in rows if k.pk == pk and k.sk.startswith(prefix)):
        if after is not None and key.sk <= after:
            continue
        if found and (len(found) == limit or size + len(rows[key]) > PAGE_BYTES):
            return Page(found, found[-1].key.sk)
        found.append(Row(key, unpacked(rows[key])))
        size += len(rows[key])
    return Page(found, None)


def transacted(rows: Rows, actions: Sequence[Put | Delete]) -> Rows:
    """The rows after a transaction; `ConditionFailedError` where they are not as it expects."""
    check_transaction(actions)
    changed = dict(rows)
    for action in actions:
        _check(rows, action)
        if isinstance(action, Put):
            changed[action.key] = msgpack.packb(dict(action.item))
        else:
            changed.pop(action.key, None)
    return changed


def _check(rows: Rows, action: Put | Delete) -> None:
    if action.expect is None:
        return
    item = get(rows, action.key)
    if isinstance(action.expect, Equals):
        stored = None if item is None else item.get(action.expect.attribute)
        met = stored == action.expect.value and not isinstance(stored, bool)
    else:
        met = item is None
    if not met:
        raise ConditionFailedError(f"the row {action.key.sk[:200]!r} is not as expected")


def unpacked(packed: bytes) -> Item:
    item: Item = msgpack.unpackb(packed)
    return item


@dataclass
class MemoryTable:
    """A `Table`, on those functions."""

    rows: Rows = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: Key) -> Item | None:
        return get(self.rows, key)

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        rows = self.rows
        found = {key: get(rows, key) for key in keys}
        return {key: item for key, item in found.items() if item is not None}

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Page:
        return page(self.rows, pk, prefix=prefix, after=after, limit=limit)

    def scan(self, prefix: str) -> Iterator[Row]:
        for key, packed in self.rows.items():
            if key.pk.startswith(prefix):
                yield Row(key, unpacked(packed))

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        with self._lock:
            self.rows = transacted(self.rows, actions)

    def remove(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.transact([Delete(key)])

    def close(self) -> None:
        """Nothing is open."""

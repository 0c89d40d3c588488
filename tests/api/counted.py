"""A table that counts what tiles read of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from livemosaic.table import Delete, Item, Key, Page, Put, Row, Table


@dataclass
class CountedTable:
    """Another table, whose queries are counted and the rows that they give."""

    table: Table
    queries: int = 0
    rows: int = 0
    batches: int = 0

    def get(self, key: Key) -> Item | None:
        return self.table.get(key)

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self.batches += any(key.pk != "mosaics" for key in keys)  # settings are kept for seconds
        return self.table.batch_get(keys)

    def query(self, pk: str, **how: Any) -> Page:
        page = self.table.query(pk, **how)
        self.queries += 1
        self.rows += len(page.rows)
        return page

    def scan(self, prefix: str) -> Iterator[Row]:
        return self.table.scan(prefix)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.table.transact(actions)

    def remove(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.transact([Delete(key)])

    def close(self) -> None:
        self.table.close()

    def forget(self) -> None:
        """Count from zero."""
        self.queries = self.rows = self.batches = 0

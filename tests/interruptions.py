"""A table on which something happens between the calls of a worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livemosaic.table import Delete, Item, Key, Page, Put, Table


@dataclass
class Hook:
    """Something that happens before one of the calls."""

    after: int
    run: Callable[[], object]
    calls: int = 0
    ran: bool = False

    def __call__(self) -> None:
        self.calls += 1
        if self.calls > self.after and not self.ran:
            self.ran = True
            self.run()

    def around(self, fetch: Callable[[str], bytes]) -> Callable[[str], bytes]:
        """With what happens after it: then what it saw is out of date."""

        def fetched(href: str) -> bytes:
            try:
                return fetch(href)
            finally:
                self()

        return fetched


@dataclass
class Hooked:
    """A table, with something that happens before each get and each write."""

    table: Table
    hook: Hook

    def get(self, key: Key) -> Item | None:
        self.hook()
        return self.table.get(key)

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        return self.table.batch_get(keys)

    def query(self, pk: str, **kwargs: Any) -> Page:
        return self.table.query(pk, **kwargs)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.hook()
        self.table.transact(actions)

    def remove(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.transact([Delete(key)])

    def close(self) -> None:
        self.table.close()

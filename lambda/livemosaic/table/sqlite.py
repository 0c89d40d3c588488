"""The table in one SQLite file: nothing to run, safe for many threads and processes."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgpack

from livemosaic.errors import ConditionFailedError, TableBusyError, TableUnavailableError
from livemosaic.table import (
    MAX_ACTIONS,
    Delete,
    Equals,
    Item,
    Key,
    Page,
    Put,
    Row,
    check_key,
    check_transaction,
)
from livemosaic.table.retry import Backoff
from livemosaic.table.turns import Turns

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
PAGE_BYTES: Final = 1_000_000
POLL_S: Final = 0.05
"""How long SQLite itself waits for a lock before the backoff takes over: SQLite polls at fixed
times, at which processes that collided meet again."""
PURGED_AT_ONCE: Final = 50
"""The largest number of expired rows that one transaction removes: a constant cost that keeps up
with any flow of tombstones, as each transaction writes one."""

CREATE: Final = (
    "CREATE TABLE rows (pk TEXT NOT NULL, sk TEXT NOT NULL, item BLOB NOT NULL, expires REAL,"
    " PRIMARY KEY (pk, sk)) WITHOUT ROWID",
    "CREATE INDEX rows_expires ON rows (expires) WHERE expires IS NOT NULL",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
STATE: Final = (  # in one statement, or another process may make the file between two
    "SELECT user_version, (SELECT count(*) FROM sqlite_master),"
    " EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'rows') FROM pragma_user_version"
)
GET: Final = "SELECT item FROM rows WHERE pk = ? AND sk = ?"
# No byte of UTF-8 is 0xFF, so prefix + 0xFF comes after all that begins with the prefix, even
# where its last character is the last one there is. SQLite compares TEXT byte by byte.
QUERY: Final = (
    "SELECT sk, item FROM rows WHERE pk = :pk AND sk >= :start AND sk IS NOT :after"
    " AND sk < CAST(:end AS TEXT) ORDER BY sk"
)
SCAN: Final = (
    "SELECT pk, sk, item FROM rows WHERE (pk, sk) > (?, ?) AND pk < CAST(? AS TEXT)"
    " ORDER BY pk, sk LIMIT ?"
)
SCANNED_AT_ONCE: Final = 500
PUT: Final = "INSERT OR REPLACE INTO rows (pk, sk, item, expires) VALUES (?, ?, ?, ?)"
DELETE: Final = "DELETE FROM rows WHERE pk = ? AND sk = ?"
PURGE: Final = (
    "DELETE FROM rows WHERE (pk, sk) IN"
    " (SELECT pk, sk FROM rows WHERE expires <= ? ORDER BY expires LIMIT ?)"
)

FIXES: Final = {
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: make its directory first, and allow writing there",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged: move it away and ingest again, or restore a copy",
    sqlite3.SQLITE_READONLY: "is read-only: allow writing to the file and to its directory",
    sqlite3.SQLITE_PERM: "is not ours to use: allow reading and writing it",
    sqlite3.SQLITE_FULL: "has no room to grow: free some disk space",
    sqlite3.SQLITE_IOERR: "cannot be read or written: look at the disk",
}


class SqliteTable:
    """A `Table` in one file, created where it is missing; its directory must be there.

    Each operation borrows a connection, so as many are open as threads ever worked at once. Open it
    after a fork, not before: SQLite forbids carrying connections across.
    """

    def __init__(self, path: Path | str, *, backoff: Backoff | None = None) -> None:
        self._path = Path(path).absolute()  # connections are opened later too
        self._backoff = backoff or Backoff()
        self._turns = Turns()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        try:
            self._retry(self._prepare)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close idle connections now, and busy ones when their work is done."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def get(self, key: Key) -> Item | None:
        """The row as of now, or None."""
        check_key(key)
        return self._retry(lambda connection: _get(connection, key))

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """The rows that exist; one lookup each, as there is no network."""
        for key in keys:
            check_key(key)
        found = self._retry(lambda c: {key: _get(c, key) for key in dict.fromkeys(keys)})
        return {key: item for key, item in found.items() if item is not None}

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = False,  # noqa: ARG002 - reads always are
    ) -> Page:
        """One page of a range, as of one moment."""
        check_key(Key(pk, after or prefix or "-"))
        if limit is not None and limit < 1:
            raise ValueError(f"a page holds at least one row, not {limit}")
        return self._retry(lambda c: _page(c, pk, prefix, after, limit))

    def scan(self, prefix: str) -> Iterator[Row]:
        """All rows of the partitions with a prefix, in order; each page as of one moment."""
        rows = self._some(prefix, Key(prefix, ""))
        while rows:
            yield from rows
            rows = self._some(prefix, rows[-1].key)

    def _some(self, prefix: str, after: Key) -> list[Row]:
        where = (after.pk, after.sk, prefix.encode() + b"\xff", SCANNED_AT_ONCE)
        found = self._retry(lambda connection: connection.execute(SCAN, where).fetchall())
        return [Row(Key(pk, sk), _unpack(packed)) for pk, sk, packed in found]

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        """Do all of it or nothing. A response cannot be lost: there is no network."""
        check_transaction(actions)
        if actions:
            with self._turn():
                self._retry(lambda connection: _transact(connection, actions))

    def remove(self, keys: Sequence[Key]) -> None:
        """Remove rows, many in a transaction, as each is written to the disk."""
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), MAX_ACTIONS):
            self.transact([*map(Delete, unique[start : start + MAX_ACTIONS])])

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread write at a time, as SQLite does, but wake the next without a poll."""
        if not self._turns.take(self._backoff.deadline_s):
            raise self._busy()
        try:
            yield
        finally:
            self._turns.pass_on()

    def _retry(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a connection, again while another process holds the lock."""
        busy: sqlite3.Error | None = None
        for _ in self._backoff.attempts():
            try:
                with self._connection() as connection:
                    return work(connection)
            except sqlite3.Error as error:
                if _primary_code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    fix = FIXES.get(_primary_code(error), f"failed: {error}")
                    raise TableUnavailableError(f"{self._path.name} {fix}") from error
                busy = error
        raise self._busy() from busy

    def _busy(self) -> TableBusyError:
        waited = f"{self._backoff.deadline_s:g} s"
        return TableBusyError(f"{self._path.name} has been locked by others for {waited}")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = self._borrow()
        try:
            yield connection
        finally:
            self._idle.append(connection)
            if self._closed:  # checked after the append, or a close in between would miss it
                self.close()

    def _borrow(self) -> sqlite3.Connection:
        if self._closed:
            raise RuntimeError(f"{self._path.name} is closed")
        with suppress(IndexError):  # pop() is atomic, a check before it is not
            return self._idle.pop()
        return _connect(self._path)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._is_empty(connection):
            connection.execute("PRAGMA journal_mode = WAL")  # the file remembers
            with _transaction(connection):
                if self._is_empty(connection):  # no other process did it meanwhile
                    for statement in CREATE:
                        connection.execute(statement)

    def _is_empty(self, connection: sqlite3.Connection) -> bool:
        """Whether the file has no schema yet; rejects a file of another program or version."""
        version, tables, ours = connection.execute(STATE).fetchone()
        if (version, tables) != (0, 0) and (version != SCHEMA_VERSION or not ours):
            raise TableUnavailableError(
                f"{self._path.name} holds another program's data, or another version's "
                f"(schema {version}, where this one reads {SCHEMA_VERSION}): name another file"
            )
        return not tables


def _primary_code(error: sqlite3.Error) -> int:
    """The code without its extension in the upper bytes; 0 where Python raised it itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: `_transaction` begins each one. Only one thread has a connection at a time.
    connection = sqlite3.connect(
        path, timeout=POLL_S, isolation_level=None, check_same_thread=False
    )
    try:
        # An event is not sent again once it was applied, so it must outlive a power cut; NORMAL
        # would keep the file sound but lose the last commits.
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:  # it reads the file, which may not be an SQLite database
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: a transaction that begins by reading cannot write after another has written.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back where the disk is full
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _get(connection: sqlite3.Connection, key: Key) -> Item | None:
    row = connection.execute(GET, key).fetchone()
    return None if row is None else _unpack(row[0])


def _page(
    connection: sqlite3.Connection, pk: str, prefix: str, after: str | None, limit: int | None
) -> Page:
    end = prefix.encode() + b"\xff"
    where = {"pk": pk, "start": max(prefix, after or ""), "after": after, "end": end}
    rows: list[Row] = []
    size = 0
    with closing(connection.execute(QUERY, where)) as found:
        for sk, packed in found:
            if rows and (len(rows) == limit or size + len(packed) > PAGE_BYTES):
                return Page(rows, rows[-1].key.sk)
            rows.append(Row(Key(pk, sk), _unpack(packed)))
            size += len(packed)
    return Page(rows, None)


def _transact(connection: sqlite3.Connection, actions: Sequence[Put | Delete]) -> None:
    with _transaction(connection):
        for action in actions:
            if action.expect is not None:
                _check(action.key, action.expect, _get(connection, action.key))
        # Not before the checks, or an expired row that a caller read would fail its expectation.
        connection.execute(PURGE, (time.time(), PURGED_AT_ONCE))
        for action in actions:
            if isinstance(action, Delete):
                connection.execute(DELETE, action.key)
                continue
            expires = action.item.get("expires")
            at = expires if isinstance(expires, int | float) else None
            connection.execute(PUT, (*action.key, msgpack.packb(dict(action.item)), at))


def _check(key: Key, expect: Equals | Literal["absent"], item: Item | None) -> None:
    if isinstance(expect, Equals):
        stored = None if item is None else item.get(expect.attribute)
        met = stored == expect.value and not isinstance(stored, bool)  # to DynamoDB no number
    else:
        met = item is None
    if not met:
        raise ConditionFailedError(f"the row {key.sk[:200]!r} is not as expected")


def _unpack(packed: bytes) -> dict[str, Any]:
    item: dict[str, Any] = msgpack.unpackb(packed)
    return item

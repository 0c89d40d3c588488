"""What holds for the file beyond the contract: many processes, foreign files, locks, expiry."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from livemosaic.errors import TableBusyError, TableUnavailableError
from livemosaic.table import Key, Put, sqlite
from livemosaic.table.retry import Backoff
from livemosaic.table.sqlite import PURGED_AT_ONCE, SqliteTable
from livemosaic.table.turns import Turns

KEY = Key("p", "s")

WRITER = """
import sys
from livemosaic.errors import ConditionFailedError
from livemosaic.table import Equals, Key, Put
from livemosaic.table.sqlite import SqliteTable

table, key, me = SqliteTable(sys.argv[1]), Key("p", "counter"), sys.argv[2]
sys.stdin.read()  # until all are there
for i in range(25):
    table.transact([Put(Key("cell", f"{me}-{i:02}-{j}"), {"data": me * 5000}) for j in range(3)])
    while True:
        n = table.get(key)["n"]
        try:
            table.transact([Put(key, {"n": n + 1}, Equals("n", n))])
        except ConditionFailedError:
            continue
        break
table.close()
"""


def test_four_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "table.db"
    with closing(SqliteTable(path)) as table:
        table.transact([Put(Key("p", "counter"), {"n": 0})])
        command = [sys.executable, "-W", "error", "-c", WRITER, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        writers = [subprocess.Popen([*command, me], **pipes) for me in "abcd"]
        for writer in writers:
            writer.stdin.close()
        for writer in writers:
            with writer:
                assert writer.stderr.read() == ""
            assert writer.returncode == 0
        assert table.get(Key("p", "counter")) == {"n": 100}
        found = table.query("cell").rows
        assert len(found) + len(table.query("cell", after=found[-1].key.sk).rows) == 300
        assert all(row.item == {"data": row.key.sk[0] * 5000} for row in found)


def test_four_processes_may_make_the_file_at_once(tmp_path: Path) -> None:
    script = "import sys; from livemosaic.table.sqlite import SqliteTable as T; T(sys.argv[1])"
    command = [sys.executable, "-c", f"{script}.close()", str(tmp_path / "table.db")]
    makers = [subprocess.Popen(command) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0, 0, 0, 0]


def test_another_may_make_the_file_at_any_moment_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.db"

    class Interrupted(sqlite3.Connection):
        looked = False

        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            if self.looked:
                self.looked = False
                monkeypatch.undo()
                SqliteTable(path).close()
            elif "user_version" in sql:
                self.looked = True
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **how: connect(*args, **how, factory=Interrupted)
    )
    with closing(SqliteTable(path)) as table:
        table.transact([Put(KEY, {"a": 1})])
        assert table.get(KEY) == {"a": 1}


def test_rows_outlive_the_process(tmp_path: Path) -> None:
    with closing(SqliteTable(tmp_path / "table.db")) as table:
        table.transact([Put(KEY, {"a": 1})])
    assert [path.name for path in tmp_path.iterdir()] == ["table.db"]
    with closing(SqliteTable(str(tmp_path / "table.db"))) as table:
        assert table.get(KEY) == {"a": 1}


def test_threads_that_end_leave_no_connection_behind(tmp_path: Path) -> None:
    with closing(SqliteTable(tmp_path / "table.db")) as table:
        for _ in range(20):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(table.transact, [Put(KEY, {"a": 1})]).result()
        assert len(table._idle) == 1


def test_a_closed_table_says_so(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.db")
    table.close()
    table.close()
    with pytest.raises(RuntimeError, match=r"table\.db is closed"):
        table.get(KEY)


def test_a_table_closed_beside_work_lets_it_end(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.db")
    with table._connection() as connection:
        table.close()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


class TestExpiry:
    def test_a_later_transaction_removes_what_has_expired(self, sqlite_table: SqliteTable) -> None:
        past = time.time() - 1
        puts = [Put(Key("old", f"{i:03}"), {"expires": past}) for i in range(PURGED_AT_ONCE + 5)]
        sqlite_table.transact(puts)
        sqlite_table.transact([Put(KEY, {"expires": past + 3600})])
        assert len(sqlite_table.query("old").rows) == 5, "each removes some at most"
        sqlite_table.transact([Put(Key("p", "other"), {})])
        assert sqlite_table.query("old").rows == []
        assert len(sqlite_table.query("p").rows) == 2

    def test_a_row_that_is_put_again_without_expiry_stays(self, sqlite_table: SqliteTable) -> None:
        sqlite_table.transact([Put(KEY, {"expires": int(time.time()) + 1})])
        sqlite_table.transact([Put(KEY, {"a": 1})])
        with closing(sqlite3.connect(sqlite_table._path)) as file:
            assert file.execute("SELECT expires FROM rows").fetchall() == [(None,)]

    def test_looking_for_expired_rows_reads_an_index(self, sqlite_table: SqliteTable) -> None:
        with closing(sqlite3.connect(sqlite_table._path)) as file:
            plan = str(file.execute(f"EXPLAIN QUERY PLAN {sqlite.PURGE}", (1, 1)).fetchall())
        assert "INDEX rows_expires" in plan
        assert "SCAN rows" not in plan

    def test_a_range_is_read_from_its_key_on(self, sqlite_table: SqliteTable) -> None:
        where = {"pk": "p", "start": "a", "after": "a", "end": b"b"}
        with closing(sqlite3.connect(sqlite_table._path)) as file:
            plan = str(file.execute(f"EXPLAIN QUERY PLAN {sqlite.QUERY}", where).fetchall())
        assert "(pk=? AND sk>? AND sk<?)" in plan
        assert "TEMP B-TREE" not in plan


class TestLocks:
    def test_a_write_waits_for_another_process(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as other:
            pauses = []

            def release(pause: float) -> None:
                pauses.append(pause)
                other.execute("COMMIT")

            with closing(SqliteTable(tmp_path / "t.db", backoff=Backoff(sleep=release))) as table:
                other.execute("BEGIN IMMEDIATE")
                table.transact([Put(KEY, {"a": 1})])
                assert table.get(KEY) == {"a": 1}
                assert len(pauses) == 1

    def test_a_lock_that_never_ends_is_a_busy_table(self, tmp_path: Path) -> None:
        table = SqliteTable(tmp_path / "t.db", backoff=Backoff(deadline_s=0))
        with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with closing(table), pytest.raises(TableBusyError, match=r"^t\.db has been locked"):
                table.transact([Put(KEY, {"a": 1})])

    def test_threads_write_in_the_order_in_which_they_came(self) -> None:
        turns, order = Turns(), list[int]()
        assert turns.take(0)

        def take(n: int) -> None:
            assert turns.take(10)
            order.append(n)
            turns.pass_on()

        threads = [Thread(target=take, args=(n,)) for n in range(20)]
        for n, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= n:
                time.sleep(0.001)
        assert not turns.take(0.01)  # who gives up is not waited for
        turns.pass_on()
        for thread in threads:
            thread.join()
        assert order == list(range(20))
        assert turns.take(0)

    def test_a_reader_does_not_wait_for_a_writer(self, sqlite_table: SqliteTable) -> None:
        sqlite_table.transact([Put(KEY, {"a": 1})])
        with closing(sqlite3.connect(sqlite_table._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("DELETE FROM rows")
            assert sqlite_table.get(KEY) == {"a": 1}


class TestFiles:
    def refused(self, path: Path, match: str) -> None:
        with pytest.raises(TableUnavailableError, match=match) as caught:
            SqliteTable(path)
        assert str(path.parent) not in str(caught.value)

    def test_a_directory_that_is_missing_is_named_as_the_fix(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "none" / "t.db", r"^t\.db cannot be opened: make its directory")

    def test_a_directory_is_no_file(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "cannot be opened")

    def test_a_file_of_another_kind_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.tif"
        path.write_bytes(b"II*\0" * 1000)
        self.refused(path, r"^photo\.tif is not an SQLite database")
        assert path.read_bytes() == b"II*\0" * 1000

    @pytest.mark.parametrize(
        "statement",
        ["CREATE TABLE features (id)", "PRAGMA user_version = 10300", "PRAGMA user_version = 2"],
        ids=["no version", "GeoPackage", "newer"],
    )
    def test_a_database_of_another_program_or_version_is_refused(
        self, tmp_path: Path, statement: str
    ) -> None:
        with closing(sqlite3.connect(tmp_path / "t.db")) as other:
            other.execute(statement)
        before = (tmp_path / "t.db").read_bytes()
        self.refused(tmp_path / "t.db", r"^t\.db holds another program's data, or another version")
        assert (tmp_path / "t.db").read_bytes() == before

    def test_a_read_only_file_can_be_read_and_is_said_to_be_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        SqliteTable(tmp_path / "t.db").close()
        monkeypatch.setattr(
            sqlite, "_connect", lambda path: sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        )
        with closing(SqliteTable(tmp_path / "t.db")) as table:
            assert table.get(KEY) is None
            with pytest.raises(TableUnavailableError, match=r"^t\.db is read-only: allow writing"):
                table.transact([Put(KEY, {})])

    def test_a_full_disk_leaves_the_table_as_it_was(
        self, sqlite_table: SqliteTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sqlite_table.transact([Put(KEY, {"a": 1})])
        [connection] = sqlite_table._idle
        connection.execute("PRAGMA max_page_count = 10")
        with pytest.raises(TableUnavailableError, match="no room to grow"):
            sqlite_table.transact([Put(KEY, {}), Put(Key("p", "big"), {"data": b"x" * 200_000})])
        assert sqlite_table.get(KEY) == {"a": 1}
        sqlite_table.transact([Put(KEY, {"a": 2})])
        assert sqlite_table.get(KEY) == {"a": 2}

"""A server on SQLite for most tests, and on every table for a few."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.served import Server, serving
from livemosaic.table import Table
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where assets may be."""
    made = tmp_path / "assets"
    made.mkdir()
    return made


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    """A server with an empty mosaic `m`."""
    with serving(sqlite_table, folder) as made:
        made.create()
        yield made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same for all tests of a module, of those that change nothing in it."""
    made = tmp_path_factory.mktemp("assets")
    table = SqliteTable(made / "table.db")
    with serving(table, made) as server:
        server.create()
        yield server


@pytest.fixture
def any_server(table: Table, folder: Path) -> Iterator[Server]:
    """The same, on each table adapter in turn."""
    with serving(table, folder) as made:
        made.create()
        yield made

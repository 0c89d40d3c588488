"""A server of scenes without files: a vector tile of the index reads none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.served import Server, serving
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    with serving(sqlite_table, tmp_path) as made:
        made.create()
        yield made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same for all tests of a module."""
    made = tmp_path_factory.mktemp("kept")
    with serving(SqliteTable(made / "table.db"), made) as server:
        yield server

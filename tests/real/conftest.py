"""Real rasters of public projects, beside the repository; without them these tests are skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.served import Server, serving
from livemosaic.table.sqlite import SqliteTable

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of test data; see its SOURCES.md."""
    if not DATA.is_dir():
        pytest.skip("the real rasters are not here: shared/data beside the repository is missing")
    return DATA


@pytest.fixture(scope="module")
def real(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may read all of them; one for each module."""
    table = SqliteTable(tmp_path_factory.mktemp("real") / "table.db")
    with serving(table, data) as server:
        yield server

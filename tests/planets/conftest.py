"""A mosaic of terrain models on Mars, and one of the Earth beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.served import Server, serving
from livemosaic.table.sqlite import SqliteTable
from planets.mars import STRIPS, ctx, write_matrix_sets


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    """A server with an empty mosaic `m` of the Earth."""
    with serving(sqlite_table, tmp_path) as made:
        made.create()
        yield made


@pytest.fixture(scope="module")
def mars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Mosaics `dtm`, `ortho` and `shade` of Mars, and `earth`; for tests that change nothing."""
    folder = tmp_path_factory.mktemp("assets")
    sets = write_matrix_sets(folder / "tms")
    with serving(SqliteTable(folder / "table.db"), folder, tile_matrix_sets=sets) as server:
        server.create("earth")
        items = [ctx(folder, name) for name in STRIPS]
        for mosaic, asset in (("dtm", "dtm"), ("ortho", "orthoimage"), ("shade", "hillshade")):
            server.create(
                mosaic,
                tms="MarsMercatorSphere",
                assets=[asset],
                minzoom=0,
                maxzoom=14,
                quadkey_zoom=9,
            )
            server.add(*items, mosaic=mosaic)
        yield server

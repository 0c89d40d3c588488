"""The same mosaics opened as an index and behind an API on a socket, with known pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

import livemosaic
from api.served import LEFT, RIGHT, Server, on_socket, serving
from livemosaic.client.reader import CONNECTIONS
from livemosaic.table.sqlite import SqliteTable

rng = np.random.default_rng(42)
KINDS = {
    "rgb": (3, "uint8", 0),
    "dem": (1, "float32", -32767.0),
    "deep": (2, "uint16", None),
    "signed": (1, "int16", -1),
    "tiny": (1, "int8", -128),
    "wide": (1, "int64", None),
    "double": (2, "float64", float("nan")),
}
"""Mosaics: bands, data type and nodata value of their scenes."""


@dataclass(frozen=True)
class Faces:
    """Two ways to the same mosaics."""

    server: Server
    index: livemosaic.Connection
    api: livemosaic.Connection

    @property
    def both(self) -> tuple[livemosaic.Connection, livemosaic.Connection]:
        return self.index, self.api


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    """For tests that change nothing in its mosaics, each of three scenes that overlap."""
    folder = tmp_path_factory.mktemp("assets")
    database = folder / "table.db"
    with serving(SqliteTable(database), folder) as server, on_socket(server) as url:
        for mosaic, (bands, dtype, nodata) in KINDS.items():
            server.create(mosaic, properties=["eo:cloud_cover"], default_assets=["visual"])
            for day, part in enumerate((LEFT, (64, 64, 192, 192), RIGHT), 1):
                _publish(server, mosaic, day, part, bands, dtype, nodata)
        with (
            livemosaic.open(f"sqlite:///{database}", allow=[str(folder)]) as index,
            livemosaic.open(url) as api,
        ):
            yield Faces(server, index, api)


@pytest.fixture(params=["index", "api"])
def place(
    request: pytest.FixtureRequest, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """What stands before the id of a mosaic, for readers; their connections are closed after."""
    monkeypatch.setenv("LIVEMOSAIC_ALLOWED_PREFIXES", str(faces.server.folder))
    yield f"{faces.index.url}#" if request.param == "index" else f"{faces.api.url}/mosaics/"
    CONNECTIONS.close()


def _publish(server, mosaic, day, part, bands, dtype, nodata):
    shape = bands, part[3] - part[1], part[2] - part[0]
    values = rng.integers(1, 120, shape).astype(dtype)
    if nodata is not None:
        values[:, :10, :10] = nodata
    server.publish(f"day-{day}", values, part, day=day, mosaic=mosaic, nodata=nodata)

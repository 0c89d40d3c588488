"""Mosaics on a socket, for clients that are other programs."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from api.served import LEFT, Server, on_socket, serving
from livemosaic.table.sqlite import SqliteTable

NODATA = -32767.0


@pytest.fixture(autouse=True)
def no_old_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL keeps tiles of `WMTS:URL` in a folder of the working directory otherwise."""
    monkeypatch.setenv("GDAL_DEFAULT_WMS_CACHE_PATH", str(tmp_path / "gdal-cache"))


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    """A server with an empty mosaic `m`."""
    folder = tmp_path / "assets"
    folder.mkdir()
    with serving(sqlite_table, folder) as made:
        made.create()
        yield made


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A mosaic of each kind of pixels, with one scene on one map tile."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        random = np.random.default_rng(18)
        for name, bands, dtype in (
            ("rgb", 3, "uint8"),
            ("gray", 1, "uint8"),
            ("deep", 1, "uint16"),
            ("five", 5, "uint16"),
            ("signed", 1, "int16"),
        ):
            server.create(name)
            values = random.integers(1, 200, (bands, 256, 256)).astype(dtype)
            server.publish("a", values, mosaic=name)
        server.create("dtm")
        heights = random.normal(-2500, 100, (1, 256, 128)).astype("float32")
        heights[0, :20] = NODATA
        server.publish("a", heights, LEFT, mosaic="dtm", nodata=NODATA)
        server.create("few", minzoom=8, maxzoom=12, quadkey_zoom=12)
        server.publish("a", heights, LEFT, mosaic="few", nodata=NODATA)
        server.create("empty")
        yield server


@pytest.fixture(scope="module")
def url(mosaics: Server) -> Iterator[str]:
    """Where other programs find them."""
    with on_socket(mosaics) as address:
        yield address


class Saved:
    """Saves documents of the API as files."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder

    def __call__(self, path: str, **query: str) -> Path:
        answer = httpx2.get(f"{self._url}{path}", params=query, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        target = self._folder / path.rsplit("/", 1)[-1]
        target.write_bytes(answer.content)
        return target


@pytest.fixture
def saved(url: str, tmp_path: Path) -> Saved:
    return Saved(url, tmp_path)

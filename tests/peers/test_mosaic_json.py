"""titiler.mosaic serves our export, which it reads from our own server."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from api.served import SIZE, Server, X, Y, Z, on_socket, serving, tile_url
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    """A mosaic of 15 scenes in a random order, with holes."""
    folder = tmp_path / "assets"
    folder.mkdir()
    random = np.random.default_rng(18)
    with serving(sqlite_table, folder) as made:
        made.create()
        for n in range(15):
            column, row = (int(place) for place in random.integers(0, SIZE - 100, 2))
            values = random.integers(1, 255, (3, 90, 100)).astype("uint8")
            values[:, random.random((90, 100)) < 0.2] = 0
            part = (column, row, column + 100, row + 90)
            made.publish(f"s{n}", values, part, day=int(random.integers(1, 6)), nodata=0)
        yield made


def test_tiles_are_identical(server: Server, titiler: str) -> None:
    """At the zoom of the cells and below, where their lists are in our order."""
    shown = 0
    with on_socket(server) as url:
        document = f"{url}/mosaics/m/mosaic.json?quadkey_zoom={Z + 1}"
        for deep in (1, 2):
            for column in range(1 << deep):
                for row in range(1 << deep):
                    tile = (Z + deep, (X << deep) + column, (Y << deep) + row)
                    expected, ours = _both(titiler, document, url, tile)
                    assert expected.shape == ours.shape
                    assert np.array_equal(expected[-1], ours[-1]), tile
                    valid = ours[-1] != 0
                    assert np.array_equal(expected[:, valid], ours[:, valid]), tile
                    shown += int(valid.any())
    assert shown > 10


def _both(
    titiler: str, document: str, url: str, tile: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    z, x, y = tile
    theirs = f"{titiler}/http/tiles/WebMercatorQuad/{z}/{x}/{y}.npy"
    answers = [
        httpx.get(theirs, params={"url": document}, timeout=60),
        httpx.get(f"{url}{tile_url(tile=tile)}.npy", timeout=60),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    return tuple(np.load(io.BytesIO(answer.content)) for answer in answers)  # type: ignore[return-value]

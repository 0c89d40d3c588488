"""titiler.mosaic's own factory serves a live mosaic through `livemosaic.MosaicBackend`."""

import io
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_path

import httpx
import numpy as np
import pytest

import livemosaic
from api.served import LEFT, RIGHT, WEB, WHOLE, Server, X, Y, Z, on_socket, serving
from livemosaic.table.sqlite import SqliteTable
from peers.conftest import running

WEST, SOUTH, EAST, NORTH = WEB.bounds(X, Y, Z)
APP = Path(__file__).with_name("backend_app.py")


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    """A mosaic `m` of three scenes with holes."""
    random = np.random.default_rng(3)
    with serving(sqlite_table, tmp_path) as made:
        made.create()
        for day, part in enumerate((LEFT, WHOLE, RIGHT), 1):
            values = random.integers(0, 9, (1, part[3] - part[1], part[2] - part[0]), "uint8")
            made.publish(f"day-{day}", values, part, day=day, nodata=0)
        yield made


def test_titiler_serves_what_is_there_now(server: Server) -> None:
    own = [str(Path(livemosaic.__file__).parents[1]), get_path("purelib")]
    with (
        on_socket(server) as url,
        running(APP, *own, LIVEMOSAIC_ALLOWED_PREFIXES=str(server.folder)) as address,
        httpx.Client(base_url=address, params={"url": f"{url}/mosaics/m"}, timeout=60) as titiler,
    ):
        assert titiler.get("/info").json()["name"] == "m"
        assert_same(server, titiler)
        point = titiler.get(f"/point/{(WEST + EAST) / 2 + 0.01},{(SOUTH + NORTH) / 2}").json()
        assert [Path(one["name"]).name[:5] for one in point["assets"]] == ["day-3", "day-2"]
        part = titiler.get(f"/bbox/{WEST},{SOUTH},{EAST},{NORTH}/32x32.npy")
        assert part.status_code == 200, part.text
        server.publish("day-4", 77, (100, 100, 120, 120), day=4)
        assert_same(server, titiler)
        assert titiler.get("/info", params={"url": f"{url}/mosaics/none"}).status_code == 404
        assert titiler.get("/info", params={"url": "nonsense"}).status_code == 400


def assert_same(server: Server, titiler: httpx.Client) -> None:
    answer = titiler.get(f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}.npy", params={"tilesize": 256})
    assert answer.status_code == 200, answer.text
    *data, valid = np.load(io.BytesIO(answer.content))
    ours = server.picture()
    np.testing.assert_array_equal(valid > 0, ours.valid)
    np.testing.assert_array_equal(np.stack(data)[:, ours.valid], ours.data[:, ours.valid])

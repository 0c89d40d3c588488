"""The way of a default tile through the code, from its route to its bytes.

Where this fails, a tile enters another module, or comes back to one more often. Give the module its
place in the list if it has something to do for each tile; otherwise do not enter it.
"""

import sys
import threading
from collections.abc import Iterator
from itertools import groupby, takewhile
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import livemosaic
from api.served import SIZE, serving, tile_url
from livemosaic.table.sqlite import SqliteTable

PACKAGE = f"{Path(livemosaic.__file__).parent}/"
ENTERED = [
    "api/routes/tiles.py",
    "api/access.py",
    "index/mosaics.py",
    "tiler/rules/parameters.py",
    "api/params/pixels.py",
    "render/parameters.py",
    "tiler/views.py",
    "api/responses/picture.py",
    "tiler/picture.py",
    "tiler/assets.py",
    "traces.py",
    "api/responses/etag.py",
    "tiler/plan.py",
    "tiler/candidates.py",
    "index/search.py",
    "index/partitions.py",
    "geo/covering.py",
    "geo/cells.py",
    "index/schema.py",
    "table/sqlite.py",
    "table/__init__.py",
    "table/retry.py",
    "index/merge.py",
    "index/formats/hrefs.py",
    "geo/rasterize.py",
    "geo/antimeridian.py",
    "cog/budget.py",
    "cog/reader.py",
    "cog/raster.py",
    "cog/pixels.py",
    "cog/warp.py",
    "geo/frame.py",
    "cog/overviews.py",
    "cog/geotiff.py",
    "storage/cache.py",
    "storage/coalesce.py",
    "cog/blocks.py",
    "storage/adapters.py",
    "cog/codecs/deflate.py",
    "tiler/watch.py",
    "render/stack/compose.py",
    "render/encode.py",
    "render/style.py",
]
"""Of a tile of one scene whose mosaic and file are known, in order; without the values of `model`,
which have no way of their own."""
MOST_RETURNS = 92
"""How often a tile may come back to a module that it has left."""


class Tracer:
    """Notes the module and name of each function of ours that begins."""

    def __init__(self) -> None:
        self.is_on = False
        self.begun: list[tuple[str, str]] = []
        self._met: dict[int, FrameType] = {}
        """By identity, and so alive: a coroutine has one frame however often it goes on."""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        is_ours = file.startswith(PACKAGE) and not name.startswith("<")
        if self.is_on and event == "call" and is_ours and id(frame) not in self._met:
            self._met[id(frame)] = frame
            self.begun.append((file.removeprefix(PACKAGE), name))

    def way(self) -> list[str]:
        """The modules from the route of tiles until the response is sent, each as it is entered."""
        begin = self.begun.index(("api/routes/tiles.py", "tile"))
        modules = (module for module, _ in self.begun[begin:])
        until_sent = takewhile(lambda module: module != "api/middleware.py", modules)
        return [m for m, _ in groupby(m for m in until_sent if not m.startswith("model/"))]


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    """Of all threads that begin meanwhile."""
    made, before = Tracer(), sys.getprofile()
    sys.setprofile(made)
    threading.setprofile(made)
    yield made
    threading.setprofile(None)
    sys.setprofile(before)


def test_a_default_tile_enters_these_modules_and_no_others(tracer: Tracer, tmp_path: Path) -> None:
    values = np.random.default_rng(13).integers(1, 255, (3, SIZE, SIZE)).astype(np.uint8)
    with serving(SqliteTable(tmp_path / "index.db"), tmp_path, mosaic_max_age_s=600) as server:
        server.create()
        server.publish("a", values)
        for is_last in (False, False, True):
            tracer.is_on = is_last
            answer = server.get(tile_url())
        tracer.is_on = False
    assert (answer.status_code, answer.headers["X-Scenes"]) == (200, "a")
    way = tracer.way()
    assert list(dict.fromkeys(way)) == ENTERED
    assert len(way) - len(ENTERED) <= MOST_RETURNS

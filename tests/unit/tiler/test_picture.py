"""A tile whatever its reader does; the reader is a fake, as no real one fails like this."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from livemosaic.errors import NotFoundError, UnreadableAssetError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rank import rank
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.model.scene import Scene
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.picture import Picture, PictureLimits, Tiler
from livemosaic.tiler.views import TileAddress

MINZOOM_6 = Mosaic(id="m", minzoom=6)
ADDRESS = TileAddress("WebMercatorQuad", 10, 531, 365)


class FakeReader:
    """Reads scenes by what their href asks for, and remembers which."""

    def __init__(self) -> None:
        self.reading: list[str] = []
        self.most = 0
        self.cancelled: list[str] = []

    async def read(
        self,
        assets: Mapping[str, str],
        grid: Grid,
        read: Read,
        *,
        version: str,
        encodings: Any,
        allowance: Any,
    ) -> Pixels:
        (href,) = assets.values()
        self.reading.append(href)
        self.most = max(self.most, len(self.reading))
        try:
            await asyncio.sleep(60 if href == "slow" else 0.01)
        except asyncio.CancelledError:
            self.cancelled.append(href)
            raise
        finally:
            self.reading.remove(href)
        if href == "bug":
            raise RuntimeError("secret detail")
        if href == "unreadable":
            raise UnreadableAssetError("asset 'visual' is missing")
        shape = (grid.height, grid.width)
        valid = np.ones(shape, np.bool_)
        valid[:, : {"left": 128}.get(href, 0)] = False
        data = np.full((1, *shape), 100, np.uint8) * valid
        return Pixels(data, valid, ("b1",))


async def picture(tiler: Tiler, mosaic: Mosaic) -> Picture:
    return await tiler.make(tiler.draft(mosaic, ADDRESS.view(mosaic, 256), Read()))


@pytest.fixture
def index(sqlite_table: SqliteTable) -> Iterator[Index]:
    with ThreadPoolExecutor(2) as pool:
        yield Index(sqlite_table, Mosaics(sqlite_table), pool)


def make(index: Index, *hrefs: str, **limits: float) -> tuple[FakeReader, Picture]:
    """A tile of scenes with those hrefs, the first on top."""
    mosaic = index.mosaics.create(Mosaic(id="m"))
    for n, href in enumerate(hrefs):
        scene = Scene(
            collection="",
            id=f"{n}-{href}",
            version=f"2026#{n}",
            footprint=MultiPolygon([box(6, 44, 9, 47)]),
            rank=rank("n", {"n": n}),
            assets={"visual": href},
        )
        index.apply(mosaic, scene)
    reader = FakeReader()
    tiler = Tiler(index, reader, PictureLimits(**limits))  # type: ignore[arg-type]
    mosaic = index.mosaics.get("m")
    return reader, asyncio.run(picture(tiler, mosaic))


def test_a_bug_in_reading_skips_the_scene_is_logged_and_tells_nobody(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="livemosaic"):
        _, tile = make(index, "bug", "good")
    assert tile.skipped == [("0-bug", "an unexpected error; it was logged")]
    assert tile.pixels.valid.all()
    assert "secret detail" in caplog.text


def test_a_scene_that_takes_too_long_is_skipped_and_stopped(index: Index) -> None:
    reader, tile = make(index, "slow", "good", scene_timeout_s=0.2)
    assert tile.skipped == [("0-slow", "took longer than 0.2 s")]
    assert tile.scenes == ["1-good"]
    assert reader.cancelled == ["slow"]


def test_what_lies_below_an_unreadable_scene_is_read_in_the_next_round(index: Index) -> None:
    _, tile = make(index, "unreadable", "unreadable", "good", "good")
    assert tile.scenes == ["2-good"]
    assert [scene for scene, _ in tile.skipped] == ["0-unreadable", "1-unreadable"]


def test_only_as_many_scenes_are_read_as_the_limit_says(index: Index) -> None:
    _, tile = make(index, "unreadable", "unreadable", "good", max_scenes=2)
    assert tile.scenes == []
    assert tile.truncated == "max_scenes=2"


def test_a_viewer_who_leaves_stops_the_reading(index: Index) -> None:
    mosaic = index.mosaics.create(Mosaic(id="m"))
    footprint = MultiPolygon([box(6, 44, 9, 47)])
    slow = Scene(
        collection="", id="a", version="1#1", footprint=footprint, rank="1", assets={"v": "slow"}
    )
    index.apply(mosaic, slow)
    reader = FakeReader()

    async def leave() -> None:
        tiler = Tiler(index, reader)
        task = asyncio.create_task(picture(tiler, index.mosaics.get("m")))
        while not reader.reading:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert reader.cancelled == ["slow"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (TileAddress("WebMercatorQuad", 3, 8, 0), "8 × 8 tiles at zoom 3"),
        (TileAddress("WebMercatorQuad", 25, 0, 0), "zoom 25 is outside WebMercatorQuad"),
        (TileAddress("WebMercatorQuad", -1, 0, 0), "zoom -1 is outside"),
        (TileAddress("WebMercatorQuad", 4, 1, 1), "zoom 4 is below the minzoom 6"),
        (TileAddress("WorldCRS84Quad", 2, 1, 1), "like 2 in .*, is below the minzoom 6"),
    ],
    ids=str,
)
def test_a_tile_that_does_not_exist_is_said_not_to(address: TileAddress, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        address.grid(256)
        address.view(MINZOOM_6, 256).check_scale(MINZOOM_6)

"""Overviews at low zooms: whole, right, cheap; and asked only where they mean what is asked for."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import from_bounds
from rasterio.warp import reproject

from api.counted import CountedTable
from api.overviews import (
    SIDE,
    Tile,
    build,
    covered,
    make_scenes,
    publish,
    tiles_over,
    with_overviews,
)
from api.served import WEB, Server, tile_url
from livemosaic.storage.stores import StoredObject
from livemosaic.table.sqlite import SqliteTable

pytestmark = pytest.mark.slow
ACROSS = 20


class Reads:
    """Counts the ranges of objects that are read."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        real = StoredObject.read

        async def read(source: StoredObject, start: int, stop: int) -> Any:
            self.count += 1
            return await real(source, start, stop)

        patch.setattr(StoredObject, "read", read)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CountedTable:
    return CountedTable(SqliteTable(tmp_path_factory.mktemp("table") / "index.db"))


@pytest.fixture(scope="module")
def many(
    tmp_path_factory: pytest.TempPathFactory, table: CountedTable
) -> Iterator[tuple[Server, list[Tile]]]:
    """400 scenes and their overviews; nothing changes them."""
    folder = tmp_path_factory.mktemp("many")
    with with_overviews(folder, table=table) as server:
        tiles = make_scenes(server.folder, ACROSS)
        publish(server, tiles)
        build(server)
        yield server, tiles


def some(zoom: int, tiles: list[Tile]) -> list[Any]:
    """Map tiles of a zoom over scenes: all, or a few from each part of the mosaic."""
    every = tiles_over(tiles, zoom)
    return every[:: max(1, len(every) // 6)]


class TestWhole:
    @pytest.mark.parametrize("zoom", range(15))
    def test_each_pixel_of_a_scene_is_shown(
        self, many: tuple[Server, list[Tile]], zoom: int
    ) -> None:
        server, tiles = many
        for tile in some(zoom, tiles):
            picture = server.picture(tile_url(tile=(tile.z, tile.x, tile.y)))
            expected = covered(tiles, tile)
            assert not (expected & ~picture.valid).any()
            assert "X-Truncated" not in picture.headers
            assert ("X-Overview" in picture.headers) == (zoom <= 12)
            # Beyond a scene only where a part of the pixel is in it.
            around = np.pad(expected, 1)
            near = np.logical_or.reduce(
                [around[1 + y : 257 + y, 1 + x : 257 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
            )
            if expected.sum() > 16:
                assert not (picture.valid & ~near).any()

    def test_they_are_cut_without_overviews(self, many: tuple[Server, list[Tile]]) -> None:
        """Else this shows nothing."""
        server, tiles = many
        (tile, *_) = tiles_over(tiles, 8)
        url = tile_url(tile=(tile.z, tile.x, tile.y))
        picture = server.picture(url, overviews="false")
        assert picture.headers["X-Truncated"] == "max_scenes=20"
        assert "X-Overview" not in picture.headers
        assert (covered(tiles, tile) & ~picture.valid).any()

    @pytest.mark.parametrize("zoom", [6, 8])
    def test_a_count_is_of_scenes_and_says_that_it_is_cut(
        self, many: tuple[Server, list[Tile]], zoom: int
    ) -> None:
        """Cells know where pixels are valid, not of how many scenes."""
        server, tiles = many
        (tile, *_) = tiles_over(tiles, zoom)
        picture = server.picture(tile_url(tile=(tile.z, tile.x, tile.y)), operation="count")
        assert picture.headers["X-Truncated"] == "max_scenes=20"
        assert "X-Overview" not in picture.headers
        assert (covered(tiles, tile) & ~picture.valid).any()

    # At lower zooms GDAL's average drops scenes that are few pixels wide.
    @pytest.mark.parametrize("zoom", [6, 7, 8, 9, 10, 11, 12])
    def test_values_are_the_averages_that_gdal_makes(
        self, many: tuple[Server, list[Tile]], zoom: int
    ) -> None:
        server, tiles = many
        for tile in some(zoom, tiles)[:2]:
            picture = server.picture(tile_url(tile=(tile.z, tile.x, tile.y)))
            gdal = averaged(tiles, tile)
            both = picture.valid & gdal.any(axis=0)
            apart = np.abs(picture.data.astype(int) - gdal)[:, both]
            if zoom < 12:  # there cells are drawn from scenes: pixels whose centres lie in one
                assert (gdal.any(axis=0) <= picture.valid).all()
            assert both.sum() > 0.7 * picture.valid.sum()
            assert apart.mean() < 6
            assert np.quantile(apart, 0.95) < 24


def averaged(tiles: list[Tile], tile: Any) -> NDArray[np.int64]:
    """A map tile, zero where no scene is: the newest pixels on top, averaged by GDAL's warper."""
    left, top = min(each.bounds[0] for each in tiles), max(each.bounds[3] for each in tiles)
    step = (tiles[0].bounds[2] - tiles[0].bounds[0]) / SIDE
    whole = np.zeros((3, SIDE * ACROSS, SIDE * ACROSS), np.uint8)
    for each in sorted(tiles, key=lambda each: (each.day, rank_of_name(each))):
        column = round((each.bounds[0] - left) / step)
        row = round((top - each.bounds[3]) / step)
        with rasterio.open(each.path) as dataset:
            whole[:, row : row + SIDE, column : column + SIDE] = dataset.read()
    edge = WEB.xy_bounds(tile)
    out, _ = reproject(
        whole,
        np.zeros((3, 256, 256), np.uint8),
        src_transform=Affine(step, 0, left, 0, -step, top),
        src_crs="EPSG:3857",
        src_nodata=0,
        dst_transform=from_bounds(edge.left, edge.bottom, edge.right, edge.top, 256, 256),
        dst_crs="EPSG:3857",
        dst_nodata=0,
        resampling=Resampling.average,
    )
    return np.asarray(out).astype(np.int64)


def rank_of_name(tile: Tile) -> list[int]:
    """Of scenes of one day, the first name is on top."""
    return [-byte for byte in tile.name.encode()]


class TestCost:
    @pytest.mark.parametrize("zoom", range(13))
    def test_a_tile_reads_one_object_and_asks_the_index_twice(
        self,
        many: tuple[Server, list[Tile]],
        table: CountedTable,
        monkeypatch: pytest.MonkeyPatch,
        zoom: int,
    ) -> None:
        server, tiles = many
        reads = Reads()
        reads.watch(monkeypatch)
        for tile in some(zoom, tiles)[:2]:
            table.forget()
            reads.count = 0
            # No `server.picture`: the first `.npy` of a minute asks for the kind of values, too.
            assert server.client.get(tile_url(tile=(tile.z, tile.x, tile.y))).status_code == 200
            assert table.batches <= 1
            assert table.queries <= 1
            assert reads.count <= 2

    def test_empty_places_beside_the_scenes_ask_for_none(
        self, many: tuple[Server, list[Tile]], table: CountedTable
    ) -> None:
        """A large image of many cells: where nothing is, there is no cell, and no scene either."""
        server, tiles = many
        boxes = np.array([tile.bounds for tile in tiles])
        (left, bottom), (right, top) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        beside = 4 * (right - left)
        west, south = WEB.lnglat(left - beside, bottom - beside)
        east, north = WEB.lnglat(right + beside, top + beside)
        url = f"/mosaics/m/bbox/{west},{south},{east},{north}/2048x2048.npy"
        server.client.get(url)
        table.forget()
        answer = server.client.get(url)
        assert answer.headers["X-Overview"].startswith("9;")
        assert "X-Truncated" not in answer.headers
        assert (table.batches, table.queries) == (1, 1), "the cells, and what is stale"
        rows, columns = np.nonzero(np.load(io.BytesIO(answer.content))[-1])
        place = 2048 * 4 / 9
        assert abs(columns.min() - place) < 2
        assert abs(columns.max() - (2048 - place)) < 2
        assert len(rows) > 0.98 * np.ptp(rows) * np.ptp(columns)

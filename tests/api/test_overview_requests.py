"""Which requests overviews serve, and what comes of a cell that is stale, missing or damaged.

Four scenes are enough: they are so small that places around them have overviews down to zoom 12.
"""

import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import morecantile
import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from api.counted import CountedTable
from api.overviews import (
    Tile,
    build,
    document,
    make_scenes,
    publish,
    with_overviews,
)
from api.served import AUTHORIZED, WEB, Picture, Server, quiet, serving, tile_url
from cogs import write_cog
from items import box, deletion, item
from livemosaic.errors import NotFoundError
from livemosaic.geo.cells import Cell
from livemosaic.index.overviews import KEPT_S, OverviewRows
from livemosaic.model.mosaic import OverviewPolicy
from livemosaic.model.rule import RulePolicy
from livemosaic.overviews.check import OverviewCheck
from livemosaic.overviews.sets import FORMAT
from livemosaic.services import building
from livemosaic.table import Put
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def few(tmp_path: Path) -> Iterator[tuple[Server, list[Tile]]]:
    """Four scenes with overviews, for tests that change them."""
    yield from made(tmp_path)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Tile]]]:
    """The same, for tests that change nothing."""
    yield from made(tmp_path_factory.mktemp("still"), properties=("gsd", "view"))


def made(folder: Path, **settings: Any) -> Iterator[tuple[Server, list[Tile]]]:
    with with_overviews(folder, **settings) as server:
        tiles = make_scenes(server.folder, 2)
        server.add(*(document(tile, gsd=n) for n, tile in enumerate(tiles)))
        build(server)
        yield server, tiles


def middle(tiles: list[Tile], zoom: int) -> tuple[int, int, int]:
    """The map tile in the middle of the scenes."""
    west, north = tiles[0].bounds[0], tiles[0].bounds[3]
    east, south = tiles[-1].bounds[2], tiles[-1].bounds[1]
    tile = WEB.tile(*WEB.lnglat((west + east) / 2, (south + north) / 2), zoom)
    return tile.z, tile.x, tile.y


def low(tiles: list[Tile], zoom: int = 9) -> str:
    return tile_url(tile=middle(tiles, zoom))


class TestMeaning:
    """What is asked for, and whether overviews keep its meaning."""

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"operation": "first"},
            {"pixel_selection": "first"},
            {"method": "none"},
            {"method": "default"},
            {"ascending": "true"},
            {"sortby": "-datetime"},
            {"clip": "false"},
            {"min_pixels": "0"},
            {"nodata_inside": "false"},
            {"mosaicRule": "{}"},
            {"mosaicRule": '{"mosaicOperation":"MT_FIRST"}'},
            {"assets": "visual"},
            {"bidx": "1"},
            {"assets": "visual|bidx=3,1"},
            {"expression": "b1+b2", "rescale": "0,500"},
            {"unscale": "true", "rescale": "0,255"},
            {"resampling": "bilinear"},
            {"resampling": "cubic"},
            {"resampling": "average"},
            {"reproject": "lanczos"},
            {"rescale": "0,200"},
            {"color_formula": "gamma rgb 1.2"},
            {"bidx": "1", "colormap_name": "viridis"},
            {"bidx": "1", "algorithm": "hillshade"},
            {"return_mask": "false"},
            {"overviews": "true"},
        ],
        ids=str,
    )
    def test_overviews_serve(self, still: tuple[Server, list[Tile]], query: dict[str, str]) -> None:
        server, tiles = still
        answer = server.get(low(tiles) + ".png", **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Overview"].startswith("6; built=2")
        assert answer.headers["X-Overview"].endswith("; stale=0")
        assert answer.headers["X-Scenes"] == ""

    @pytest.mark.parametrize(
        "query",
        [
            {"operation": "last"},
            {"operation": "mean"},
            {"pixel_selection": "count"},
            {"method": "center"},
            {"ascending": "false"},
            {"sortby": "datetime"},
            {"sortby": "gsd"},
            {"sortby": "-datetime", "sort_value": "2026-01-15"},
            {"lock": "s2/s000"},
            {"datetime": "2026"},
            {"filter": "gsd > 0"},
            {"ids": "s000"},
            {"max_scenes": "20"},
            {"clip": "true"},
            {"min_pixels": "2"},
            {"nodata_inside": "true"},
            {"item_render": "plain"},
            {"mosaicRule": '{"where":"gsd > 0"}'},
            {"mosaicRule": '{"mosaicMethod":"esriMosaicNorthwest"}'},
            {"nodata": "7"},
            {"resampling": "mode"},
            {"resampling": "min"},
            {"resampling": "max"},
            {"resampling": "med"},
            {"resampling": "q1"},
            {"resampling": "q3"},
            {"resampling": "sum"},
            {"resampling": "rms"},
            {"overviews": "false"},
        ],
        ids=str,
    )
    def test_scenes_serve(self, still: tuple[Server, list[Tile]], query: dict[str, str]) -> None:
        server, tiles = still
        server.services.mosaics.update("m", {"renders": {"plain": {"rescale": [[0, 255]]}}})
        answer = server.get(low(tiles) + ".png", **query)
        assert answer.status_code == 200, answer.text
        assert "X-Overview" not in answer.headers

    def test_every_parameter_of_a_rule_is_in_these_tables(self) -> None:
        """A new parameter is decided on here."""
        from livemosaic.api.params.pixels import ReadQuery
        from livemosaic.tiler.rules.parameters import MosaicRuleQuery

        tables = [
            mark.args[1]
            for test in (self.test_overviews_serve, self.test_scenes_serve)
            for mark in test.pytestmark
        ]
        named = {name for table in tables for query in table for name in query}
        fields = {**MosaicRuleQuery.model_fields, **ReadQuery.model_fields}
        known = {field.alias or name for name, field in fields.items()}
        # Of a filter's language; of nadir's place; names parameters that are in the tables.
        assert known - named == {"filter-lang", "viewpoint", "render"}

    def test_the_mosaics_own_rule_is_what_they_follow(self, tmp_path: Path) -> None:
        rules = RulePolicy.of({"default": {"ascending": False, "operation": "mean"}})
        for server, tiles in made(tmp_path, rules=rules):
            assert "X-Overview" in server.get(low(tiles)).headers
            asked = server.get(low(tiles), operation="mean", ascending="false")
            assert "X-Overview" in asked.headers
            assert "X-Overview" not in server.get(low(tiles), operation="first").headers

    def test_a_changed_rule_shows_the_cells_of_the_old_one_until_there_are_new_ones(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = few
        first = server.get(low(tiles))
        server.services.mosaics.update(
            "m", {"rules": RulePolicy.of({"default": {"operation": "min"}})}
        )
        old = server.get(low(tiles))
        assert old.headers["X-Overview"] == first.headers["X-Overview"] + "; rule=previous"
        assert old.content == first.content
        build(server)
        new = server.client.get(low(tiles), headers={"If-None-Match": first.headers["ETag"]})
        assert new.status_code == 200
        assert "rule" not in new.headers["X-Overview"]

    def test_a_kernel_of_extremes_is_served_by_cells_made_of_extremes(self, tmp_path: Path) -> None:
        for server, tiles in made(tmp_path, policy=OverviewPolicy(resampling="max")):
            assert "X-Overview" in server.get(low(tiles), resampling="max").headers
            assert "X-Overview" not in server.get(low(tiles), resampling="min").headers

    def test_a_band_that_only_scenes_have_is_read_from_them(
        self, still: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = still
        wrong = server.get(low(tiles), bidx="4")
        assert wrong.status_code == 400
        assert "4" in wrong.json()["detail"]

    def test_points_and_lists_are_of_scenes(self, still: tuple[Server, list[Tile]]) -> None:
        server, tiles = still
        lon, lat = WEB.lnglat(tiles[0].bounds[0] + 50, tiles[0].bounds[3] - 50)
        point = server.get(f"/mosaics/m/point/{lon},{lat}").json()
        assert [asset["name"] for asset in point["assets"]] == [tiles[0].name]
        listed = server.get(low(tiles, 11) + "/assets").json()["scenes"]
        assert {scene["id"] for scene in listed} == {tile.name for tile in tiles}

    def test_values_go_through_expressions_and_styles(
        self, still: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = still
        plain = server.picture(low(tiles))
        ratio = server.picture(low(tiles), expression="(b1-b2)/(b1+b2)")
        one, two = plain.data[:2].astype(float)
        one, two = one[plain.valid], two[plain.valid]
        expected = (one - two) / (one + two)
        assert plain.valid.sum() > 100
        assert np.allclose(ratio.data[0][plain.valid], expected, atol=1e-6)
        assert (ratio.valid == plain.valid).all()


@pytest.mark.slow
class TestNumbers:
    """What the numbers of cells mean, where scenes differ in it."""

    def test_scales_that_differ_are_applied_to_scenes(self, tmp_path: Path) -> None:
        with with_overviews(tmp_path) as server:
            tiles = remade(server, 2, lambda n: {"scales": [1 + n] * 3, "offsets": [0] * 3})
            assert "X-Overview" in server.get(low(tiles) + ".npy").headers
            live = server.picture(low(tiles, 11), unscale="true")
            assert "X-Overview" not in live.headers
            assert live.data.max() > 255

    def test_one_scale_of_all_is_applied_to_cells(self, tmp_path: Path) -> None:
        with with_overviews(tmp_path) as server:
            tiles = remade(server, 2, lambda _: {"scales": [2.0] * 3, "offsets": [5.0] * 3})
            plain = server.picture(low(tiles))
            scaled = server.picture(low(tiles), unscale="true")
            assert "X-Overview" in scaled.headers
            assert (scaled.data[:, plain.valid] == 2.0 * plain.data[:, plain.valid] + 5).all()

    def test_numbers_of_a_palette_are_read_from_scenes(self, tmp_path: Path) -> None:
        colors = {value: (value, 255 - value, 7, 255) for value in range(256)}
        with with_overviews(tmp_path) as server:
            tiles = remade(server, 2, lambda _: {"colormap": colors}, bands=1)
            shown = server.get(low(tiles) + ".png")
            assert "X-Overview" in shown.headers
            for suffix, query in ((".npy", {}), (".png", {"bidx": "1"})):
                assert "X-Overview" not in server.get(low(tiles) + suffix, **query).headers

    @pytest.mark.parametrize("resampling", ["mode", "min", "max", "sample"])
    def test_classes_keep_the_colors_of_their_palette(
        self, tmp_path: Path, resampling: Any
    ) -> None:
        """Which share some of their red, green and blue, so that these alone could make others."""
        classes = [(10, 20, 30), (10, 40, 50), (60, 20, 50), (60, 40, 30)]
        colors = {value: (*classes[value % 4], 255) for value in range(256)}
        with with_overviews(tmp_path, OverviewPolicy(resampling=resampling)) as server:
            tiles = remade(server, 2, lambda _: {"colormap": colors}, bands=1)
            for zoom in (9, 11):
                image = server.get(low(tiles, zoom) + ".png")
                assert "X-Overview" in image.headers
                with quiet(), rasterio.MemoryFile(image.content) as file, file.open() as opened:
                    *bands, alpha = opened.read()
                shown = set(zip(*(band[alpha > 0].tolist() for band in bands), strict=True))
                assert shown
                assert shown <= set(classes)

    def test_bands_by_number_are_those_of_scenes_where_alpha_is_the_first(
        self, tmp_path: Path
    ) -> None:
        """Cells leave it out, and know the numbers of the others; alpha itself is in scenes."""
        with with_overviews(tmp_path) as server:
            tiles = make_scenes(server.folder, 2, bands=4)
            for tile in tiles:
                alpha_first(tile.path)
            publish(server, tiles)
            build(server)
            assert "X-Overview" in server.picture(low(tiles)).headers
            for query in ({"bidx": "2"}, {"bidx": "1"}, {"expression": "b2*1"}):
                by_number = server.picture(low(tiles, 12), **query)
                live = server.picture(low(tiles, 12), overviews="false", **query)
                assert ("X-Overview" in by_number.headers) == (query != {"bidx": "1"})
                assert (by_number.data == live.data).all()
                assert by_number.valid.any()

    @pytest.mark.parametrize("query", [{"bidx": "3"}, {"expression": "b3-b1"}])
    def test_bands_by_number_are_read_from_scenes_where_some_have_a_single_band(
        self, tmp_path: Path, query: dict[str, str]
    ) -> None:
        """A scene of one band has no third; a cell repeats it for each band."""
        with with_overviews(tmp_path) as server:
            (tmp_path / "gray").mkdir()
            color = make_scenes(server.folder, 2)
            gray = make_scenes(tmp_path / "gray", 2, bands=1)
            for tile in gray[:2]:
                shutil.copy(tile.path, server.folder / tile.path.name)
            publish(server, color)
            build(server)
            assert "X-Overview" in server.picture(low(color)).headers
            for zoom in (9, 11):
                by_number = server.picture(low(color, zoom), **query)
                live = server.picture(low(color, zoom), overviews="false", **query)
                assert (by_number.valid == live.valid).all()
                assert (by_number.data == live.data).all()
                assert by_number.valid.any()

    def test_assets_without_overviews_are_read_from_scenes(self, tmp_path: Path) -> None:
        with with_overviews(tmp_path, OverviewPolicy(assets=("red", "green"))) as server:
            tiles = make_scenes(server.folder, 2)
            for tile in tiles:
                one = document(tile)
                one["assets"] = dict.fromkeys(("red", "green", "blue"), one["assets"]["visual"])
                server.add(one)
            build(server)
            kept = ({"assets": "green,red"}, {"expression": "red_b1*green_b1"}, {"assets": "red"})
            for query in kept:
                answer = server.get(low(tiles) + ".npy", **query)
                assert "X-Overview" in answer.headers, (query, answer.text[:200])
            for query in ({}, {"assets": "blue"}, {"assets": "red,blue"}):
                assert "X-Overview" not in server.get(low(tiles) + ".npy", **query).headers
            both = server.picture(low(tiles), assets="green,red")
            swapped = server.picture(low(tiles), assets="red,green")
            assert (both.data == np.roll(swapped.data, 3, axis=0)).all()


def alpha_first(path: Path) -> None:
    """Rewrites a COG so that its first band is alpha."""
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.colorinterp = [ColorInterp.alpha, *[ColorInterp.undefined] * (dataset.count - 1)]


def remade(
    server: Server, across: int, creation: Callable[[int], dict[str, Any]], bands: int = 3
) -> list[Tile]:
    """Scenes written once more with something else in their headers, published and built."""
    tiles = make_scenes(server.folder, across, bands=bands)
    for number, tile in enumerate(tiles):
        with rasterio.open(tile.path) as dataset:
            values = dataset.read()
        tile.path.unlink()
        write_cog(tile.path, values, crs="EPSG:3857", bounds=tile.bounds, **creation(number))
    publish(server, tiles)
    build(server)
    return tiles


@pytest.mark.slow
class TestPlaces:
    """Other grids, boxes and statistics: the rung by their resolution."""

    def test_another_grid(self, still: tuple[Server, list[Tile]]) -> None:
        server, tiles = still
        lon, lat = WEB.lnglat(*tiles[-1].bounds[:2])
        other = morecantile.tms.get("WorldCRS84Quad")
        for zoom, rung in ((4, "3"), (7, "6"), (10, "9")):
            tile = other.tile(lon, lat, zoom)
            url = f"/mosaics/m/tiles/WorldCRS84Quad/{zoom}/{tile.x}/{tile.y}.npy"
            answer = server.get(url)
            assert answer.headers["X-Overview"].startswith(f"{rung};"), zoom
            live = np.load(io.BytesIO(server.get(url, overviews="false").content))[-1]
            shown = np.load(io.BytesIO(answer.content))[-1]
            assert shown.any()
            assert not ((live > 0) & ~(shown > 0)).any()

    @pytest.mark.parametrize(("pixels", "rung"), [(16, "6"), (128, "9"), (1024, None)])
    def test_a_box(self, still: tuple[Server, list[Tile]], pixels: int, rung: str | None) -> None:
        """As wide as a tile of zoom 12; the scenes have the resolution of zoom 13."""
        server, tiles = still
        (west, south), (east, north) = box_around(tiles, 12)
        answer = server.get(f"/mosaics/m/bbox/{west},{south},{east},{north}/{pixels}x{pixels}.npy")
        assert answer.status_code == 200
        assert answer.headers.get("X-Overview", "None")[: 1 if rung else 4] == str(rung)

    def test_statistics(self, still: tuple[Server, list[Tile]]) -> None:
        server, tiles = still
        (west, south), (east, north) = box_around(tiles, 11)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        feature = {
            "type": "Feature", "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }  # fmt: skip
        url = "/mosaics/m/statistics"
        exact = server.client.post(url, json=feature).json()["properties"]
        rough = server.client.post(f"{url}?max_size=100", json=feature).json()["properties"]
        live = server.client.post(f"{url}?max_size=100&overviews=false", json=feature)
        assert set(exact["used_assets"]) == {tile.name for tile in tiles}
        assert rough["used_assets"] == []
        assert set(live.json()["properties"]["used_assets"]) == {tile.name for tile in tiles}
        assert "overviews" not in exact
        assert rough["overviews"] == [9]
        for band in ("b1", "b2", "b3"):
            means = [each["statistics"][band]["mean"] for each in (exact, rough)]
            assert abs(means[0] - means[1]) < 4

    @pytest.mark.parametrize("size", ["@2x", "@4x"])
    def test_larger_tiles_use_finer_cells(
        self, still: tuple[Server, list[Tile]], size: str
    ) -> None:
        server, tiles = still
        answer = server.get(low(tiles, 8) + size)
        assert answer.headers["X-Overview"][0] == {"@2x": "6", "@4x": "9"}[size]

    def test_where_cells_are_too_coarse_whole_scenes_are_shown(
        self, still: tuple[Server, list[Tile]]
    ) -> None:
        """Zoom 12 is where overviews end: at twice its resolution four scenes are no crowd."""
        server, tiles = still
        answer = server.get(low(tiles, 12) + "@4x")
        assert "X-Overview" not in answer.headers
        assert "X-Truncated" not in answer.headers

    def test_a_buffer_reaches_into_places_without_cells(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        """Cells end beside the scenes; the tile's own part looks as without a buffer."""
        server, tiles = few
        z, x, y = middle(tiles, 9)
        plain = server.picture(tile_url(tile=(z, x, y)))
        answer = server.get(tile_url(".npy", tile=(z, x, y)), buffer=20)
        bands = np.load(io.BytesIO(answer.content))
        assert answer.headers["X-Overview"].startswith("6;")
        assert (bands[:-1, 20:-20, 20:-20] == plain.data).all()

    def test_cells_and_scenes_are_shown_side_by_side(self, few: tuple[Server, list[Tile]]) -> None:
        """Scenes lie on both sides of a cell's edge, and one side has none: nothing is lost."""
        server, tiles = few
        edge = 2 * 20037508.342789244 / 2**9
        x = np.floor(tiles[0].bounds[0] / edge) * edge
        y = tiles[0].bounds[3]
        publish(server, [moved(server, tiles[0], x - 0.01 * edge - tiles[0].bounds[0])])
        build(server)
        url = window((x - edge / 16, y - edge / 16, x + edge / 4, y + edge / 16), "160x64")
        before = server.get(url)
        assert before.headers["X-Overview"].startswith("9;")
        assert before.headers["X-Scenes"] == ""
        retire(server, WEB.tile(*WEB.lnglat(x - 1, y), 9))
        after = server.get(url)
        assert after.headers["X-Overview"].startswith("9;")
        assert after.headers["X-Scenes"] == "moved"
        one, other = (np.load(io.BytesIO(answer.content)) for answer in (before, after))
        assert one[-1][:, :32].any()
        assert one[-1][:, 32:].any()
        assert (one[:, :, 32:] == other[:, :, 32:]).all()
        assert not ((one[-1] > 0) ^ (other[-1] > 0))[:, :32].sum() > 64  # along its edges
        assert before.headers["ETag"] != after.headers["ETag"]

    def test_beside_cells_only_the_scenes_of_places_without_one_are_looked_at(
        self, tmp_path: Path
    ) -> None:
        """Rows of all scenes are in one partition of coarse cells, and in finer ones."""
        table = CountedTable(SqliteTable(tmp_path / "index.db"))
        with with_overviews(tmp_path, table=table) as server:
            tiles = make_scenes(server.folder, 5)
            edge = 2 * 20037508.342789244 / 2**9
            away = 3 * edge
            publish(server, [*tiles, moved(server, tiles[0], away)])
            build(server)
            left, _, right, top = tiles[0].bounds
            retire(server, WEB.tile(*WEB.lnglat((left + right) / 2 + away, top - 1), 9))
            url = window((left - edge / 2, top - edge, right + away + edge, top + edge), "1600x700")
            server.client.get(url)
            table.forget()
            answer = server.client.get(url)
            assert answer.headers["X-Overview"].startswith("9;")
            assert answer.headers["X-Scenes"] == "moved"
            assert table.rows < len(tiles)

    @pytest.mark.parametrize("derived", [False, True], ids=["own", "derived"])
    def test_more_scenes_than_can_be_read_beside_cells_are_shown_by_coarser_ones(
        self, tmp_path: Path, derived: bool
    ) -> None:
        """As a window of QGIS is, over the sparse edges of a mosaic: each has some scenes."""
        with with_overviews(tmp_path) as server:
            tiles = make_scenes(server.folder, 5)
            edge = 2 * 20037508.342789244 / 2**9
            others = [moved(server, tile, 3 * edge, f"other-{tile.name}") for tile in tiles]
            publish(server, [*tiles, *others])
            build(server)
            mosaic = "over" if derived else "m"
            if derived:
                own = {"id": mosaic, "sources": [{"mosaic": "m"}]}
                made = server.client.post("/mosaics", json=own, headers=AUTHORIZED)
                assert made.status_code == 201
            left, _, right, top = tiles[0].bounds
            url = window(
                (left - edge / 2, top - edge, right + 4 * edge, top + edge), "1600x700", mosaic
            )
            before = server.get(url)
            bounds = np.array([tile.bounds for tile in others])
            x, y = bounds[:, [0, 2]].mean(), bounds[:, [1, 3]].mean()
            retire(server, WEB.tile(*WEB.lnglat(x, y), 9))
            after = server.get(url)
            assert before.headers["X-Overview"].startswith("9;")
            assert after.headers["X-Overview"].startswith("9;")
            for answer in (before, after):
                assert "X-Truncated" not in answer.headers
                assert answer.headers["X-Scenes"] == ""
            assert before.headers["ETag"] != after.headers["ETag"]
            known = {"If-None-Match": after.headers["ETag"]}
            assert server.client.get(url, headers=known).status_code == 304
            one, other = (np.load(io.BytesIO(answer.content)) for answer in (before, after))
            (_, columns) = np.nonzero(one[-1])
            middle = (columns.min() + columns.max()) // 2
            assert (one[..., :middle] == other[..., :middle]).all(), "fine cells stay"
            fine, coarse = one[..., middle:], other[..., middle:]
            assert not (fine[-1] & ~coarse[-1]).any(), "nothing is lost"
            assert (coarse[-1] > 0).sum() < 1.5 * (fine[-1] > 0).sum()
            valid = fine[-1] > 0
            assert abs(fine[0][valid].mean() - coarse[0][valid].mean()) < 8
            fewer = window(
                (left + edge / 2, top - edge, right + 4 * edge, top + edge), "1200x700", mosaic
            )
            assert "X-Truncated" not in server.get(fewer).headers

    def test_scenes_that_show_only_in_holes_are_shown_by_coarser_cells_too(
        self, tmp_path: Path
    ) -> None:
        """A large scene on top hides them as far as footprints say, but it is mostly nodata."""
        with with_overviews(tmp_path) as server:
            tiles = make_scenes(server.folder, 5)
            edge = 2 * 20037508.342789244 / 2**9
            others = [moved(server, tile, 3 * edge, f"other-{tile.name}") for tile in tiles]
            hollow = over(server, others)
            publish(server, [*tiles, *others, hollow])
            build(server)
            left, _, right, top = tiles[0].bounds
            url = window((left - edge / 2, top - edge, right + 4 * edge, top + edge), "1600x700")
            before = np.load(io.BytesIO(server.get(url).content))
            west, south, east, north = hollow.bounds
            middle = WEB.lnglat((west + east) / 2, (south + north) / 2)
            retire(server, WEB.tile(*middle, 9))
            answer = server.get(url)
            assert "X-Truncated" not in answer.headers
            assert answer.headers["X-Overview"].startswith("9;")
            after = np.load(io.BytesIO(answer.content))
            assert not (before[-1] & ~after[-1]).any(), "nothing is lost"
            known = {"If-None-Match": answer.headers["ETag"]}
            again = server.client.get(url, headers=known)
            assert again.status_code == 304 or again.content == answer.content

    @pytest.mark.parametrize("is_lost", [False, True], ids=["there", "lost"])
    def test_scenes_that_show_only_in_holes_of_a_fine_image_are_shown_by_coarse_cells(
        self, tmp_path: Path, is_lost: bool
    ) -> None:
        """Of footprints one scene hides all others; of pixels it hides nearly none."""
        with with_overviews(tmp_path) as server:
            tiles = make_scenes(server.folder, 5)
            hollow = over(server, tiles)
            publish(server, [*tiles, hollow])
            build(server)
            url = window(hollow.bounds, "2048x2048")
            if is_lost:
                for path_of_cell in objects(server):
                    path_of_cell.unlink()
            answer, live = server.get(url), server.get(url, overviews="false")
            assert live.headers["X-Truncated"] == "max_scenes=20"
            if is_lost:
                assert answer.headers["X-Truncated"] == "max_scenes=20"
                assert "overview 9/" in answer.headers["X-Skipped-Scenes"]
                assert answer.content == live.content
                return
            assert "X-Truncated" not in answer.headers
            assert answer.headers["X-Overview"].startswith("9;")
            shown = np.load(io.BytesIO(answer.content))[-1] > 0
            assert shown[8:-8, 8:-8].all()
            known = {"If-None-Match": answer.headers["ETag"]}
            assert server.client.get(url, headers=known).status_code == 304

    def test_cells_that_are_too_coarse_are_shown_where_one_is_lacking_too(
        self, tmp_path: Path
    ) -> None:
        """Scenes on both sides of the edge of two cells, finer than both, and too many to read."""
        with with_overviews(tmp_path) as server:
            tiles = make_scenes(server.folder, 5)
            edge = 2 * 20037508.342789244 / 2**9
            bounds = np.array([tile.bounds for tile in tiles])
            left, right = bounds[:, 0].min(), bounds[:, 2].max()
            line = np.ceil(right / edge) * edge
            shifts = {"west": line - edge / 100 - right, "east": line + edge / 100 - left}
            for side, x in shifts.items():
                publish(server, [moved(server, t, x, f"{side}-{t.name}") for t in tiles])
            build(server)
            width, top = right - left, bounds[:, 3].max()
            retire(server, WEB.tile(*WEB.lnglat(line + edge / 50, top - 1), 9))
            url = window((line - width, top - width, line + width, top), "2048x1024")
            answer, live = server.get(url), server.get(url, overviews="false")
            assert "X-Truncated" in live.headers
            assert "X-Truncated" not in answer.headers
            assert answer.headers["X-Overview"].startswith("9;")
            shown = np.load(io.BytesIO(answer.content))[-1] > 0
            gap = int(1024 * edge / 100 / width)
            for part in (shown[8:-8, 8 : 1024 - gap - 8], shown[8:-8, 1024 + gap + 8 : -8]):
                assert part.all()


def moved(server: Server, tile: Tile, x: float, name: str = "moved") -> Tile:
    """A copy of a scene, some metres to the east."""
    left, bottom, right, top = tile.bounds
    bounds = (left + x, bottom, right + x, top)
    with rasterio.open(tile.path) as dataset:
        path = write_cog(
            server.folder / f"{name}.tif", dataset.read(), crs="EPSG:3857", bounds=bounds
        )
    return replace(tile, name=name, path=path, bounds=bounds)


def over(server: Server, tiles: Sequence[Tile]) -> Tile:
    """A scene on top of others that hides all of them by its footprint, but is mostly nodata."""
    bounds = np.array([tile.bounds for tile in tiles])
    around = (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0))
    data = np.zeros((3, 512, 512), np.uint8)
    data[:, :9, :9] = 250
    path = write_cog(server.folder / "holes.tif", data, crs="EPSG:3857", bounds=around, nodata=0)
    return Tile("holes", path, around, day=28)


def window(bounds: tuple[float, float, float, float], size: str, mosaic: str = "m") -> str:
    """The URL of an image of a box in EPSG:3857."""
    left, bottom, right, top = bounds
    (west, south), (east, north) = WEB.lnglat(left, bottom), WEB.lnglat(right, top)
    return f"/mosaics/{mosaic}/bbox/{west},{south},{east},{north}/{size}.npy"


def retire(server: Server, tile: Any) -> None:
    """Withdraw a cell, as a builder does where scenes themselves can be shown."""
    mosaic = server.services.mosaics.get("m")
    assert mosaic.shown_overviews is not None
    rows = OverviewRows(server.services.index.table)
    quadkey = Cell(tile.z, tile.x, tile.y).quadkey
    cell = rows.cell(mosaic, mosaic.shown_overviews, quadkey)
    assert cell.hrefs
    rows.put(mosaic, mosaic.shown_overviews, replace(cell, retired=True))


def box_around(tiles: list[Tile], zoom: int) -> tuple[Any, Any]:
    """The box of a map tile's size around the middle of the scenes, in degrees."""
    edge = 2 * 20037508.342789244 / 2**zoom
    x = (tiles[0].bounds[0] + tiles[-1].bounds[2]) / 2
    y = (tiles[-1].bounds[1] + tiles[0].bounds[3]) / 2
    return (
        WEB.lnglat(x - edge / 2, y - edge / 2),
        WEB.lnglat(x + edge / 2, y + edge / 2),
    )


@pytest.mark.slow
class TestFaults:
    @pytest.mark.parametrize("damage", ["missing", "cut", "zeroed", "garbled"])
    def test_scenes_are_read_in_place_of_a_lost_object(
        self, few: tuple[Server, list[Tile]], damage: str
    ) -> None:
        server, tiles = few
        whole = server.picture(low(tiles))
        for path in objects(server):
            spoil(path, damage)
        with restarted(server) as again:
            picture = again.picture(low(tiles))
        assert picture.valid.any()
        assert set(picture.scenes) == {tile.name for tile in tiles}
        assert "X-Overview" not in picture.headers
        assert "ETag" not in picture.headers
        (skipped,) = picture.headers["X-Skipped-Scenes"].split(",")
        assert skipped.startswith("overview 6/34/22=asset 'visual' ")
        assert str(server.folder.parent) not in skipped
        assert abs(int(picture.valid.sum()) - int(whole.valid.sum())) < 80

    def test_statistics_are_of_scenes_in_place_of_a_lost_object(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = few
        publish(server, [replace(moved(server, tiles[0], 20_000.0), day=28)])
        build(server)
        for path in objects(server):
            path.unlink()
        left, bottom, right, top = moved(server, tiles[0], 20_000.0).bounds
        (west, south), (east, north) = WEB.lnglat(left, bottom), WEB.lnglat(right, top)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        area = {"type": "Polygon", "coordinates": [ring]}
        feature = {"type": "Feature", "properties": {}, "geometry": area}
        answer = server.client.post("/mosaics/m/statistics?max_size=30", json=feature)
        found = answer.json()["properties"]
        assert found["used_assets"] == ["moved"]
        assert found["statistics"]["b1"]["valid_percent"] > 90
        (skipped,) = found["skipped_assets"]
        assert skipped["name"].startswith("overview ")

    def test_a_304_needs_the_index_alone_until_a_cell_changes(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = few
        first = server.get(low(tiles))
        for path in objects(server):
            path.unlink()
        given = {"If-None-Match": first.headers["ETag"]}
        same = server.client.get(low(tiles), headers=given)
        assert same.status_code == 304
        assert same.headers["ETag"] == first.headers["ETag"]
        assert same.headers["X-Overview"] == first.headers["X-Overview"]

    def test_a_new_scene_is_stale_first_and_then_another_picture(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = few
        first = server.get(low(tiles))
        given = {"If-None-Match": first.headers["ETag"]}
        publish(server, [replace(moved(server, tiles[0], 300.0), day=28)])
        stale = server.client.get(low(tiles), headers=given)
        assert stale.status_code == 304
        assert stale.headers["X-Overview"] == first.headers["X-Overview"][:-1] + "1"
        elsewhere = server.get(tile_url(tile=(9, *middle(tiles, 9)[1:])).replace("/9/", "/8/"))
        assert elsewhere.headers.get("X-Overview", "0").endswith("0")
        build(server)
        fresh = server.client.get(low(tiles), headers=given)
        assert fresh.status_code == 200
        assert fresh.headers["X-Overview"].endswith("; stale=0")
        assert fresh.headers["ETag"] != first.headers["ETag"]

    def test_a_scene_that_cannot_be_read_is_no_change_that_will_come(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        """Else the map page would ask for its tiles again for days."""
        server, tiles = few
        lost = replace(moved(server, tiles[0], 300.0), day=28)
        lost.path.unlink()
        publish(server, [lost])
        build(server)
        answer = server.get(low(tiles))
        assert re.search("; stale=0; unread=[1-9]$", answer.headers["X-Overview"])

    def test_a_scene_without_pixels_there_changes_no_picture(
        self, few: tuple[Server, list[Tile]]
    ) -> None:
        server, tiles = few
        first = server.get(low(tiles)).headers["ETag"]
        build(server)
        assert server.get(low(tiles)).headers["ETag"] == first

    def test_an_empty_place_is_empty(self, few: tuple[Server, list[Tile]]) -> None:
        server, tiles = few
        for tile in tiles:
            assert server.post(deletion(tile.name)).status_code == 200
        build(server)
        picture = server.picture(low(tiles, 3))
        assert not picture.valid.any()
        assert picture.headers["X-Overview"].startswith("0;")


@pytest.mark.slow
class TestOlderCells:
    """Cells of an older format are shown as far as they can be, until there are new ones."""

    def test_they_are_made_anew_and_then_dropped(self, few: tuple[Server, list[Tile]]) -> None:
        server, tiles = few
        before = server.picture(low(tiles))
        made_older(server)
        old = objects(server)
        assert "lost" not in differences(server)
        assert same_pixels(server.picture(low(tiles)), before)
        assert "X-Overview" in server.get(low(tiles)).headers
        # Bands by number are read from scenes: it is not known whether they are numbered alike.
        assert "X-Overview" not in server.get(low(tiles), bidx="2").headers
        build(server)
        (replaced, ready) = server.services.mosaics.get("m").overview_sets
        assert (replaced.state, ready.state, ready.format) == ("replaced", "ready", FORMAT)
        assert same_pixels(server.picture(low(tiles)), before)
        assert "X-Overview" in server.get(low(tiles), bidx="2").headers
        late = time.time() + KEPT_S + 1
        with building(server.services) as builder:
            replace(builder, clock=lambda: late).run("m")
        assert [each.id for each in server.services.mosaics.get("m").overview_sets] == [ready.id]
        assert not set(old) & set(objects(server))


def differences(server: Server) -> set[str]:
    with building(server.services) as builder:
        check = OverviewCheck(builder, server.services.mosaics.get("m"))
        return {one.kind for each in check.check() for one in each.differences}


def made_older(server: Server) -> None:
    """Writes the rows of all cells as the release before combinations of assets wrote them."""
    mosaic = server.services.mosaics.get("m")
    (ready,) = mosaic.overview_sets
    table = server.services.index.table
    for row in table.scan(f"m.{mosaic.generation}#overview."):
        (image,) = row.item["images"]
        kinds = [json.dumps(each[2]) for kind in row.item["kinds"] for each in json.loads(kind)]
        gone = {"images", "kinds"}
        kept = {name: value for name, value in row.item.items() if name not in gone}
        old = {"assets": image["assets"], "mixed": False, "colors": False, "properties": {}}
        digest = {"version": "0" * 32 if row.item["version"] else ""}  # was of other bytes
        table.transact([Put(row.key, kept | old | {"kinds": kinds} | digest)])
    older = replace(ready, format=1001)
    server.services.mosaics.put_overview_sets("m", lambda _: [older])


def same_pixels(one: Picture, other: Picture) -> bool:
    return bool((one.data == other.data).all() and (one.valid == other.valid).all())


@pytest.mark.slow
class TestEnd:
    """Readers that know a mosaic as it was some seconds ago, beside its end."""

    @pytest.mark.parametrize("end", ["turned off", "deleted"])
    def test_their_low_zooms_stay_whole(self, tmp_path: Path, end: str) -> None:
        for server, tiles in made(tmp_path):
            path = low(tiles)
            before = server.get(path)
            assert before.headers["X-Overview"]
            index = f"sqlite:///{tmp_path / 'index.db'}"
            table = SqliteTable(tmp_path / "index.db")
            with serving(table, server.folder, index=index, mosaic_max_age_s=60) as late:
                late.get(path)
                if end == "deleted":
                    assert server.client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 204
                else:
                    server.services.mosaics.update("m", {"overviews": None})
                with suppress(NotFoundError):
                    build(server)
                after = late.get(path)
                assert after.content == before.content
                assert after.headers["X-Overview"] == before.headers["X-Overview"]
            now = server.get(path)
            assert now.status_code == (404 if end == "deleted" else 200)
            assert "X-Overview" not in now.headers


@pytest.mark.slow
class TestTheirObjects:
    """They are read for overviews only: no Item may name one, whatever is allowed."""

    @pytest.mark.parametrize("form", ["path", "url", "link"])
    def test_an_item_that_names_one_is_refused(
        self, few: tuple[Server, list[Tile]], tmp_path: Path, form: str
    ) -> None:
        server, tiles = few
        path = objects(server)[0]
        link = tmp_path / "assets" / "link.tif"
        link.symlink_to(path)
        href = {"path": str(path), "url": path.as_uri(), "link": str(link)}[form]
        # The folder that is allowed holds the folder of overviews.
        with restarted(server, allowed_prefixes=(str(tmp_path),)) as again:
            stolen = document(replace(tiles[0], name="stolen", path=Path("/x")))
            stolen["assets"]["visual"]["href"] = href
            answer = again.post(stolen)
            if form == "link":  # noticed when it is read
                seen = again.get(low(tiles, 13), ids="stolen")
                assert "links into the folder of overviews" in seen.headers["X-Skipped-Scenes"]
                return
            assert "folder of overviews" in answer.text
            assert again.get("/mosaics/m/items").json()["features"][4:] == []

    def test_one_that_was_stored_is_not_read(
        self, few: tuple[Server, list[Tile]], tmp_path: Path
    ) -> None:
        """By a release before overviews."""
        server, tiles = few
        path = objects(server)[0]
        stored = replace(tiles[0], name="stolen", path=path)
        allowed = (str(tmp_path),)
        with restarted(server, allowed_prefixes=allowed, overview_store="file:///x") as old:
            publish(old, [stored])
        with restarted(server, allowed_prefixes=allowed) as again:
            seen = again.get(low(tiles, 13), ids="stolen")
        assert "folder of overviews" in seen.headers["X-Skipped-Scenes"]


def objects(server: Server) -> list[Path]:
    """The objects of all cells."""
    folder = urlsplit(server.services.settings.overviews).path
    return sorted(Path(folder).rglob("*.tif"))


def spoil(path: Path, damage: str) -> None:
    body = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif damage == "zeroed":
        path.write_bytes(bytes(len(body)))
    else:
        path.write_bytes(body[:1500] + bytes(255 - byte for byte in body[1500:]))


@contextmanager
def restarted(server: Server, **settings: Any) -> Iterator[Server]:
    """Another server on the same index, which has opened no object yet."""
    given = server.services.settings
    kept = {"index": given.index, "allowed_prefixes": given.allowed_prefixes} | settings
    table = SqliteTable(server.folder.parent / "index.db")
    with serving(table, server.folder, **kept) as again:
        yield again


@pytest.mark.slow
class TestEdgesOfTheWorld:
    def test_beyond_the_edge_of_mercator_scenes_are_shown(self, tmp_path: Path) -> None:
        """A scene from 80° to 88° north: no cell has what lies beyond 85.06°."""
        with with_overviews(tmp_path) as server:
            put_lonlat(server, "north", (10, 80, 40, 88))
            build(server)
            url = "/mosaics/m/bbox/0,70,60,90/128x128.npy"
            self.compare(server, url, "north")
            polar = morecantile.tms.get("UPSArcticWGS84Quad")
            tile = polar.tile(25, 84, 2)
            self.compare(server, f"/mosaics/m/tiles/{polar.id}/2/{tile.x}/{tile.y}.npy", None)

    def test_across_the_antimeridian(self, tmp_path: Path) -> None:
        with with_overviews(tmp_path) as server:
            put_lonlat(server, "west", (-180, 10, -172, 18))
            put_lonlat(server, "east", (172, 8, 180, 16))
            build(server)
            self.compare(server, "/mosaics/m/bbox/165,0,-165,30/32x32.npy", "")
            self.compare(server, "/mosaics/m/bbox/165,0,-165,30/300x300.npy", None)
            self.compare(server, "/mosaics/m/bbox/-180,-80,180,80/512x256.npy", "")

    @staticmethod
    def compare(server: Server, url: str, scenes: str | None) -> None:
        """Where scenes show, overviews do, and further by a pixel at most."""
        answer, live = server.get(url), server.get(url, overviews="false")
        assert answer.status_code == 200, answer.text
        shown = np.load(io.BytesIO(answer.content))[-1] > 0
        exact = np.load(io.BytesIO(live.content))[-1] > 0
        assert exact.any()
        assert not (exact & ~shown).any()
        around = np.pad(exact, 1)
        height, width = exact.shape
        near = np.logical_or.reduce(
            [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        )
        assert not (shown & ~near).any()
        if scenes is not None:
            assert answer.headers["X-Overview"]
            assert answer.headers["X-Scenes"] == scenes


def put_lonlat(server: Server, name: str, bounds: tuple[float, float, float, float]) -> None:
    """Publish a scene in longitude and latitude, 1/16° a pixel."""
    west, south, east, north = bounds
    shape = (3, int(north - south) * 16, int(east - west) * 16)
    path = server.folder / f"{name}.tif"
    write_cog(path, np.full(shape, 99, "uint8"), crs="EPSG:4326", bounds=bounds, overviews=(2, 4))
    assets = {"visual": {"href": str(path), "type": "image/tiff"}}
    server.add(item(name, box(*bounds), assets=assets))

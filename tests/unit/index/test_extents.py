"""Extents of deep partitions: where a search ends, and what they grow by. On every table."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import morecantile
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.geo.covering import WHOLE, decode, packed
from livemosaic.geo.rasterize import Outline
from livemosaic.index.extents.rows import ExtentRows, PartitionName
from livemosaic.index.extents.shape import united
from livemosaic.index.extents.top import TopRow, from_bytes, on_top, to_bytes
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.partitions import partitions
from livemosaic.index.scenes import Index
from livemosaic.index.verify import Difference
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.raster import Grid, Mask
from livemosaic.model.rule import DEFAULT
from livemosaic.model.scene import Scene
from livemosaic.overviews.check import OverviewCheck
from livemosaic.overviews.extents import ExtentKeeper
from livemosaic.overviews.sets import begun
from livemosaic.table import Page, Table
from livemosaic.tiler.candidates import Candidates
from livemosaic.tiler.plan import Plan
from livemosaic.tiler.views import TileAddress
from proof.cells import builder

DEEP = 60
HERE, BESIDE = box(7, 45, 7.5, 45.5), box(7.5, 45, 8, 45.5)
AT = morecantile.tms.get("WebMercatorQuad").tile(7.4, 45.2, 9)
EDGE = TileAddress("WebMercatorQuad", AT.z, AT.x, AT.y)
"""A tile that both reach into, and do not fill."""
MARKED = OverviewSet(
    id="0a",
    policy=OverviewPolicy(assets=("visual",)),
    rule={},
    format=1,
    state="ready",
    marked_since=1000,
)
HOUR = 3600.0


class CountedTable:
    """A `Table` that counts the rows of scenes that queries give."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def query(self, pk: str, **how: Any) -> Page:
        page = self._table.query(pk, **how)
        self.rows += 0 if "#stale#" in pk else len(page.rows)
        return page


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    with ThreadPoolExecutor(4) as pool:
        counted = CountedTable(table)
        yield Index(counted, Mosaics(counted), pool)


@pytest.fixture
def mosaic(index: Index) -> Mosaic:
    index.mosaics.create(Mosaic(id="m", overviews=MARKED.policy, overview_sets=(MARKED,)))
    for number in range(1, DEEP + 1):
        put(index, number, HERE)
    return index.mosaics.get("m")


def put(index: Index, number: int, place: Polygon, version: int = 1) -> str:
    """Writes a scene, the larger numbers above the smaller ones; returns its key."""
    scene = Scene(
        collection="s2",
        id=f"{number:03}",
        version=f"2026-01-{version:02}T00:00:00Z#{number}",
        footprint=MultiPolygon([place]),
        rank=f"{999 - number:03}",
        assets={"visual": f"s3://b/{number}.tif"},
    )
    index.apply(index.mosaics.get("m"), scene)
    return scene.key


def build(index: Index, *, now: Callable[[], float] = time.time, deep: int = 50) -> None:
    """What a builder does with stale rows, beside cells."""
    mosaic, rows = index.mosaics.get("m"), OverviewRows(index.table)
    stale = [row for region in REGIONS for row in rows.stale(mosaic, region)]
    ExtentKeeper(index, now, deep).include(mosaic, [row.scene for row in stale])
    rows.settle(stale)


def shown(index: Index, *, extents: bool = True) -> tuple[list[str], int]:
    """The scenes that the tile needs by footprints, and the rows of scenes that this took."""
    mosaic, counted = index.mosaics.get("m"), index.table
    assert isinstance(counted, CountedTable)
    view = EDGE.view(mosaic, 256)
    rows = ExtentRows(index.table, index.mosaics) if extents else None
    plan = Plan(Candidates(index, mosaic, view, DEFAULT, None, (), rows), 256, 256, 20, 1000)
    counted.rows = 0
    wanted = plan.next_round()
    assert plan.truncated == ""
    return [plan.scene(place).id for place in wanted], counted.rows


class TestSearch:
    def test_a_tile_at_an_edge_ends_with_its_first_page(self, index: Index, mosaic: Mosaic) -> None:
        del mosaic
        assert shown(index) == (["060"], DEEP)
        build(index)
        assert shown(index) == (["060"], 10)
        assert shown(index, extents=False) == (["060"], DEEP)

    @pytest.mark.parametrize("version", [1, 2], ids=["a new scene", "a scene that moves"])
    def test_a_scene_beyond_the_edge_shows_before_and_after_it_is_built(
        self, index: Index, mosaic: Mosaic, version: int
    ) -> None:
        """At the bottom of the stack, where nothing would have looked for it."""
        build(index)
        put(index, 1 if version == 2 else 0, BESIDE, version)
        below = "001" if version == 2 else "000"
        assert shown(index)[0] == ["060", below]
        build(index)
        assert shown(index)[0] == ["060", below]
        assert shown(index)[0] == shown(index, extents=False)[0]

    def test_a_change_elsewhere_is_nothing_to_wait_for(self, index: Index, mosaic: Mosaic) -> None:
        build(index)
        put(index, 70, box(30, 50, 30.5, 50.5))
        assert shown(index) == (["060"], 10)

    def test_a_change_across_regions_is_waited_for(self, index: Index, mosaic: Mosaic) -> None:
        """Its mark is in none of the two tiles of zoom 3 that it reaches into."""
        build(index)
        put(index, 0, box(-3, 45, 8, 45.5))
        assert shown(index)[0] == ["060", "000"]

    def test_more_changes_than_are_looked_at_count_as_one_here(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        build(index)
        for version in range(2, 26):
            for number in range(4):
                put(index, 100 + number, box(30, 50 + version / 10, 30.5, 53), version)
        assert shown(index)[1] == 10
        for number in range(4):
            put(index, 100 + number, box(30, 50, 30.5, 50.5), 27)
        assert shown(index)[1] == DEEP


class TestKeeping:
    def test_nothing_is_kept_before_everybody_knows_of_overviews(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """Workers that know the mosaic without them mark no change."""
        build(index, now=lambda: 1 + HOUR - 10)
        assert shown(index) == (["060"], DEEP)

    def test_shallow_partitions_have_none(self, index: Index, mosaic: Mosaic) -> None:
        build(index, deep=DEEP + 1)
        assert shown(index) == (["060"], DEEP)

    def test_overviews_that_were_turned_off_and_on_begin_anew(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """Meanwhile nothing was marked."""
        build(index)
        index.mosaics.update("m", {"overviews": None})
        put(index, 0, BESIDE)
        index.mosaics.update("m", {"overviews": MARKED.policy})
        now = index.mosaics.put_overview_sets("m", partial(begun, now=HOUR))
        assert now.marked_since == HOUR * 1000
        assert shown(index)[0] == ["060", "000"]

    def test_a_mosaic_that_is_created_again_knows_nothing_of_the_one_before(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """Of the same id, with overviews as old, and scenes that the old extents have, but one."""
        build(index)
        view = EDGE.view(mosaic, 256)
        names = [PartitionName.of(pk) for pk in partitions(mosaic, view.area)]
        rows = ExtentRows(index.table, index.mosaics)
        assert rows.known(mosaic, names, view.area)
        assert len([*index.drop("m")]) == DEEP
        index.mosaics.create(Mosaic(id="m", overviews=MARKED.policy, overview_sets=(MARKED,)))
        for number in range(1, DEEP + 1):
            put(index, number, HERE)
        put(index, 0, BESIDE)
        build(index, deep=DEEP + 2)
        assert shown(index)[0] == ["060", "000"]
        assert rows.glance(mosaic, names)  # they are still there
        assert rows.known(mosaic, names, view.area) == {}
        assert rows.glance(index.mosaics.get("m"), names) == {}

    def test_a_reader_that_does_not_know_that_they_are_off_reads_all(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        build(index)
        before = index.mosaics.get("m")
        index.mosaics.update("m", {"overviews": None})
        rows, view = ExtentRows(index.table, index.mosaics), EDGE.view(before, 256)
        names = [PartitionName.of(pk) for pk in partitions(before, view.area)]
        assert rows.glance(before, names)
        assert rows.known(before, names, view.area) == {}


def verified(index: Index, *, repair: bool = False) -> list[Difference]:
    """What `verify --overviews` says of extents."""
    with builder(index.table, clock=time.time) as one:
        check = OverviewCheck(one, index.mosaics.get("m"), repair)
        every = [each for checked in check.check() for each in checked.differences]
    return [each for each in every if each.scene.startswith("extent")]


class TestVerify:
    @pytest.mark.parametrize("version", [1, 2], ids=["a new scene", "a scene that moves"])
    def test_a_scene_whose_mark_is_lost_is_found_and_added(
        self, index: Index, mosaic: Mosaic, version: int
    ) -> None:
        build(index)
        assert verified(index) == []
        key = put(index, 1 if version == 2 else 0, BESIDE, version)
        below = key.partition("#")[2]
        assert verified(index) == []  # it waits to be built
        rows = OverviewRows(index.table)
        for region in REGIONS:
            rows.settle(rows.stale(mosaic, region))
        assert shown(index)[0] == ["060"]
        found = verified(index)
        assert {each.kind for each in found} == {"outdated"}
        assert all(f"1 in all, such as {key}" in each.detail for each in found)
        assert shown(index)[0] == ["060"]
        assert verified(index, repair=True) == [replace(each, mended=True) for each in found]
        assert verified(index) == []
        assert shown(index)[0] == ["060", below]

    def test_extents_that_nobody_trusts_are_not_judged(self, index: Index, mosaic: Mosaic) -> None:
        build(index)
        keeper = ExtentKeeper(index)
        names = [*keeper.rows.names(mosaic, mosaic.marked_since)]
        assert names
        index.mosaics.update("m", {"overviews": None})
        put(index, 0, BESIDE)
        assert [keeper.lacking(mosaic, name) for name in names] == [{}] * len(names)


GRID = cell_grid("WebMercatorQuad")
CELL = Cell.of("1202021")
PIXELS = Grid(GRID.crs, GRID.bounds(CELL), 300, 300)
PLACES = st.lists(st.tuples(*[st.floats(-0.2, 1.2)] * 2), min_size=3, max_size=4)


def stored(corners: list[tuple[float, float]]) -> bytes:
    """A triangle or quadrangle in the cell and around it, as a row of the cell holds it."""
    left, bottom, right, _ = GRID.bounds(CELL)
    span = right - left
    points = [(left + x * span, bottom + y * span) for x, y in corners]
    shape = shapely.convex_hull(shapely.MultiPoint(points)) & box(*PIXELS.bounds)
    return packed(shape, PIXELS.bounds)


def burnt(part: bytes) -> Mask:
    return Outline.of(decode(GRID, CELL.quadkey, part), GRID.crs, PIXELS).burn()


class TestShape:
    @settings(deadline=None, max_examples=50)
    @given(st.lists(PLACES.map(stored).filter(bool), min_size=1, max_size=12))
    def test_it_holds_every_pixel_of_every_footprint(self, parts: list[bytes]) -> None:
        known = None
        for part in parts:
            known = united(GRID, CELL.quadkey, known, [part])
        assert known is not None
        every = np.logical_or.reduce([burnt(part) for part in parts])
        assert not (every & ~burnt(known)).any()
        assert united(GRID, CELL.quadkey, known, parts) == known
        at_once = burnt(united(GRID, CELL.quadkey, None, parts))
        assert not (every & ~at_once).any()

    def test_a_square_is_a_square(self) -> None:
        square = stored([(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)])
        assert (burnt(united(GRID, CELL.quadkey, None, [square])) == burnt(square)).all()

    def test_a_coast_becomes_its_hull(self) -> None:
        rng = np.random.default_rng(1)
        specks = [stored((rng.random((3, 2)) * 0.05 + rng.random(2)).tolist()) for _ in range(300)]
        found = united(GRID, CELL.quadkey, None, filter(None, specks))
        assert len(found) < 4000
        assert not (np.logical_or.reduce([*map(burnt, filter(None, specks))]) & ~burnt(found)).any()

    def test_the_whole_cell_stays_the_whole_cell(self) -> None:
        square = stored([(0.25, 0.25), (0.25, 0.75), (0.75, 0.25)])
        assert united(GRID, CELL.quadkey, WHOLE, [square]) == WHOLE
        assert united(GRID, CELL.quadkey, square, [WHOLE]) == WHOLE


class TestOnTop:
    @settings(deadline=None, max_examples=40)
    @given(st.lists(PLACES.map(stored).filter(bool), min_size=1, max_size=12))
    def test_it_hides_every_pixel_of_all_others(self, parts: list[bytes]) -> None:
        rows = [TopRow(f"{n:02}#c#{n}", part) for n, part in enumerate(parts)]
        found = on_top(GRID, CELL.quadkey, rows)
        assert found is not None
        assert [*found] == sorted(found)
        for row in {*rows} - {*found}:
            above = [burnt(each.footprint) for each in found if each < row]
            assert not (burnt(row.footprint) & ~np.logical_or.reduce(above)).any()
        for row in found:
            above = [burnt(each.footprint) for each in rows if each < row]
            left = burnt(row.footprint) & ~np.logical_or.reduce(
                [*above, np.zeros((300, 300), bool)]
            )
            if not left.any():
                continue
            places = np.argwhere(left)
            for at in {*places.argmin(axis=0).tolist(), *places.argmax(axis=0).tolist()}:
                x, y = PIXELS.transform @ (places[at][1] + 0.5, places[at][0] + 0.5)
                assert row.shows_in(PIXELS.bounds, [(x, y, x, y)])
        assert from_bytes(to_bytes(found)) == found
        assert [row.place for row in from_bytes(to_bytes(found))] == [row.place for row in found]

    def test_a_hole_hides_nothing(self) -> None:
        """Rings fill by the even-odd rule."""
        left, bottom, right, top = GRID.bounds(CELL)
        whole, hole = box(left, bottom, right, top), box(left, bottom, right, top).buffer(-1000)
        rows = [
            TopRow("1", packed(whole.buffer(-100).difference(hole), PIXELS.bounds)),
            TopRow("2", packed(hole.buffer(-1000), PIXELS.bounds)),
            TopRow("3", packed(hole.buffer(-2000), PIXELS.bounds)),
        ]
        assert on_top(GRID, CELL.quadkey, rows) == (rows[0], rows[1])

    @pytest.mark.parametrize(
        ("count", "vertices"), [(201, 4), (100, 900)], ids=["side by side", "large"]
    )
    def test_what_is_too_much_is_not_kept(self, count: int, vertices: int) -> None:
        """A row of DynamoDB holds 400 KB."""
        left, bottom, right, top = PIXELS.bounds
        radius, places = (right - left) / 500, np.random.default_rng(1).random((count, 2))
        turns = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
        ring = np.column_stack([np.cos(turns), np.sin(turns)]) * radius
        span = np.array([right - left, top - bottom]) - 4 * radius
        shapes = [Polygon(ring + (left, bottom) + 2 * radius + place * span) for place in places]
        rows = [TopRow(f"{n:04}", packed(each, PIXELS.bounds)) for n, each in enumerate(shapes)]
        assert on_top(GRID, CELL.quadkey, rows) is None
        assert len(on_top(GRID, CELL.quadkey, rows, every=True) or ()) > 0.9 * count

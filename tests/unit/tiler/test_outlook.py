"""Tiles of deep stacks are the same whether rows on top are known or all rows are read."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import morecantile
import numpy as np
import pytest
import shapely
from shapely.affinity import rotate, scale, translate
from shapely.geometry import MultiPolygon, Polygon, box

from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import rings_of
from livemosaic.geo.rasterize import Outline
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.raster import Encoding, Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.model.scene import Scene
from livemosaic.overviews.extents import ExtentKeeper, OneIn
from livemosaic.table import Page
from livemosaic.tiler.overviews import Overviews
from livemosaic.tiler.picture import Picture, PictureLimits, Tiler
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import TileAddress, View, extent_view
from proof.memory import MemoryTable
from proof.programs import InTurn

TMS = "WebMercatorQuad"
SET = OverviewSet(
    id="0a", policy=OverviewPolicy(), rule={}, format=1, state="ready", marked_since=1
)
SIZE = 64


@dataclass
class CountedTable(MemoryTable):
    """Counts the rows of cells that queries give."""

    rows_given: int = 0

    def query(self, pk: str, **how: Any) -> Page:
        page = super().query(pk, **how)
        self.rows_given += len(page.rows) if "#cell#" in pk or "#coarse#" in pk else 0
        return page


@dataclass
class Painter:
    """Reads scenes without files: pixels may lie on less than their footprints, or on none."""

    truths: dict[str, Polygon | MultiPolygon | None] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    async def read(self, assets: Mapping[str, str], grid: Grid, *_: Any, **__: Any) -> Pixels:
        (href,) = assets.values()
        self.reads.append(href)
        truth = self.truths[href]
        valid = np.zeros((grid.height, grid.width), np.bool_)
        if truth is not None:
            shape = cell_grid(TMS).project(shapely.multipolygons([*polygons(truth)]))
            valid = Outline.of(rings_of(shape), grid.crs, grid).burn()
        value = int(href.rpartition(":")[2]) % 251 + 1
        return Pixels(np.where(valid, value, 0).astype(np.uint8)[None], valid, ("b1",))

    async def nodata(self, href: str, *, version: str, encoding: Encoding = ()) -> Any:
        raise NotImplementedError

    async def frame(self, href: str, *, version: str) -> Any:
        raise NotImplementedError


def polygons(shape: Any) -> Iterator[Polygon]:
    return (part for part in shapely.get_parts(shape) if isinstance(part, Polygon))


@dataclass
class World:
    """A mosaic with a deep stack over one place, and builders who keep what is on top."""

    rng: np.random.Generator
    kind: str
    table: CountedTable = field(default_factory=CountedTable)
    painter: Painter = field(default_factory=Painter)
    count: int = 0

    def __post_init__(self) -> None:
        self.index = Index(self.table, Mosaics(self.table), InTurn())
        self.index.mosaics.create(
            Mosaic(id="m", properties=("cloud",), overviews=SET.policy, overview_sets=(SET,))
        )

    @property
    def mosaic(self) -> Mosaic:
        return self.index.mosaics.get("m")

    def put(self, at: float | None = None) -> str:
        """Writes a scene at a place in the order, by chance where none is given."""
        number, self.count = self.count, self.count + 1
        shape = self._shape()
        href = f"memory:{number}"
        self.painter.truths[href] = self._truth(shape)
        rank = self.rng.random() if at is None else at
        scene = Scene(
            collection="c",
            id=f"{number:05}",
            version=f"2026-01-01T00:00:00.{number:06}Z#{number:016x}",
            footprint=MultiPolygon([*polygons(shape)]),
            rank=f"{rank:.9f}",
            datetime="2026-01-01T00:00:00Z",
            assets={"visual": href},
            properties={"cloud": int(self.rng.integers(0, 100))},
        )
        self.index.apply(self.mosaic, scene)
        return scene.key

    def _shape(self) -> Polygon | MultiPolygon:
        rng = self.rng
        whole = box(9, 46, 9.2, 46.15)
        if self.kind == "granules":
            return whole if rng.random() < 0.8 else box(9, 46, 9 + rng.choice([0.1, 0.15]), 46.15)
        if self.kind == "grid":  # edges on the same lines, and on edges of pixels
            west, south = rng.integers(0, 4, 2) / 64
            return box(9 + west, 46 + south, 9.1 + rng.integers(0, 4) / 64, 46.1)
        moved = translate(whole, *(rng.normal(size=2) * 0.01))
        if self.kind == "wander":
            return rotate(moved, rng.normal() * 3)
        star = rotate(scale(moved, 0.5 + rng.random(), 0.5 + rng.random()), rng.random() * 90)
        cut = rotate(scale(moved, 0.4, 0.4), rng.random() * 90)  # a hole, or two parts
        return star.difference(translate(cut, *(rng.normal(size=2) * 0.05)))

    def _truth(self, shape: Any) -> Any:
        chance = self.rng.random()
        if chance < 0.6:
            return shape
        if chance < 0.65:
            return None
        if chance < 0.8:
            return shape.intersection(box(8, 45, 9 + self.rng.random() * 0.2, 47)) or None
        smaller = shape.buffer(-0.0008)
        return smaller or None

    def delete(self, key: str) -> None:
        number, self.count = self.count, self.count + 1
        version = f"2026-01-01T00:00:00.{number:06}Z#{number:016x}"
        self.index.delete(self.mosaic, key, version)

    def build(self, **draws: int) -> None:
        seldom = dict.fromkeys(("made", "found", "raised", "remade"), 2**40)
        keeper = ExtentKeeper(self.index, deep=3, deeper=3, one_in=OneIn(**{**seldom, **draws}))
        rows = OverviewRows(self.table)
        stale = [row for region in REGIONS for row in rows.stale(self.mosaic, region)]
        keeper.include(self.mosaic, [row.scene for row in stale])
        rows.settle(stale)

    def know(self) -> None:
        """Makes all extents and rows on top, which are complete then."""
        self.build(made=1)
        mosaic, keeper = self.mosaic, ExtentKeeper(self.index, deeper=3)
        for name in [*keeper.rows.names(mosaic, mosaic.marked_since)]:
            keeper._look(mosaic, name)
            assert keeper.lacking(mosaic, name) == {}

    def made(self, view: View, rule: Rule, limits: PictureLimits, *, live: bool) -> Picture:
        tiler = self.tiler(limits, live=live)

        async def make() -> Picture:
            return await tiler.make(tiler.draft(self.mosaic, view, Read(), rule))

        return asyncio.run(make())

    def view(self) -> View:
        """A tile of any zoom at an edge of the stack, or in it."""
        zoom = int(self.rng.integers(10, 15))
        place = 9 + self.rng.random() * 0.24 - 0.02, 46 + self.rng.random() * 0.19 - 0.02
        tile = morecantile.tms.get(TMS).tile(*place, zoom)
        return TileAddress(TMS, tile.z, tile.x, tile.y).view(self.mosaic, SIZE)

    def box_view(self) -> View:
        """A box as large as a tile, across tiles."""
        tiles = tile_matrix_set(TMS)
        width = tiles.xy_bounds(tiles.tile(9, 46, int(self.rng.integers(10, 13))))
        side = width.right - width.left
        x, y = tiles.xy(9 + self.rng.random() * 0.2, 46 + self.rng.random() * 0.15)
        bounds = x - side / 2, y - side / 2, x + side / 2, y + side / 2
        return extent_view(Grid(tiles.rasterio_crs, bounds, SIZE, SIZE), self.mosaic, "a box")

    def compare(self, rule: Rule = DEFAULT, view: View | None = None, **limits: int) -> str:
        """Compares an image with and without; returns how the search for its scenes ended."""
        view = view or self.view()
        limit = PictureLimits(**{"max_rows": 5000, **limits})
        whole = self.made(view, rule, limit, live=True)
        reads, self.painter.reads = self.painter.reads, []
        found = self.made(view, rule, limit, live=False)
        assert (found.pixels.data == whole.pixels.data).all()
        assert (found.pixels.valid == whole.pixels.valid).all()
        assert found.scenes == whole.scenes
        assert found.truncated == whole.truncated
        assert sorted(self.painter.reads) == sorted(reads), "a scene is read twice, or in vain"
        self.painter.reads = []
        if found.seen.end.lower() != "outside":
            plan = self.tiler(limit).draft(self.mosaic, view, Read(), rule).plan
            assert plan.foreseen(len(found.seen.scenes), found.seen.end) == found.seen
        return found.seen.end

    def tiler(self, limits: PictureLimits, *, live: bool = False) -> Tiler:
        overviews = None if live else Overviews(OverviewRows(self.table), self.painter)
        return Tiler(self.index, self.painter, limits, overviews=overviews)


@pytest.mark.parametrize("kind", ["granules", "grid", "wander", "torn"])
def test_tiles_are_the_same_as_of_all_rows(kind: str) -> None:
    """Also where pixels lie on less than footprints, and with filters that deny some on top."""
    ends = set()
    for seed in range(2):
        world = World(np.random.default_rng(seed), kind)
        for _ in range(40):
            world.put()
        world.know()
        few = rule_of({"filter": "cloud < 60"}, world.mosaic)
        for _ in range(12):
            ends.add(world.compare(max_scenes=100))
            ends.add(world.compare(max_scenes=4))
            world.compare(few, max_scenes=100)
            world.compare(rule_of({"operation": "mean"}, world.mosaic), max_scenes=100)
    turned_back = any(end[0].isupper() for end in ends)
    assert ("top" in ends and turned_back) or kind == "granules", "nothing was proven"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grid", "wander", "torn"])
def test_tiles_are_the_same_while_scenes_come_and_go(kind: str) -> None:
    ends = set()
    for seed in range(2):
        world = World(np.random.default_rng(seed), kind)
        keys = [world.put() for _ in range(40)]
        world.know()
        for n in range(20):
            chance = world.rng.random()
            if chance < 0.4:
                keys.append(world.put(0.0001 / (n + 1)))  # above all
            elif chance < 0.7:
                keys.append(world.put())
            else:
                world.delete(keys.pop(int(world.rng.integers(len(keys)))))
            if world.rng.random() < 0.7:
                world.build(raised=2, remade=5)
            for _ in range(3):
                ends.add(world.compare(max_scenes=100))
    assert "top" in ends


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wander", "torn"])
def test_boxes_over_several_cells_are_the_same(kind: str) -> None:
    """A scene on top in one of them, and hidden in the other, is met as a whole, and read once."""
    ends = set()
    world = World(np.random.default_rng(2), kind)
    for _ in range(40):
        world.put()
    world.know()
    small = rule_of({"min_pixels": 200}, world.mosaic)
    for _ in range(20):
        view = world.box_view()
        for rule, limit in ((DEFAULT, 100), (DEFAULT, 6), (small, 100)):
            ends.add(world.compare(rule, view, max_scenes=limit))
    assert {"top", "Exhausted"} <= ends, "nothing was proven"


def test_a_tile_at_an_edge_that_wanders_reads_few_rows() -> None:
    world = World(np.random.default_rng(1), "wander")
    world._truth = lambda shape: shape  # type: ignore[method-assign]
    for _ in range(250):
        world.put()
    world.know()
    view = TileAddress(TMS, 12, *morecantile.tms.get(TMS).tile(9.21, 46.07, 12)[:2]).view(
        world.mosaic, SIZE
    )
    given = []
    for live in (True, False):
        world.table.rows_given = 0
        picture = world.made(view, DEFAULT, PictureLimits(max_rows=5000), live=live)
        assert 0 < picture.pixels.valid.mean() < 1
        given.append(world.table.rows_given)
    assert given[1] <= 20 < 200 < given[0]


def test_a_partition_of_very_many_rows_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be for one change of 64, however many there are."""
    monkeypatch.setattr("livemosaic.overviews.extents._MOST_ROWS", 30)
    world = World(np.random.default_rng(1), "granules")
    for _ in range(60):
        world.put()
    world.know()
    mosaic, keeper = world.mosaic, ExtentKeeper(world.index)
    names = [*keeper.rows.names(mosaic, mosaic.marked_since)]
    known = [keeper.rows.get(mosaic, name) for name in names]
    assert {(extent.top, extent.top_after) for extent in known} == {((), None)}


class TestUnchanged:
    """A tag tells without pixels whether a tile is the same."""

    def test_until_a_scene_that_shows_changes(self) -> None:
        world = World(np.random.default_rng(3), "wander")
        world._truth = lambda shape: shape  # type: ignore[method-assign]
        keys = [world.put() for _ in range(60)]
        world.know()
        tiler = world.tiler(PictureLimits(max_rows=5000))
        view = next(v for v in iter(world.view, None) if self._seen(tiler, world, v).end == "top")
        seen = self._seen(tiler, world, view)

        def again() -> Any:
            plan = tiler.draft(world.mosaic, view, Read(), DEFAULT).plan
            return plan.foreseen(len(seen.scenes), seen.end)

        assert again() == seen
        shown = [scene.key for scene in seen.scenes]
        world.delete(next(key for key in keys if key not in shown))
        world.build()
        assert again() == seen
        world.delete(shown[-1])
        assert again() != seen
        world.build()
        assert again() != seen

    @staticmethod
    def _seen(tiler: Tiler, world: World, view: View) -> Any:
        draft = tiler.draft(world.mosaic, view, Read(), DEFAULT)
        return asyncio.run(tiler.make(draft)).seen

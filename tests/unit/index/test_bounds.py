"""Bounds of a mosaic after scenes left it, on both tables, against every scene's own extent."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest

from items import NOW, box, deletion, item, message
from livemosaic.geo.antimeridian import extent, is_smaller, united
from livemosaic.index.bounds.check import BoundsCheck
from livemosaic.index.bounds.fit import BoundsFitter
from livemosaic.index.bounds.marks import LOOSE, LooseMarks
from livemosaic.index.bounds.survey import surveyed
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.mosaic import from_item, mosaic_key, put_of
from livemosaic.index.scenes import Index
from livemosaic.index.schema import Head
from livemosaic.ingest.batch import Ingest
from livemosaic.model.derived.sources import MosaicSource
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Key, Table
from proof.memory import MemoryTable

AT = NOW.timestamp()
ALPS, FAR = box(7, 45, 8, 46), box(100, 20, 101, 21)


class World:
    """A mosaic `m`, and its clock."""

    def __init__(self, table: Table, **settings: Any) -> None:
        self.now = AT
        self.table = table
        mosaics = Mosaics(table, clock=lambda: self.now)
        self.index = Index(table, mosaics, ThreadPoolExecutor(2), clock=lambda: self.now)
        mosaics.create(Mosaic(id="m", **settings))
        self._sent = 0

    def send(self, *bodies: Any) -> None:
        messages = []
        for body in bodies:
            self._sent += 1
            messages.append(message(body, self._sent / 1000))
        outcomes = Ingest(self.index, AllowList(("https://",))).batch(messages)
        assert [one.ok for one in outcomes] == [True] * len(bodies), outcomes

    @property
    def mosaic(self) -> Mosaic:
        return self.index.mosaics.get("m")

    @property
    def scenes(self) -> BBox | None:
        found = [extent(one.footprint) for one in self.index.every_scene(self.mosaic)]
        return reduce(united, found) if found else None

    def fit(self) -> bool:
        """What a builder or a server does within two minutes."""
        self.now += 120
        fitter = BoundsFitter(self.index)
        return sum(fitter.fit(mosaic) for mosaic in fitter.due()) > 0


@pytest.fixture
def world(table: Table) -> World:
    return World(table)


class TestShrink:
    @pytest.mark.parametrize(
        "left",
        [
            deletion("far"),
            item("far", box(7.2, 45.2, 7.4, 45.4)),
            {"op": "truncate", "collection": "far"},
        ],
        ids=["deleted", "moved", "truncated"],
    )
    def test_a_scene_that_leaves_takes_bounds_back(self, world: World, left: Any) -> None:
        collection = "far" if "op" in left and left["op"] == "truncate" else "s2"
        world.send(item("a", ALPS), item("far", FAR, collection=collection))
        assert world.mosaic.bounds == (7, 20, 101, 46)
        world.send(left)
        assert world.mosaic.bounds == (7, 20, 101, 46)
        assert world.fit()
        assert world.mosaic.bounds == (7, 45, 8, 46)
        assert world.mosaic.reach == (7, 20, 101, 46)
        assert world.mosaic.fit and world.mosaic.fit.meanwhile is None

    def test_a_mosaic_without_scenes_has_no_bounds(self, world: World) -> None:
        world.send(item("a", ALPS))
        world.send(deletion("a"))
        assert world.fit()
        assert world.mosaic.bounds is None
        world.send(item("b", FAR))
        assert world.mosaic.bounds == (100, 20, 101, 21)

    def test_what_comes_later_grows_them_again(self, world: World) -> None:
        world.send(item("a", ALPS), item("far", FAR))
        world.send(deletion("far"))
        world.fit()
        world.send(item("north", box(9, 50, 10, 51)))
        assert world.mosaic.bounds == (7, 45, 10, 51)

    def test_they_are_looked_at_once_more_after_an_hour_and_then_no_more(
        self, world: World
    ) -> None:
        """Also for what a release wrote that knows nothing of fits."""
        world.send(item("a", ALPS), item("far", FAR))
        world.send(deletion("far"))
        assert world.fit()
        assert not world.fit()
        world.send(item("b", box(7.1, 45.1, 7.9, 45.9)))
        row = dict(world.table.get(mosaic_key("m")) or {})
        lost = json.loads(row["fit"]) | {"bounds": [7.2, 45.2, 7.8, 45.8]}
        world.index.table.transact(
            [replace(put_of(world.mosaic), item={**row, "fit": json.dumps(lost)})]
        )
        world.now += 3600
        assert world.fit()
        assert world.mosaic.bounds == (7, 45, 8, 46)
        world.now += 3700
        assert not world.fit()
        assert LooseMarks(world.table).of("m") is None

    def test_a_deleted_mosaic_leaves_no_mark(self, world: World) -> None:
        world.send(item("a", ALPS))
        world.send(deletion("a"))
        assert len([*world.index.drop("m")]) <= 1  # the tombstone, unless it has expired
        assert not world.fit()
        assert world.table.get(Key(LOOSE, "m")) is None


class TestMarks:
    @pytest.mark.parametrize(
        ("change", "marks"),
        [
            (deletion("inside"), False),
            (item("inside", box(7.4, 45.4, 7.5, 45.5)), False),
            (item("a", box(6, 44, 9, 47)), False),
            (item("a", ALPS, datetime="2026-02-02T00:00:00Z"), False),
            (item("a", box(7.1, 45, 8, 46)), True),
            (deletion("a"), True),
        ],
        ids=["inside", "moved inside", "grew", "revised", "one edge", "deleted"],
    )
    def test_a_change_writes_one_only_where_bounds_may_shrink(
        self, world: World, change: Any, marks: bool
    ) -> None:
        world.send(item("a", ALPS), item("inside", box(7.3, 45.3, 7.6, 45.6)))
        world.send(change)
        assert (LooseMarks(world.table).of("m") is not None) is marks

    def test_nothing_is_written_where_another_scene_fills_the_bounds(self, world: World) -> None:
        world.send(item("a", ALPS), item("same", ALPS))
        world.send(deletion("a"))
        before = world.mosaic.revision
        assert not world.fit()
        assert world.mosaic.revision == before
        assert LooseMarks(world.table).of("m") is None


class TestRows:
    def test_a_release_before_reads_the_reach_and_grows_it(self, world: World) -> None:
        """It knows no `fit`, and writes the row without."""
        world.send(item("a", ALPS), item("far", FAR))
        world.send(deletion("far"))
        world.fit()
        row = dict(world.table.get(mosaic_key("m")) or {})
        assert tuple(row["bounds"]) == (7, 20, 101, 46)
        del row["fit"]
        old = from_item(row)
        assert (old.bounds, old.reach, old.fit) == ((7, 20, 101, 46), (7, 20, 101, 46), None)

    def test_they_come_back_as_they_were(self, world: World) -> None:
        world.send(item("a", ALPS))
        announced = world.index.mosaics.announce_fit("m", (7.1, 45.1, 7.2, 45.2))
        assert world.mosaic == announced
        assert announced.fit and announced.fit.meanwhile == (7.1, 45.1, 7.2, 45.2)
        assert world.index.mosaics.recent("m") == announced


class TestDerived:
    def test_a_derived_mosaic_has_the_bounds_of_its_sources(self, world: World) -> None:
        world.send(item("a", ALPS), item("far", FAR))
        derived = Mosaic(id="d", sources=(MosaicSource(mosaic="m"),))
        assert world.index.mosaics.create(derived).bounds == (7, 20, 101, 46)
        world.send(deletion("far"))
        world.fit()
        found = world.index.mosaics.get("d")
        assert found.bounds == (7, 45, 8, 46)
        assert found.reach == (7, 20, 101, 46)


class TestCheck:
    def check(self, world: World, *, repair: bool = False) -> list[str]:
        found = BoundsCheck(world.index, world.mosaic, repair).check()
        return [one.detail for checked in found for one in checked.differences]

    def test_bounds_that_wait_to_be_fitted_are_no_difference_and_repaired(
        self, world: World
    ) -> None:
        world.send(item("a", ALPS), item("far", FAR))
        world.send(deletion("far"))
        assert self.check(world) == []
        assert self.check(world, repair=True) == []
        assert world.mosaic.bounds == (7, 45, 8, 46)

    def test_bounds_that_lack_a_scene_or_are_too_large_are_found(self, world: World) -> None:
        world.send(item("a", ALPS))
        for wrong, what in [((6.0, 44.0, 9.0, 47.0), "too large"), ((7, 45, 7.5, 46), "lack")]:
            row = dict(world.table.get(mosaic_key("m")) or {})
            row["bounds"] = [7.0, 20.0, 101.0, 46.0]
            fit = {"since": 1, "done": True, "meanwhile": None, "bounds": wrong}
            changed = replace(put_of(world.mosaic), item={**row, "fit": json.dumps(fit)})
            world.table.transact([changed])
            (found,) = self.check(world)
            assert what in found
            self.check(world, repair=True)
            assert world.mosaic.bounds == (7, 45, 8, 46)
            assert self.check(world) == []


def scattered(seed: int, count: int, how: str) -> list[Any]:
    """Rectangles, and triangles, of all sizes."""
    chance = random.Random(seed)
    found = []
    for n in range(count):
        size = 10 ** chance.uniform(-3, 1)
        lon = {
            "world": chance.uniform(-180, 180 - size),
            "region": chance.gauss(8, 2),
            "antimeridian": 180 - size / 2 + chance.uniform(-3, 3),
            "poles": chance.uniform(-180, 180 - size),
            "grid": 5 + 0.1 * (n % 10),
        }[how]
        lat = chance.choice([-1, 1]) * 84 if how == "poles" else chance.uniform(-60, 60)
        lat = 45 + 0.1 * (n // 10) if how == "grid" else lat
        size = 0.1 if how == "grid" else size
        top = min(lat + size, 90)
        found.append(split(lon, lat, lon + size, top))
    return found


def split(west: float, south: float, east: float, north: float) -> Any:
    """A rectangle, cut at ±180."""
    if west >= 180 or east <= -180:
        turn = -360 if west >= 180 else 360
        return split(west + turn, south, east + turn, north)
    if east <= 180 and west >= -180:
        return box(west, south, east, north)
    parts = [(west, 180), (-180, east - 360)] if east > 180 else [(-180, east), (west + 360, 180)]
    rings = [box(a, south, b, north)["coordinates"] for a, b in parts]
    return {"type": "MultiPolygon", "coordinates": rings}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"minzoom": 5, "quadkey_zoom": 9, "max_cells": 2},
        {"tms": "UPSArcticWGS84Quad"},
    ],
    ids=["", "no low zooms", "a grid around a pole"],
)
@pytest.mark.parametrize("how", ["world", "region", "antimeridian", "poles", "grid"])
def test_every_scene_is_within_and_with_calls_enough_nothing_else(
    how: str, settings: dict[str, Any]
) -> None:
    world = World(MemoryTable(), **settings)
    footprints = scattered(len(how), 120, how)
    world.send(*(item(f"s{n}", one) for n, one in enumerate(footprints)))
    world.send(*(deletion(f"s{n}") for n in range(0, 120, 2)))
    heads = [head for head in world.index.every_head(world.mosaic) if isinstance(head, Head)]
    extents = [extent(head.scene.footprint) for head in heads if head.cells]
    assert len(extents) > 20
    assert world.mosaic.bounds
    for calls in (4000, 60, 3):
        found = surveyed(replace(world.index, consistent=True), world.mosaic, calls=calls)
        assert found
        for one in extents:
            assert united(found, one) == found
        assert not is_smaller(world.mosaic.bounds, found)
        if calls == 4000 and how not in ("world", "poles"):
            assert not is_smaller(reduce(united, extents), found)


class Counted:
    """A table that counts calls."""

    def __init__(self, table: Table) -> None:
        self._table, self.calls = table, 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        return getattr(self._table, name)


@pytest.mark.slow
def test_the_inside_of_a_mosaic_is_not_read() -> None:
    """A thousand scenes side by side, some 120 of them at the edge."""
    world = World(MemoryTable())
    side = 32
    places = [(5 + n % side / 20, 45 + n // side / 20) for n in range(side * side)]
    world.send(*(item(f"s{n}", box(x, y, x + 0.05, y + 0.05)) for n, (x, y) in enumerate(places)))
    counted: Any = Counted(world.table)
    found = surveyed(replace(world.index, table=counted, consistent=True), world.mosaic)
    assert found == world.scenes
    assert counted.calls < side * side / 2

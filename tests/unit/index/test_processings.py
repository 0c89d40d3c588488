"""Of two processings of one acquisition the later is on top, in every order and on every table."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon
from shapely.geometry import box as polygon

from items import NOW, box, item
from livemosaic.geo.cells import cell_grid
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.item import StacItem
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.model.rank import UNRANKED, rank, value_of
from livemosaic.model.raster import Grid
from livemosaic.model.rule import Method, Rule
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.model.time import parse_time
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Table
from livemosaic.tiler.rules.order import ordered
from livemosaic.tiler.views import area_of

HERE = polygon(7.4, 45.4, 7.6, 45.6)
VIEW = Grid(CRS.from_epsg(4326), (7.4, 45.4, 7.6, 45.6), 256, 256)
NAMES = ("processing:datetime", "created", "updated")


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    with ThreadPoolExecutor(4) as pool:
        yield Index(table, Mosaics(table), pool)


def processed(properties: dict[str, Any]) -> float:
    """The time of processing, by the documentation; before all others where there is none."""
    given = [properties[name] for name in NAMES if properties.get(name)]
    return parse_time(given[0]).timestamp() if given else float("-inf")


def some_properties(pick: random.Random) -> dict[str, Any]:
    day = f"2026-01-0{pick.randint(1, 3)}T00:00:00Z"
    days = {name: pick.randint(1, 28) for name in NAMES if pick.random() < 0.6}
    times = {n: f"2026-02-{d:02}T00:00:0{d % 3}.{d % 7}Z" for n, d in days.items()}
    cloud = {"cloud": pick.choice([0, 1.5, -2])} if pick.random() < 0.8 else {}
    return {"datetime": day, **cloud, **times}


def scene_of(scene_id: str, properties: dict[str, Any], sortby: str) -> Scene:
    return Scene(
        collection="c",
        id=scene_id,
        version=f"2026-02-01T00:00:00.000000Z#{scene_id}",
        footprint=MultiPolygon([HERE]),
        rank=rank(sortby, properties),
        datetime=properties["datetime"],
        properties=properties,
    )


def expected(scenes: list[Scene], sortby: str) -> list[str]:
    """The order by brute force."""

    def place(one: Scene) -> tuple[Any, ...]:
        name = sortby.lstrip("-")
        value = one.properties.get(name)
        number = parse_time(value).timestamp() if isinstance(value, str) else value
        sign = -1 if sortby[0] == "-" else 1
        keyed = (1, 0) if number is None else (0, sign * number)
        return (*keyed, -processed(dict(one.properties)), one.id)

    return [one.id for one in sorted(scenes, key=place)]


def found(index: Index, mosaic: Mosaic, area: tuple[float, ...]) -> list[IndexedScene]:
    mosaic = index.mosaics.get(mosaic.id)
    return list(index.find(mosaic, area_of(mosaic, area)))  # type: ignore[arg-type]


@pytest.mark.parametrize("sortby", ["-datetime", "datetime", "cloud", "-cloud", "-updated"])
class TestStored:
    def test_tables_and_merges_give_the_order_of_brute_force(
        self, index: Index, sortby: str
    ) -> None:
        """Over pages of one cell, and over several cells whose rows are merged."""
        mosaic = index.mosaics.create(Mosaic(id="m", sortby=sortby))
        pick = random.Random(sortby)
        scenes = [scene_of(f"{n:02}", some_properties(pick), sortby) for n in range(40)]
        for one in pick.sample(scenes, len(scenes)):
            index.apply(mosaic, one)
        for area in ((7.5, 45.5, 7.5001, 45.5001), (7.4, 45.4, 7.6, 45.6), (-50, 0, 50, 60)):
            assert [one.id for one in found(index, mosaic, area)] == expected(scenes, sortby)

    def test_rows_of_earlier_releases_are_below_and_in_their_order(
        self, index: Index, sortby: str
    ) -> None:
        mosaic = index.mosaics.create(Mosaic(id="m", sortby=sortby))
        pick = random.Random(sortby)
        scenes = [scene_of(f"{n:02}", some_properties(pick), sortby) for n in range(30)]
        old = {one.id for one in scenes if pick.random() < 0.5}
        stored = [replace(o, rank=value_of(o.rank)) if o.id in old else o for o in scenes]
        for one in pick.sample(stored, len(stored)):
            index.apply(mosaic, one)
        keys = [
            f"{one.rank}#{one.key}" for one in sorted(stored, key=lambda o: f"{o.rank}#{o.key}")
        ]
        for area in ((7.5, 45.5, 7.5001, 45.5001), (7.4, 45.4, 7.6, 45.6), (-50, 0, 50, 60)):
            met = found(index, mosaic, area)
            assert [f"{one.rank}#{one.key}" for one in met] == keys
        for one in scenes:  # sent again
            assert index.apply(mosaic, one).change == (
                "applied" if one.rank != value_of(one.rank) and one.id in old else "unchanged"
            )
        met = found(index, mosaic, (7.4, 45.4, 7.6, 45.6))  # moved rows may part a scene in two
        assert list(dict.fromkeys(one.id for one in met)) == expected(scenes, sortby)


EARLY = {"datetime": "2019-02-08T11:12:00Z", "updated": "2020-01-01T00:00:00Z"}
LATE = {"datetime": "2019-02-08T11:12:00Z", "updated": "2020-06-01T00:00:00Z"}


def pair(first: str, second: str, sortby: str, **late: Any) -> list[IndexedScene]:
    """Two processings as the index gives them, with the later under the second id."""
    of = {first: EARLY | {"cloud": 1}, second: LATE | {"cloud": 1} | late}
    scenes = [scene_of(name, properties, sortby) for name, properties in of.items()]
    return [
        IndexedScene(
            o.key, o.rank, o.version, o.datetime, o.assets, o.properties, (("0", b""),), (7.5, 45.5)
        )
        for o in sorted(scenes, key=lambda one: f"{one.rank}#{one.key}")
    ]


RULES = [
    Rule(method=method, ascending=ascending, sort_field=name, sort_value=value)
    for method, ascending, (name, value) in product(
        get_args(Method),
        (True, False),
        [("datetime", None), ("datetime", "2019-01-01T00:00:00Z"), ("cloud", None), ("none", None)],
    )
    if method != "lock" and (method == "attribute" or name == "none")
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=["smaller id", "larger id"])
@pytest.mark.parametrize("sortby", ["-datetime", "datetime", "-cloud", "missing"])
def test_every_method_has_the_later_on_top(rule: Rule, names: tuple[str, str], sortby: str) -> None:
    cells = cell_grid("WebMercatorQuad")
    top, below = ordered(pair(*names, sortby), rule, cells, VIEW)
    assert (top.id, below.id) == (names[1], names[0])


@pytest.mark.parametrize("ascending", [True, False])
def test_an_order_by_time_has_it_so_whatever_else_differs(ascending: bool) -> None:
    rule = Rule(method="attribute", sort_field="datetime", ascending=ascending)
    met = pair("a", "b", "cloud", cloud=9)
    assert [one.id for one in met] == ["a", "b"]
    assert [one.id for one in ordered(met, rule, cell_grid("WebMercatorQuad"), VIEW)] == ["b", "a"]


def test_an_item_without_a_time_of_processing_ranks_as_it_always_did() -> None:
    assert rank("-datetime", {"datetime": "2026-01-01T00:00:00Z"}) == "3e25aa91bfffffff"
    assert rank("cloud", {}) == UNRANKED


def test_the_event_of_an_item_has_no_say() -> None:
    """So the order depends on Items alone, not on when and how often they were sent."""
    parsed = StacItem.parse(item("a", box(7, 45, 8, 46)), order=Order(NOW))
    assert "!" not in parsed.scene(Mosaic(id="m"), AllowList()).rank

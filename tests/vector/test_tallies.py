"""Density from tallies: the tiles are those of all rows, whatever scenes come, move and go."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import morecantile
import pytest

from api.counted import CountedTable
from api.served import AUTHORIZED, Server, serving
from items import box, item
from livemosaic.geo.cells import Cell
from livemosaic.index.extents.tallies import TallyRows
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.overviews.functions import Sweep
from livemosaic.overviews.hints import Hint
from livemosaic.overviews.sets import FORMAT
from livemosaic.overviews.sets.removal import OutOfTimeError
from livemosaic.overviews.tallies import keeper
from livemosaic.overviews.tallies.keeper import TallyKeeper
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.whole import boundary

FEW = 20
MARKED = OverviewSet(
    id="0a",
    policy=OverviewPolicy(assets=("visual",)),
    rule={},
    format=FORMAT,
    state="ready",
    marked_since=1000,
)
EVERY = {"datetime": "1900-01-01T00:00:00Z/.."}
"""A rule that selects all scenes: they are counted by the index."""


@dataclass
class World:
    """Scenes all over the world in some clusters, and what changes them."""

    server: Server
    table: CountedTable
    tms: str = "WebMercatorQuad"
    id: str = "m"
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    @property
    def mosaic(self) -> Mosaic:
        return self.server.services.mosaics.get(self.id)

    def place(self) -> Any:
        """Near one of a few places, at the edges of the map and on edges of tiles, too."""
        west, south = self.rng.choice(
            [(11.25, 45), (-179.9, 10), (179.7, -16), (-60, -84.9), (0, 0)]
        )
        size = self.rng.choice([0.01, 0.01, 0.2, 5])
        west += self.rng.choice([0, 0.5, 0.70312]) + self.rng.random() * self.rng.choice([0, 1])
        south = max(-89.0, min(89.0 - size, south + self.rng.random()))
        west = (west + 180) % 360 - 180
        return box(west, south, min(180.0, west + size), south + size)

    def scene(self, number: int) -> dict[str, Any]:
        return item(
            f"s{number}",
            self.place(),
            href=f"{self.server.href}/{self.rng.random()}.tif",
            datetime=f"20{self.rng.randrange(10, 26)}-01-{self.rng.randrange(1, 29):02}T00:00:00Z",
        )

    def change(self, count: int) -> None:
        """Scenes come, move and go."""
        numbers = [self.rng.randrange(500) for _ in range(count)]
        gone = [number for number in numbers if self.rng.random() < 0.2]
        self.server.add(*(self.scene(number) for number in {*numbers}.difference(gone)))
        for number in gone:
            self.server.client.request("DELETE", f"/mosaics/m/items/s{number}", headers=AUTHORIZED)

    def run(self, *, most: int = 500, changed: Sequence[str] = (), **how: Any) -> None:
        """A pass of the builder over the tallies."""
        index = self.server.services.index
        rows = OverviewRows(index.table)
        stale = [row for region in REGIONS for row in rows.stale(self.mosaic, region)]
        cells = sorted({cell for row in stale for cell in row.cells}.union(changed))
        TallyKeeper(index, few=FEW, most=most).update(self.mosaic, cells, **how)
        rows.settle(stale)

    def number(self) -> int:
        """The number of scenes that there are."""
        return len([*self.server.services.index.every_scene(self.mosaic)])

    def scenes(self, by: str = "") -> int | None:
        """The number of scenes that the boundary names; or that tallies alone know."""
        index = self.server.services.index
        if by:
            tally = TallyRows(index.table).glance(self.mosaic, "")
            return tally and tally.total
        return boundary.number_of_scenes(self.server.services.tiler, self.mosaic)

    def tile(self, z: int, x: int, y: int, **how: Any) -> bytes:
        url = f"/mosaics/{self.id}/vector/{self.tms}/{z}/{x}/{y}.mvt"
        answer = self.server.get(url, layers="density", **how)
        assert answer.status_code == 200, answer.text
        return answer.content

    def known(self) -> list[str]:
        """The tiles of which there is a tally with counts."""
        rows, found, open_ = TallyRows(self.server.services.index.table), [], [""]
        while open_:
            tally = rows.get(self.mosaic, quadkey := open_.pop())
            found += [quadkey] * (rows.glance(self.mosaic, quadkey) is not None)
            open_ += [quadkey + digit for digit in "0123"] if tally.is_inner else []
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("livemosaic.vector.tiles.MOST_FOOTPRINTS", FEW)
    table = CountedTable(SqliteTable(tmp_path / "index.db"))
    with serving(table, tmp_path, mosaic_max_age_s=0) as server:
        server.services.mosaics.create(
            Mosaic(id="m", overviews=MARKED.policy, overview_sets=(MARKED,))
        )
        yield World(server, table)


HERE = [(11.3, 45.5), (-179.95, 10.2), (179.9, -15.5), (-60, -84.8), (0.2, 0.3), (12.2, 45.9)]
WEB = morecantile.tms.get("WebMercatorQuad")


def test_tiles_are_those_of_all_rows_after_each_change(world: World) -> None:
    for changes in (200, 40, 1):
        world.change(changes)
        world.run()
        assert len(world.known()) > 20
        for zoom, (lon, lat) in product(range(11), HERE):
            at = WEB.tile(lon, lat, zoom)
            assert world.tile(zoom, at.x, at.y) == world.tile(zoom, at.x, at.y, **EVERY)


def test_a_tile_of_many_scenes_reads_no_row_of_them(world: World) -> None:
    world.change(200)
    world.run()
    world.table.forget()
    world.tile(0, 0, 0)
    assert world.table.rows == 0
    world.tile(0, 0, 0, **EVERY)
    assert world.table.rows >= world.number()


def test_a_tile_shows_no_change_before_the_builder_has_seen_it(world: World) -> None:
    """As low zooms of images do; a rule that selects scenes counts them as of now."""
    world.change(200)
    world.run()
    before = world.tile(0, 0, 0)
    world.change(30)
    assert world.tile(0, 0, 0) == before != world.tile(0, 0, 0, **EVERY)


def test_a_truncated_collection_counts_no_more(world: World) -> None:
    world.change(60)
    world.run()
    index, mosaic = world.server.services.index, world.mosaic
    (collection,) = {scene.collection for scene in index.every_scene(mosaic)}
    index.truncate(mosaic, collection, "", force=True)
    for key in [*index.left_over(world.mosaic, collection)]:
        index.apply_watermark(world.mosaic, key)
    assert world.scenes(by="tallies")
    world.run()
    assert world.scenes(by="tallies") == 0
    assert world.tile(0, 0, 0) == b""


def test_tallies_are_made_in_as_many_passes_as_it_takes(world: World) -> None:
    """Each makes some before it is late, and changes come between them."""
    world.change(200)
    passes = 0
    while world.scenes(by="tallies") is None:
        asked = count()
        world.run(late=lambda asked=asked: next(asked) > 40)
        world.change(1)
        passes += 1
    world.run()
    assert passes > 2
    assert world.scenes(by="tallies") == world.number()
    assert world.tile(0, 0, 0) == world.tile(0, 0, 0, **EVERY)


def test_where_too_many_are_to_be_made_anew_another_epoch_begins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(200)
    world.run()
    world.change(30)
    with pytest.raises(OutOfTimeError):
        world.run(late=lambda: True)
    monkeypatch.setattr(keeper, "_LONG_S", 0.0)
    world.run(late=lambda: True)
    assert world.known() == []
    assert world.tile(0, 0, 0) == world.tile(0, 0, 0, **EVERY)
    world.run()
    assert world.scenes(by="tallies") == world.number()
    assert world.tile(0, 0, 0) == world.tile(0, 0, 0, **EVERY)


def test_more_scenes_of_a_place_than_are_counted_are_read(world: World) -> None:
    """Large ones, which the tiles below have as well."""
    wide = [
        item(f"w{n}", box(-170, -60, 170, 60), href=f"{world.server.href}/{n}.tif")
        for n in range(60)
    ]
    world.server.add(*wide)
    world.run(most=50)
    assert world.known() == []
    world.run(most=100, changed=[""])
    assert world.known() == [""]
    assert world.scenes(by="tallies") == 60
    assert world.tile(0, 0, 0) == world.tile(0, 0, 0, **EVERY)


def test_small_scenes_of_one_index_cell_are_counted_there(world: World) -> None:
    """Each tile below it would list all of them again."""
    here = box(11.3, 45.5, 11.30001, 45.50001)
    url = world.server.href
    small = [item(f"p{n}", here, href=f"{url}/{n}.tif") for n in range(2 * FEW)]
    world.server.add(*small, item("around", box(11, 45, 12, 46), href=f"{url}/around.tif"))
    asked = count()
    world.run(late=lambda: next(asked) > 200)
    assert world.scenes(by="tallies") == 2 * FEW + 1
    assert max(map(len, world.known())) == world.mosaic.quadkey_zoom


def test_places_on_edges_of_squares_count_in_the_same_one_at_each_zoom(world: World) -> None:
    """As the scenes of grids of whole degrees have."""
    tms = "WorldMercatorWGS84Quad"
    world.server.services.mosaics.create(
        Mosaic(id="e", tms=tms, overviews=MARKED.policy, overview_sets=(MARKED,))
    )
    lons = [number * 5.625 for number in range(-31, 32)]
    world.server.add(
        *(
            item(f"{lon}", box(lon - 1, 74, lon + 1, 76), href=f"{world.server.href}/a.tif")
            for lon in lons
        ),
        mosaic="e",
    )
    at_e = replace(world, tms=tms, id="e")
    at_e.run()
    assert len(at_e.known()) > 4
    for quadkey in at_e.known():
        at = Cell.of(quadkey)
        tile = at.zoom, at.x, at.y
        assert at_e.tile(*tile) == at_e.tile(*tile, **EVERY)


def test_each_scene_counts_once_a_moment_after_one_moved(world: World) -> None:
    """Readers meet that one in the order where it was, too, which comes between parts of others."""
    for name, year in (("a", 2020), ("b", 2019), ("b", 2021)):
        day, href = f"{year}-01-01T00:00:00Z", f"{world.server.href}/{name}.tif"
        world.server.add(item(name, box(-10, -10, 12, 10), datetime=day, href=href))
    assert world.scenes() == 2
    world.run()
    assert world.scenes(by="tallies") == 2


def test_the_boundary_has_the_number_of_scenes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(200)
    monkeypatch.setattr(boundary, "_MOST_COUNTED", 50)
    assert world.scenes() is None
    world.run()
    assert world.scenes() == world.number()
    world.server.services.mosaics.update("m", {"overviews": None})
    assert world.scenes() is None
    monkeypatch.setattr(boundary, "_MOST_COUNTED", 1000)
    world.change(20)
    assert world.scenes() == world.number()


def test_maps_that_do_not_show_the_whole_world_have_none(world: World) -> None:
    tms = "UPSArcticWGS84Quad"
    marked = Mosaic(id="n", tms=tms, overviews=MARKED.policy, overview_sets=(MARKED,))
    world.server.services.mosaics.create(marked)
    at_n = replace(world, tms=tms, id="n")
    at_n.run()
    assert at_n.known() == []
    assert not TallyKeeper(world.server.services.index).is_behind(at_n.mosaic)


def test_the_sweep_has_them_made_where_nothing_changes(world: World) -> None:
    services = world.server.services
    sent: list[Hint] = []
    queue = SimpleNamespace(send_now=lambda hints: sent.extend(hints) or 0)
    sweep = Sweep(services.index, queue, services.index.pool)
    sweep({}, None)
    assert sent == [Hint("m")]
    world.run()
    sent.clear()
    sweep({}, None)
    assert sent == []


def test_a_tally_that_is_wrong_is_found(world: World) -> None:
    world.change(200)
    world.run()
    rows, mosaic = TallyRows(world.server.services.index.table), world.mosaic
    tallies = TallyKeeper(world.server.services.index, few=FEW)
    assert [name for name in world.known() if tallies.is_outdated(mosaic, name)] == []
    leaf = next(name for name in world.known() if not rows.get(mosaic, name).is_inner)
    rows.put(mosaic, replace(rows.get(mosaic, leaf), counts={(0, 0): (7, None)}))
    wrong = [name for name in world.known() if tallies.is_outdated(mosaic, name)]
    assert {*wrong} == {leaf, leaf[:-1]}
    world.run(changed=[leaf])
    assert [name for name in world.known() if tallies.is_outdated(mosaic, name)] == []


def test_a_tally_that_lacks_many_scenes_is_found(world: World) -> None:
    """Whose tile is to be counted by the ones below it."""
    world.change(200)
    world.run()
    rows, mosaic = TallyRows(world.server.services.index.table), world.mosaic
    rows.put(mosaic, replace(rows.get(mosaic, ""), counts={(0, 0): (7, None)}, is_inner=False))
    assert TallyKeeper(world.server.services.index, few=FEW).is_outdated(mosaic, "")


@pytest.mark.parametrize(
    "how",
    [
        {"filter": "id <> 's1'"},
        {"datetime": "2015-01-01T00:00:00Z/.."},
        {"ids": "s1"},
        {"assets": "visual"},
    ],
    ids=lambda how: next(iter(how)),
)
def test_a_rule_that_selects_scenes_counts_these_as_of_now(
    world: World, how: dict[str, str]
) -> None:
    world.change(100)
    world.server.add(world.scene(1))
    world.run()
    whole, before = world.tile(0, 0, 0), world.tile(0, 0, 0, **how)
    for name in ("s1", "s2"):
        there = box(100, 30, 101, 31)
        world.server.add(item(name, there, href=f"{world.server.href}/{name}-there.tif"))
    assert world.tile(0, 0, 0) == whole
    assert world.tile(0, 0, 0, **how) != before

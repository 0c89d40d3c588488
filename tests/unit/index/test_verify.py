"""What is wrong with the rows of a mosaic is found and mended, and nothing else, beside events."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry import box as polygon

from items import item, message
from livemosaic.geo.covering import decode_beyond
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index, scene_cover
from livemosaic.index.schema import mosaic_prefix
from livemosaic.index.verify import Checked, Difference, Rows
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.catalogue import Comparison
from livemosaic.ingest.events.message import Message
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import unmarked
from livemosaic.model.rank import rank
from livemosaic.model.scene import Scene
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Delete, Item, Key, Page, Put, Row, Table
from livemosaic.tiler.views import area_of
from proof.memory import MemoryTable

NOW = datetime.now(UTC)
DAY_S = 24 * 3600
ALPS = polygon(7, 45, 8, 46)


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    with ThreadPoolExecutor(4) as pool:
        yield Index(table, Mosaics(table), pool)


@pytest.fixture
def mosaic(index: Index) -> Mosaic:
    return index.mosaics.create(Mosaic(id="m"))


def scene(name: str = "a", at: Polygon = ALPS, *, version: int = 1, day: int = 1) -> Scene:
    time = f"2026-01-{day:02}T00:00:00Z"
    return Scene(
        collection="s2",
        id=name,
        version=f"2026-02-{version:02}T00:00:00Z#{name}{version}",
        footprint=MultiPolygon([at]),
        rank=rank("-datetime", {"datetime": time}),
        datetime=time,
        assets={"visual": f"https://example.com/{name}{version}.tif"},
    )


def check(index: Index, *, repair: bool = False, late_s: float = 0) -> list[Difference]:
    clock = lambda: index.clock() + late_s  # noqa: E731
    rows = Rows(index, index.mosaics.get("m"), repair, clock)
    return [difference for checked in rows.check() for difference in checked.differences]


def rows(index: Index) -> list[Row]:
    """All but the change feed, which tells of repairs, too."""
    found = index.table.scan(mosaic_prefix(index.mosaics.get("m")))
    plain = ((row, {k: v for k, v in row.item.items() if k != "area"}) for row in found)
    return [replace(row, item=item) for row, item in plain if "#feed#" not in row.key.pk]


def unversioned(found: Sequence[Row]) -> list[Row]:
    """Rows as they were, whether or not a repair made them anew: that marks their version."""
    names = {"version", "written"}
    return [
        replace(row, item={k: unmarked(v) if k in names else v for k, v in row.item.items()})
        for row in found
    ]


def of(index: Index, kind: str) -> list[Row]:
    return [row for row in rows(index) if f"#{kind}#" in row.key.pk]


def lose_a_row(index: Index) -> None:
    index.table.transact([Delete(of(index, "cell")[0].key)])


def age_a_row(index: Index) -> None:
    row = of(index, "coarse")[0]
    index.table.transact([Put(row.key, {**row.item, "version": "2025-01-01T00:00:00Z#old"})])


def change_an_asset(index: Index) -> None:
    row = of(index, "cell")[0]
    index.table.transact([Put(row.key, {**row.item, "assets": {"visual": "https://x.org/x.tif"}})])


def lose_an_attribute(index: Index) -> None:
    row = of(index, "cell")[0]
    damaged = {name: value for name, value in row.item.items() if name != "properties"}
    index.table.transact([Put(row.key, damaged)])


def leave_a_row_elsewhere(index: Index) -> None:
    row = of(index, "cell")[0]
    prefix = row.key.pk.rpartition("#")[0]
    index.table.transact([Put(Key(f"{prefix}#0000", row.key.sk), row.item)])


def leave_a_row_at_another_rank(index: Index) -> None:
    row = of(index, "cell")[0]
    sk = "0123456789abcdef#" + row.key.sk.partition("#")[2]
    index.table.transact([Put(Key(row.key.pk, sk), row.item)])


def forget_the_head(index: Index) -> None:
    index.table.transact([Delete(of(index, "scenes")[0].key)])


def bury_the_head_alone(index: Index) -> None:
    (head, *_) = of(index, "scenes")
    expires = int(index.clock()) + 60 * DAY_S
    tombstone = {"version": "2026-02-27T00:00:00Z#~deleted", "deleted": True, "expires": expires}
    index.table.transact([Put(head.key, tombstone)])


FAULTS: Mapping[str, tuple[Callable[[Index], None], str]] = {
    "a row that is missing": (lose_a_row, "incomplete"),
    "a row of an older version": (age_a_row, "incomplete"),
    "a row with other assets": (change_an_asset, "incomplete"),
    "a row that lacks its properties": (lose_an_attribute, "incomplete"),
    "a row where the scene is not": (leave_a_row_elsewhere, "stray"),
    "a row at a rank that is not the scene's": (leave_a_row_at_another_rank, "stray"),
    "rows without a head": (forget_the_head, "stray"),
    "rows of a deleted scene": (bury_the_head_alone, "stray"),
}
faults = pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS)


class TestRows:
    def test_after_any_events_all_is_well(self, index: Index, mosaic: Mosaic) -> None:
        rng = random.Random(3)
        for n in range(60):
            west, south = rng.uniform(-170, 170), rng.uniform(-80, 80)
            where = polygon(west, south, west + rng.choice([0.01, 1, 9]), south + 1)
            some = scene(f"s{rng.randrange(9)}", where, version=1 + n % 28, day=1 + n % 3)
            if rng.random() < 0.2:
                index.delete(mosaic, some.key, some.version + "~")
            else:
                index.apply(index.mosaics.get("m"), some)
        assert check(index) == []

    @faults
    def test_a_fault_is_told_and_left(
        self, fault: Callable[[Index], None], kind: str, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        fault(index)
        before = rows(index)
        found = check(index)
        assert {(one.kind, one.scene, one.mended) for one in found} == {(kind, "s2#a", False)}
        assert rows(index) == before

    @faults
    def test_a_fault_is_mended_where_that_is_asked_for(
        self, fault: Callable[[Index], None], kind: str, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        index.apply(mosaic, scene("other"))
        well = rows(index)
        fault(index)
        found = check(index, repair=True)
        assert {(one.kind, one.mended) for one in found} == {(kind, True)}
        assert check(index) == []
        if kind == "incomplete" or "elsewhere" in fault.__name__ or "rank" in fault.__name__:
            assert unversioned(rows(index)) == unversioned(well)

    def test_rows_repaired_again_and_again_grow_no_longer(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        versions = []
        for _ in range(12):
            lose_a_row(index)
            check(index, repair=True)
            versions.append(index.scene(mosaic, "s2#a").version)
        assert len(set(versions)) == 12
        assert len({len(version) for version in versions}) == 1

    def test_what_a_truncation_left_behind_is_taken_out(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene("a"))
        index.truncate(mosaic, "s2", "2026-02-20T00:00:00Z#~deleted")
        assert [(one.kind, one.scene) for one in check(index)] == [("truncated", "s2#a")]
        assert [one.mended for one in check(index, repair=True)] == [True]
        assert check(index) == []
        assert of(index, "cell") == []

    def test_what_a_truncation_of_this_moment_leaves_is_its_own_to_take(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        soon = (NOW + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        index.truncate(mosaic, "s2", f"{soon}#~deleted")
        assert check(index, repair=True) == []

    def test_what_the_table_should_have_dropped_is_dropped(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("moved", day=1))
        index.apply(mosaic, scene("moved", day=2, version=2))
        index.delete(mosaic, "s2#deleted", "2026-02-02T00:00:00Z#~deleted")
        assert check(index, late_s=5 * DAY_S) == []
        found = check(index, late_s=70 * DAY_S)
        assert {one.kind for one in found} == {"expired"}
        assert {one.scene for one in found} == {"s2#moved", "s2#deleted"}
        check(index, repair=True, late_s=70 * DAY_S)
        assert check(index, late_s=70 * DAY_S) == []

    def test_other_mosaics_are_none_of_its_business(self, index: Index, mosaic: Mosaic) -> None:
        other = index.mosaics.create(Mosaic(id="m.2"))
        index.apply(other, scene("a"))
        before = list(index.table.scan(mosaic_prefix(other)))
        index.table.transact([Delete(before[0].key)])
        assert check(index, repair=True) == []
        assert list(index.table.scan(mosaic_prefix(other))) == before[1:]


@dataclass
class Beside:
    """A table on which an event comes before one of the calls, or between two rows of a scan."""

    table: MemoryTable
    before: int
    event: Callable[[Index], object]
    calls: int = field(default=0)

    def _tick(self) -> None:
        self.calls += 1
        if self.calls == self.before:
            with ThreadPoolExecutor(1) as pool:
                self.event(Index(self.table, Mosaics(self.table), pool))

    def get(self, key: Key) -> Item | None:
        self._tick()
        return self.table.get(key)

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self._tick()
        return self.table.batch_get(keys)

    def query(self, pk: str, **kwargs: Any) -> Page:
        self._tick()
        return self.table.query(pk, **kwargs)

    def scan(self, prefix: str) -> Iterator[Row]:
        last = Key(prefix, "")
        while after := [row for row in self.table.scan(prefix) if row.key > last]:
            row = min(after, key=lambda row: row.key)
            yield row
            last = row.key
            self._tick()

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self._tick()
        self.table.transact(actions)

    def close(self) -> None:
        """Nothing is open."""


EVENTS: Mapping[str, Callable[[Index], object]] = {
    "moves it up": lambda i: i.apply(i.mosaics.get("m"), scene("a", day=9, version=9)),
    "moves it away": lambda i: i.apply(
        i.mosaics.get("m"), scene("a", polygon(20, 45, 21, 46), version=9)
    ),
    "deletes it": lambda i: i.delete(i.mosaics.get("m"), "s2#a", "2026-02-09T00:00:00Z#~deleted"),
    "brings another": lambda i: i.apply(i.mosaics.get("m"), scene("b", version=9)),
}
events = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


@pytest.fixture
def memory() -> Iterator[Index]:
    """An index of one scene, in memory: each round of a test begins with a copy of it."""
    with ThreadPoolExecutor(1) as pool:
        table = MemoryTable()
        index = Index(table, Mosaics(table), pool)
        index.apply(index.mosaics.create(Mosaic(id="m")), scene("a"))
        yield index


def rounds(index: Index, event: Callable[[Index], object]) -> Iterator[tuple[Index, Index]]:
    """An index on which an event comes at the first, second… moment, and the one below it."""
    assert isinstance(index.table, MemoryTable)
    for before in range(1, 200):
        table = MemoryTable(index.table.rows)
        beside = Beside(table, before, event)
        yield Index(beside, Mosaics(beside), index.pool), Index(table, Mosaics(table), index.pool)
        if beside.calls < before:
            assert before > 10
            return


@events
def test_an_event_at_any_moment_is_no_difference(
    event: Callable[[Index], object], memory: Index
) -> None:
    """Whenever it comes, and with repair, nothing is found, and the event stays as it was."""
    event(plain := next(rounds(memory, event))[1])
    after = scenes(plain)
    for beside, index in rounds(memory, event):
        assert check(beside, repair=True) == []
        assert check(index) == []
        event(index)  # where it did not come on the way
        assert scenes(index) == after


@events
@faults
def test_an_event_at_any_moment_of_a_repair_wins(
    event: Callable[[Index], object], fault: Callable[[Index], None], kind: str, memory: Index
) -> None:
    fault(memory)
    event(plain := next(rounds(memory, event))[1])
    after = scenes(plain)
    for beside, index in rounds(memory, event):
        check(beside, repair=True)
        event(index)  # where it did not come on the way
        check(index, repair=True)
        assert check(index) == []
        assert scenes(index) == after


def scenes(index: Index) -> dict[str, str]:
    """The versions that events gave, by scene: a repair beside one may add its mark."""
    found, _ = index.list_scenes(index.mosaics.get("m"), limit=9)
    return {one.key: unmarked(one.version) for one in found}


@dataclass
class Shelf:
    """A catalogue of some Items."""

    there: list[dict[str, Any]]
    hidden: set[str] = field(default_factory=set)
    """Ids that no page shows, although they are there."""
    stale: list[dict[str, Any]] = field(default_factory=list)
    """Items as pages have them, where they are behind."""
    meanwhile: Callable[[], object] = lambda: None
    """Happens after the pages were read."""

    def items(self) -> Iterator[Message]:
        behind = {one["id"]: one for one in self.stale}
        fresh = [one for one in self.there if one.get("id") not in self.hidden | behind.keys()]
        for one in [*fresh, *self.stale]:
            yield Message(str(one.get("id")), one, NOW, {})

    def item(self, collection: str, item_id: str) -> Message | None:
        self.meanwhile()
        for one in self.there:
            if (one["collection"], one["id"]) == (collection, item_id):
                return Message(item_id, one, NOW, {})
        return None


class TestCatalogue:
    @pytest.fixture
    def ingest(self, index: Index, mosaic: Mosaic) -> Ingest:
        return Ingest(index, AllowList())

    def check(self, ingest: Ingest, shelf: Shelf, *, repair: bool = False) -> list[Checked]:
        """Compare as of a day from now, each time a second later."""
        self.seconds = getattr(self, "seconds", DAY_S) + 1
        settled = NOW + timedelta(seconds=self.seconds)
        mosaic = ingest.index.mosaics.get("m")
        return list(Comparison(ingest, mosaic, shelf, ["s2"], settled, repair).check())

    def compare(
        self, ingest: Ingest, shelf: Shelf, *, repair: bool = False
    ) -> list[tuple[Any, ...]]:
        checks = self.check(ingest, shelf, repair=repair)
        found = [one for checked in checks for one in checked.differences]
        return [(one.kind, one.scene, one.mended) for one in found]

    def send(self, ingest: Ingest, *bodies: Any) -> None:
        assert all(o.ok for o in ingest.batch([message(body) for body in bodies]))

    def shown(self, ingest: Ingest) -> dict[str, str | None]:
        scenes, _ = ingest.index.list_scenes(ingest.index.mosaics.get("m"), limit=50)
        return {scene.id: scene.datetime for scene in scenes}

    def test_a_mosaic_that_holds_the_same_has_no_differences(self, ingest: Ingest) -> None:
        items = [item("a"), item("b", updated="2026-02-01T00:00:00Z")]
        self.send(ingest, *items)
        assert self.compare(ingest, Shelf(items)) == []

    def test_gaps_ghosts_and_older_versions_are_told_and_mended(self, ingest: Ingest) -> None:
        self.send(ingest, item("same"), item("gone"), item("old", updated="2026-01-01T00:00:00Z"))
        newer = item("old", updated="2026-02-01T00:00:00Z", datetime="2026-01-31T00:00:00Z")
        shelf = Shelf([item("same"), newer, item("new")])
        found = {("older", "s2#old"), ("absent", "s2#new"), ("gone", "s2#gone")}
        assert set(self.compare(ingest, shelf)) == {(*one, False) for one in found}
        assert set(self.compare(ingest, shelf, repair=True)) == {(*one, True) for one in found}
        assert self.compare(ingest, shelf) == []
        assert self.shown(ingest).keys() == {"same", "old", "new"}
        assert self.shown(ingest)["old"] == "2026-01-31T00:00:00Z"

    def test_a_scene_that_a_page_lost_is_no_ghost(self, ingest: Ingest) -> None:
        self.send(ingest, item("a"))
        assert self.compare(ingest, Shelf([item("a")], hidden={"a"}), repair=True) == []
        assert self.shown(ingest).keys() == {"a"}

    def test_scenes_of_other_collections_are_left_alone(self, ingest: Ingest) -> None:
        self.send(ingest, item("other", collection="s1"))
        assert self.compare(ingest, Shelf([]), repair=True) == []
        assert self.shown(ingest).keys() == {"other"}

    def test_one_that_cannot_be_shown_is_told(self, ingest: Ingest) -> None:
        bad = item("a") | {"geometry": None}
        assert self.compare(ingest, Shelf([bad])) == [("unreadable", "s2#a", False)]

    def test_one_that_does_not_pass_the_filter_has_no_place_in_it(self, ingest: Ingest) -> None:
        self.send(ingest, item("a", properties={"cloud": 90}), item("b"))
        ingest.index.mosaics.update("m", {"filter": Cql2Filter.parse("cloud < 50").document})
        shelf = Shelf([item("a", properties={"cloud": 90}), item("c", properties={"cloud": 3})])
        found = {("gone", "s2#a", True), ("gone", "s2#b", True), ("absent", "s2#c", True)}
        assert set(self.compare(ingest, shelf, repair=True)) == found
        assert self.shown(ingest).keys() == {"c"}


def test_a_dropped_mosaic_leaves_no_row_whatever_its_size(index: Index, mosaic: Mosaic) -> None:
    """Thousands of rows: heads of many pages, and more rows than a page that no scene knows of."""
    index.apply(mosaic, scene("0"))
    names = [f"s2#{n}" for n in range(450)]
    for row in rows(index):
        is_head = "#scenes#" in row.key.pk
        sks = names if is_head else [row.key.sk.replace("s2#0", name) for name in names]
        copies = [Put(Key(row.key.pk, sk), row.item) for sk in sks]
        strays = [Put(Key(row.key.pk, f"{sk}~stray"), row.item) for sk in sks if not is_head]
        for start in range(0, 450, 100):
            index.table.transact(copies[start : start + 100])
            index.table.transact(strays[start : start + 100])
    other = index.mosaics.create(Mosaic(id="m2"))
    index.apply(other, scene("0"))
    assert len(rows(index)) > 5000
    assert len(list(index.drop("m", scan=True))) == 450
    assert list(index.table.scan(mosaic_prefix(mosaic))) == []
    assert len(list(index.table.scan(mosaic_prefix(other)))) > 3


@pytest.mark.parametrize("south", [80, 86])
def test_rows_of_earlier_releases_get_what_lies_beyond_the_edge_of_the_cells(
    index: Index, mosaic: Mosaic, monkeypatch: pytest.MonkeyPatch, south: float
) -> None:
    """They end at 85.06°: what lies beyond is found by polar tiles once `verify` mended them."""
    world = polygon(-180, -85.05, 180, 85.05)
    with monkeypatch.context() as patch:
        patch.setattr(
            "livemosaic.index.scenes.scene_cover",
            lambda m, f: scene_cover(m, f.intersection(world)),
        )
        index.apply(mosaic, scene(at=polygon(10, south, 30, 89)))
    area = area_of(mosaic, (11, 87, 12, 88))
    assert [d.kind for d in check(index)] == ["incomplete"]
    assert [d.mended for d in check(index, repair=True)] == [True]
    assert check(index) == []
    mosaic = index.mosaics.get("m")
    (met,) = index.find(mosaic, area)
    assert any(decode_beyond(area.grid, cell, stored) for cell, stored in met.parts)

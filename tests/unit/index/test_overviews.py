"""Rows of live overviews: marks of changed scenes, and cells by area. On every table."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry import box as polygon

from bench.meter import Metered
from items import item, message
from livemosaic.errors import ConditionFailedError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, CellImage, OverviewCell, OverviewRows, StaleRow
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.scene import Scene
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import MAX_ACTIONS, Delete, Put, Table

ALPS, ANDES = polygon(7, 45, 8, 46), polygon(-70, -20, -69, -19)
MADE = OverviewSet(id="0a", policy=OverviewPolicy(), rule={}, format=1, state="ready", reach=9)


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    with ThreadPoolExecutor(4) as pool:
        yield Index(table, Mosaics(table), pool)


@pytest.fixture
def mosaic(index: Index) -> Mosaic:
    return index.mosaics.create(Mosaic(id="m", overviews=OverviewPolicy(), overview_sets=(MADE,)))


def scene(place: Polygon, version: int) -> Scene:
    time = f"2026-01-{version:02}T00:00:00Z"
    return Scene(
        collection="s2",
        id="a",
        version=f"{time}#{version}",
        footprint=MultiPolygon([place]),
        rank=f"{version:016}",
        datetime=time,
    )


def stale(index: Index, mosaic: Mosaic) -> list[StaleRow]:
    rows = OverviewRows(index.table)
    return [row for region in REGIONS for row in rows.stale(mosaic, region)]


class TestStaleRows:
    def test_a_change_marks_the_cells_before_and_after_it(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(ALPS, 1))
        here = set(stale(index, mosaic)[0].cells)
        index.apply(mosaic, scene(ANDES, 2))
        cells = [set(row.cells) for row in stale(index, mosaic) if row.version.endswith("#2")]
        assert here
        assert len(cells) == 1
        assert here < cells[0]
        index.delete(mosaic, "s2#a", "2026-01-03T00:00:00Z#~deleted")
        deleted = [row for row in stale(index, mosaic) if row.version.endswith("~deleted")]
        assert [set(row.cells) for row in deleted] == [cells[0] - here]

    def test_what_changes_nothing_marks_nothing(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene(ALPS, 2))
        before = stale(index, mosaic)
        index.apply(mosaic, scene(ALPS, 2))
        index.apply(mosaic, scene(ANDES, 1))
        index.delete(mosaic, "s2#b", "2026-01-03T00:00:00Z#~deleted")
        assert stale(index, mosaic) == before

    def test_a_row_written_again_has_a_mark_of_its_own(self, index: Index, mosaic: Mosaic) -> None:
        """Else the mark of a repair would take the place of one that names more cells."""
        index.apply(mosaic, scene(ALPS, 1))
        index.apply(mosaic, scene(ANDES, 2))
        index.rewrite(mosaic, "s2#a")
        assert len(stale(index, mosaic)) == 3

    def test_a_truncation_marks_each_scene_that_it_removes(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(ALPS, 1))
        index.truncate(mosaic, "s2", "2026-01-09T00:00:00Z#~")
        now = index.mosaics.get("m")
        for key in index.left_over(now, "s2"):
            index.apply_watermark(now, key)
        assert len(stale(index, mosaic)) == 2

    def test_a_mosaic_without_overviews_has_none(self, index: Index) -> None:
        plain = index.mosaics.create(Mosaic(id="plain"))
        index.apply(plain, scene(ALPS, 1))
        assert stale(index, plain) == []

    def test_they_are_in_the_scenes_own_transaction(self, index: Index) -> None:
        """With the most rows that a scene may have, before and after: one transaction each."""
        marked = Mosaic(id="large", overviews=OverviewPolicy(), max_cells=48, quadkey_zoom=13)
        mosaic = index.mosaics.create(marked)
        counted = CountedTable(index.table)
        index = Index(counted, index.mosaics, index.pool)
        for version in (1, 2, 3):  # each has another rank, so that all rows move
            index.apply(mosaic, scene(polygon(0, 40, 2.6, 43.2), version))
        assert counted.sizes[-1] == MAX_ACTIONS
        assert len(stale(index, mosaic)) == 3


def test_a_change_costs_three_write_units_more_in_a_mosaic_with_overviews(table: Table) -> None:
    """Two for its mark, in the scene's transaction, and one for a builder to delete it."""
    metered = Metered(table)
    spent = []
    with ThreadPoolExecutor(1) as pool:
        index = Index(metered, Mosaics(metered), pool)
        for new in (
            Mosaic(id="plain"),
            Mosaic(id="kept", overviews=OverviewPolicy(), overview_sets=(MADE,)),
        ):
            index.apply(index.mosaics.create(new), scene(ALPS, 1))
            mosaic = index.mosaics.get(new.id)
            OverviewRows(table).settle(stale(index, mosaic))
            metered.take()
            index.apply(mosaic, scene(ANDES, 2))
            OverviewRows(metered).settle(stale(index, mosaic))
            spent.append(metered.take().write_units)
    assert spent[1] - spent[0] == 3


class CountedTable:
    """A `Table` that counts the actions of each transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    def transact(self, actions: list[Put | Delete]) -> None:
        self.sizes.append(len(actions))
        self._table.transact(actions)


class TestCells:
    def test_a_cell_is_read_as_it_was_written(self, index: Index, mosaic: Mosaic) -> None:
        rows = OverviewRows(index.table)
        image = CellImage(
            names=("red", "nir"),
            assets={"red": "s3://b/a.tif", "nir": "s3://b/b.tif"},
            apart=(("red",),),
            mixed=True,
        )
        images = (image, CellImage(names=("red",), assets={"red": "s3://b/c.tif"}))
        cell = OverviewCell(quadkey="120", digest="ab", images=images, of={"333": "x"})
        assert rows.put(mosaic, MADE, cell) == rows.cell(mosaic, MADE, "120")
        assert rows.cell(mosaic, MADE, "120") == replace(cell, revision=1)
        assert rows.cell(mosaic, MADE, "121").revision == 0

    def test_a_cell_of_the_first_format_serves_all_assets_together(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """It did not keep whether some of its assets show more, or bands have other numbers."""
        old = {
            "version": "ab", "datetime": "2026-01-01T00:00:00Z", "properties": {}, "revision": 3,
            "assets": {"red": "s3://b/a.tif", "nir": "s3://b/b.tif"}, "mixed": False,
            "colors": False, "footprint": b"", "of": {"333": "b0.1f:0"}, "was": [],
            "kinds": ['["uint8", [1, 1], [], false]'], "retired": False,
        }  # fmt: skip
        cell = OverviewCell.from_item("120", old)
        image = cell.image_of(("nir", "red"))
        assert image is not None
        assert image.renumbered
        assert set(cell.hrefs) == {"s3://b/a.tif", "s3://b/b.tif"}
        assert cell.image_of(("red",)) is None
        assert OverviewCell.from_item("120", old | {"assets": {}}).image_of(("red",)) is None

    def test_the_second_of_two_builders_is_refused(self, index: Index, mosaic: Mosaic) -> None:
        rows = OverviewRows(index.table)
        first = rows.cell(mosaic, MADE, "120")
        again = rows.put(mosaic, MADE, first)
        with pytest.raises(ConditionFailedError):
            rows.put(mosaic, MADE, first)
        rows.put(mosaic, MADE, again)
        with pytest.raises(ConditionFailedError):
            rows.put(mosaic, MADE, again)

    def test_cells_that_stand_are_found_at_once(self, index: Index, mosaic: Mosaic) -> None:
        rows = OverviewRows(index.table)
        for quadkey in ("", "120", "121"):
            rows.put(mosaic, MADE, OverviewCell(quadkey=quadkey, retired=quadkey == "121"))
        found = rows.standing(mosaic, MADE, ("120", "121", "122", ""))
        assert list(found) == ["", "120"]
        assert found["120"] == rows.cell(mosaic, MADE, "120")

    def test_readers_count_the_stale_rows_of_a_region(self, index: Index, mosaic: Mosaic) -> None:
        rows = OverviewRows(index.table)
        for version in (1, 2, 3):
            index.apply(mosaic, scene(ALPS, version))
        (region,) = {row.key.pk.rpartition("#")[2] for row in stale(index, mosaic)}
        assert rows.waiting(mosaic, region, 10) == stale(index, mosaic)
        assert len(rows.waiting(mosaic, region, 2)) == 2
        assert rows.waiting(mosaic, "000", 10) == []


def test_the_setting_and_its_sets_are_kept(index: Index) -> None:
    policy = OverviewPolicy(assets=("b4", "b8"), resampling="mode", resampling_of={"b4": "min"})
    made = OverviewSet(id="0a", policy=policy, rule={"operation": "first"}, format=1)
    mosaic = index.mosaics.create(Mosaic(id="m", overviews=policy, overview_sets=(made,)))
    assert index.mosaics.get("m") == mosaic
    assert mosaic.shown_overviews is None
    ready = replace(made, state="ready")
    now = index.mosaics.put_overview_sets("m", lambda _: (ready,))
    assert now.shown_overviews == ready


def test_a_mosaic_of_an_earlier_release_has_none(index: Index, table: Table) -> None:
    index.mosaics.create(Mosaic(id="old"))
    (row,) = table.query("mosaics", limit=1).rows
    kept = {name: value for name, value in row.item.items() if not name.startswith("overview")}
    table.transact([Put(row.key, kept)])
    assert index.mosaics.get("old").overviews is None
    assert index.mosaics.get("old").overview_sets == ()


def test_scenes_written_while_overviews_were_turned_on_are_marked(index: Index) -> None:
    """A worker that knew the mosaic without overviews marks nothing with its scenes."""
    before = index.mosaics.create(Mosaic(id="m"))
    after = index.mosaics.update("m", {"overviews": OverviewPolicy()})
    ingest = Ingest(index, AllowList(("https://",)), recent=RecentMosaics([before]))
    (outcome,) = ingest.batch([message(item())])
    assert outcome.ok
    assert [row.cells for row in stale(index, after)] == [("",)]

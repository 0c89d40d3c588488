"""Rows have once what a scene's hrefs begin with; rows of earlier releases stay readable."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from items import NOW, box, item
from livemosaic.index.formats.migrate import Migration
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.index.verify import Rows
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Put, Table, item_size
from livemosaic.tiler.views import area_of
from unit.index.test_formats import stored

FORMAT_1 = Path(__file__).parents[2] / "stored" / "format-1.ndjson"
"""Scenes with four assets, one of them moved, one deleted, as a release of format 1 stored them."""
BANDS = ("visual", "red", "green", "nir")
FOLDER = "https://cogs.example.com/s2/2026"


@pytest.fixture
def index(table: Table) -> Iterator[Index]:
    with ThreadPoolExecutor(1) as pool:
        yield Index(table, Mosaics(table), pool, clock=NOW.timestamp)


def bands(name: str, keys: tuple[str, ...] = BANDS) -> dict[str, Any]:
    return {key: {"href": f"{FOLDER}/{name}/{key}.tif", "type": "image/tiff"} for key in keys}


def put(index: Index, document: dict[str, Any], seconds: float = 0) -> None:
    sent = Message("m", document, NOW + timedelta(seconds=seconds), {})
    assert Ingest(index, AllowList(("https://", "s3://"))).batch([sent])[0].status == "done"


def shown(index: Index, mosaic_id: str) -> dict[str, dict[str, str]]:
    """The hrefs of each scene as readers of cells find them; its head has the same."""
    mosaic = index.mosaics.get(mosaic_id)
    found = [*index.find(mosaic, area_of(mosaic, (-180, -85, 180, 85)))]
    for scene in found:
        assert index.scene(mosaic, scene.key).assets == scene.assets
    return {scene.id: dict(scene.assets) for scene in found}


def rows(index: Index, mosaic_id: str) -> list[Any]:
    """All rows with assets."""
    mosaic = index.mosaics.get(mosaic_id)
    found = index.table.scan(f"{mosaic_id}.{mosaic.generation}#")
    return [row for row in found if row.item.keys() & {"assets", "files"}]


def differences(index: Index, mosaic_id: str) -> list[Any]:
    checked = Rows(index, index.mosaics.get(mosaic_id), clock=index.clock).check()
    return [difference for chunk in checked for difference in chunk.differences]


class TestNewMosaics:
    def test_sixteen_assets_are_read_as_they_were_put_and_take_half_a_kilobyte_more_than_one(
        self, index: Index
    ) -> None:
        names = tuple(f"B{n:02}" for n in range(16))
        for mosaic_id, kept in (("one", names[:1]), ("all", ())):
            index.mosaics.create(Mosaic(id=mosaic_id, assets=kept))
        put(index, item("a", assets=bands("a" * 60, names)))
        assert shown(index, "all") == {
            "a": {name: f"{FOLDER}/{'a' * 60}/{name}.tif" for name in names}
        }
        one, all_ = (
            [item_size(row.key, row.item) for row in rows(index, each)] for each in ("one", "all")
        )
        assert len(one) == len(all_)
        assert max(all_) - max(one) < 512
        assert differences(index, "all") == []

    @pytest.mark.parametrize(
        "hrefs",
        [
            {"a": "https://one.example.com/a.tif", "b": "s3://other/b.tif"},
            {"a": f"{FOLDER}/x.tif", "b": f"{FOLDER}/x.tif"},
            {"a": f"{FOLDER}/x.tif", "b": f"{FOLDER}/x.tif?v=2", "c": f"{FOLDER}/x.tif?v=21"},
            {"a": f"{FOLDER}/été/😀.tif", "b": f"{FOLDER}/été/😁.tif"},
            {"a": "https://e.co/a.tif", "b": "https://e.co/b.tif"},
        ],
        ids=["nothing in common", "equal", "one begins with another", "not ASCII", "short"],
    )
    def test_any_hrefs_are_read_as_they_were_put(self, index: Index, hrefs: dict[str, str]) -> None:
        index.mosaics.create(Mosaic(id="m"))
        found = {key: {"href": href, "type": "image/tiff"} for key, href in hrefs.items()}
        put(index, item("a", assets=found))
        assert shown(index, "m") == {"a": hrefs}
        assert differences(index, "m") == []

    def test_a_damaged_row_is_found_and_mended(self, index: Index) -> None:
        index.mosaics.create(Mosaic(id="m"))
        put(index, item("a", assets=bands("a")))
        [*_, row] = [row for row in rows(index, "m") if "#coarse#" in row.key.pk]
        index.table.transact([Put(row.key, {**row.item, "base": f"{FOLDER}/another/"})])
        assert [one.kind for one in differences(index, "m")] == ["incomplete"]
        mosaic = index.mosaics.get("m")
        for _ in Rows(index, mosaic, clock=index.clock, repair=True).check():
            pass
        assert differences(index, "m") == []
        assert shown(index, "m") == {"a": {b: f"{FOLDER}/a/{b}.tif" for b in BANDS}}


class TestStoredMosaics:
    @pytest.fixture(autouse=True)
    def _stored(self, index: Index) -> None:
        for row in stored(FORMAT_1):
            index.table.transact([Put(row.key, row.item)])

    def test_they_are_read_as_they_stand(self, index: Index) -> None:
        assert index.mosaics.get("old").format == 1
        assert shown(index, "old") == {
            name: {b: f"{FOLDER}/{name}/{b}.tif" for b in BANDS} for name in ("moved", "a", "b")
        }
        assert differences(index, "old") == []

    def test_what_is_written_before_the_migration_is_read_by_the_release_before(
        self, index: Index
    ) -> None:
        put(index, item("new", box(8, 45, 9, 46), assets=bands("new")), 60)
        put(index, item("a", box(7, 45, 9, 46), assets=bands("a2")), 60)
        assert all("files" not in row.item for row in rows(index, "old"))

    def test_the_migration_leaves_rows_and_later_scenes_are_short(self, index: Index) -> None:
        before = {row.key: row.item for row in rows(index, "old")}
        migrated = [*Migration(index, index.mosaics.get("old")).run()]
        assert not any(one.changed for one in migrated)
        assert index.mosaics.get("old").format == FORMAT
        assert {row.key: row.item for row in rows(index, "old")} == before
        put(index, item("a", box(7, 45, 9, 46), assets=bands("a2")), 60)
        put(index, item("new", assets=bands("new")), 60)
        written = [row for row in rows(index, "old") if row.key not in before]
        assert all("files" in row.item for row in written)
        assert shown(index, "old")["a"] == {b: f"{FOLDER}/a2/{b}.tif" for b in BANDS}
        assert shown(index, "old")["b"] == {b: f"{FOLDER}/b/{b}.tif" for b in BANDS}
        assert differences(index, "old") == []
        assert [
            row.item for row in rows(index, "old") if {"assets", "files"} <= row.item.keys()
        ] == []

    def test_what_was_not_shown_is_shown_at_once(self, index: Index) -> None:
        """All assets are kept, so a later choice needs no Item again."""
        changed = index.mosaics.update("old", {"default_assets": ("nir",)})
        assert changed.shown_assets == ("nir",)
        assert all("nir" in hrefs for hrefs in shown(index, "old").values())

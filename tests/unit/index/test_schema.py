"""Rows are stored as they always were, and a damaged row is not read as another one."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from shapely.geometry import MultiPolygon
from shapely.geometry import box as polygon

from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.mosaic import from_item, to_item
from livemosaic.index.scenes import Index
from livemosaic.index.schema import CellRow, Head, Place, Tombstone, parse_head
from livemosaic.model.mosaic import Mosaic, ScheduledExport
from livemosaic.model.scene import Scene
from livemosaic.table import Key, Row
from proof.memory import MemoryTable

SCENE = Scene(
    collection="s2",
    id="a#1",
    version="2026-02-02T00:00:00Z#two",
    footprint=MultiPolygon([polygon(7, 45, 8, 46)]),
    rank="3e25aa91bfffffff",
    datetime="2026-01-01T00:00:00Z",
    assets={"visual": "https://example.com/a.tif"},
    properties={"cloud": 1.5, "none": None},
)
# Rows as they were written before they had types (def5a16).
CONTENT: dict[str, Any] = {
    "version": "2026-02-02T00:00:00Z#two",
    "datetime": "2026-01-01T00:00:00Z",
    "assets": {"visual": "https://example.com/a.tif"},
    "properties": {"cloud": 1.5, "none": None},
}
FOOTPRINT = bytes.fromhex("0400287dd2272885b7e0287dd22753a199d82dd8822d53a199d82dd8822d2885b7e0")
CELL = CONTENT | {"centre": [7.5, 45.5], "footprint": FOOTPRINT}
MOVED = CELL | {"moved": "3e25aa91bfffffff", "expires": 1120}
HEAD: dict[str, Any] = CONTENT | {
    "written": "2026-02-02T00:00:00Z#two",
    "rank": "3e25aa91bfffffff",
    "cells": ["12022122", "12022123", "12022300", "12022301"],
    "coarse": ["120", "120221", "120223"],
    "geometry": SCENE.footprint.wkb,
    "moved": [],
}
ENCODED = {"encodings": '[[[[0]],["visual"]]]'}
TOMBSTONE = {"version": "2026-02-03T00:00:00Z#~deleted", "deleted": True, "expires": 5185000}
AREA = {"area": [1000000, 7.0, 45.0, 8.0, 46.0]}
"""Of heads and tombstones since the change feed."""
AT = Key("m.0#coarse#120", "3e25aa91bfffffff#s2#a#1")


@pytest.mark.parametrize(
    "item", [CELL, MOVED, CELL | ENCODED], ids=["cell", "moved", "with encodings"]
)
def test_a_cell_row_is_written_as_it_was_read(item: dict[str, Any]) -> None:
    row = CellRow.from_row(Row(AT, item))
    assert row.place[:3] == ("coarse", "120", "3e25aa91bfffffff")
    assert row.scene == "s2#a#1"
    assert row.to_item() == item


@pytest.mark.parametrize(
    "item",
    [HEAD, TOMBSTONE, HEAD | ENCODED, HEAD | AREA, TOMBSTONE | AREA],
    ids=["head", "tombstone", "with encodings", "with its area", "tombstone with its area"],
)
def test_a_head_is_written_as_it_was_read(item: dict[str, Any]) -> None:
    assert parse_head("s2#a#1", item).to_item() == item


def test_a_head_holds_the_whole_scene() -> None:
    head = parse_head("s2#a#1", HEAD)
    assert isinstance(head, Head)
    assert head.scene == SCENE


@pytest.mark.parametrize("name", HEAD)
def test_a_head_that_lacks_an_attribute_is_not_read(name: str) -> None:
    with pytest.raises(KeyError):
        parse_head("s2#a#1", {n: value for n, value in HEAD.items() if n != name})


@pytest.mark.parametrize("name", [name for name in CELL if name != "centre"])
def test_a_cell_row_that_lacks_an_attribute_is_not_read(name: str) -> None:
    with pytest.raises(KeyError):
        CellRow.from_row(Row(AT, {n: value for n, value in CELL.items() if n != name}))


def test_a_cell_row_written_before_centres_were_kept_is_read() -> None:
    row = CellRow.from_row(Row(AT, CONTENT | {"footprint": FOOTPRINT}))
    assert (row.centre, row.moved) == (None, None)
    assert row.to_item() == CONTENT | {"footprint": FOOTPRINT}


def test_what_the_index_writes_is_what_it_always_wrote() -> None:
    """A scene, its move to another rank, and its deletion."""
    table, now = MemoryTable(), 1000.0
    with ThreadPoolExecutor(1) as pool:
        index = Index(table, Mosaics(table), pool, lambda: now)
        mosaic = index.mosaics.create(Mosaic(id="m"))
        prefix = f"m.{mosaic.generation}#"
        index.apply(mosaic, SCENE)
        head = table.get(Key(f"{prefix}scenes#1", SCENE.key))
        assert head == HEAD | AREA
        places = [*(("cell", q) for q in HEAD["cells"]), *(("coarse", q) for q in HEAD["coarse"])]
        keys = [Place(*place, SCENE.rank, 0).key(mosaic, SCENE.key) for place in places]
        rows = table.batch_get(keys)
        assert {key.pk.removeprefix(prefix) for key in rows} == {"#".join(at) for at in places}
        assert all(list(item) == list(CELL) for item in rows.values())
        assert rows[Key(f"{prefix}coarse#120", f"{SCENE.rank}#{SCENE.key}")] == CELL
        index.apply(mosaic, replace(SCENE, version="2026-02-02T01:00:00Z#three", rank="0"))
        moved = table.batch_get(keys)[Key(f"{prefix}coarse#120", f"{SCENE.rank}#{SCENE.key}")]
        assert moved == MOVED | {"version": "2026-02-02T01:00:00Z#three", "moved": "0"}
        head = table.get(Key(f"{prefix}scenes#1", SCENE.key))
        assert head is not None
        assert head["moved"] == [[*place, SCENE.rank, 1120] for place in places]
        index.delete(mosaic, SCENE.key, TOMBSTONE["version"])
        assert table.get(Key(f"{prefix}scenes#1", SCENE.key)) == TOMBSTONE | AREA
        assert isinstance(parse_head(SCENE.key, TOMBSTONE), Tombstone)


def test_an_export_of_images_is_stored_as_before_there_were_vector_tiles() -> None:
    images = ScheduledExport(render="ndvi", maxzoom=9)
    stored = to_item(Mosaic(id="m", exports=(images,)))
    assert json.loads(stored["exports"]) == [
        {
            "render": "ndvi",
            "format": "webp",
            "minzoom": 0,
            "maxzoom": 9,
            "every_h": 24,
            "keep": 0,
        }
    ]
    vectors = ScheduledExport(layers=("footprints", "coverage"), format=None)
    for exports in ((images,), (images, vectors)):
        assert from_item(to_item(Mosaic(id="m", exports=exports))).exports == exports

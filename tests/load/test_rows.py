"""A load writes the rows that events write, each once."""

import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.items import SHAPES
from items import box, item
from livemosaic.errors import InvalidRequestError, SourceUnavailableError
from livemosaic.export.whole.geoparquet import write_geoparquet
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.search import SceneReader
from livemosaic.load.plan import ItemFile, LoadPlan
from livemosaic.load.steps import run_step
from livemosaic.load.work import Work
from livemosaic.model.mosaic import Mosaic, Watermark
from livemosaic.model.time import utc_text
from livemosaic.stac.items import item_document
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.table import Item, Key
from livemosaic.table.sqlite import SqliteTable
from load.archives import ALLOW, BEGAN, differences, ingested, loaded, planned
from sources.parquet import write


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(Folder((tmp_path / "work").as_uri()), ALLOW)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SqliteTable]:
    opened = SqliteTable(str(tmp_path / "events.db"))
    yield opened
    opened.close()


def archive(count: int) -> list[dict[str, Any]]:
    """Items of three sensors that share keys of assets, some of which mean something else."""
    items = []
    for n in range(count):
        document = SHAPES[n % 3].item(n // 3)
        for name, asset in list(document["assets"].items())[:3]:
            kind = "nir08" if n % 7 == 6 and name == "blue" else name
            if n % 2:
                asset["eo:bands"] = [{"name": "B1", "common_name": kind}]
        items.append(document)
    return items


MOSAICS = [
    *(shape.mosaic for shape in SHAPES),
    Mosaic(id="all", assets=(), quadkey_zoom=9, max_cells=4),
    Mosaic(
        id="clear",
        collections=("sentinel-2", "landsat"),
        filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 40]},
        properties=("eo:cloud_cover", "platform"),
        sortby="eo:cloud_cover",
        minzoom=5,
    ),
]


def test_the_rows_are_those_that_events_make(table: SqliteTable, tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{n}.parquet", part)
        for n, part in enumerate([archive(200)[:120], archive(200)[120:]])
    ]
    plan = planned(files, MOSAICS, 64)
    theirs = ingested(table, plan)
    for unit_rows in (7, 64, 10_000):
        work = Work(Folder((tmp_path / f"work{unit_rows}").as_uri()), ALLOW)
        ours = loaded(work, replace(plan, unit_rows=unit_rows))
        assert differences(ours, theirs) == [], unit_rows
        assert len(ours) > 2000


def test_an_export_is_an_archive(work: Work, table: SqliteTable, tmp_path: Path) -> None:
    """What `livemosaic export` writes is loaded as it is ingested."""
    ingested(table, planned([write(tmp_path / "0.parquet", archive(100))], MOSAICS, 64))
    mosaic = Mosaics(table).get("all")
    with ThreadPoolExecutor(1) as pool:
        scenes = list(SceneReader(table, Mosaics(table), pool).every_scene(mosaic))
    path = tmp_path / "export.parquet"
    write_geoparquet(mosaic, (item_document(mosaic, scene) for scene in scenes), path)
    plan = planned([path], MOSAICS, 64)
    other = SqliteTable(str(tmp_path / "other.db"))
    ours, theirs = loaded(work, plan), ingested(other, plan)
    other.close()
    assert differences(ours, theirs) == []
    assert len(ours) > 500


def versions(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Items in up to four versions each, at other places and with another content, in any order."""
    found = []
    for n in range(count):
        for version in range(rng.randint(1, 4)):
            document = SHAPES[n % 3].item(n // 3, hours=version, moved=version / 7)
            document["properties"]["eo:cloud_cover"] = rng.choice([10, 90])
            found.append(document)
    rng.shuffle(found)
    return found


def scenes_of(rows: Mapping[Key, Item]) -> dict[Key, Item]:
    """Rows of scenes, without what is there for a while of scenes that were replaced."""
    kinds = {key: key.pk.split("#")[1] for key in rows if key.pk.count("#") == 2}
    passing = {key for key, kind in kinds.items() if kind != "scenes" and "moved" in rows[key]}
    return {
        key: {k: v for k, v in rows[key].items() if k not in ("area", "moved")}
        for key, kind in kinds.items()
        if kind != "feed" and key not in passing
    }


@pytest.mark.parametrize("seed", range(3))
def test_of_several_versions_the_newest_is_written_and_once(
    seed: int, work: Work, table: SqliteTable, tmp_path: Path
) -> None:
    documents = versions(random.Random(seed), 60)
    half = len(documents) // 2
    files = [
        write(tmp_path / "0.parquet", documents[:half]),
        write(tmp_path / "1.parquet", documents[half:]),
    ]
    plan = planned(files, MOSAICS, 13)
    ours, theirs = loaded(work, plan), ingested(table, plan)
    assert differences(scenes_of(ours), scenes_of(theirs)) == []
    assert work.get_json("report")["older"] > 100


def test_an_item_listed_twice_is_one_scene(work: Work, tmp_path: Path) -> None:
    path = write(tmp_path / "twice.parquet", [item("a"), item("b"), item("a")])
    rows = loaded(work, planned([path], [Mosaic(id="m")], 2))
    heads = [key for key in rows if "#scenes#" in key.pk]
    assert sorted(key.sk for key in heads) == ["s2#a", "s2#b"]
    assert work.get_json("report") | {"bytes": 0, "rows": 0} == {
        "items": 3, "scenes": 2, "older": 1, "removed": 0, "rejected": 0, "truncated": 0,
        "unwanted": 0, "incomplete": 0, "bytes": 0, "rows": 0,
    }  # fmt: skip


def test_bad_items_are_reported_with_their_reason_and_none_is_lost(
    work: Work, table: SqliteTable, tmp_path: Path
) -> None:
    good = [item(f"good{n}", href=f"https://example.com/{n}.tif") for n in range(5)]
    bad = [
        item("no asset", assets={"data": {"href": "https://example.com/a.zip", "type": "zip"}}),
        item("elsewhere", href="http://example.com/a.tif"),
        item("hash#in-collection", collection="a#b"),
        item("beyond the pole", box(7, 95, 8, 96)),
    ]
    path = write(tmp_path / "some.parquet", [*good[:2], *bad, *good[2:]])
    plan = planned([path], [Mosaic(id="m")], 4)
    ours, theirs = loaded(work, plan), ingested(table, plan)
    assert differences(ours, theirs) == []
    report = work.get_json("report")
    assert (report["items"], report["scenes"], report["rejected"]) == (9, 5, 4)
    lines = b"".join(work.get(name) for name in work.names("rejected")).splitlines()
    found = {line["id"]: line for line in map(json.loads, lines)}
    assert found.keys() == {each["id"] for each in bad}
    assert all(line["reason"] and line["item"]["id"] == line["id"] for line in found.values())
    assert found["beyond the pole"]["source"] == str(path)
    assert found["beyond the pole"]["line"] == 6


def test_what_was_truncated_or_deleted_stays_away(
    work: Work, table: SqliteTable, tmp_path: Path
) -> None:
    mark = Watermark("s2", f"{utc_text(BEGAN - timedelta(days=10))}~~#~deleted", 2**33)
    mosaic = Mosaic(id="m", watermarks=(mark,))
    days = [BEGAN - timedelta(days=n) for n in (5, 20)]
    items = [item(f"of day {n}", updated=utc_text(day)) for n, day in enumerate(days)]
    path = write(tmp_path / "some.parquet", items)
    plan = planned([path], [mosaic], 10)
    ours, theirs = loaded(work, plan), ingested(table, plan)
    assert differences(ours, theirs) == []
    report = work.get_json("report")
    assert (report["scenes"], report["truncated"]) == (1, 1)


def test_a_step_that_is_repeated_changes_nothing(work: Work, tmp_path: Path) -> None:
    path = write(tmp_path / "some.parquet", versions(random.Random(1), 30))
    plan = planned([path], MOSAICS, 20)
    loaded(work, plan)
    before = {name: work.folder.read(work.folder.href(name)) for name in work.folder.names("")}
    loaded(work, plan)
    assert before == {
        name: work.folder.read(work.folder.href(name)) for name in work.folder.names("")
    }


def test_a_file_that_is_replaced_meanwhile_is_noticed(work: Work, tmp_path: Path) -> None:
    path = write(tmp_path / "some.parquet", [item("a")])
    work.begin(planned([path], [Mosaic(id="m")], 20))
    run_step(work, "survey", 0)
    write(path, [item("a"), item("b")])
    with pytest.raises(InvalidRequestError, match="was replaced since the load began"):
        run_step(work, "survey", 0)


def test_a_unit_that_changes_between_two_steps_is_noticed(work: Work, tmp_path: Path) -> None:
    path = write(tmp_path / "some.parquet", [item("a"), item("b", href="s3://bucket/b.tif")])
    work.begin(planned([path], [Mosaic(id="m")], 20))
    for step in ("survey", "settle", "fold"):
        run_step(work, step)
    other = Work(work.folder, AllowList(("https://", "s3://bucket/")))
    with pytest.raises(SourceUnavailableError, match="other scenes than when it was surveyed"):
        run_step(other, "write", 0)
    assert "data/000000.json" not in [*work.names("data")]


@pytest.mark.parametrize(
    ("groups", "units"),
    [
        ([5], [(0, 5)]),
        ([10, 10, 10], [(0, 20), (20, 30)]),
        ([45], [(0, 20), (20, 40), (40, 45)]),
        ([45, 4, 3], [(0, 20), (20, 40), (40, 52)]),
        ([3, 30], [(0, 3), (3, 23), (23, 33)]),
        ([], []),
    ],
)
def test_units_are_whole_row_groups_or_parts_of_large_ones(
    groups: list[int], units: list[tuple[int, int]]
) -> None:
    made = ItemFile("a.parquet", [], "", groups).units(0, 20)
    assert [(start, stop) for _, start, stop in made] == units


def test_more_units_than_an_import_takes_are_refused() -> None:
    files = [ItemFile(f"{n}.parquet", [], "", [1]) for n in range(50_000)]
    with pytest.raises(InvalidRequestError, match="takes 49,999 objects"):
        LoadPlan.of(BEGAN, files, [Mosaic(id="m")])

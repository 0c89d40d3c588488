"""Archives of STAC Items, loaded and ingested, and the rows that both make."""

import gzip
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livemosaic.index.mosaics import Mosaics, put_of
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sources.geoparquet import Parquet
from livemosaic.load.plan import ItemFile, LoadPlan
from livemosaic.load.steps import run_step
from livemosaic.load.work import Work
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.table import Item, Key, Put, Table
from livemosaic.table.attributes import from_json_line

BEGAN = datetime.now(UTC)
"""Rows that expire a while after it are there yet."""
ALLOWED = ("https://",)


def item_file(name: str) -> ItemFile:
    """A file as a plan has it."""
    parquet = Parquet(name)
    return ItemFile(name, parquet.identity, parquet.written().isoformat(), parquet.groups())


def planned(files: Sequence[Path], mosaics: Sequence[Mosaic], unit_rows: int) -> LoadPlan:
    """A plan of small units and shards."""
    plan = LoadPlan.of(BEGAN, [item_file(str(path)) for path in files], mosaics, ALLOWED)
    return LoadPlan(plan.began, plan.files, plan.rows, plan.allowed_prefixes, unit_rows, 300)


def loaded(work: Work, plan: LoadPlan) -> dict[Key, Item]:
    """The rows that the steps of a load write for an import: each key once."""
    work.begin(plan)
    url = work.folder.url
    for step, count in (("survey", len(plan.units)), ("settle", plan.shards)):
        for n in reversed(range(count)):
            run_step(url, step, n)
    run_step(url, "fold")
    for n in range(len(plan.units)):
        run_step(url, "write", n)
    run_step(url, "finish")
    return imported(work.folder)


def imported(folder: Folder) -> dict[Key, Item]:
    """The rows in the objects of an import, of which no two have one key."""
    rows: dict[Key, Item] = {}
    for name in folder.names("data"):
        lines = gzip.decompress(folder.read(folder.href(name))).splitlines()
        for key, row in map(from_json_line, lines):
            assert key not in rows, key
            rows[key] = row
    return rows


def ingested(table: Table, plan: LoadPlan) -> dict[Key, Item]:
    """All rows of a table into which a plan's files were ingested, one Item after the other."""
    mosaics = Mosaics(table, clock=lambda: BEGAN.timestamp())
    for mosaic in plan.mosaics:
        registry = mosaics.registry().after(mosaic.id)
        table.transact([put_of(mosaic), registry])
    index = Index(table, mosaics, ThreadPoolExecutor(1), clock=lambda: BEGAN.timestamp())
    ingest = Ingest(index, AllowList(ALLOWED))
    for file in plan.files:
        for entry in Parquet(file.name).read(BEGAN, None):
            if not entry.problem:
                ingest.batch([entry.message])
    return {row.key: row.item for row in table.scan("")}


def differences(ours: Mapping[Key, Item], theirs: Mapping[Key, Item]) -> list[Any]:
    """What differs between rows of a load and of events, apart from what may.

    Rows of the change feed, and how often a mosaic's own row was written.
    """
    theirs = {key: item for key, item in theirs.items() if "#feed#" not in key.pk}
    found: list[Any] = [("absent", key) for key in theirs.keys() - ours.keys()]
    found += [("more", key) for key in ours.keys() - theirs.keys()]
    for key in ours.keys() & theirs.keys():
        one, other = dict(ours[key]), dict(theirs[key])
        if key.pk == "mosaics":
            one.pop("revision"), other.pop("revision")
        if one != other:
            names = {n for n in one.keys() | other.keys() if one.get(n) != other.get(n)}
            found.append((key, {n: (one.get(n), other.get(n)) for n in names}))
    return found


def put_all(table: Table, rows: Mapping[Key, Item]) -> None:
    """Write rows as an import does."""
    puts = [Put(key, item) for key, item in rows.items()]
    for start in range(0, len(puts), 50):
        table.transact(puts[start : start + 50])

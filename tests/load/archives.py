"""Archives of STAC Items, loaded and ingested, and the rows that both make."""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.mosaic import put_of
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sources.geoparquet import Parquet
from livemosaic.load.plan import ItemFile, LoadPlan
from livemosaic.load.steps import run_step
from livemosaic.load.work import Work
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.table import Item, Key, Table
from livemosaic.table.attributes import from_item

BEGAN = datetime.now(UTC)
"""Rows that expire a while after it are there yet."""
ALLOW = AllowList(("https://",))


def item_file(name: str) -> ItemFile:
    """A file as a plan has it."""
    parquet = Parquet(name)
    return ItemFile(name, parquet.identity, parquet.written().isoformat(), parquet.groups())


def planned(files: Sequence[Path], mosaics: Sequence[Mosaic], unit_rows: int) -> LoadPlan:
    """A plan of small units and shards."""
    plan = LoadPlan.of(BEGAN, [item_file(str(path)) for path in files], mosaics)
    return replace(plan, unit_rows=unit_rows, shard_rows=300)


def loaded(work: Work, plan: LoadPlan) -> dict[Key, Item]:
    """The rows that the steps of a load write for an import: each key once."""
    work.begin(plan)
    for step, count in (("survey", len(plan.units)), ("settle", plan.shards)):
        for n in reversed(range(count)):
            run_step(work, step, n)
    run_step(work, "fold")
    for n in range(len(plan.units)):
        run_step(work, "write", n)
    run_step(work, "finish")
    return imported(work.folder)


def imported(folder: Folder) -> dict[Key, Item]:
    """The rows in the objects of an import, of which no two have one key."""
    rows: dict[Key, Item] = {}
    for name in folder.names("data"):
        lines = gzip.decompress(folder.read(folder.href(name))).splitlines()
        for key, row in (from_item(json.loads(line)["Item"]) for line in lines):
            assert key not in rows, key
            rows[key] = row
    return rows


def ingested(table: Table, plan: LoadPlan) -> dict[Key, Item]:
    """All rows of a table into which a plan's files were ingested, one Item after the other."""
    ingest(table, plan)
    return {row.key: row.item for row in table.scan("")}


def ingest(table: Table, plan: LoadPlan) -> None:
    """Make the mosaics of a plan, and ingest its files at the moment at which the load began."""
    moment = plan.moment.timestamp()
    mosaics = Mosaics(table, clock=lambda: moment)
    for mosaic in plan.mosaics:
        registry = mosaics.registry().after(mosaic.id)
        table.transact([put_of(mosaic), registry])
    index = Index(table, mosaics, ThreadPoolExecutor(1), clock=lambda: moment)
    ingestion = Ingest(index, ALLOW)
    for file in plan.files:
        entries = Parquet(file.name).read(plan.moment, None)
        while chunk := list(islice(entries, 50)):
            ingestion.batch([entry.message for entry in chunk if not entry.problem])


def digests(table: Table) -> dict[Key, bytes]:
    """A digest of each row but those of the change feed, apart from what may differ."""
    found = {}
    for row in table.scan(""):
        if "#feed#" not in row.key.pk:
            item = {k: v for k, v in row.item.items() if (row.key.pk, k) != ("mosaics", "revision")}
            text = json.dumps(as_equal(item), sort_keys=True)
            found[row.key] = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return found


def as_equal(value: Any) -> Any:
    """A value as JSON that is equal where values are: 1 and 1.0 are one number of a table."""
    match value:
        case Mapping():
            return {name: as_equal(each) for name, each in value.items()}
        case list() | tuple():
            return [as_equal(each) for each in value]
        case bytes():
            return value.hex()
        case int() if not isinstance(value, bool):
            return float(value)
    return value


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

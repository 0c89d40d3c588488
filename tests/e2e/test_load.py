"""An archive becomes a table at once: files in S3, state machine, function, import.

LIVEMOSAIC_TEST_DEPTH=full loads 100,000 scenes instead of some hundred.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.items import SHAPES
from e2e.cloud import Cloud
from livemosaic.load.plan import LoadPlan
from livemosaic.table.dynamodb import DynamoTable
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import REGION
from livemosaic_cdk.tools.local import BUCKET
from load.archives import digests, ingest
from sources.parquet import write

FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
SCENES = 100_000 if FULL else 300
pytestmark = [pytest.mark.emulator, pytest.mark.timeout(7200 if FULL else 600)]


def archive(folder: Path) -> list[Path]:
    """Two files of scenes; some come once more in an older version, and one Item is no scene."""
    shape = SHAPES[0]
    items: list[dict[str, Any]] = [shape.item(n) for n in range(SCENES)]
    for item in items:
        item["assets"] = {name: item["assets"][name] for name in ("visual", "red")}
    again = [shape.item(n, hours=-3) for n in range(0, SCENES, 50)]
    for item in again:
        item["assets"] = {name: item["assets"][name] for name in ("visual",)}
    bad = shape.item(SCENES) | {"assets": {}}
    return [
        write(folder / "0.parquet", items[: SCENES // 2]),
        write(folder / "1.parquet", [*items[SCENES // 2 :], bad, *again]),
    ]


def uploaded(cloud: Cloud, files: list[Path]) -> None:
    """Put files into the bucket, and give them the time that S3 has."""
    s3 = cloud.account.aws.client("s3")
    for path in files:
        s3.upload_file(str(path), BUCKET, f"archive/{path.name}")
        found = s3.head_object(Bucket=BUCKET, Key=f"archive/{path.name}")
        os.utime(path, times=(found["LastModified"].timestamp(),) * 2)


def plan_of(cloud: Cloud, folder: str, files: list[Path]) -> LoadPlan:
    """The plan of a load, with files of this machine."""
    bucket, _, key = folder.removeprefix("s3://").partition("/")
    body = cloud.account.aws.client("s3").get_object(Bucket=bucket, Key=f"{key}/plan.json")
    plan = LoadPlan.from_json(body["Body"].read())
    local = [replace(f, name=str(p)) for f, p in zip(plan.files, files, strict=True)]
    return LoadPlan(plan.began, local, plan.rows, plan.unit_rows, plan.shard_rows)


def test_the_table_is_the_one_that_events_make(working: Cloud, tmp_path: Path) -> None:
    cloud = working
    index = f"dynamodb://{REGION}/{cloud.stack_output('TableName')}"
    machine, work = cloud.stack_output("LoadMachineArn"), cloud.stack_output("LoadFolder")
    settings = ("--asset", "visual", "--quadkey-zoom", "10")
    for name, collection in (("coast", "sentinel-2"), ("other", "landsat")):
        create = ("mosaics", "create", name, "--collection", collection, *settings)
        made = cloud.livemosaic("--index", index, *create)
        assert made.returncode == 0, made.stderr
    files = archive(tmp_path)
    uploaded(cloud, files)
    command = (
        *("--index", index, "load", f"s3://{BUCKET}/archive/", "--mosaic", "coast", "--yes"),
        *("--into", f"dynamodb://{REGION}/maps-2", "--machine", machine, "--work", work),
        *("--errors", str(tmp_path / "errors.ndjson")),
    )
    with cloud.step(f"load of {SCENES:,} scenes"):
        done = cloud.livemosaic(*command)
    assert done.returncode == 1, done.stderr  # one is rejected
    assert f"{SCENES:,} scenes" in done.stderr
    assert f"{SCENES // 50:,} older than another in the files" in done.stderr
    assert "1 rejected" in done.stderr
    assert "deploy with -c table=maps-2" in done.stderr
    lines = (tmp_path / "errors.ndjson").read_text().splitlines()
    refused = [json.loads(line) for line in lines]
    assert [one["id"] for one in refused] == [SHAPES[0].scene_id(SCENES)]

    table = DynamoTable(cloud.account.aws.client("dynamodb"), "maps-2")
    ours = digests(table)
    table.close()
    events = SqliteTable(str(tmp_path / "events.db"))
    with cloud.step(f"{SCENES:,} scenes by events, on SQLite"):
        ingest(events, plan_of(cloud, f"{work}/maps-2", files))
    theirs = digests(events)
    events.close()
    cloud.step.done.append((f"{len(ours):,} rows compared", 0.0))
    assert ours == theirs

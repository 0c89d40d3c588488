"""What a deployment does by itself: overviews, deletions that were cut off, archives.

There is one mosaic that is kept, so these tests are a story and run in their order.
"""

import json
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pmtiles.reader import MemorySource, Reader

from api.overviews import SIDE, document, make_scenes
from cli.process import LIVEMOSAIC
from cogs import write_cog
from e2e.cloud import Cloud, eventually
from items import item
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Key
from livemosaic.table.dynamodb import DynamoTable
from livemosaic_cdk.tools.emulator import REGION
from livemosaic_cdk.tools.local import BUCKET

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(1200)]
LAYERS = "footprints,density"


def low_zoom(cloud: Cloud) -> tuple[str, bytes]:
    """What the answer says of its overviews, and the tile of zoom 2 in which the scenes are."""
    path = f"/mosaics/m/tiles/WebMercatorQuad/2/2/1.npy?fresh={uuid4()}"
    answer = cloud.request("GET", path)
    assert answer.status == 200, answer.data[:500]
    return answer.headers.get("X-Overview", ""), answer.data


def test_an_event_changes_a_tile_of_zoom_2_without_anybody_asking_for_it(
    working: Cloud, tmp_path: Path
) -> None:
    cloud = working
    settings = ("--collection", "s2", "--export", "maxzoom=13,keep=1")
    settings += ("--export", f"layers={LAYERS},maxzoom=11")
    created = cloud.livemosaic("--api", cloud.url, "mosaics", "create", "m", *settings)
    assert created.returncode == 0, created.stderr
    scenes = make_scenes(tmp_path, 5)
    for scene in scenes:
        href = cloud.account.put(scene.path)
        published = document(scene)
        published["assets"]["visual"]["href"] = href
        cloud.account.publish(published)
    with cloud.step("25 events → overviews"):
        eventually(lambda: low_zoom(cloud)[0].endswith("stale=0"), "overviews", 120)
    before = low_zoom(cloud)[1]

    one, white = scenes[12], np.full((3, SIDE, SIDE), 255, "uint8")
    path = write_cog(tmp_path / "white.tif", white, crs="EPSG:3857", bounds=one.bounds)
    changed = document(replace(one, day=31))
    changed["assets"]["visual"]["href"] = cloud.account.put(path)
    with cloud.step("SNS → SQS → Ingest → FIFO queue → Builder → S3 → a tile of zoom 2"):
        cloud.account.publish(changed)
        eventually(lambda: low_zoom(cloud)[1] != before, "the change at zoom 2", 120)
    assert not [line for line in cloud.logged("Builder") if line["level"] == "ERROR"]
    assert json.dumps(cloud.logged("Ingest")).count("not sent") == 0


def rows_of(table: DynamoTable, mosaic: Mosaic) -> list[Key]:
    """Keys of the rows of a mosaic's scenes, and of their removal.

    Its overviews go an hour later, as readers may have their cells; rows of the feed expire.
    """
    kinds = ("scenes", "cell", "coarse", "removed")
    found = table.scan(mosaic_prefix(mosaic))
    return [row.key for row in found if row.key.pk.split("#")[1] in kinds]


def test_builders_finish_the_deletion_of_a_mosaic_whose_command_died(working: Cloud) -> None:
    """It is hidden in seconds; the sweep finds what is left of it; its id is free in the end."""
    cloud = working
    own = ("--api", cloud.url)
    made = cloud.livemosaic(*own, "mosaics", "create", "doomed", "--collection", "doomed")
    assert made.returncode == 0, made.stderr
    for n in range(20):
        found = item(f"{n}", collection="doomed", href=f"s3://{BUCKET}/none.tif")
        cloud.account.publish(found)
    listed = "/mosaics/doomed/items?limit=100"
    eventually(lambda: len(json.loads(cloud.get(listed))["features"]) == 20, "scenes", 120)
    client = cloud.account.aws.client("dynamodb")
    with closing(DynamoTable(client, cloud.stack_output("TableName"))) as table:
        mosaic = Mosaics(table).mark_deleting("doomed")
        eventually(lambda: cloud.request("GET", listed).status == 404, "hidden", 30)
        assert rows_of(table, mosaic)
        with cloud.step("Sweep → FIFO queue → Builder → no row of a mosaic's scenes"):
            cloud.invoke("Sweep")
            eventually(lambda: Mosaics(table).doomed("doomed") is None, "the id is free", 240)
        assert rows_of(table, mosaic) == []
    again = cloud.livemosaic(*own, "mosaics", "create", "doomed")
    assert again.returncode == 0, again.stderr
    assert json.loads(cloud.get(listed))["features"] == []
    assert not [line for line in cloud.logged("Builder") if line["level"] == "ERROR"]


def made(cloud: Cloud) -> list[Any]:
    """When each archive was made, of images and of vector tiles; None of one that is not there."""
    found: list[dict[str, Any]] = json.loads(cloud.get("/mosaics/m/exports"))["exports"]
    assert [each["error"] for each in found] == ["", ""]
    return [each["made"] for each in found]


def exported(cloud: Cloud, to: Path, *how: str) -> bytes:
    """The archive that the command makes of the deployment's mosaic."""
    index = f"dynamodb://{REGION}/{cloud.stack_output('TableName')}"
    place = {"LIVEMOSAIC_OVERVIEW_STORE": f"s3://{cloud.stack_output('OverviewBucket')}"}
    own = subprocess.run(
        [*LIVEMOSAIC, "--index", index, "export", "m", str(to), *how],
        env=dict(cloud.account.aws.environment) | place,
        capture_output=True,
        text=True,
    )
    assert own.returncode == 0, own.stderr
    return to.read_bytes()


def test_archives_are_those_that_the_command_makes(working: Cloud, tmp_path: Path) -> None:
    """One of images, with a copy of the day, and one of vector tiles."""
    cloud = working
    eventually(lambda: low_zoom(cloud)[0].endswith("stale=0"), "overviews", 240)
    assert made(cloud) == [None, None]

    def started_and_made() -> bool:
        """A mosaic's archives are made one after the other; the schedule asks every 5 minutes."""
        cloud.invoke("StartExports")
        return all(made(cloud))

    with cloud.step("schedule → state machine → archives"):
        eventually(started_and_made, "archives", 600, 3)
    images = exported(cloud, tmp_path / "images.pmtiles", "--zooms", "0-13")
    how = ("--vector", "--layers", LAYERS, "--zooms", "0-11")
    vectors = exported(cloud, tmp_path / "vectors.pmtiles", *how)
    places = [
        cloud.request("GET", f"/mosaics/m/{name}.pmtiles", redirect=False)
        for name in ("mosaic", "vector")
    ]
    assert [answer.status for answer in places] == [302, 302]
    s3 = cloud.account.aws.client("s3")

    def there() -> list[str]:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix="archives/")["Contents"]
        names = [each["Key"] for each in found]
        reports = [name for name in names if name.endswith(".status")]
        archives = [name for name in names if name.endswith(".pmtiles")]
        return archives if len(reports) == 2 else []

    archives = eventually(there, "reports", 120)
    bodies = [s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in archives]
    assert sorted(bodies) == sorted([images, images, vectors]), archives
    layers = Reader(MemorySource(vectors)).metadata()["vector_layers"]
    assert [layer["id"] for layer in layers] == LAYERS.split(",")
    cloud.invoke("StartExports")
    assert cloud.logged("StartExports")[-1]["due"] == 0
    assert not [line for line in cloud.logged("Export") if line["level"] == "ERROR"]

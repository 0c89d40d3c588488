"""From an event to a changed tile at a low zoom: hints, builder and bucket of a deployment."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from api.overviews import SIDE, document, make_scenes
from cogs import write_cog
from e2e.cloud import Cloud, Steps, eventually
from e2e.conftest import let_batches_be_sent
from items import item
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Key
from livemosaic.table.dynamodb import DynamoTable
from livemosaic_cdk.tools.local import BUCKET, deployed

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def overviews(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A deployment that keeps overviews, in an account of its own where policies count."""
    steps = Steps()
    log = tmp_path_factory.mktemp("cdk") / "output.txt"
    with (
        log.open("w") as file,
        deployed(steps, file, authorize=True) as account,
    ):
        let_batches_be_sent(account)
        yield Cloud(account, steps)


def low_zoom(cloud: Cloud) -> tuple[str, bytes]:
    """What the answer says of its overviews, and the tile of zoom 2 in which the scenes are."""
    path = f"/mosaics/m/tiles/WebMercatorQuad/2/2/1.npy?fresh={uuid4()}"
    answer = cloud.request("GET", path)
    assert answer.status == 200, answer.data[:500]
    return answer.headers.get("X-Overview", ""), answer.data


def test_an_event_changes_a_tile_of_zoom_2_without_anybody_asking_for_it(
    overviews: Cloud, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cloud = overviews
    own = ("--api", cloud.url)
    made = cloud.livemosaic(*own, "mosaics", "create", "m")
    assert made.returncode == 0, made.stderr
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
    request.node.user_properties += [("step", step) for step in cloud.step.done]
    cloud.step.done.clear()


def rows_of(table: DynamoTable, mosaic: Mosaic) -> list[Key]:
    """Keys of the rows of a mosaic's scenes, and of their removal.

    Its overviews go an hour later, as readers may have their cells; rows of the feed expire.
    """
    kinds = ("scenes", "cell", "coarse", "removed")
    found = table.scan(mosaic_prefix(mosaic))
    return [row.key for row in found if row.key.pk.split("#")[1] in kinds]


def test_builders_finish_the_deletion_of_a_mosaic_whose_command_died(
    overviews: Cloud, request: pytest.FixtureRequest
) -> None:
    """It is hidden in seconds; the sweep finds what is left of it; its id is free in the end."""
    cloud = overviews
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
    request.node.user_properties += [("step", step) for step in cloud.step.done]

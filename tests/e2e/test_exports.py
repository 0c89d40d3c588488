"""Archives on their schedule: starter, state machine, its function, and the bucket of archives."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pmtiles.reader import MemorySource, Reader

from api.overviews import document, make_scenes
from cli.process import LIVEMOSAIC
from e2e.cloud import Cloud, Steps, eventually
from e2e.conftest import let_batches_be_sent
from livemosaic_cdk.tools.emulator import REGION
from livemosaic_cdk.tools.local import BUCKET, deployed

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(1200)]
LAYERS = "footprints,density"
SETTINGS = {"exports": "true", "export_concurrency": "2", "archive_bucket": f"{BUCKET}/archives"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A deployment that makes archives, in an account of its own where policies count."""
    steps = Steps()
    log = tmp_path_factory.mktemp("cdk") / "output.txt"
    with log.open("w") as file, deployed(steps, file, authorize=True, context=SETTINGS) as account:
        let_batches_be_sent(account)
        yield Cloud(account, steps)


def made(cloud: Cloud) -> list[Any]:
    """When each archive was made, of images and of vector tiles; None of one that is not there."""
    found: list[dict[str, Any]] = json.loads(cloud.get("/mosaics/m/exports"))["exports"]
    assert [each["error"] for each in found] == ["", ""]
    return [each["made"] for each in found]


def listed(cloud: Cloud) -> list[Any]:
    found: list[Any] = json.loads(cloud.get("/mosaics/m/items?limit=100"))["features"]
    return found


def overview(cloud: Cloud) -> str:
    """What a tile says of its overviews; a new one each time, as tiles may be cached."""
    path = f"/mosaics/m/tiles/WebMercatorQuad/2/2/1.npy?fresh={uuid4()}"
    return cloud.request("GET", path).headers.get("X-Overview", "")


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


def test_they_are_the_archives_that_the_command_makes(
    cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One of images, with a copy of the day, and one of vector tiles."""
    settings = ("--export", "maxzoom=13,keep=1", "--export", f"layers={LAYERS},maxzoom=11")
    created = cloud.livemosaic("--api", cloud.url, "mosaics", "create", "m", *settings)
    assert created.returncode == 0, created.stderr
    scenes = make_scenes(tmp_path, 5)
    for scene in scenes:
        published = document(scene)
        published["assets"]["visual"]["href"] = cloud.account.put(scene.path)
        cloud.account.publish(published)
    with cloud.step("25 events → overviews"):
        eventually(lambda: len(listed(cloud)) == len(scenes), "the scenes", 240)
        eventually(lambda: overview(cloud).endswith("stale=0"), "overviews", 240)
    assert made(cloud) == [None, None]
    with cloud.step("schedule → state machine → archives"):
        cloud.invoke("StartExports")
        eventually(lambda: all(made(cloud)), "archives", 600)
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
    request.node.user_properties += [("step", step) for step in cloud.step.done]

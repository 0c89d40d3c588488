"""An archive on its schedule: starter, state machine, its function, and the bucket of archives."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.overviews import document, make_scenes
from cli.process import LIVEMOSAIC
from e2e.cloud import Cloud, Steps, eventually
from e2e.conftest import let_batches_be_sent
from livemosaic_cdk.tools.emulator import REGION
from livemosaic_cdk.tools.local import BUCKET, deployed

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(1200)]
SETTINGS = {"exports": "true", "export_concurrency": "2", "archive_bucket": f"{BUCKET}/archives"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A deployment that makes archives, in an account of its own where policies count."""
    steps = Steps()
    log = tmp_path_factory.mktemp("cdk") / "output.txt"
    with log.open("w") as file, deployed(steps, file, authorize=True, context=SETTINGS) as account:
        let_batches_be_sent(account)
        yield Cloud(account, steps)


def status(cloud: Cloud) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cloud.get("/mosaics/m/exports"))["exports"][0]
    assert found["error"] == ""
    return found


def listed(cloud: Cloud) -> list[Any]:
    found: list[Any] = json.loads(cloud.get("/mosaics/m/items?limit=100"))["features"]
    return found


def overview(cloud: Cloud) -> str:
    """What a tile says of its overviews; a new one each time, as tiles may be cached."""
    path = f"/mosaics/m/tiles/WebMercatorQuad/2/2/1.npy?fresh={uuid4()}"
    return cloud.request("GET", path).headers.get("X-Overview", "")


def test_it_is_the_archive_that_the_command_makes(
    cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    setting = ("--export", "maxzoom=13,keep=1")
    made = cloud.livemosaic("--api", cloud.url, "mosaics", "create", "m", *setting)
    assert made.returncode == 0, made.stderr
    scenes = make_scenes(tmp_path, 5)
    for scene in scenes:
        published = document(scene)
        published["assets"]["visual"]["href"] = cloud.account.put(scene.path)
        cloud.account.publish(published)
    with cloud.step("25 events → overviews"):
        eventually(lambda: len(listed(cloud)) == len(scenes), "the scenes", 240)
        eventually(lambda: overview(cloud).endswith("stale=0"), "overviews", 240)
    assert status(cloud)["made"] is None
    with cloud.step("schedule → state machine → archive"):
        cloud.invoke("StartExports")
        eventually(lambda: status(cloud)["made"], "an archive", 300)
    index = f"dynamodb://{REGION}/{cloud.stack_output('TableName')}"
    to = tmp_path / "own.pmtiles"
    place = {"LIVEMOSAIC_OVERVIEW_STORE": f"s3://{cloud.stack_output('OverviewBucket')}"}
    own = subprocess.run(
        [*LIVEMOSAIC, "--index", index, "export", "m", str(to), "--zooms", "0-13"],
        env=dict(cloud.account.aws.environment) | place,
        capture_output=True,
        text=True,
    )
    assert own.returncode == 0, own.stderr
    answer = cloud.request("GET", "/mosaics/m/mosaic.pmtiles", redirect=False)
    assert answer.status == 302
    s3 = cloud.account.aws.client("s3")

    def made_there() -> list[str]:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix="archives/")["Contents"]
        names = [each["Key"] for each in found]
        is_reported = any(name.endswith(".status") for name in names)
        return [name for name in names if name.endswith(".pmtiles")] if is_reported else []

    archives = eventually(made_there, "a report", 120)
    assert len(archives) == 2, archives  # and the copy of the day
    for name in archives:
        assert s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() == to.read_bytes()
    cloud.invoke("StartExports")
    assert cloud.logged("StartExports")[-1]["due"] == 0
    assert not [line for line in cloud.logged("Export") if line["level"] == "ERROR"]
    request.node.user_properties += [("step", step) for step in cloud.step.done]

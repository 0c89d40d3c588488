"""`make aws-local`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import urllib3

from e2e.cloud import eventually
from livemosaic_cdk.tools.cdk import ROOT

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900)]


def test_the_demo_arrives_through_an_emulated_aws_of_which_ctrl_c_leaves_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What it prints works as it stands: URLs in any client, commands in any shell."""
    printed = tmp_path / "printed.txt"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with printed.open("w") as file:
        running = subprocess.Popen(
            [
                *(sys.executable, "-m", "livemosaic_cdk.tools.demo"),
                *("--folder", str(tmp_path / "demo"), "--count", "2", "--every", "0"),
            ],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary)},
            stderr=file,
        )
    try:
        published = r"All 2 scenes were published.*(http://\S+)/mosaics/demo/map.html"
        found = eventually(lambda: re.search(published, printed.read_text()), "published", 600)
        url = found[1]
        eventually(lambda: len(get(f"{url}/mosaics/demo/items")["features"]) == 2, "scenes", 120)
        links = get(f"{url}/mosaics/demo/tiles/WebMercatorQuad/tilejson.json")["tiles"]
        assert all(link.startswith(f"{url}/mosaics/demo/tiles/") for link in links)
        eventually(lambda: has_overviews(url), "overviews", 120)
        publish_as_printed(printed.read_text(), tmp_path)
        eventually(lambda: len(get(f"{url}/mosaics/demo/items")["features"]) == 4, "more", 120)
        [unpacked] = {path.resolve() for path in temporary.glob("*/ministack-lambda-*/code")}
        assert temporary not in unpacked.parents, "one copy of the code, and none to delete"
    finally:
        stopped = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130, printed.read_text()
    took_s = time.monotonic() - stopped
    request.node.user_properties.append(("step", ("Ctrl-C", took_s)))
    assert took_s < 5 * busy(), f"{took_s:.1f} s after Ctrl-C"
    assert "cleaned up" in printed.read_text()
    assert list(temporary.iterdir()) == []


def busy() -> float:
    """How many processes want a processor of this machine, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def publish_as_printed(printed: str, folder: Path) -> None:
    """Follows the words for a shell that knows nothing: an Item by `aws`, one by our command."""
    [aws] = re.findall(r"^ +(\S+) (\S+) aws (.* sns publish .*)$", printed, re.MULTILINE)
    [ours] = re.findall(r"^ +(\S+) (\S+) (\S+) livemosaic (.*)$", printed, re.MULTILINE)
    named = dict(re.findall(r"--(\S+) (\S+)", aws[2]))
    item = json.loads(Path(named["message"].removeprefix("file://")).read_text())
    keys = dict(pair.split("=") for pair in aws[:2])
    client = boto3.Session().client(
        "sns",
        region_name=named["region"],
        endpoint_url=named["endpoint-url"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    client.publish(TopicArn=named["topic-arn"], Message=json.dumps(item | {"id": "by-aws"}))
    api, file = re.fullmatch(r"--api (\S+) ingest (\S+)", ours[3]).groups()  # type: ignore[union-attr]
    assert json.loads(Path(file).read_text()) == item
    another = folder / "another.json"
    another.write_text(json.dumps(item | {"id": "by-us"}))
    own = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-m", "livemosaic", "--api", api, "ingest", str(another)],
        env=own | dict(pair.split("=") for pair in ours[:3]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def get(url: str) -> Any:
    return urllib3.request("GET", url, timeout=60).json()


def has_overviews(url: str) -> bool:
    tile = f"{url}/mosaics/demo/tiles/WebMercatorQuad/2/3/1?fresh={uuid4()}"
    return "X-Overview" in urllib3.request("GET", tile, timeout=60).headers

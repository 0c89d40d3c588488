"""`examples/cdk`: an app that has the construct from the wheel alone is deployed, and is live."""

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import urllib3

from api.served import LEFT, raster, scene, tile_url
from e2e.cloud import eventually
from livemosaic_cdk.tools.cdk import Cdk
from livemosaic_cdk.tools.emulator import REGION, Emulator, emulator
from livemosaic_cdk.tools.local import this_machine
from packaged.building import ROOT, Built, environment, install

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]

CDK = ROOT / "node_modules" / ".bin" / "cdk"


@dataclass(frozen=True)
class Deployed:
    aws: Emulator
    outputs: dict[str, str]

    commands: Path
    """Of the environment of the app."""

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        headers = {"Host": urlsplit(self.outputs["Url"]).netloc}
        url = f"{self.aws.url}{path}"
        return urllib3.request("GET", url, headers=headers, retries=False, timeout=60)

    def livemosaic(self, *words: str) -> None:
        ended = subprocess.run(
            [self.commands / "livemosaic", "--api", self.outputs["Url"], *words],
            env=environment() | dict(self.aws.environment),
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr


def _for_this_machine(app: Path) -> None:
    """Lambda runs the example on ARM and a newer Python; the emulator runs it as this process."""
    target = this_machine()
    asked = "Config(\n"
    text = app.read_text()
    assert text.count(asked) == 1
    given = f"architecture={target.architecture!r}, python={target.python!r}"
    app.write_text(text.replace(asked, f"Config(\n{given},\n"))


@pytest.fixture(scope="module")
def deployed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    place = tmp_path_factory.mktemp("theirs")
    commands = install(built.wheel, place, "[cdk]")
    app = Path(shutil.copytree(ROOT / "examples" / "cdk", place / "cdk"))
    _for_this_machine(app / "app.py")
    with emulator() as aws:
        env = environment() | aws.environment | {"LC_ALL": "C.UTF-8"}
        env.pop("PYTHONPATH", None)
        account = aws.client("sts").get_caller_identity()["Account"]
        Cdk(env, {}).bootstrap(account, REGION)
        outputs = place / "outputs.json"
        ended = subprocess.run(
            [
                *(
                    CDK,
                    "deploy",
                    "--app",
                    f"{commands}/python app.py",
                    "--require-approval",
                    "never",
                ),
                *("--outputs-file", outputs, "--ci"),
            ],
            cwd=app,
            env=env,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield Deployed(aws, json.loads(outputs.read_text())["maps"], commands)
    shutil.rmtree(place)


def test_a_scene_in_their_bucket_is_on_the_map_once_their_topic_names_it(
    deployed: Deployed, tmp_path: Path
) -> None:
    bucket = deployed.outputs["PutScenesInto"]
    path = raster(tmp_path / "a.tif", [10, 200, 30], LEFT)
    deployed.aws.client("s3").upload_file(str(path), bucket, "a.tif")
    deployed.livemosaic("mosaics", "create", "m")
    item = scene("a", f"s3://{bucket}/a.tif", LEFT, updated="2026-01-01T00:00:00Z")
    deployed.aws.client("sns").publish(
        TopicArn=deployed.outputs["PublishItemsTo"], Message=json.dumps(item)
    )

    def shown() -> bool:
        answer = deployed.get(tile_url(".npy"))
        if answer.status != 200:
            return False
        bands = np.load(io.BytesIO(answer.data))
        return bands[:, 128, 64].tolist() == [10, 200, 30, 255]

    eventually(shown, "the scene on its tile")

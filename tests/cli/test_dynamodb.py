"""Every command on a table in DynamoDB, with a profile as AWS users have them."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from cli.process import LIVEMOSAIC, serving
from items import item

pytestmark = pytest.mark.emulator

Env = Mapping[str, str]


@pytest.fixture
def env(tmp_path: Path, dynamodb_endpoint: str | None) -> Env:
    """An environment that knows the emulator, and credentials in one profile only."""
    if dynamodb_endpoint is None:
        pytest.skip("makes tables, which is left to an emulator")
    (tmp_path / "keys.json").write_text(
        json.dumps({"Version": 1, "AccessKeyId": "testing", "SecretAccessKey": "testing"})
    )
    (tmp_path / "config").write_text(
        f"[profile work]\ncredential_process = cat {tmp_path}/keys.json\n"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "LIVEMOSAIC_"))}
    return kept | {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_endpoint,
        "LIVEMOSAIC_INDEX": f"dynamodb://eu-central-1/cli-{uuid4()}",
        "COLUMNS": "300",
    }


@pytest.fixture
def run(env: Env) -> Callable[..., str]:
    def command(*words: str, text: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [*LIVEMOSAIC, *words], env=env, input=text, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return command


def test_a_profile_opens_the_table_to_every_command(run: Callable[..., str]) -> None:
    work = ("--profile", "work")
    assert "no DynamoDB table" in run(*work, "mosaics", "list", code=1)
    run(*work, "mosaics", "create", "m", "--create-table")
    assert "1 applied" in run(*work, "ingest", "-", text=json.dumps(item("a")))
    assert json.loads(run(*work, "mosaics", "show", "m"))["bounds"] == [7, 45, 8, 46]
    assert "deleted m" in run(*work, "mosaics", "delete", "m", "--yes")


def test_without_it_the_way_to_log_in_is_told(run: Callable[..., str]) -> None:
    assert "no AWS credentials were found" in run("mosaics", "list", code=1)
    assert "no AWS profile 'play'" in run("--profile", "play", "mosaics", "list", code=1)
    assert "no AWS credentials were found" in run("serve", "--port", "0", code=1)


def test_serve_shows_its_mosaics(env: Env, run: Callable[..., str]) -> None:
    run("--profile", "work", "mosaics", "create", "m", "--create-table")
    with serving(env, "--profile", "work") as said:
        assert re.search(r"/mosaics/m/map\.html", said)

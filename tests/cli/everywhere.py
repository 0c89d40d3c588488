"""A command tried everywhere: on an index, and on an API with either kind of credential."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.gateway import TOKEN, Gateway, gateway
from livemosaic.cli import app

Run = Callable[..., Result]
KEYS = {"AKIDENV": "a secret"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path) -> Iterator[None]:
    """Nothing of this machine's, and no AWS credentials."""
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("AWS_", "LIVEMOSAIC_")) or name.upper().endswith("_PROXY"):
                del os.environ[name]
        nowhere = str(tmp_path / "nowhere")
        os.environ |= {
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "300",
        }
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as made:
        yield made


def invoke(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def behind_cdn(tmp_path: Path) -> Iterator[Gateway]:
    """A server that sends whoever shows no secret to another one on its index."""
    secret = tmp_path / "origin-secret"
    secret.write_text("s" * 40)
    with (
        gateway(tmp_path) as cdn,
        gateway(tmp_path, origin_secret=str(secret), public_url=cdn.url) as made,
    ):
        yield made
        assert all(line.startswith("GET ") for line in cdn.lines)


@pytest.fixture(params=["index", "a server", "AWS", "AWS behind a CDN"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an index, and on an API in front of one with either kind of credential."""
    if request.param == "index":
        where: tuple[str, ...] = ("--index", f"sqlite:///{tmp_path}/index.db")
    else:
        kind = "behind_cdn" if request.param == "AWS behind a CDN" else "server"
        server: Gateway = request.getfixturevalue(kind)
        where = ("--api", server.url)
        if request.param.startswith("AWS"):
            server.keys = KEYS
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["AKIDENV"])
            monkeypatch.setenv("AWS_REGION", "eu-central-1")
        else:
            where += ("--token", TOKEN)
    return lambda *words, code=0: invoke(*where, *words, code=code)

"""A distribution from a template, before a server in this process."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from httpx2 import URL

os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "1"  # read as aws_cdk is imported

import aws_cdk as cdk

from api.served import Server, serving
from cdn.cloudfront import Answer, CloudFront, FunctionRuntime, function_runtime
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.context import read
from livemosaic_cdk.stacks import build

ROOT = Path(__file__).parents[2]
DOMAIN = {
    "region": "eu-central-1",
    "domain": "maps.example.com",
    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1234",
}
SECRET = "s" * 64


@pytest.fixture(scope="session")
def runtime() -> Iterator[FunctionRuntime]:
    with function_runtime() as running:
        yield running


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Mapping[str, Any]]:
    """Resources of the service of a context, given as JSON."""

    @cache
    def made(text: str) -> Mapping[str, Any]:
        usual = json.loads((ROOT / "cdk.json").read_text())["context"]
        app = cdk.App(context=usual | json.loads(text), outdir=str(tmp_path_factory.mktemp("cdk")))
        build(app, read(app.node.get_all_context(), {}))
        [stack] = (s for s in app.synth().stacks if s.stack_name.endswith("-service"))
        resources: Mapping[str, Any] = stack.template["Resources"]
        return resources

    return made


@pytest.fixture
def behind(
    synthesized: Callable[[str], Mapping[str, Any]],
    runtime: FunctionRuntime,
    sqlite_table: SqliteTable,
    tmp_path: Path,
) -> Iterator[Callable[..., tuple[CloudFront, Server]]]:
    """Makes a distribution of the domain's deployment, and the server behind it."""
    with ExitStack() as stack:

        def made(**context: str) -> tuple[CloudFront, Server]:
            resources = synthesized(json.dumps(DOMAIN | context))
            environment = next(
                one["Properties"]["Environment"]["Variables"]
                for name, one in resources.items()
                if name.startswith("TilerFunction")
            )
            (tmp_path / "secret").write_text(SECRET)
            (tmp_path / "assets").mkdir()
            settings = {
                name: environment[f"LIVEMOSAIC_{name.upper()}"]
                for name in ("public_url", "shared_max_age_s", "cors_origins")
            }
            server = stack.enter_context(
                serving(
                    sqlite_table,
                    tmp_path / "assets",
                    origin_secret=str(tmp_path / "secret"),
                    **settings,
                )
            )
            cdn = CloudFront(resources, origin_of(server), SECRET, runtime)
            server.client.headers["X-Livemosaic-Origin"] = SECRET
            return cdn, server

        yield made


def origin_of(server: Server) -> Callable[[str, str, Mapping[str, str]], Answer]:
    def ask(method: str, url: str, headers: Mapping[str, str]) -> Answer:
        path, _, query = url.partition("?")
        target = URL("http://origin.example").copy_with(raw_path=url.encode())
        assert target.raw_path.decode() == url, (path, query)
        answer = server.client.request(method, target, headers=headers, follow_redirects=False)
        return Answer(answer.status_code, dict(answer.headers.items()), answer.content)

    return ask

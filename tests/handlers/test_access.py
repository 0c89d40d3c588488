"""Whom the functions let in: as API Gateway tells who asks, and as a token says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.gateway import OPEN, SIGNED, HttpApi, Response
from livemosaic.api import gateway
from livemosaic.api.app import App
from livemosaic.services import running
from livemosaic.settings import Settings

CLAIMS = {"iss": "https://login.example.com/", "sub": "alice", "scope": "mosaics:write"}
JWT = {"jwt": {"claims": CLAIMS, "scopes": ["mosaics:write"]}}
"""The authorizer of a route with a JWT authorizer (Developer Guide, "Working with AWS Lambda proxy
integrations for HTTP APIs")."""


@pytest.fixture(params=["iam", "jwt"])
def authorizer(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def api(tmp_path: Path, authorizer: str) -> Iterator[HttpApi]:
    """The application, told which authorizer guards writes."""
    index = f"sqlite:///{tmp_path}/index.db"
    with running(Settings(index=index, authorizer=authorizer, mosaic_max_age_s=0)) as services:
        handler = gateway.handler(App(services))
        yield HttpApi(lambda asked: handler(asked, None))
    asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)


def post(api: HttpApi, url: str, document: Any, authorizer: Any) -> Response:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(document).encode()
    return api.ask("POST", url, headers=headers, body=body, authorizer=authorizer)


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(SIGNED, id="signed with IAM credentials"),
        pytest.param(JWT, id="with a JWT"),
        pytest.param(OPEN, id="nobody"),
        pytest.param({"jwt": {"claims": {}, "scopes": None}}, id="without claims"),
        pytest.param(None, id="no authorizer"),
    ],
)
def test_only_whom_the_authorizer_of_the_deployment_let_in_may_write(
    api: HttpApi, authorizer: str, who: Any
) -> None:
    known = {"iam": SIGNED, "jwt": JWT}[authorizer]
    answer = post(api, "/mosaics", {"id": "m"}, who)
    assert answer.status == (201 if who == known else 401)


def test_a_writer_makes_a_token_with_which_anybody_reads(api: HttpApi, authorizer: str) -> None:
    known = {"iam": SIGNED, "jwt": JWT}[authorizer]
    assert post(api, "/mosaics", {"id": "m", "access": "private"}, known).status == 201
    assert api.get("/mosaics/m").status == 404
    made = post(api, "/mosaics/m/tokens", {}, known).json["access_token"]
    assert api.get(f"/mosaics/m?access_token={made}").json["id"] == "m"
    assert api.get("/mosaics/m", authorization=f"Bearer {made}").json["id"] == "m"

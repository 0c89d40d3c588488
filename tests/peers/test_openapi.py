"""Every route and parameter of titiler.mosaic is ours too, or is listed with a reason."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from livemosaic.api.routing import create_api
from livemosaic.services import build
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable
from peers.differences import LACKED, matches

Routes = Mapping[str, frozenset[str]]
"""Query parameters by `GET /path`, whose own parameters are `{}`."""


@pytest.fixture(scope="module")
def theirs(titiler: str) -> Routes:
    return dict(_routes(httpx.get(f"{titiler}/openapi.json").json()))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    table = SqliteTable(tmp_path_factory.mktemp("openapi") / "table.db")
    return dict(_routes(create_api(build(Settings(), table)).openapi()))


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    for path, operations in document["paths"].items():
        shape = re.sub(r"{\w+}", "{}", path)
        for method, operation in operations.items():
            given = operation.get("parameters", [])
            names = frozenset(p["name"] for p in given if p["in"] == "query")
            yield f"{method.upper()} {shape}", names


def _lacked(theirs: Routes, ours: Routes) -> Iterator[str]:
    for route, parameters in theirs.items():
        # The readers of titiler.mosaic, of COGs, Items and documents over HTTP, are one here.
        here = re.sub(r"^(\w+) /(cog|stac|http)/?", r"\1 /mosaics/{}/", route).rstrip("/")
        if here not in ours:
            yield here
        else:
            yield from (f"{here} ?{name}" for name in parameters - ours[here])


def test_nothing_is_lacked_without_a_reason(theirs: Routes, ours: Routes) -> None:
    lacked = sorted(set(_lacked(theirs, ours)))
    assert [what for what in lacked if not any(matches(what, known) for known in LACKED)] == []


def test_what_is_listed_is_lacked(theirs: Routes, ours: Routes) -> None:
    lacked = set(_lacked(theirs, ours))
    assert [known for known in LACKED if not any(matches(what, known) for what in lacked)] == []

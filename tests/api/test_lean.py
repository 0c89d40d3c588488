"""A route that skips what a request does not name answers as FastAPI's own."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from livemosaic.api.routing import SparseParamsRoute


def below(
    many: Annotated[list[int] | None, Query()] = None,
    other: Annotated[str, Query(alias="else")] = "usual",
    short: Annotated[str, Query(max_length=3)] = "abc",
) -> list[Any]:
    return [many, other, short]


def client(route: type[APIRoute]) -> TestClient:
    app, router = FastAPI(), APIRouter(route_class=route)

    @router.get("/{place}")
    def show(
        place: str,
        need: int,
        found: Annotated[list[Any], Depends(below)],
        plain: int = 7,
        old: float = Query(0.5),
        agent: Annotated[str, Header()] = "",
    ) -> list[Any]:
        return [place, need, found, plain, old, agent]

    app.router.routes.extend(router.routes)
    return TestClient(app)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "need=1",
        "need=1&need=2",
        "need=x",
        "need=1&many=1&many=2",
        "need=1&many=x&short=long",
        "need=1&else=that&plain=9",
        "need=1&other=ignored&place=ignored",
        "need=1&short=%C3%A9&old=1.5",
        "need=1&plain=",
        "need=1&plain",
        "need=1&=",
    ],
)
def test_it_answers_the_same(query: str) -> None:
    lean, usual = (client(route).get(f"/here?{query}") for route in (SparseParamsRoute, APIRoute))
    assert (lean.status_code, lean.json()) == (usual.status_code, usual.json())


def test_one_request_is_not_answered_like_another() -> None:
    asked = client(SparseParamsRoute)
    for query, plain in (("", 7), ("&plain=1", 1), ("", 7), ("&plain=2&many=3", 2), ("", 7)):
        assert asked.get(f"/here?need=1{query}").json()[3] == plain


def test_the_description_has_every_parameter() -> None:
    lean, usual = (
        client(route).get("/openapi.json").json() for route in (SparseParamsRoute, APIRoute)
    )
    assert lean == usual

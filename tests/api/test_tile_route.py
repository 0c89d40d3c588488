"""The route of tiles is plain, and takes a request as FastAPI would."""

from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.served import Server, tile_url
from livemosaic.api.app import App
from livemosaic.api.responses.errors import describe_errors
from livemosaic.api.routes.tiles import TileRequest
from livemosaic.errors import InvalidRequestError

PLACE = "mosaic=m&tms=WebMercatorQuad&z=1&x=2&y=3"


def fastapi_says(query: str) -> Any:
    app = FastAPI()

    @app.get("/")
    async def show(asked: Annotated[TileRequest, Query()]) -> Any:
        return asked.model_dump(mode="json")

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(describe_errors([{**e, "loc": e["loc"][1:]} for e in error.errors()]))

    return TestClient(app).get(f"/?{query}").json()


def the_route_says(query: str) -> Any:
    async def show(request: Request) -> JSONResponse:
        try:
            return JSONResponse(TileRequest.of(request).model_dump(mode="json"))
        except InvalidRequestError as error:
            return JSONResponse(str(error))

    return TestClient(Starlette(routes=[Route("/", show)])).get(f"/?{query}").json()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "assets=a&assets=b&bidx=1&bidx=2&lock=a&lock=b&ids=c&rescale=0,1&rescale=0,2",
        "assets=&bidx=&nodata=&expression=",
        "assets&bidx&nodata",
        "nodata=1&nodata=2&tilesize=1&tilesize=2",
        "z=x&z=4",
        "z=4&z=x",
        "bidx=1&bidx=x&nodata=y&padding=-1",
        "nodata=x&unscale=x&method=x&z=x&scale=x&tilesize=x",
        "filter-lang=cql2-json&mosaicRule={}&render=ndvi",
        "filter_lang=cql2-json&mosaic_rule={}&named=ndvi",
        "ASSETS=a&unknown=1&=&scale=2&format=png",
        "expression=%C3%A9%2B%FF&sortby=" + "x" * 300,
        "tilesize=%2016&buffer=1e0&unscale=on&sort_value=1.5",
    ],
)
def test_it_takes_a_query_as_fastapi_would(query: str) -> None:
    assert the_route_says(f"{PLACE}&{query}") == fastapi_says(f"{PLACE}&{query}")


def test_the_query_does_not_change_what_the_path_says(server: Server) -> None:
    server.publish("a", 7)
    wrong = "z=0&x=0&y=0&tms=Nowhere&mosaic=none&scale=4&format=gif"
    answer = server.get(f"{tile_url('@1x.npy')}?{wrong}")
    assert answer.content == server.tile("@1x.npy").content
    assert answer.headers["X-Scenes"] == "a"


def test_the_query_says_what_the_path_does_not(server: Server) -> None:
    server.publish("a", 7)
    assert server.tile(scale=2, format="npy").content == server.tile("@2x.npy").content


@pytest.mark.parametrize(
    ("suffix", "summary"),
    [
        ("", "Tile"),
        (".{format}", "Tile with format"),
        ("@{scale}x", "Tile with scale"),
        ("@{scale}x.{format}", "Tile with scale and format"),
    ],
)
def test_all_that_it_takes_is_documented(server: Server, suffix: str, summary: str) -> None:
    path = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}" + suffix
    operation = server.get("/openapi.json").json()["paths"][path]["get"]
    given = {p["name"]: p["in"] for p in operation["parameters"]}
    of_path = {name for name, where in given.items() if where == "path"}
    names = {field.alias or name for name, field in TileRequest.model_fields.items()}
    assert set(given) == names | {"If-None-Match"}
    assert of_path == {name for name in names if f"{{{name}}}" in path}
    assert operation["tags"] == ["tiles"]
    assert operation["summary"] == summary


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_no_request_for_a_tile_makes_the_application_of_fastapi(
    server: Server, method: str
) -> None:
    app = App(server.services)
    asked = TestClient(app).request(method, tile_url(), headers={"Content-Length": "0"})
    assert asked.status_code == (200 if method in ("GET", "HEAD") else 405)
    assert "api" not in vars(app)
    assert TestClient(app).get("/health").status_code == 200
    assert "api" in vars(app)


def test_another_method_is_refused_as_fastapi_refuses_it(server: Server) -> None:
    answers = [server.client.delete(path) for path in (tile_url(), tile_url("/assets"))]
    for answer in answers:
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Method Not Allowed",
            "status": 405,
            "detail": "Method Not Allowed",
        }


def test_a_slash_too_many_is_redirected(server: Server) -> None:
    answer = server.client.get(tile_url("/"), follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["Location"].endswith(tile_url())

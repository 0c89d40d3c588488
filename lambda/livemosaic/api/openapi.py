"""Parts of the OpenAPI document that FastAPI does not derive from routes."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import Depends, Response
from fastapi.routing import APIRoute
from starlette.routing import Route

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.dependencies import IfNoneMatchHeader
from livemosaic.api.problems import PROBLEM, SCHEMA
from livemosaic.api.responses.picture import RESPONSES
from livemosaic.api.routes.tiles import TileRequest

_SCHEMA: Final = {
    "type": "object",
    "title": "Refusal",
    "description": "A problem (RFC 9457)",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": ["about:blank"]},
        "title": {"type": "string", "description": "The name of the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "The problem, and how to fix it"},
    },
}
_DESCRIPTIONS: Final = {
    "400": "The request is invalid",
    "401": "A credential is required, or the given one does not grant access",
    "404": "The resource does not exist, or is private",
    "409": "The id is taken",
    "411": "The body has no Content-Length",
    "413": "The body or the response is too large",
    "414": "The query is too long",
    "503": "The index is busy or unavailable: retry",
}


def documented_route(route: Route) -> APIRoute:
    """Converts a plain tile route to a FastAPI route, documented with `TileRequest`'s fields."""
    return APIRoute(
        route.path,
        route.endpoint,
        tags=["tiles"],
        response_class=Response,
        responses=RESPONSES,
        dependencies=[Depends(_if_none_match)],
        openapi_extra={"parameters": list(_parameters(route.path))},
    )


async def _if_none_match(if_none_match: IfNoneMatchHeader = None) -> None:
    """Documents the header, which the route reads by itself."""


def _parameters(path: str) -> Iterator[dict[str, Any]]:
    """Yields the path and query parameters of a tile route."""
    for name, schema in TileRequest.model_json_schema()["properties"].items():
        in_path = f"{{{name}}}" in path
        if in_path or schema.get("default", ...) is None:  # as FastAPI does
            schema.pop("default", None)
        place = {"name": name, "in": "path" if in_path else "query", "required": in_path}
        texts = {"description": schema["description"]} if "description" in schema else {}
        yield place | {"schema": schema} | texts


def describe_credentials(document: dict[str, Any]) -> None:
    """Adds the ways to send a credential to a document."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    schemes[TOKEN_PARAMETER] = {"type": "apiKey", "in": "query", "name": TOKEN_PARAMETER}
    document["security"] = [{}, {"bearer": []}, {TOKEN_PARAMETER: []}]


def describe_refusals(document: dict[str, Any]) -> None:
    """Adds the error responses of each operation to a document, instead of FastAPI's 422."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Refusal"] = _SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            for status in _statuses(path, method):
                operation["responses"].setdefault(status, _refusal(status))


def _refusal(status: str) -> dict[str, Any]:
    return {
        "description": _DESCRIPTIONS[status],
        "content": {PROBLEM: {"schema": SCHEMA}},
    }


def _statuses(path: str, method: str) -> Iterator[str]:
    yield from ("400", "413", "414", "503")
    if "{" in path:
        yield "404"
    if "{mosaic}" in path or method != "get":
        yield "401"
    if method in ("post", "put", "patch"):
        yield "411"
    if (path, method) == ("/mosaics", "post"):
        yield "409"

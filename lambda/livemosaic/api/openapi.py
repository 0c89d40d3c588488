"""What the OpenAPI document says beyond what FastAPI derives from its routes."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import Depends, Response
from fastapi.routing import APIRoute
from starlette.routing import Route

from livemosaic.api.access import PARAMETER
from livemosaic.api.dependencies import IfNoneMatchHeader
from livemosaic.api.responses.picture import RESPONSES
from livemosaic.api.routes.tiles import TileRequest

_BODY: Final = {"$ref": "#/components/schemas/Refusal"}
_SCHEMA: Final = {
    "type": "object",
    "title": "Refusal",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "description": "What is wrong, and the fix"}},
}
_WORDS: Final = {
    "400": "The request can never succeed as it stands",
    "401": "A credential is needed, or the one that was sent opens something else",
    "404": "There is none, or none that everybody may see",
    "409": "The id is taken",
    "411": "A body needs a Content-Length",
    "413": "The body, or the answer, is too long",
    "414": "The query is too long",
    "503": "The index is busy or out of reach: ask again",
}


def documented(route: Route) -> APIRoute:
    """A plain route of tiles as one of FastAPI, whose parameters are those of `TileRequest`."""
    return APIRoute(
        route.path,
        route.endpoint,
        tags=["tiles"],
        response_class=Response,
        responses=RESPONSES,
        dependencies=[Depends(_held)],
        openapi_extra={"parameters": list(_parameters(route.path))},
    )


async def _held(if_none_match: IfNoneMatchHeader = None) -> None:
    """Has the header documented; the route reads it by itself."""


def _parameters(path: str) -> Iterator[dict[str, Any]]:
    """What a tile takes from its path and its query."""
    for name, schema in TileRequest.model_json_schema()["properties"].items():
        in_path = f"{{{name}}}" in path
        if in_path or schema.get("default", ...) is None:  # which FastAPI does not document either
            schema.pop("default", None)
        place = {"name": name, "in": "path" if in_path else "query", "required": in_path}
        words = {"description": schema["description"]} if "description" in schema else {}
        yield place | {"schema": schema} | words


def describe_credentials(document: dict[str, Any]) -> None:
    """Add to a document how a credential is sent, where one is needed."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    schemes[PARAMETER] = {"type": "apiKey", "in": "query", "name": PARAMETER}
    document["security"] = [{}, {"bearer": []}, {PARAMETER: []}]


def describe_refusals(document: dict[str, Any]) -> None:
    """Add to a document what each operation may refuse, instead of FastAPI's 422."""
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
    return {"description": _WORDS[status], "content": {"application/json": {"schema": _BODY}}}


def _statuses(path: str, method: str) -> Iterator[str]:
    yield from ("400", "413", "414", "503")
    if "{" in path:
        yield "404"
    if "{mosaic}" in path or method != "get":
        yield "401"
    if method in ("post", "put"):
        yield "411"
    if (path, method) == ("/mosaics", "post"):
        yield "409"

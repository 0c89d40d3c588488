"""Parts of the OpenAPI document that FastAPI does not derive from routes."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final

from fastapi import Depends, Response
from fastapi.routing import APIRoute
from starlette.routing import Route

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.dependencies import IfNoneMatchHeader
from livemosaic.api.problems import PROBLEM, SCHEMA
from livemosaic.api.responses.picture import RESPONSES
from livemosaic.api.routes.tiles import TileRequest
from livemosaic.api.wms.documented import DOCUMENTED, INFO_FORMATS
from livemosaic.render.encode import MEDIA_TYPES

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


_REPORT: Final[dict[str, Any]] = {"text/xml": {}, "application/vnd.ogc.se_xml": {}}
_OF_WMS: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The map still has an ETag of `If-None-Match`"},
    200: {
        "description": "A map, a legend, capabilities, values, or a service exception",
        "content": {
            **{kind: {} for kind in (*MEDIA_TYPES.values(), *INFO_FORMATS)},
            **_REPORT,
            "application/vnd.ogc.wms_xml": {},
        },
    },
    **{
        status: {"description": _DESCRIPTIONS[status], "content": {PROBLEM: {}, **_REPORT}}
        for status in ("401", "404", "503")
    },
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


def documented_wms(route: Route) -> APIRoute:
    """Converts a plain route of WMS to a FastAPI route, documented with the standard's parameters.

    Our own ones may be given, too; they are the ones of tiles.
    """
    return APIRoute(
        route.path,
        route.endpoint,
        tags=["web map service"],
        response_class=Response,
        responses=_OF_WMS,
        dependencies=[Depends(_if_none_match)],
        openapi_extra={"parameters": [*_wms_parameters(route.path)]},
    )


def _wms_parameters(path: str) -> Iterator[dict[str, Any]]:
    if "{mosaic}" in path:
        yield {"name": "mosaic", "in": "path", "required": True, "schema": {"type": "string"}}
    for name, (schema, text) in DOCUMENTED.items():
        place = {"name": name, "in": "query", "required": name == "REQUEST"}
        yield place | {"schema": schema, "description": text}


async def _if_none_match(if_none_match: IfNoneMatchHeader = None) -> None:
    """Documents the header, which the route reads by itself."""


def _parameters(path: str) -> Iterator[dict[str, Any]]:
    """Yields the path and query parameters of a tile route."""
    for name, schema in deepcopy(_fields()).items():
        in_path = f"{{{name}}}" in path
        if in_path or schema.get("default", ...) is None:  # as FastAPI does
            schema.pop("default", None)
        place = {"name": name, "in": "path" if in_path else "query", "required": in_path}
        texts = {"description": schema["description"]} if "description" in schema else {}
        yield place | {"schema": schema} | texts


@cache
def _fields() -> Mapping[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = TileRequest.model_json_schema()["properties"]
    return fields


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

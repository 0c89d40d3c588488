"""What the OpenAPI document says beyond what FastAPI derives from the routes."""

from collections.abc import Iterator
from typing import Any, Final

from livemosaic.api.access import PARAMETER

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


def say_refusals(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document what each operation may refuse, instead of FastAPI's 422."""
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


def say_how(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document how a credential is sent, where one is needed."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    schemes[PARAMETER] = {"type": "apiKey", "in": "query", "name": PARAMETER}
    document["security"] = [{}, {"bearer": []}, {PARAMETER: []}]

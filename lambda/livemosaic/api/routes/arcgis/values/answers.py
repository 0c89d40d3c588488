"""Responses in the forms of the ArcGIS REST API: JSON, indented JSON, a page; errors in each."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from livemosaic import errors
from livemosaic.api.documents.xml import written
from livemosaic.api.responses.errors import status_of
from livemosaic.api.routes.arcgis.values.asked import FORMAT, Asked, ServiceHiddenError
from livemosaic.errors import InvalidRequestError

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_PAGES: Final = ("html", "help")
_IN_BODY: Final = ("json", "pjson", "geojson")
"""Values of `f` whose clients read an error in the body of a 200."""
_TOKEN_REQUIRED: Final = 499
_INVALID_TOKEN: Final = 498
_FAILED: Final = "something went wrong here; it was logged"


def document(asked: Asked, found: Mapping[str, Any], *, geojson: bool = False) -> Response:
    """Returns a document in the form that the request names."""
    forms = ("json", "pjson", *_PAGES, *(("geojson",) if geojson else ()))
    if asked.f not in forms:
        raise InvalidRequestError(
            f"f {asked.f[:20]!r} is not known here; known are {', '.join(forms)}"
        )
    return _formed(asked.f, asked.request.url.path, found)


def _formed(form: str, path: str, found: Mapping[str, Any], status: int = 200) -> Response:
    if form in _PAGES:
        text = json.dumps(found, indent=2, ensure_ascii=False)
        page = written("arcgis.html", title=path, text=text)
        return HTMLResponse(page, status, {"X-Content-Type-Options": "nosniff"})
    indent = 2 if form == "pjson" else None
    separators = None if indent else (",", ":")
    body = json.dumps(found, indent=indent, separators=separators, allow_nan=False)
    kind = "application/geo+json" if form == "geojson" and "error" not in found else _JSON
    return Response(body, status, media_type=kind)


async def handle_known(request: Request, error: Exception) -> Response:
    """Responds to an error of ours, as ArcGIS Server does to one of its own."""
    status = status_of(error)
    if status == 500:
        return await handle_unknown(request, error)
    # By ArcGIS's own codes its clients ask for a login.
    if isinstance(error, ServiceHiddenError):
        return _failed(request, _TOKEN_REQUIRED, 401, f"Token Required: {error}")
    if isinstance(error, errors.UnauthorizedError):
        return _failed(request, _INVALID_TOKEN, 401, f"Invalid Token: {error}")
    return _failed(request, status, status, str(error))


async def handle_http(request: Request, error: Exception) -> Response:
    """Responds to a path or a method that no route has."""
    assert isinstance(error, HTTPException)  # noqa: S101 (as registered)
    return _failed(request, error.status_code, error.status_code, error.detail)


async def handle_unknown(request: Request, error: Exception) -> Response:
    """Responds to a bug."""
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return _failed(request, 500, 500, _FAILED)


def _failed(request: Request, code: int, status: int, message: str) -> Response:
    form = request.scope.get(FORMAT) or request.query_params.get("f", "html").lower()
    found = {"error": {"code": code, "message": message, "details": []}}
    in_body = form in _IN_BODY and status < 500
    shown = form if form in (*_IN_BODY, *_PAGES) else "json"
    answer = _formed(shown, request.url.path, found, 200 if in_body else status)
    answer.headers["Cache-Control"] = "no-store"
    if status == 503:
        answer.headers["Retry-After"] = "1"
    return answer

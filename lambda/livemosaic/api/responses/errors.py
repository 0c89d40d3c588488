"""HTTP responses to errors: a status for each class, and a body of RFC 9457 with the problem."""

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from livemosaic import errors
from livemosaic.api.problems import PROBLEM, problem

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

log = logging.getLogger(__name__)

_OF_FILES: Final = ("GET", "HEAD")
"""Methods of static files, which are no routes of their own."""

STATUS: Final[dict[type[errors.LivemosaicError], int]] = {
    errors.InvalidRequestError: 400,
    errors.InvalidItemError: 400,
    errors.UnauthorizedError: 401,
    errors.KeysUnavailableError: 503,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.InUseError: 409,
    errors.OutdatedError: 409,
    errors.TooLargeError: 413,
    errors.UnreadableAssetError: 502,
    errors.TableBusyError: 503,
    errors.TableUnavailableError: 503,
}
"""Status by error class, also for derived classes; any other error is a 500."""


def status_of(error: Exception) -> int:
    """Returns the status of an error by its class; 500 for one that no client can help."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def error_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Creates a response to a failed request, which no cache may store."""
    return JSONResponse(
        problem(status, detail),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=PROBLEM,
    )


def describe_errors(found: Sequence[Any]) -> str:
    """Describes the first of pydantic's validation errors, by the names of parameters."""
    return "; ".join(map(_describe_error, found[:5]))


def _describe_error(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"])
    value = found.get("input")
    given = f" (it is {str(value)[:80]!r})" if isinstance(value, str | int | float) else ""
    return f"{place}: {found['msg']}{given}"


async def _handle_known(request: Request, error: Exception) -> Response:
    status = status_of(error)
    if status == 500:
        return await _handle_unknown(request, error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)

    return error_response(status, str(error), headers)


async def _handle_unknown(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"path": request.url.path})

    return error_response(500, "something went wrong here; it was logged")


async def _handle_text(request: Request, error: Exception) -> Response:
    """Refuses text of JSON that holds half a surrogate pair, which is no character."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 (as registered)
    if error.reason != "surrogates not allowed":
        return await _handle_unknown(request, error)
    return error_response(400, f"text {error.object[:80]!r} cannot be written in Unicode")


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (as registered)
    headers = {**(error.headers or {})}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted({*_methods(request)} or _OF_FILES))
    return error_response(error.status_code, error.detail, headers)


def _methods(request: Request) -> Iterator[str]:
    """Yields the methods of all routes that have the path of a request (RFC 9110, 10.2.1)."""
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            yield from route.methods or ()
            if "GET" in (route.methods or ()):
                yield "HEAD"  # by the middleware


HANDLERS: Final[dict[int | type[Exception], Handler]] = {
    errors.LivemosaicError: _handle_known,
    HTTPException: _handle_http,
    UnicodeEncodeError: _handle_text,
    Exception: _handle_unknown,
}
"""Exception handlers by class; Starlette picks the most derived class that matches."""

"""Errors as HTTP answers: the status of each, and a body that says what is wrong."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from livemosaic import errors
from livemosaic.api.params.pixels import encodable

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

log = logging.getLogger(__name__)

STATUS: Final[dict[type[errors.LivemosaicError], int]] = {
    errors.InvalidRequestError: 400,
    errors.InvalidItemError: 400,
    errors.UnauthorizedError: 401,
    errors.KeysUnavailableError: 503,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.TooLargeError: 413,
    errors.UnreadableAssetError: 502,
    errors.TableBusyError: 503,
    errors.TableUnavailableError: 503,
}
"""The status of each error, and of those derived from it; 500 for the rest."""


def answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that refuses, which no cache may keep."""
    return JSONResponse(
        {"detail": encodable(detail)},
        status,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )


def problems(found: Sequence[Any]) -> str:
    """What pydantic found to be wrong, by the names of parameters."""
    return "; ".join(map(_problem, found[:5]))


def _problem(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"])
    value = found.get("input")
    given = f" (it is {str(value)[:80]!r})" if isinstance(value, str | int | float) else ""
    return f"{place}: {found['msg']}{given}"


async def _known_error(request: Request, error: Exception) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return await _unknown_error(request, error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    return answer(status, str(error), headers)


async def _unknown_error(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return answer(500, "something went wrong here; it was logged")


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (as registered)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)


HANDLERS: Final[dict[int | type[Exception], Handler]] = {
    errors.LivemosaicError: _known_error,
    HTTPException: _http_error,
    Exception: _unknown_error,
}
"""By the error that each of them answers; of those that fit one, the nearest class."""

"""Errors as HTTP answers: the status of each, and a body that says what is wrong."""

import logging
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from livemosaic import errors
from livemosaic.api.params.pixels import encodable

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


async def _known_error(_: Request, error: Exception) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return await _unknown_error(_, error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    return _answer(status, str(error), headers)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (as registered)
    problems = error.errors()[:5]
    told = "; ".join(map(_told, problems))
    if any(p["loc"][0] == "body" for p in problems) and not _says_json(request):
        told += "; send it with the header Content-Type: application/json"
    return _answer(400, told)


def _says_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")


def _told(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    value = problem.get("input")
    given = f" (it is {str(value)[:80]!r})" if isinstance(value, str | int | float) else ""
    return f"{place}: {problem['msg']}{given}"


async def _unknown_error(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return _answer(500, "something went wrong here; it was logged")


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"detail": encodable(detail)},
        status,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )

"""Requests of ArcGIS clients: parameters in a query or in a form, the response format, tokens."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from livemosaic.api.access import TOKEN_PARAMETER, is_writer, mosaic_of, services_of
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services

FORMAT: Final = "livemosaic.arcgis.format"
"""Key in the ASGI scope of the value of `f`, which decides the form of errors, too."""
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FORM_BYTES: Final = 1_000_000
_MAX_FIELDS: Final = 200
_ESRI_TOKEN: Final = "x-esri-authorization"  # noqa: S105 (a name)
_YES_NO: Final = {"true": True, "1": True, "false": False, "0": False}


class ServiceHiddenError(NotFoundError):
    """There is no service of that name, or none that may be seen without a token."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and its parameters by name in lower case; empty ones are left out.

    ArcGIS Server reads names in any case, and an empty value as one that is not given.
    """

    request: Request
    services: Services
    parameters: Mapping[str, str]
    linked: Mapping[str, str]
    """The parameters that links may carry: no token that came in a header, nor one of writers."""

    @classmethod
    async def of(cls, request: Request) -> "Asked":
        """Reads a request, of which a form counts before the query.

        A token that is a parameter, or in a header as ArcGIS's clients send it, becomes the access
        token of the request, whose scope is changed.
        """
        given = [*request.query_params.multi_items(), *await _form(request)]
        found = {name.lower(): value for name, value in given if value}
        shared = _move_token(request, found)
        linked = {k: v for k, v in found.items() if shared or k != TOKEN_PARAMETER}
        request.scope[FORMAT] = found.get("f", "html").lower()
        return cls(Request(request.scope), services_of(request), found, linked)

    @property
    def f(self) -> str:
        """The response format: `json`, `pjson`, `html`, `image`, `geojson`."""
        form: str = self.request.scope[FORMAT]
        return form

    @property
    def base(self) -> str:
        """The URL of the catalogue of services, without a slash at its end."""
        return f"{self.request.base_url}arcgis/rest/services"

    async def mosaic(self) -> Mosaic:
        """Returns the mosaic in the path, if the caller may see it."""
        name = self.request.path_params["mosaic"]
        try:
            return await run_in_threadpool(mosaic_of, name, self.request)
        except NotFoundError as error:
            if TOKEN_PARAMETER in self.request.query_params:
                raise
            raise ServiceHiddenError(
                f"there is no service {name[:80]!r} that everybody may see; add token=TOKEN"
            ) from error

    def get(self, name: str) -> str | None:
        """Returns a parameter as text; None if it is not given."""
        return self.parameters.get(name.lower())

    def flag(self, name: str, *, default: bool) -> bool:
        """Returns a parameter that is `true` or `false`."""
        text = self.get(name)
        return default if text is None else yes_or_no(name, text)

    def whole(self, name: str, default: int, least: int = 0, most: int = 2**31) -> int:
        """Returns a parameter that is a whole number between two others, both included."""
        text = self.get(name)
        if text is None:
            return default
        number = number_of(name, text)
        if not (number.is_integer() and least <= number <= most):
            raise InvalidRequestError(
                f"{name} {text[:80]!r} must be a whole number of {least} to {most}"
            )
        return int(number)

    def numbers(self, name: str) -> list[float]:
        """Returns the numbers of a parameter between commas; none if it is not given."""
        text = self.get(name)
        return [] if text is None else [number_of(name, part) for part in text.split(",")]

    def object(self, name: str) -> Any:
        """Returns a parameter in JSON; None if it is not given."""
        text = self.get(name)
        return None if text is None else parse_json(name, text)


async def _form(request: Request) -> list[tuple[str, str]]:
    """Returns the fields of a form in the body (URL-encoded, or of several parts)."""
    if request.method != "POST":
        return []
    # What cannot be read says no `f`; programs send forms, and read JSON.
    request.scope[FORMAT] = request.query_params.get("f", "json").lower()
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if kind == _FORM:
        body = await request.body()
        if len(body) > _MAX_FORM_BYTES:
            raise InvalidRequestError(f"the form has more than {_MAX_FORM_BYTES:,} bytes")
        try:
            return parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise InvalidRequestError("the body is no form in UTF-8") from error
    raise InvalidRequestError(f"the body must be a form, {_FORM}; it is {kind[:80]!r}")


def _move_token(request: Request, found: dict[str, str]) -> bool:
    """Makes a token the access token; returns whether links may carry it.

    One of the query or the form comes before one in a header.
    """
    scheme, _, bearer = request.headers.get(_ESRI_TOKEN, "").partition(" ")
    given = found.pop("token", "") or found.get(TOKEN_PARAMETER, "")
    token = given or (bearer.strip() if scheme.lower() == "bearer" else "")
    if token:
        query = [(name, text) for name, text in found.items() if name != TOKEN_PARAMETER]
        query.append((TOKEN_PARAMETER, token))
        found[TOKEN_PARAMETER] = token
        request.scope["query_string"] = urlencode(query).encode()
        headers = MutableHeaders(scope=request.scope)
        if _ESRI_TOKEN in headers:
            del headers[_ESRI_TOKEN]
    return bool(given) and not is_writer(services_of(request), given)


def yes_or_no(name: str, text: str) -> bool:
    """Parses `true`, `false`, 1 or 0; `InvalidRequestError` names the parameter."""
    if text.lower() not in _YES_NO:
        raise InvalidRequestError(f"{name} {text[:80]!r} must be true or false")
    return _YES_NO[text.lower()]


def number_of(name: str, value: object) -> float:
    """Returns a finite number, of text or of JSON; `InvalidRequestError` names the parameter."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequestError(f"{name} {str(value)[:80]!r} must be a finite number")
    return number


def parse_json(name: str, text: str) -> Any:
    """Parses JSON of a parameter; `InvalidRequestError` names the parameter."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{name} {text[:80]!r} is not JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")

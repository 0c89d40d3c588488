"""Authorization: who may see a mosaic, and who may write."""

import secrets
from collections.abc import Callable, Iterator
from typing import Final

from starlette.datastructures import URL
from starlette.requests import Request

from livemosaic.api.gateway import is_authorized
from livemosaic.auth.tokens import EVERYTHING, scope_of
from livemosaic.errors import NotFoundError, UnauthorizedError
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services

TOKEN_PARAMETER: Final = "access_token"  # noqa: S105 (a name)
"""Query parameter of a token (RFC 6750, 2.3); `token` is a page token in STAC APIs."""
PRIVATE: Final = "livemosaic.private"
"""Key in the ASGI scope of a request whose response depends on a credential."""
MISSING: Final = "livemosaic.missing"
"""Key in the ASGI scope of a request about a derived mosaic without some of its sources."""


def services_of(request: Request) -> Services:
    """Returns the services of the application that handles the request."""
    found: Services = request.app.state.services
    return found


def mosaic_of(mosaic: str, request: Request) -> Mosaic:
    """Returns the mosaic named in the path, at most seconds old, if the caller may see it."""
    return _visible(mosaic, services_of(request).cache.get, request)


def current_mosaic(mosaic: str, request: Request) -> Mosaic:
    """Returns the current state of the mosaic named in the path, if the caller may see it."""
    return _visible(mosaic, services_of(request).mosaics.get, request)


def visible_mosaics(request: Request) -> list[Mosaic]:
    """Returns the mosaics that the caller may see, sorted by id."""
    return [mosaic for mosaic in visible_mosaics_after(request) if mosaic is not None]


def visible_mosaics_after(request: Request, mosaic_id: str = "") -> Iterator[Mosaic | None]:
    """Yields the mosaics after an id, sorted by id; None for each that the caller may not see.

    They are read a page at a time, as far as they are taken.
    """
    scope = _granted_scope(request)
    if scope is not None:
        request.scope[PRIVATE] = True
    for mosaic in services_of(request).mosaics.after(mosaic_id):
        seen = mosaic.access == "public" or scope in (EVERYTHING, scope_of(mosaic))
        yield mosaic if seen else None


def _visible(mosaic_id: str, find: Callable[[str], Mosaic], request: Request) -> Mosaic:
    """Without a token, a private mosaic and a missing one raise the same error: ids are secret."""
    try:
        found: Mosaic | None = find(mosaic_id)
    except NotFoundError:
        found = None
    if found is not None and found.missing:
        request.scope[MISSING] = found.missing
    if found is not None and found.access == "public":
        return found
    scope = _granted_scope(request)
    if scope is None:
        raise NotFoundError(
            f"there is no mosaic {mosaic_id[:80]!r} that everybody may see; if it is private, add "
            f"{TOKEN_PARAMETER}=TOKEN to the URL or send 'Authorization: Bearer TOKEN' ("
            "`livemosaic token` creates one)"
        )
    if found is None and scope == EVERYTHING:
        raise NotFoundError(f"there is no mosaic {mosaic_id[:80]!r}")
    if found is None or scope not in (EVERYTHING, scope_of(found)):
        raise UnauthorizedError(
            f"the access token does not open mosaic {mosaic_id[:80]!r}: it is for another one"
        )
    request.scope[PRIVATE] = True
    return found


def _granted_scope(request: Request) -> str | None:
    """Returns the scope of the caller's credential; None without one. Writers see everything."""
    services = services_of(request)
    if is_authorized(request.scope, services.settings.authorizer):
        return EVERYTHING
    bearer = _bearer(request)
    if bearer and is_writer(services, bearer):
        return EVERYTHING
    token = bearer or request.query_params.get(TOKEN_PARAMETER)
    return services.tokens.scope(token) if token else None


def with_token(request: Request, url: str) -> str:
    """Adds the token in the request's query to a link, for clients that follow links."""
    token = request.query_params.get(TOKEN_PARAMETER)
    return str(URL(url).include_query_params(**{TOKEN_PARAMETER: token})) if token else url


def may_write(request: Request) -> None:
    """Raises `UnauthorizedError` unless the request is signed with IAM, or carries the writers'
    bearer token (RFC 6750)."""
    services = services_of(request)
    if is_authorized(request.scope, services.settings.authorizer):
        return
    if services.settings.token is None:
        raise UnauthorizedError(
            "this server accepts no writes over HTTP: it was started without LIVEMOSAIC_TOKEN. On "
            "AWS, sign writes with IAM credentials: livemosaic --api URL …"
        )
    bearer = _bearer(request)
    if not bearer:
        raise UnauthorizedError("writing needs a header 'Authorization: Bearer TOKEN'")
    if not is_writer(services, bearer):
        raise UnauthorizedError("that bearer token is not this server's")


def _bearer(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def is_writer(services: Services, bearer: str) -> bool:
    """Whether a bearer token is the writers' one."""
    token = services.settings.token
    return token is not None and secrets.compare_digest(
        bearer.encode(), token.get_secret_value().encode()
    )

"""Who may see a mosaic, and who may write."""

import secrets
from collections.abc import Callable
from typing import Final

from starlette.datastructures import URL
from starlette.requests import Request

from livemosaic.api.gateway import is_authorized
from livemosaic.auth.tokens import EVERYTHING, scope_of
from livemosaic.errors import NotFoundError, UnauthorizedError
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services

PARAMETER: Final = "access_token"
"""Of the query, as in RFC 6750, 2.3; `token` is a page of STAC APIs."""
OPENED: Final = "livemosaic.opened"
"""In the scope of a request whose answer is for who holds a credential."""


def services_of(request: Request) -> Services:
    """The services of the application that answers the request."""
    found: Services = request.app.state.services
    return found


def mosaic_of(mosaic: str, request: Request) -> Mosaic:
    """The mosaic named in the path, at most seconds old, if the caller may see it."""
    return _seen(mosaic, services_of(request).cache.get, request)


def mosaic_now(mosaic: str, request: Request) -> Mosaic:
    """The mosaic named in the path as it is now, if the caller may see it."""
    return _seen(mosaic, services_of(request).mosaics.get, request)


def mosaics_of(request: Request) -> list[Mosaic]:
    """The mosaics that the caller may see, by id."""
    scope = _scope_held(request)
    if scope is not None:
        request.scope[OPENED] = True
    return [
        mosaic
        for mosaic in services_of(request).mosaics.all()
        if mosaic.access == "public" or scope in (EVERYTHING, scope_of(mosaic))
    ]


def _seen(mosaic_id: str, find: Callable[[str], Mosaic], request: Request) -> Mosaic:
    """Answers alike for a private mosaic and for none, so that nobody learns which there are."""
    try:
        found: Mosaic | None = find(mosaic_id)
    except NotFoundError:
        found = None
    if found is not None and found.access == "public":
        return found
    scope = _scope_held(request)
    if scope is None:
        raise NotFoundError(
            f"there is no mosaic {mosaic_id[:80]!r} that everybody may see; if it is private, add "
            f"{PARAMETER}=TOKEN to the URL or send 'Authorization: Bearer TOKEN' (`livemosaic "
            "token` makes one)"
        )
    if found is None and scope == EVERYTHING:
        raise NotFoundError(f"there is no mosaic {mosaic_id[:80]!r}")
    if found is None or scope not in (EVERYTHING, scope_of(found)):
        raise UnauthorizedError(
            f"the access token does not open mosaic {mosaic_id[:80]!r}: it is for another one"
        )
    request.scope[OPENED] = True
    return found


def _scope_held(request: Request) -> str | None:
    """What the caller's credential opens; None without one. Who may write may see everything."""
    services = services_of(request)
    if is_authorized(request.scope, services.settings.authorizer):
        return EVERYTHING
    bearer = _bearer(request)
    if bearer and _is_writer(services, bearer):
        return EVERYTHING
    token = bearer or request.query_params.get(PARAMETER)
    return services.tokens.scope(token) if token else None


def carrying(request: Request, url: str) -> str:
    """A link with the token that the request has in its query, for clients that follow links."""
    token = request.query_params.get(PARAMETER)
    return str(URL(url).include_query_params(**{PARAMETER: token})) if token else url


def may_write(request: Request) -> None:
    """Let through who signed for API Gateway, or carries the bearer token (RFC 6750)."""
    services = services_of(request)
    if is_authorized(request.scope, services.settings.authorizer):
        return
    if services.settings.token is None:
        raise UnauthorizedError(
            "this server takes no writes over HTTP: it was started without LIVEMOSAIC_TOKEN. On "
            "AWS, writes are signed with IAM credentials: livemosaic --api URL …"
        )
    bearer = _bearer(request)
    if not bearer:
        raise UnauthorizedError("writing needs a header 'Authorization: Bearer TOKEN'")
    if not _is_writer(services, bearer):
        raise UnauthorizedError("that bearer token is not this server's")


def _bearer(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _is_writer(services: Services, bearer: str) -> bool:
    token = services.settings.token
    return token is not None and secrets.compare_digest(
        bearer.encode(), token.get_secret_value().encode()
    )

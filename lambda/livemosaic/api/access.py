"""Who may see a mosaic, and who may write."""

import secrets
from typing import Annotated

from fastapi import Depends, Header, Request

from livemosaic.api.gateway import signed_by
from livemosaic.api.params import Has
from livemosaic.errors import UnauthorizedError
from livemosaic.model import Mosaic


def mosaic_of(mosaic: str, has: Has) -> Mosaic:
    """The mosaic named in the path, at most seconds old."""
    return has.cache.get(mosaic)


OfMosaic = Annotated[Mosaic, Depends(mosaic_of)]


def may_write(request: Request, has: Has, authorization: Annotated[str, Header()] = "") -> None:
    """Let through who signed for API Gateway, or carries the bearer token (RFC 6750)."""
    if signed_by(request.scope):
        return
    token = has.settings.token
    if token is None:
        raise UnauthorizedError(
            "this server takes no writes over HTTP: it was started without LIVEMOSAIC_TOKEN. On "
            "AWS, writes are signed with IAM credentials: livemosaic --api URL …"
        )
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise UnauthorizedError("writing needs a header 'Authorization: Bearer TOKEN'")
    if not secrets.compare_digest(given.strip().encode(), token.get_secret_value().encode()):
        raise UnauthorizedError("that bearer token is not this server's")

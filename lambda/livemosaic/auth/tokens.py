"""Access tokens: the holder of one may see a private mosaic until it expires.

A token is a JWT signed with HMAC-SHA256 (RFC 7519, RFC 7515). Its `aud` is its scope, its `kid`
names the key. PyJWT takes a while to import, so it is imported for the first token.
"""

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from livemosaic.auth.keys import KeyRing
from livemosaic.errors import InvalidRequestError, UnauthorizedError
from livemosaic.model.mosaic import Mosaic

EVERYTHING: Final = "*"
"""The scope of all mosaics, including future ones."""
_ALGORITHM: Final = "HS256"
_SKEW_S: Final = 30
"""Tolerated difference between two machines' clocks."""
_FORM: Final = re.compile(r"[\w-]{1,200}\.[\w-]{1,400}\.[\w-]{43}", re.ASCII)
"""Longer than any of our tokens; bounds what is parsed before its signature is verified."""
_NOT_OURS: Final = (
    "this server does not know the access token; it may be cut off, or its key was replaced"
)


def scope_of(mosaic: Mosaic) -> str:
    """Returns the scope of a mosaic; one created later under the same id has another."""
    return f"{mosaic.id}/{mosaic.generation}"


@dataclass(frozen=True, slots=True)
class Granted:
    """A new access token and its expiry."""

    token: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs and verifies access tokens."""

    keys: KeyRing
    max_age_s: int
    """The longest lifetime of a new token."""

    def mint(self, scope: str, lifetime_s: int) -> Granted:
        """Returns a new token for a scope."""
        import jwt

        if not 1 <= lifetime_s <= self.max_age_s:
            raise InvalidRequestError(
                f"a token cannot be valid for {lifetime_s} seconds, only for 1 to {self.max_age_s} "
                "(LIVEMOSAIC_MAX_TOKEN_AGE_S)"
            )
        key, now = self.keys.newest(), int(time.time())
        claims = {"aud": scope, "iat": now, "exp": now + lifetime_s}
        token = jwt.encode(claims, key.secret, _ALGORITHM, headers={"kid": key.id})
        return Granted(token, datetime.fromtimestamp(now + lifetime_s, UTC))

    def scope(self, token: str) -> str:
        """Returns a token's scope; `UnauthorizedError` if it is invalid or has expired.

        The caller checks whether the scope covers the request.
        """
        if not _FORM.fullmatch(token):
            raise UnauthorizedError(_NOT_OURS)
        import jwt

        try:
            key = self.keys.named(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise UnauthorizedError(_NOT_OURS)
            claims = jwt.decode(
                token,
                key.secret,
                algorithms=[_ALGORITHM],
                leeway=_SKEW_S,
                options={"require": ["aud", "exp", "iat"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise UnauthorizedError("the access token has expired; request a new one") from error
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError(_NOT_OURS) from error
        return str(claims["aud"])

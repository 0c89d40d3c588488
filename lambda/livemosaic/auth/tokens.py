"""Access tokens: whoever holds one may see a private mosaic until it expires.

A token is a JWT signed with HMAC-SHA256 (RFC 7519, RFC 7515). Its `aud` is what it opens, its `kid`
names the key. PyJWT takes a while to import, so it is imported where the first token is.
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
"""The scope of all mosaics, those to come too."""
_ALGORITHM: Final = "HS256"
_SKEW_S: Final = 30
"""How far two machines' clocks may be apart."""
_FORM: Final = re.compile(r"[\w-]{1,200}\.[\w-]{1,400}\.[\w-]{43}", re.ASCII)
"""Longer than any of ours, it bounds what is parsed before a signature is known to be right."""
_NOT_OURS: Final = (
    "the access token is not one that this server knows; it may be cut off, or its key was replaced"
)


def scope_of(mosaic: Mosaic) -> str:
    """The scope of one mosaic: one made again under the same id is another."""
    return f"{mosaic.id}/{mosaic.generation}"


@dataclass(frozen=True, slots=True)
class Granted:
    """A new token."""

    token: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs and checks them."""

    keys: KeyRing
    max_age_s: int
    """The longest life of a new one."""

    def mint(self, scope: str, lifetime_s: int) -> Granted:
        """A token that opens a scope from now on."""
        import jwt

        if not 1 <= lifetime_s <= self.max_age_s:
            raise InvalidRequestError(
                f"a token cannot be good for {lifetime_s} seconds, only for 1 to {self.max_age_s} "
                "(LIVEMOSAIC_MAX_TOKEN_AGE_S)"
            )
        key, now = self.keys.newest(), int(time.time())
        claims = {"aud": scope, "iat": now, "exp": now + lifetime_s}
        token = jwt.encode(claims, key.secret, _ALGORITHM, headers={"kid": key.id})
        return Granted(token, datetime.fromtimestamp(now + lifetime_s, UTC))

    def scope(self, token: str) -> str:
        """What a token opens; `UnauthorizedError` where it opens nothing, or no more.

        Whether that is what is asked for, the caller has to see.
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
            raise UnauthorizedError("the access token has expired; ask for a new one") from error
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError(_NOT_OURS) from error
        return str(claims["aud"])

"""NASA's Earthdata Login: its tokens, and the AWS keys that its users may have.

As `obstore.auth.earthdata`, with which the tests compare it: that one needs `requests`, which no
Lambda bundle has, follows redirects to any host, and waits without limit.
"""

import base64
import json
import netrc
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from livemosaic.auth.secrets import SecretName
from livemosaic.storage.access.endpoints import (
    Endpoints,
    is_sendable,
    read_secret,
    secret_member,
)
from livemosaic.storage.access.expiring import Expiring
from livemosaic.storage.access.way import is_local
from livemosaic.storage.objects import DeniedError, ObjectError

_HOST: Final = "urs.earthdata.nasa.gov"
_MAX_AGE_S: Final = 300.0
"""How long a token of a secret is kept; tokens last 60 days, and secrets are replaced."""
_LOGIN: Final = "Earthdata Login"


def login_host() -> str:
    """Returns the host of Earthdata Login: `EARTHDATA_HOST`, else NASA's (as obstore)."""
    return os.environ.get("EARTHDATA_HOST") or _HOST


class EarthdataTokens:
    """Bearer tokens of one account: given, or had for user name and password. Thread-safe.

    The named secret is a token, or JSON of `username` and `password`. Without one, they are found
    as other tools of Earthdata find them: EARTHDATA_TOKEN, EARTHDATA_USERNAME and
    EARTHDATA_PASSWORD, `~/.netrc`.
    """

    def __init__(self, endpoints: Endpoints, name: SecretName | None) -> None:
        self._endpoints, self._name = endpoints, name
        self._token = Expiring(self._find)

    def get(self) -> str:
        """Returns a token; ObjectError says what is missing."""
        return self._token.get()

    def drop(self, refused: str) -> bool:
        """Forgets a token that was refused; returns whether to try again with another."""
        return self._token.drop(refused) and self._token.get() != refused

    def _find(self) -> tuple[str, float]:
        token, account = self._given()
        if token:
            if not is_sendable(token):
                raise DeniedError(f"may not be read: the token of {_LOGIN} is no bearer token")
            return token, time.time() + _MAX_AGE_S
        if account is None:
            raise DeniedError(
                f"may not be read: it needs an {_LOGIN}, and none was found: set EARTHDATA_TOKEN, "
                "or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or ~/.netrc, or write the prefix as "
                "https://HOST/ earthdata=ARN of a secret"
            )
        return self._made(*account)

    def _given(self) -> tuple[str, tuple[str, str] | None]:
        if self._name is not None:
            return _token_or_account(read_secret(self._name), self._name.text)
        if token := os.environ.get("EARTHDATA_TOKEN", "").strip():
            return token, None
        user, password = map(os.environ.get, ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"))
        if user and password:
            return "", (user, password)
        return "", _netrc_account(login_host().partition(":")[0])

    def _made(self, user: str, password: str) -> tuple[str, float]:
        """Returns the account's token, made if there is none ("User Tokens" of its API)."""
        host = login_host()
        scheme = "http" if is_local(host.partition(":")[0]) else "https"
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        found = self._endpoints.json(
            "POST",
            f"{scheme}://{host}/api/users/find_or_create_token",
            {"Authorization": f"Basic {pair}"},
            whose=_LOGIN,
        )
        try:
            end = datetime.strptime(found["expiration_date"], "%m/%d/%Y").replace(tzinfo=UTC)
            return secret_member(found, "access_token"), max(
                end.timestamp(), time.time() + _MAX_AGE_S
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DeniedError(f"may not be read: {_LOGIN} gives no token") from error


class EarthdataKeys:
    """AWS keys for the buckets behind one `s3credentials` endpoint, for obstore. Thread-safe."""

    def __init__(self, endpoints: Endpoints, tokens: EarthdataTokens, url: str) -> None:
        self._endpoints, self._tokens, self._url = endpoints, tokens, url
        self._keys = Expiring(self._fetch)

    def __call__(self) -> Any:
        """Returns keys as obstore's `S3Credential`."""
        keys, end = self._keys.with_end()
        return {**keys, "expires_at": datetime.fromtimestamp(end, UTC)}

    def _fetch(self) -> tuple[dict[str, str], float]:
        token = self._tokens.get()
        try:
            found = self._ask(token)
        except ObjectError as error:
            if not _is_refusal(error) or not self._tokens.drop(token):
                raise
            found = self._ask(self._tokens.get())
        try:
            keys = {
                "access_key_id": secret_member(found, "accessKeyId"),
                "secret_access_key": secret_member(found, "secretAccessKey"),
                "token": secret_member(found, "sessionToken"),
            }
            return keys, datetime.fromisoformat(found["expiration"]).timestamp()
        except (KeyError, TypeError, ValueError) as error:
            raise DeniedError(f"may not be read: {self._whose} gives no keys") from error

    def _ask(self, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return self._endpoints.json("GET", self._url, headers, whose=self._whose)

    @property
    def _whose(self) -> str:
        return f"the endpoint of Earthdata's keys ({urlsplit(self._url).hostname})"


def _is_refusal(error: ObjectError) -> bool:
    return type(error) is ObjectError


def _token_or_account(text: str, name: str) -> tuple[str, tuple[str, str] | None]:
    if not text.startswith("{"):
        return text, None
    try:
        found = json.loads(text)
        return "", (str(found["username"]), str(found["password"]))
    except (ValueError, KeyError) as error:
        raise DeniedError(
            f"may not be read: the secret {name} is neither a token nor JSON with username and "
            "password"
        ) from error


def _netrc_account(host: str) -> tuple[str, str] | None:
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2]) if found and found[0] and found[2] else None

"""Access keys for S3 that an allowed prefix names: a role's, or keys in a secret. For obstore."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.auth.credentials import CredentialsError
from livemosaic.auth.roles import assume_role
from livemosaic.auth.secrets import SecretName, SecretUnavailableError
from livemosaic.storage.access.endpoints import read_secret
from livemosaic.storage.access.expiring import Expiring
from livemosaic.storage.access.known import CREDENTIAL_ENDPOINTS
from livemosaic.storage.access.logins import Logins
from livemosaic.storage.access.way import Way
from livemosaic.storage.objects import DeniedError, UnavailableError

_SECRET_S: Final = 900.0
"""How long keys of a secret are kept."""


def credentials(keys: tuple[dict[str, Any], float]) -> dict[str, Any]:
    """Returns keys and their end in Unix time as obstore's `S3Credential`."""
    return {**keys[0], "expires_at": datetime.fromtimestamp(keys[1], UTC)}


def keys(way: Way, bucket: str, logins: Callable[[], Logins]) -> Callable[[], Any]:
    """Returns the provider of the keys that a way in names for a bucket."""
    if way.keys:
        return NamedKeys(way.keys)
    if way.role:
        return RoleKeys(way)
    return logins().earthdata_keys(way, way.s3credentials or CREDENTIAL_ENDPOINTS[bucket])


class NamedKeys:
    """Keys in a secret: `ID:SECRET`, or JSON with `access_key_id` and `secret_access_key`."""

    def __init__(self, name: SecretName) -> None:
        self._name = name
        self._keys = Expiring(self._read)

    def __call__(self) -> Any:
        """Returns keys as obstore's `S3Credential`; ObjectError names the secret."""
        return credentials(self._keys.with_end())

    def _read(self) -> tuple[dict[str, Any], float]:
        text = read_secret(self._name)
        try:
            found = json.loads(text) if text.startswith("{") else None
            key, _, secret = text.partition(":") if found is None else ("", "", "")
            keys = {
                "access_key_id": str(found["access_key_id"]) if found else key,
                "secret_access_key": str(found["secret_access_key"]) if found else secret,
                "token": found.get("token") if found else None,
            }
        except (ValueError, KeyError):
            keys = {}
        if not (keys.get("access_key_id") and keys.get("secret_access_key")):
            raise DeniedError(
                f"may not be read: the secret {self._name.text} is neither ID:SECRET nor JSON with "
                "access_key_id and secret_access_key"
            )
        return keys, time.time() + _SECRET_S


class RoleKeys:
    """Keys of a role that this process assumes (STS, AssumeRole). Thread-safe."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._keys = Expiring(self._assume)

    def __call__(self) -> Any:
        """Returns keys as obstore's `S3Credential`; ObjectError names the role."""
        return credentials(self._keys.with_end())

    def _assume(self) -> tuple[dict[str, Any], float]:
        try:
            return assume_role(self._way.role, self._way.external_id)
        except CredentialsError as error:
            raise DeniedError(f"may not be read: {error}") from error
        except SecretUnavailableError as error:
            raise UnavailableError(f"cannot be read now: {error}") from error

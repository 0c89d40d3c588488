"""Requests to endpoints that give tokens: JSON of a few kilobytes, over HTTPS."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import urllib3

from livemosaic.auth.credentials import CredentialsError
from livemosaic.auth.secrets import SecretName, SecretUnavailableError
from livemosaic.storage.access.way import is_safe
from livemosaic.storage.http import TimelyPools, read_within, trust
from livemosaic.storage.objects import DeniedError, UnavailableError, UnreachableError

_TIMEOUT: Final = urllib3.Timeout(connect=3, read=10)
_WHOLE_S: Final = 10.0
"""Time limit for a whole answer, however slowly its bytes arrive."""
_MAX_BYTES: Final = 64 * 1024
_SECRET: Final = re.compile(r"[!-~]+")


class Endpoints:
    """Connections to endpoints. Redirects are not followed: they would carry secrets along."""

    def __init__(self) -> None:
        self._pool = TimelyPools(
            num_pools=8,
            ssl_context=trust(),
            timeout=_TIMEOUT,
            retries=urllib3.Retry(
                total=1,
                redirect=0,
                allowed_methods=None,
                status_forcelist=(429, 500, 502, 503, 504),
                backoff_factor=0.2,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
        )

    def json(
        self, method: str, url: str, headers: Mapping[str, str], *, whose: str
    ) -> Mapping[str, Any]:
        """Returns the JSON object that an endpoint answers with.

        ObjectError if it refuses, UnavailableError if trying again may help; messages name it by
        `whose` and show nothing of what was sent or answered.
        """
        if not is_safe(url):
            raise DeniedError(f"may not be read: {whose} is not at an https URL")
        try:
            answer = self._pool.request(
                method, url, headers=dict(headers), redirect=False, preload_content=False
            )
            with answer:
                status, body = answer.status, read_within(answer, _MAX_BYTES, _WHOLE_S)
        except TimeoutError as error:
            raise UnavailableError(f"cannot be read: {whose} takes too long") from error
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(
                f"cannot be read: {whose} failed or could not be reached ({type(error).__name__})"
            ) from error
        if status == 429 or status >= 500:
            raise UnavailableError(f"cannot be read: {whose} gives HTTP {status}")
        if status != 200:
            raise DeniedError(f"may not be read: {whose} refuses (HTTP {status})")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise DeniedError(f"may not be read: {whose} does not answer with JSON") from error
        if not isinstance(found, Mapping):
            raise DeniedError(f"may not be read: {whose} answers with no JSON object")
        return found


def is_sendable(secret: str) -> bool:
    """Whether a header or a URL can carry a secret: an error about one that cannot shows it."""
    return bool(_SECRET.fullmatch(secret))


def secret_member(found: Mapping[str, Any], name: str) -> str:
    """Returns a member of an answer; ValueError, which does not repeat it, if it is no secret."""
    value = found[name]
    if not isinstance(value, str) or not is_sendable(value):
        raise ValueError(f"{name} is no secret")
    return value


def read_secret(name: SecretName) -> str:
    """Returns a secret; ObjectError names the one that cannot be read, and why."""
    try:
        return name.read()
    except CredentialsError as error:
        raise DeniedError(f"may not be read: {error}") from error
    except SecretUnavailableError as error:
        raise UnavailableError(f"cannot be read now: {error}") from error

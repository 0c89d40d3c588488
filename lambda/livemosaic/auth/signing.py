"""Headers that authorize a request: a bearer token, or an AWS signature."""

import re
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from livemosaic.auth.credentials import CredentialsError, Identity
from livemosaic.errors import InvalidRequestError

_GATEWAY: Final = re.compile(
    r"[^.]+\.execute-api(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)


class Authorize(Protocol):
    """Authorizes one request, given exactly as it is sent."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Returns the given headers and the authorizing ones."""
        ...


class Bearer:
    """Authorizes by a bearer token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        if not re.fullmatch(r"[!-~]+", token):
            raise InvalidRequestError(
                "the token holds a space, a control character or one beyond ASCII, which no header "
                "can carry"
            )
        self._token = token

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Returns the given headers and `Authorization`."""
        del method, url, body
        return {**headers, "Authorization": f"Bearer {self._token}"}


class AwsSignature:
    """Signs for API Gateway (Signature Version 4) with `Identity.find`, called when first needed.

    Each attempt needs a new signature: it contains the time, and is valid for five minutes.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._lock = Lock()

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Returns the given headers and the signature; CredentialsError gives advice."""
        identity = self._found()
        place = "execute-api", _region(url, identity)
        return signed(method, url, headers, body, identity, *place)

    def _found(self) -> Identity:
        with self._lock:
            if self._identity is None:
                try:
                    self._identity = Identity.find()
                except CredentialsError as error:
                    message = f"{error}; an API that is not on AWS takes a --token"
                    raise CredentialsError(message) from error
            return self._identity


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    identity: Identity,
    service: str,
    region: str,
) -> Mapping[str, str]:
    """Returns the headers of a request to an AWS service, other than S3, with its signature
    (Signature Version 4)."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    # SigV4Auth encodes the encoded path once more, as every service but S3 requires.
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    SigV4Auth(identity.keys(), service, region).add_auth(request)
    found: Any = request.headers
    return dict(found.items())


def _region(url: str, identity: Identity) -> str:
    host = urlsplit(url).hostname or ""
    if found := _GATEWAY.fullmatch(host):
        return found["region"]
    if identity.region is None:
        raise CredentialsError(
            f"the host {host!r} does not say the region of its API: set AWS_REGION, or a region in "
            "the AWS profile"
        )
    return identity.region

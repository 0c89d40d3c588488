"""Headers by which an API lets a request through: a bearer token, or the signature of AWS."""

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
    """Gives one request, exactly as it is sent, all the headers that it needs."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """The headers given, and those that let it through."""
        ...


class Bearer:
    """A token (RFC 6750)."""

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
        """See `Authorize`."""
        del method, url, body
        return {**headers, "Authorization": f"Bearer {self._token}"}


class AwsSignature:
    """Signature Version 4 for API Gateway with `Identity.find`, looked for when first needed.

    Made anew for each attempt, as it holds the time and AWS takes it for five minutes. Shared by
    threads.
    """

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._lock = Lock()

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """See `Authorize`. CredentialsError says what to do."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        identity = self._found()
        # It encodes the path again, which is encoded already, as every service but S3 wants it.
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        SigV4Auth(identity.keys(), "execute-api", _region(url, identity)).add_auth(request)
        signed: Any = request.headers
        return dict(signed.items())

    def _found(self) -> Identity:
        with self._lock:
            if self._identity is None:
                try:
                    self._identity = Identity.find()
                except CredentialsError as error:
                    told = f"{error}; an API that is not on AWS takes a --token"
                    raise CredentialsError(told) from error
            return self._identity


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

"""AWS credentials from where the AWS CLI looks for them, and advice if they are missing.

boto3 takes half a second to import, so it is imported when credentials are first needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from livemosaic.errors import LivemosaicError

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_FROM_ENVIRONMENT: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_DEFAULT_PROFILE",
)
"""Variables that botocore prefers to AWS_PROFILE."""

_SSO: Final = frozenset({"SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError"})
_LOGIN: Final = frozenset({"LoginRefreshRequired", "LoginTokenLoadError"})
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_OTHER: Final = frozenset(
    {
        "ConfigNotFound",
        "ConfigParseError",
        "CredentialRetrievalError",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidConfigError",
        "InvalidSignatureException",
        "LoginAuthorizationCodeError",
        "LoginInsufficientPermissions",
        "MetadataRetrievalError",
        "MissingAuthenticationTokenException",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "UnrecognizedClientException",
    }
)


class CredentialsError(LivemosaicError):
    """AWS credentials that are missing, expired or invalid; the message gives advice."""


@dataclass(frozen=True, slots=True)
class Identity:
    """AWS credentials, and the region that comes with them."""

    region: str | None
    """AWS_REGION, else the profile's."""
    _credentials: Credentials

    @classmethod
    def find(cls) -> Self:
        """Finds credentials of the environment, a profile, SSO, a container or an instance.

        CredentialsError if there are none, after the two seconds that an EC2 instance would take.
        """
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.Session()
            found = session.get_credentials()
        except BotoCoreError as error:
            raise _explained(error) from error
        if found is None:
            raise CredentialsError(advice("NoCredentialsError"))
        return cls(os.environ.get("AWS_REGION") or session.region_name, found)

    def keys(self) -> ReadOnlyCredentials:
        """Returns keys that are valid for ten minutes at least, if they can be refreshed.

        botocore refreshes keys with less time left (`_mandatory_refresh_timeout`).
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise _explained(error) from error


def use_profile(name: str) -> None:
    """Makes this process use a profile, whatever its environment holds, as `aws --profile`."""
    for variable in _FROM_ENVIRONMENT:
        os.environ.pop(variable, None)
    os.environ["AWS_PROFILE"] = name


def _explained(error: Exception) -> CredentialsError:
    # botocore's own text may name files of this machine, or be what a credential_process printed.
    name = type(error).__name__
    return CredentialsError(advice(name) or _no_use(name))


def advice(code: str) -> str | None:
    """Returns advice on an error of botocore or AWS, by its name; None if credentials are fine."""
    profile = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default"
    if code == "NoCredentialsError":
        return (
            "no AWS credentials were found: log in with `aws sso login`, or choose a profile with "
            "--profile or AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if code == "ProfileNotFound":
        return (
            f"there is no AWS profile {profile!r}: `aws configure list-profiles` lists "
            "the existing ones"
        )
    if code in _SSO:
        return (
            f"the AWS profile {profile!r} is not logged in, or its SSO session has expired: run "
            f"`aws sso login --profile {profile}`"
        )
    if code in _LOGIN:
        return f"the AWS profile {profile!r} is not logged in: run `aws login --profile {profile}`"
    if code == "MissingDependencyException":
        return 'this kind of AWS profile needs another package: pip install "botocore[crt]"'
    if code in _EXPIRED:
        return (
            "the AWS credentials have expired: get new ones, with `aws sso login` if they come "
            "from there"
        )
    return _no_use(code) if code in _OTHER else None


def _no_use(code: str) -> str:
    return (
        f"the AWS credentials are of no use ({code}): `aws sts get-caller-identity` says more; "
        "--profile or AWS_PROFILE chooses others"
    )

"""IAM roles that this process assumes (AWS STS, AssumeRole)."""

from typing import Any, Final

from livemosaic.auth.credentials import CredentialsError, Identity
from livemosaic.auth.secrets import SecretUnavailableError

_SESSION: Final = "livemosaic"
_TRANSIENT: Final = ("Throttling", "InternalFailure", "ServiceUnavailable", "RequestTimeout")


def assume_role(role: str, external_id: str = "") -> tuple[dict[str, Any], float]:
    """Returns keys of a role, as obstore names them, and their end in Unix time.

    CredentialsError if it may not be assumed, SecretUnavailableError if trying again may help.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3})
    external = {"ExternalId": external_id} if external_id else {}
    region = Identity.find().region
    try:
        sts = boto3.Session().client("sts", region or "us-east-1", config=quick)
        got = sts.assume_role(RoleArn=role, RoleSessionName=_SESSION, **external)
    except ClientError as error:
        raise _refused(role, str(error.response.get("Error", {}).get("Code"))) from error
    except BotoCoreError as error:
        raise SecretUnavailableError(
            f"AWS STS could not be reached ({type(error).__name__})"
        ) from error
    found = got["Credentials"]
    keys = {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "token": found["SessionToken"],
    }
    return keys, found["Expiration"].timestamp()


def _refused(role: str, code: str) -> Exception:
    if code in _TRANSIENT:
        return SecretUnavailableError(f"AWS STS answers {code}")
    return CredentialsError(
        f"the role {role} cannot be assumed ({code}); its trust policy must name this identity, "
        "and this identity needs sts:AssumeRole"
    )

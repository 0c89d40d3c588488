"""Secrets that a setting names: a variable of the environment, Secrets Manager, or a parameter.

A setting holds only the name, so that it may be shown, logged and deployed.
"""

import os
import re
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Self

from livemosaic.auth.credentials import CredentialsError, advice
from livemosaic.errors import InvalidRequestError, LivemosaicError

_VARIABLE: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_SECRET: Final = re.compile(r"arn:[\w-]+:secretsmanager:([a-z0-9-]+):\d{12}:secret:\S+")
_PARAMETER: Final = re.compile(r"arn:[\w-]+:ssm:([a-z0-9-]+):\d{12}:parameter(/\S+)")
_TIMEOUT_S: Final = 3
_FOR_GOOD: Final = re.compile(r"AccessDenied\w*|\w*NotFound\w*|ParameterNotFound|NoCredentials\w*")
"""Errors of AWS, by name, that trying again does not mend."""


class SecretUnavailableError(LivemosaicError):
    """A secret that cannot be read now; trying again may help."""


@dataclass(frozen=True, slots=True)
class SecretName:
    """The name of a secret, which is not confidential itself.

    `env:NAME`, or the ARN of a secret of Secrets Manager or of a parameter of Systems Manager.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the name; InvalidRequestError, which does not repeat it, for any other text.

        The text may be the secret itself, written there by mistake.
        """
        if not any(form.fullmatch(text) for form in (_VARIABLE, _SECRET, _PARAMETER)):
            raise InvalidRequestError(
                "takes the name of a secret, never the secret itself: env:VARIABLE, "
                "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or "
                "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"
            )
        return cls(text)

    def read(self) -> str:
        """Returns the secret, without white space around it.

        CredentialsError if there is none or it may not be read, SecretUnavailableError if trying
        again may help.
        """
        if found := _VARIABLE.fullmatch(self.text):
            value = os.environ.get(found[1], "")
        else:
            value = self._from_aws()
        if not value.strip():
            raise CredentialsError(f"the secret {self.text} is empty")
        return value.strip()

    def _from_aws(self) -> str:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        quick = Config(
            connect_timeout=2, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 3}
        )
        try:
            if found := _SECRET.fullmatch(self.text):
                made = boto3.Session().client("secretsmanager", found[1], config=quick)
                with closing(made) as client:
                    return str(client.get_secret_value(SecretId=self.text)["SecretString"])
            named = _PARAMETER.fullmatch(self.text)
            assert named  # noqa: S101 (the third of three forms)
            with closing(boto3.Session().client("ssm", named[1], config=quick)) as systems:
                got = systems.get_parameter(Name=named[2], WithDecryption=True)
                return str(got["Parameter"]["Value"])
        except (BotoCoreError, ClientError, KeyError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> LivemosaicError:
        answer = getattr(error, "response", None) or {}
        code = str(answer.get("Error", {}).get("Code") or type(error).__name__)
        message = f"the secret {self.text} cannot be read ({code})"
        if more := advice(code):
            return CredentialsError(f"{message}: {more}")
        return (CredentialsError if _FOR_GOOD.fullmatch(code) else SecretUnavailableError)(message)

"""The keys that sign access tokens: in a file of this machine, or in AWS Secrets Manager.

The newest key signs, and every key there is checks: a key is replaced without a token becoming
invalid that the one before has signed.
"""

import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any, Final, Protocol

from livemosaic.errors import InvalidRequestError, KeysUnavailableError
from livemosaic.model.index_url import SQLITE

log = logging.getLogger(__name__)

MAX_AGE_S: Final = 300.0
"""How long keys are kept: a key that was taken away checks tokens for as long."""
AGAIN_S: Final = 10.0
"""How soon they may be looked for again because of a token whose key is not known."""
_MIN_BYTES: Final = 32
"""As many as the hash has (RFC 7518, 3.2)."""
_SECRET: Final = re.compile(r"arn:[\w-]+:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:\S+")
_STAGES: Final = ("AWSCURRENT", "AWSPREVIOUS")
"""Of the versions of a secret, the newest first (Secrets Manager, "Secret versions")."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that signs; `InvalidRequestError` where it is too short to be one."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _MIN_BYTES:
            raise InvalidRequestError(
                f"a signing key has {len(self.secret)} bytes and needs {_MIN_BYTES}: make one with "
                "`openssl rand -hex 32`"
            )

    @property
    def id(self) -> str:
        """What tokens call it."""
        return hashlib.sha256(self.secret).hexdigest()[:8]


class KeySource(Protocol):
    """Where keys are."""

    def load(self) -> tuple[SigningKey, ...]:
        """All of them, the newest first; `KeysUnavailableError` where nobody can say."""
        ...

    def make(self) -> None:
        """Make the first one; `InvalidRequestError` where that is for somebody else to do."""
        ...


def open_keys(place: str, index: str) -> KeySource:
    """The keys of a file or a secret; without a place, those in a file beside an SQLite index."""
    if match := _SECRET.fullmatch(place):
        return Secret(place, match["region"])
    if place.startswith("arn:"):
        raise InvalidRequestError(
            f"LIVEMOSAIC_SIGNING_KEYS {place[:200]!r} is not the ARN of a secret, which looks like "
            "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
        )
    if place:
        return KeyFile(Path(place))
    beside = SQLITE.fullmatch(index)
    return KeyFile(Path(f"{beside['path']}.keys")) if beside else NoKeys()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A text file of one key a line, the newest first, that only its owner can read."""

    path: Path

    def load(self) -> tuple[SigningKey, ...]:
        """See `KeySource`."""
        try:
            lines = self.path.read_bytes().split()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise KeysUnavailableError(
                f"the file of LIVEMOSAIC_SIGNING_KEYS cannot be read: {error.strerror}"
            ) from error
        return tuple(map(SigningKey, lines))

    def make(self) -> None:
        """See `KeySource`. Of several that make it at once, one does."""
        try:
            with NamedTemporaryFile("w", dir=self.path.parent, prefix=".keys-") as made:  # 0600
                made.write(f"{secrets.token_hex(_MIN_BYTES)}\n")
                made.flush()
                os.link(made.name, self.path)
        except FileExistsError:
            pass
        except OSError as error:
            raise KeysUnavailableError(
                f"the file of LIVEMOSAIC_SIGNING_KEYS cannot be made: {error.strerror}"
            ) from error


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of AWS Secrets Manager, whose value is the key, and the value that it had before."""

    arn: str
    region: str

    def load(self) -> tuple[SigningKey, ...]:
        """See `KeySource`."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        # In a session of its own: the default one is not for several threads.
        quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 3})
        try:
            made = boto3.Session().client("secretsmanager", self.region, config=quick)
            with closing(made) as client:
                values = [self._value(client, stage) for stage in _STAGES]
        except (BotoCoreError, ClientError) as error:
            raise KeysUnavailableError(
                f"the signing key cannot be had from Secrets Manager ({_name(error)})"
            ) from error
        return tuple(SigningKey(value.strip().encode()) for value in values if value)

    def _value(self, client: Any, stage: str) -> str:
        try:
            answer = client.get_secret_value(SecretId=self.arn, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            if stage == _STAGES[0]:
                raise
            return ""  # it never had another
        return str(answer["SecretString"])

    def make(self) -> None:
        """See `KeySource`."""
        raise InvalidRequestError("the secret of LIVEMOSAIC_SIGNING_KEYS has no value: put one in")


class NoKeys:
    """A server that was told of none."""

    def load(self) -> tuple[SigningKey, ...]:
        """See `KeySource`."""
        return ()

    def make(self) -> None:
        """See `KeySource`."""
        raise InvalidRequestError(
            "there is no key to sign tokens with: set LIVEMOSAIC_SIGNING_KEYS to a file or to the "
            "ARN of a secret; on AWS, deploy with -c private_mosaics=true"
        )


class KeyRing:
    """The keys of a source, at most `MAX_AGE_S` old. Safe to share between threads.

    Where they cannot be had again, those that were there go on.
    """

    def __init__(self, source: KeySource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = Lock()
        self._kept: tuple[SigningKey, ...] = ()
        self._since = -float("inf")

    def newest(self) -> SigningKey:
        """The one to sign with; made if there is none yet."""
        if not (keys := self._younger(AGAIN_S)):
            self._source.make()
            keys = self._younger(0)
        return keys[0]

    def named(self, key_id: str) -> SigningKey | None:
        """The one that tokens call so."""
        for age_s in (MAX_AGE_S, AGAIN_S):  # a new one may have come since
            for key in self._younger(age_s):
                if key.id == key_id:
                    return key
        return None

    def _younger(self, age_s: float) -> tuple[SigningKey, ...]:
        with self._lock:
            if self._clock() - self._since >= age_s:
                self._kept = self._loaded()
                self._since = self._clock()
            return self._kept

    def _loaded(self) -> tuple[SigningKey, ...]:
        try:
            return self._source.load()
        except KeysUnavailableError as error:
            if not self._kept:
                raise
            log.warning("signing keys of before are used on: %s", error)
            return self._kept


def _name(error: Exception) -> str:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return code or type(error).__name__

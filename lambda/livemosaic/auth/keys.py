"""Keys that sign access tokens, from a local file or AWS Secrets Manager.

The newest key signs and every key verifies, so that replacing a key invalidates no token.
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
from livemosaic.index_url import SQLITE

log = logging.getLogger(__name__)

MAX_AGE_S: Final = 300.0
"""How long keys are cached: a key that was removed still verifies tokens for so long."""
AGAIN_S: Final = 10.0
"""The shortest interval between reloads for tokens whose key is unknown."""
_MIN_BYTES: Final = 32
"""The size of the hash (RFC 7518, 3.2)."""
_SECRET: Final = re.compile(r"arn:[\w-]+:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:\S+")
_STAGES: Final = ("AWSCURRENT", "AWSPREVIOUS")
"""Staging labels of a secret's versions, newest first (Secrets Manager, "Secret versions")."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that signs tokens; `InvalidRequestError` if it is too short."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _MIN_BYTES:
            raise InvalidRequestError(
                f"a signing key has {len(self.secret)} bytes and needs {_MIN_BYTES}: make one with "
                "`openssl rand -hex 32`"
            )

    @property
    def id(self) -> str:
        """The `kid` of its tokens."""
        return hashlib.sha256(self.secret).hexdigest()[:8]


class KeySource(Protocol):
    """A store of signing keys."""

    def load(self) -> tuple[SigningKey, ...]:
        """Returns all keys, newest first; `KeysUnavailableError` if they cannot be read."""
        ...

    def make(self) -> None:
        """Creates the first key; `InvalidRequestError` where only an operator can."""
        ...


def open_keys(
    place: str, index: str = "", *, setting: str = "LIVEMOSAIC_SIGNING_KEYS"
) -> KeySource:
    """Opens the keys of a file or secret; by default, of the file beside an SQLite index.

    `setting` names the place in error messages.
    """
    if match := _SECRET.fullmatch(place):
        return Secret(place, match["region"], setting)
    if place.startswith("arn:"):
        raise InvalidRequestError(
            f"{setting} {place[:200]!r} is not the ARN of a secret, which looks like "
            "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
        )
    if place:
        return KeyFile(Path(place), setting)
    beside = SQLITE.fullmatch(index)
    return KeyFile(Path(f"{beside['path']}.keys"), setting) if beside else NoKeys()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A text file of one key per line, newest first, which only its owner can read."""

    path: Path
    setting: str = "LIVEMOSAIC_SIGNING_KEYS"

    def load(self) -> tuple[SigningKey, ...]:
        """Returns the file's keys; none if there is no file."""
        try:
            lines = self.path.read_bytes().split()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise KeysUnavailableError(
                f"the file of {self.setting} cannot be read: {error.strerror}"
            ) from error
        return tuple(map(SigningKey, lines))

    def make(self) -> None:
        """Creates the file with a new key; of several concurrent calls, one does."""
        try:
            with NamedTemporaryFile("w", dir=self.path.parent, prefix=".keys-") as made:  # 0600
                made.write(f"{secrets.token_hex(_MIN_BYTES)}\n")
                made.flush()
                os.link(made.name, self.path)
        except FileExistsError:
            pass
        except OSError as error:
            raise KeysUnavailableError(
                f"the file of {self.setting} cannot be made: {error.strerror}"
            ) from error


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of AWS Secrets Manager: its current value is a key, and so is its previous one."""

    arn: str
    region: str
    setting: str = "LIVEMOSAIC_SIGNING_KEYS"

    def load(self) -> tuple[SigningKey, ...]:
        """Returns the current and the previous value of the secret."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        # A session of its own: the default one is not thread-safe.
        quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 3})
        try:
            made = boto3.Session().client("secretsmanager", self.region, config=quick)
            with closing(made) as client:
                values = [self._value(client, stage) for stage in _STAGES]
        except (BotoCoreError, ClientError) as error:
            raise KeysUnavailableError(
                f"the secret of {self.setting} cannot be read from Secrets Manager ({_name(error)})"
            ) from error
        return tuple(SigningKey(value.strip().encode()) for value in values if value)

    def _value(self, client: Any, stage: str) -> str:
        try:
            answer = client.get_secret_value(SecretId=self.arn, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            if stage == _STAGES[0]:
                raise
            return ""  # it has had no other value yet
        return str(answer["SecretString"])

    def make(self) -> None:
        """Raises InvalidRequestError: only an operator can set the secret."""
        raise InvalidRequestError(f"the secret of {self.setting} has no value: put one in")


class NoKeys:
    """The key source of a server without signing keys."""

    def load(self) -> tuple[SigningKey, ...]:
        """Returns none."""
        return ()

    def make(self) -> None:
        """Raises InvalidRequestError, which explains how to set keys."""
        raise InvalidRequestError(
            "there is no key to sign tokens with: set LIVEMOSAIC_SIGNING_KEYS to a file or to the "
            "ARN of a secret; on AWS, deploy with -c private_mosaics=true"
        )


class KeyRing:
    """Caches the keys of a source for `MAX_AGE_S`. Thread-safe.

    Keeps using them while the source is unavailable.
    """

    def __init__(self, source: KeySource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = Lock()
        self._kept: tuple[SigningKey, ...] = ()
        self._since = -float("inf")

    def newest(self) -> SigningKey:
        """Returns the key to sign with, created if there is none yet."""
        if not (keys := self._younger(AGAIN_S)):
            self._source.make()
            keys = self._younger(0)
        return keys[0]

    def named(self, key_id: str) -> SigningKey | None:
        """Returns the key with a token's `kid`; None if unknown."""
        for age_s in (MAX_AGE_S, AGAIN_S):  # it may have been added since
            for key in self._younger(age_s):
                if key.id == key_id:
                    return key
        return None

    def holds(self, text: str) -> bool:
        """Whether a text is one of the keys."""
        given = text.encode()
        for age_s in (MAX_AGE_S, AGAIN_S) if given else ():  # it may have been added since
            if any(secrets.compare_digest(key.secret, given) for key in self._younger(age_s)):
                return True
        return False

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
            log.warning("keep using the signing keys loaded before: %s", error)
            return self._kept


def _name(error: Exception) -> str:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return code or type(error).__name__

"""The way in that an allowed prefix names: `s3://usgs-landsat/ requester-pays`.

Only parsed and checked here; `s3.py` and `logins.py` go that way.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from livemosaic.auth.secrets import SecretName
from livemosaic.errors import InvalidRequestError
from livemosaic.storage.access.known import CREDENTIAL_ENDPOINTS

_FLAGS: Final = frozenset({"anonymous", "requester-pays", "earthdata", "planetary-computer"})
_SECRETS: Final = frozenset({"keys", "bearer", "earthdata"})
_TEXTS: Final = {
    "region": (r"[a-z0-9-]{1,40}", "the name of a region, like us-west-2"),
    "role": (r"arn:[\w-]+:iam::\d{12}:role/[\w+=.@/-]{1,512}", "arn:aws:iam::ACCOUNT:role/NAME"),
    "external-id": (r"[\w+=.@:/-]{2,1224}", "the external ID of a role"),
    "endpoint": (r"https?://[^\s/?#@]+/?", "https://HOST or http://HOST:PORT"),
    "s3credentials": (r"https?://[^\s?#@]+", "https://HOST/s3credentials"),
}
_OF_S3: Final = frozenset(
    {"anonymous", "requester-pays", "earthdata", "keys", *_TEXTS},
)
_OF_HTTP: Final = frozenset({"anonymous", "bearer", "earthdata", "planetary-computer"})
_NAMES: Final = _OF_S3 | _OF_HTTP
_LOGINS: Final = ("anonymous", "keys", "role", "bearer", "earthdata", "planetary-computer")


@dataclass(frozen=True, slots=True)
class Way:
    """How to get in to the objects below an allowed prefix.

    The default is the process's own: S3 with the AWS credentials found, HTTPS with none.
    """

    anonymous: bool = False
    """Public: S3 requests are not signed, signatures of HTTPS URLs are dropped."""
    requester_pays: bool = False
    region: str = ""
    """Region of the bucket."""
    endpoint: str = ""
    """Origin of another S3, addressed as ENDPOINT/BUCKET/KEY (path style)."""
    keys: SecretName | None = None
    """Access keys: `ID:SECRET`, or JSON of `access_key_id`, `secret_access_key`, `token`."""
    role: str = ""
    """ARN of an IAM role to assume."""
    external_id: str = ""
    bearer: SecretName | None = None
    """Bearer token (RFC 6750)."""
    earthdata: SecretName | bool = False
    """NASA's Earthdata Login, with a named token, or as its own tools find one."""
    s3credentials: str = ""
    """Endpoint that gives AWS keys to who is logged in to Earthdata."""
    planetary_computer: bool = False
    """SAS tokens of Microsoft's Planetary Computer."""

    @property
    def is_named(self) -> bool:
        """Whether the prefix names its way in at all."""
        return self != Way()

    @property
    def has_keys(self) -> bool:
        """Whether the prefix names the access keys of S3."""
        return bool(self.keys or self.role or self.earthdata)

    @property
    def signs(self) -> bool:
        """Whether S3 requests must be signed."""
        return self.has_keys or self.requester_pays

    @property
    def logs_in(self) -> bool:
        """Whether HTTP requests carry a login."""
        return bool(self.bearer or self.earthdata or self.planetary_computer)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of secrets to be read."""
        named = (self.keys, self.bearer, self.earthdata)
        return tuple(name.text for name in named if isinstance(name, SecretName))


def split(text: str) -> tuple[str, tuple[str, ...]]:
    """Splits a prefix from the words after it.

    Keys of S3 may have spaces, so only words with the name of an option end an `s3://` prefix that
    has none after its last slash; what follows `/ ` is always an option.
    """
    text = text.strip()
    if text.startswith("/") or text.lower().startswith("file:") or " " not in text:
        return text, ()
    if "/ " in text or not text.startswith("s3://"):
        prefix, _, rest = text.partition("/ " if "/ " in text else " ")
        return prefix + ("/" if "/ " in text else ""), tuple(rest.split())
    prefix, *words = text.split(" ")
    while words and words[0].partition("=")[0] not in _NAMES:
        prefix = f"{prefix} {words.pop(0)}"
    return prefix.strip(), tuple(filter(None, words))


def parse(words: Iterable[str], scheme: str, host: str) -> Way:
    """Parses the words after a prefix; InvalidRequestError names what is wrong with them.

    `host` is the prefix's: empty for any, with a leading dot for any below a domain.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        _check_name(name, scheme)
        key = name.replace("-", "_")
        if key in given:
            raise InvalidRequestError(f"{name} is there twice")
        given[key] = _value(name, value, bool(equals))
    way = Way(**given)
    _check(way, given, scheme, host)
    return way


def _check_name(name: str, scheme: str) -> None:
    names = {"s3": _OF_S3, "https": _OF_HTTP, "http": _OF_HTTP}.get(scheme, frozenset())
    if name in names:
        return
    if name in _NAMES:
        raise InvalidRequestError(f"{name} is not for {scheme} prefixes")
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), names, n=1)
    advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(names))}"
    shown = repr(name) if near else "a word after it"  # which may be a secret in the wrong place
    raise InvalidRequestError(f"{shown} is no way in; {advice}")


def _value(name: str, value: str, given: bool) -> Any:
    if not given and name in _FLAGS:
        return True
    if given and name in _SECRETS:
        try:
            return SecretName.parse(value)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{name}= {error}") from None
    if name in _TEXTS:
        form, example = _TEXTS[name]
        if not given or not re.fullmatch(form, value):
            raise InvalidRequestError(f"{name}= takes {example}")
        return value.rstrip("/")
    needs = "takes no value" if given else f"needs a value: {name}=env:VARIABLE or =ARN"
    raise InvalidRequestError(f"{name} {needs}")


def _check(way: Way, given: dict[str, Any], scheme: str, host: str) -> None:
    logins = [name for name in _LOGINS if name.replace("-", "_") in given]
    if len(logins) > 1:
        raise InvalidRequestError(f"{' and '.join(logins)} exclude each other")
    if way.anonymous and way.requester_pays:
        raise InvalidRequestError("requester-pays needs a login: who pays signs their requests")
    if way.external_id and not way.role:
        raise InvalidRequestError("external-id is of a role: add role=ARN")
    if way.s3credentials and not way.earthdata:
        raise InvalidRequestError("s3credentials is of earthdata: add the word earthdata")
    if scheme == "s3" and way.earthdata and not (way.s3credentials or host in CREDENTIAL_ENDPOINTS):
        raise InvalidRequestError(
            "earthdata needs the endpoint that gives keys to this bucket: add "
            "s3credentials=https://HOST/s3credentials"
        )
    if way.s3credentials and not is_safe(way.s3credentials):
        raise InvalidRequestError("s3credentials must be https")
    if scheme != "s3" and logins and logins != ["anonymous"]:
        _check_http(way, scheme, host, logins[0])


def _check_http(way: Way, scheme: str, host: str, login: str) -> None:
    if not host:
        raise InvalidRequestError(f"{login} needs a host: a token is for nobody else")
    if way.bearer and host.startswith("."):
        raise InvalidRequestError("bearer needs one host: a token is for nobody else")
    if not is_safe(f"{scheme}://{host.removeprefix('.')}"):
        raise InvalidRequestError(f"{login} needs https: a token is not sent in the clear")
    domain = host.partition(":")[0]
    if way.planetary_computer and not (is_local(domain) or domain.endswith(AZURE)):
        raise InvalidRequestError(
            "planetary-computer is for https://ACCOUNT.blob.core.windows.net/CONTAINER/ or "
            "https://*.blob.core.windows.net/"
        )


AZURE: Final = ".blob.core.windows.net"


def is_local(host: str) -> bool:
    """Whether a host is this machine, where a token may pass without TLS."""
    return host == "localhost" or host.endswith(".localhost")


def is_safe(url: str) -> bool:
    """Whether a secret may be sent to a URL: HTTPS, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.hostname or ""))

"""Signed URLs: which query is a signature, and when it expires."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote_plus

_AZURE: Final = re.compile(
    "s[verpsi]|st|sig|srt|spr|sip|sdd|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|rsc[cdelt]"
)
"""Parameters of a SAS (Azure Storage, "Create a service / user delegation SAS")."""
_CLOUDFRONT: Final = re.compile("expires|policy|signature|key-pair-id|hash-algorithm")
_AWS_2: Final = re.compile("awsaccesskeyid|expires|signature|x-amz-security-token")
_GOOGLE_2: Final = re.compile("googleaccessid|expires|signature")


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature in a URL's query."""

    kind: str
    """The signing service."""
    rest: str = field(repr=False)
    """The query without its signature."""
    expires: datetime | None
    """Its end in UTC; None if the URL does not say."""


def find_signature(query: str) -> Signature | None:
    """Returns the signature in a query, if it has one of a known form."""
    pairs = [(part, *_name_and_value(part)) for part in query.split("&") if part]
    given = {name: value for _, name, value in pairs}
    for kind, marks, form, end in _FORMS:
        if given.keys() >= marks:
            rest = "&".join(part for part, name, _ in pairs if not form.fullmatch(name))
            return Signature(kind, rest, _utc(end, given))
    return None


def _name_and_value(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return unquote_plus(name).lower(), unquote_plus(value)


def _utc(end: "_End", given: Mapping[str, str]) -> datetime | None:
    try:
        found = end(given)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, binascii.Error):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_End = Callable[[Mapping[str, str]], datetime]


def _signed_for(prefix: str) -> _End:
    def end(given: Mapping[str, str]) -> datetime:
        start = datetime.strptime(given[f"{prefix}date"], "%Y%m%dT%H%M%S%z")
        return start + timedelta(seconds=int(given[f"{prefix}expires"]))

    return end


def _epoch(given: Mapping[str, str]) -> datetime:
    return datetime.fromtimestamp(int(given["expires"]), UTC)


def _policy(given: Mapping[str, str]) -> datetime:
    """Returns the end in a custom policy (CloudFront, "Creating a signed URL using a policy")."""
    text = given["policy"].translate(str.maketrans("-_~", "+=/"))
    statement = json.loads(base64.b64decode(text))["Statement"][0]
    end = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
    return datetime.fromtimestamp(int(end), UTC)


_FORMS: Final[tuple[tuple[str, frozenset[str], re.Pattern[str], _End], ...]] = (
    ("Azure SAS", frozenset({"sv", "sig"}), _AZURE,
     lambda given: datetime.fromisoformat(given["se"])),
    ("AWS", frozenset({"x-amz-signature"}), re.compile(r"x-amz-.*|x-id"),
     _signed_for("x-amz-")),
    ("Google Cloud", frozenset({"x-goog-signature"}), re.compile(r"x-goog-.*"),
     _signed_for("x-goog-")),
    ("CloudFront", frozenset({"signature", "key-pair-id", "policy"}), _CLOUDFRONT,
     _policy),
    ("CloudFront", frozenset({"signature", "key-pair-id"}), _CLOUDFRONT, _epoch),
    ("AWS", frozenset({"signature", "awsaccesskeyid"}), _AWS_2, _epoch),
    ("Google Cloud", frozenset({"signature", "googleaccessid"}), _GOOGLE_2, _epoch),
)  # fmt: skip
"""Kind, parameters that mark it, the form of all its parameters, and how to find its end."""

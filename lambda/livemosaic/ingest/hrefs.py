"""The hrefs of an Item's assets: resolved against its own URL, and the one of each that is read.

Sources: RFC 3986, section 5 (reference resolution); STAC alternate-assets extension 1.2.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from livemosaic.errors import ForbiddenHrefError, InvalidItemError
from livemosaic.ingest.assets.media import check_readable
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import redact

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class ReadableAssets:
    """The assets of an Item that may be read, and the ones that are left out."""

    hrefs: Mapping[str, str]
    """Absolute href by asset key."""
    left_out: Mapping[str, InvalidItemError]
    """Why an asset is left out, by its key."""


def readable_assets(
    assets: Mapping[str, Any], base: str | None, allow: AllowList
) -> ReadableAssets:
    """Sorts assets into readable ones, and others: of other formats, or forbidden."""
    hrefs: dict[str, str] = {}
    left_out: dict[str, InvalidItemError] = {}
    for key, asset in assets.items():
        try:
            check_readable(key, asset)
            hrefs[key] = _readable(key, asset, base, allow)
        except InvalidItemError as error:
            left_out[key] = error
    return ReadableAssets(hrefs, left_out)


def _readable(key: str, asset: Any, base: str | None, allow: AllowList) -> str:
    """Returns the first href in S3 that the allow-list has, else the first that it has.

    The asset's own href comes before its alternates. Raises the error of the own href where the
    allow-list has none of them.
    """
    found: list[str] = []
    errors: list[InvalidItemError] = []
    for href in _hrefs(asset):
        try:
            absolute = allow.admit(resolve(href, base))
        except InvalidItemError as error:
            errors.append(error)
            continue
        if absolute.startswith("s3://"):
            return absolute
        found.append(absolute)
    if found:
        return found[0]
    if not errors:
        raise InvalidItemError(f"asset {key[:80]!r} has no href")
    others = len(errors) - 1
    if not others:
        raise errors[0]
    raise type(errors[0])(f"{errors[0]}; nor may {others} alternate of it") from errors[0]


def without_signatures(assets: Any, allow: AllowList) -> Any:
    """Returns assets as an Item has them, without the signatures that are made anew.

    So an Item that is only signed again is the same version of it.
    """
    if isinstance(assets, Mapping):
        return {
            key: allow.unsigned(value)
            if key == "href" and isinstance(value, str)
            else without_signatures(value, allow)
            for key, value in assets.items()
        }
    return (
        [without_signatures(one, allow) for one in assets] if isinstance(assets, list) else assets
    )


def _hrefs(asset: Any) -> Iterator[str]:
    """Yields the hrefs of an asset and of its alternates."""
    alternates = asset.get("alternate") if isinstance(asset, Mapping) else None
    others = alternates.values() if isinstance(alternates, Mapping) else ()
    for one in (asset, *others):
        href = one.get("href") if isinstance(one, Mapping) else None
        if isinstance(href, str) and href:
            yield href


class _Reference(NamedTuple):
    """The parts of a URL or reference without its scheme (RFC 3986, appendix B)."""

    authority: str | None
    path: str
    query: str
    """With its question mark, or empty; so is the fragment with its number sign."""
    fragment: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Splits a text after its scheme."""
        rest, sharp, fragment = text.partition("#")
        rest, mark, query = rest.partition("?")
        if not rest.startswith("//"):
            return cls(None, rest, mark + query, sharp + fragment)
        authority, slash, path = rest[2:].partition("/")
        return cls(authority, slash + path, mark + query, sharp + fragment)

    @classmethod
    def of_key(cls, text: str) -> Self:
        """Splits a text in which `?` and `#` have no meaning: a bucket and key, or a local path."""
        if not text.startswith("//"):
            return cls(None, text, "", "")
        authority, slash, path = text[2:].partition("/")
        return cls(authority, slash + path, "", "")


def resolve(href: str, base: str | None) -> str:
    """Returns an absolute href; a relative one is resolved against the URL of its Item.

    As RFC 3986 5.2 does, except that a relative href never leads to another host or bucket: `//`
    and a name other than that of the base raise `ForbiddenHrefError`. Where `..` climbs beyond the
    root it stays there. The base is a URL, or the path of a local file. Keys of S3 and local paths
    are taken as they stand: `?`, `#` and `%` in them have no meaning.
    """
    if _SCHEME.match(href) or "<" in href:  # an inline VRT is no reference
        return href
    if base is None:
        if href.startswith("/") and not href.startswith("//"):
            return href
        raise InvalidItemError(
            f"href {redact(href)!r} is relative, and the Item does not name its own URL: add a "
            "link with rel 'self', or make the href absolute"
        )
    found = _SCHEME.match(base)
    scheme = found[0] if found else ""
    split = _Reference.of_key if scheme.lower() in ("", "s3:") else _Reference.of
    return scheme + _resolved(split(href), split(base[len(scheme) :]), href)


def _resolved(reference: _Reference, base: _Reference, href: str) -> str:
    if reference.authority not in (None, base.authority):
        raise ForbiddenHrefError(
            f"asset href {redact(href)!r} leads to another host than that of its Item: write it "
            "with its scheme"
        )
    origin = "" if base.authority is None else f"//{base.authority}"
    path, query = reference.path, reference.query
    if reference.authority is None and not path:
        return f"{origin}{base.path}{query or base.query}{reference.fragment}"
    if reference.authority is None and not path.startswith("/"):
        path = f"{base.path.rpartition('/')[0]}/{path}"
    return f"{origin}{_without_dots(path)}{query}{reference.fragment}"


def _without_dots(path: str) -> str:
    """Removes dot segments from a path that is empty or starts with a slash (RFC 3986 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "".join(f"/{segment}" for segment in kept)

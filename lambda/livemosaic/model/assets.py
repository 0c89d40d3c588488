"""Names of assets: keys, and patterns for the last part of the href. Pure."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote, urlsplit

from livemosaic.errors import AmbiguousAssetError

_RGB: Final = ("red", "green", "blue")
_TIFF: Final = (".tif", ".tiff")


def usual_assets(keys: Sequence[str]) -> tuple[str, ...]:
    """Returns the assets to show by their keys alone: `visual`; else red, green, blue; else one."""
    for usual in (("visual",), _RGB):
        if all(name in keys for name in usual):
            return usual
    return tuple(keys[:1])


def names_file(name: str) -> bool:
    """Whether a name may be the last part of an href, or a pattern for it, and not a key."""
    return is_pattern(name) or name.lower().endswith(_TIFF)


def is_pattern(name: str) -> bool:
    """Whether a name has `*` or `?` in it, which stand for other characters."""
    return "*" in name or "?" in name


def find_asset(name: str, hrefs: Mapping[str, str]) -> str | None:
    """Returns the key that a name stands for: the key itself, else the asset whose href ends so.

    In a name for the last part of an href `*` stands for any characters and `?` for one, as in
    `*_B04.tif`. Returns None where there is none; `AmbiguousAssetError` where there are several.
    """
    if name in hrefs:
        return name
    if not names_file(name):
        return None
    return only_match(name, [k for k, href in hrefs.items() if matches(name, last_part(href))])


def only_match(name: str, keys: Sequence[str]) -> str | None:
    """Returns the only key; None of none. `AmbiguousAssetError` names two of several."""
    if len(keys) > 1:
        raise AmbiguousAssetError(
            f"has several assets {name[:80]!r}: {keys[0][:80]!r} and {keys[1][:80]!r}; name one "
            "by its key, or by a pattern that only one of them matches"
        )
    return keys[0] if keys else None


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern with `*` and `?` is the whole text; upper and lower case differ."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def last_part(href: str) -> str:
    """Returns the last part of an href's path, without percent-encoding."""
    try:
        path = urlsplit(href).path
    except ValueError:  # a malformed IPv6 address
        path = href
    return unquote(path.rstrip("/").rpartition("/")[2])

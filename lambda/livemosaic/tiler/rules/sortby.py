"""The `sortby` of a mosaic: refused where no Item can have a value for it. Pure.

A mosaic's order is stored with every scene and cannot change later, so that a slip would put all
scenes into the order of their ids, for good.
"""

import re
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.names import nearest

_MEMBERS: Final = frozenset(
    {
        *("id", "collection", "geometry", "bbox", "type", "links", "assets"),
        *("stac_version", "stac_extensions", "properties"),
    }
)
"""Members of an Item beside its properties (STAC Item specification)."""
_TEXTS: Final = frozenset(
    {
        *("title", "description", "license", "platform", "constellation", "mission"),
        *("instruments", "keywords", "roles", "providers"),
    }
)
"""Common metadata of STAC that is text, or a list: ranks are of numbers and times."""
_USUAL: Final = ("datetime", "eo:cloud_cover")
_NESTED: Final = re.compile(r"properties[./]")
_STRANGE: Final = re.compile(r"[\s,;'\"+]|[\x00-\x1f\x7f]")


def check_sortby(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for an order that makes no sense, and says what was meant."""
    name = re.sub(r"^[+-]", "", mosaic.sortby)
    problem = _problem(name, (*_USUAL, *mosaic.properties))
    if problem:
        raise InvalidRequestError(f"sortby {mosaic.sortby[:80]!r} {problem}")


def _problem(name: str, known: tuple[str, ...]) -> str:
    if "," in name:
        return f"has several keys; a mosaic is sorted by one property, such as {_first(name)!r}"
    if _STRANGE.search(name) or name.startswith("-"):
        return "must be a property, or a property after '-': -datetime, eo:cloud_cover"
    if _NESTED.match(name):
        return f"must be the property alone: {_NESTED.sub('', name)}"
    if name in _MEMBERS:
        return f"is no property: {name!r} is a member of the Item beside its properties"
    if name in _TEXTS:
        return f"sorts nothing: {name!r} of STAC is neither a number nor a time"
    meant = None if name in known else nearest(name[:80], known)
    if meant:
        return f"is probably misspelled: did you mean {meant!r}? If not, list it in properties too"
    return ""


def _first(keys: str) -> str:
    return keys.partition(",")[0].strip()

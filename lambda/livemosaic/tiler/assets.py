"""The assets of a scene that a request reads. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from livemosaic.errors import InvalidRequestError, UnreadableAssetError
from livemosaic.model.mosaic import MAX_KNOWN_ASSETS, Mosaic
from livemosaic.model.render import Read
from livemosaic.render.expression import Expression

_VISUAL: Final = ("visual",)
_RGB: Final = ("red", "green", "blue")


def asked_for(mosaic: Mosaic, read: Read, expression: Expression | None) -> tuple[str, ...]:
    """Returns the assets that a request or its expression names; empty for the defaults.

    Raises `InvalidRequestError` for an asset that the mosaic does not know, if it knows any.
    """
    known = tuple(dict.fromkeys((*mosaic.assets, *mosaic.known_assets)))
    named = read.assets or (expression.assets(known) if expression else ())
    strangers = [name for name in named if name not in known]
    strangers += expression.strangers(known) if expression else ()
    if strangers and 0 < len(known) < MAX_KNOWN_ASSETS:
        raise InvalidRequestError(
            f"there is no asset {strangers[0][:80]!r} in mosaic {mosaic.id!r}; there are: "
            f"{', '.join(known)[:300]}"
        )
    return named


def chosen_assets(mosaic: Mosaic, assets: Mapping[str, str], read: Read) -> dict[str, str]:
    """Returns the assets of a scene that a request reads, in order.

    The requested assets; else the mosaic's defaults; else `visual`; else red, green and blue; else
    the first. Raises `UnreadableAssetError` for an asset that the scene does not have.
    """
    wanted = read.assets or mosaic.default_assets or _usual(assets)
    for name in wanted:
        if name not in assets:
            raise UnreadableAssetError(f"has no asset {name[:80]!r}")
    return {name: assets[name] for name in wanted}


def _usual(assets: Collection[str]) -> tuple[str, ...]:
    for usual in (_VISUAL, _RGB):
        if all(name in assets for name in usual):
            return usual
    return tuple(assets)[:1]

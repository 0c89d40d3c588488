"""Bands of stacked assets, and which of them a number may mean. Pure.

Scenes may have other numbers of bands in one asset: some are gray, some have an infrared band more.
So the n-th band of a stack of assets is another one in other scenes, unless each asset before it
has a single band, or the request names the bands of each.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.model.render import Read, Style

_COLORS: Final = 3
"""Bands that a picture shows."""
_CHOOSE: Final = "choose bands with bidx, assets=NAME|bidx=1 or expression"


def bands_by_asset(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Returns the names of stacked bands by their assets, in order.

    `red_b1` is of `red`; all that is named otherwise is of one asset without a name.
    """
    bands: dict[str, list[str]] = {}
    for name in names:
        asset, separator, number = name.rpartition("_b")
        bands.setdefault(asset if separator and number.isdecimal() else "", []).append(name)
    return bands


def common_bands(
    stacks: Sequence[Sequence[str]],
) -> tuple[tuple[str, ...], Sequence[Sequence[int]]]:
    """Returns the names of the bands that stacks have in common, and for each stack their places.

    Asset by asset, if all have the same assets: of several bands the first ones are taken, as many
    as the stack with the fewest has, whose names count; a single band stands for each of them.
    """
    groups = [bands_by_asset(names) for names in stacks]
    if any(tuple(each) != tuple(groups[0]) for each in groups):
        groups = [{"": names} for names in stacks]
    wanted = {asset: _fewest([each[asset] for each in groups]) for asset in groups[0]}
    names = tuple(name for bands in wanted.values() for name in bands)
    return names, [_places(each, wanted) for each in groups]


def _fewest(bands: Sequence[Sequence[str]]) -> Sequence[str]:
    return min([each for each in bands if len(each) > 1] or bands, key=len)


def _places(has: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> Sequence[int]:
    places: list[int] = []
    first = 0
    for asset, bands in wanted.items():
        places += [first + (n if len(has[asset]) > 1 else 0) for n in range(len(bands))]
        first += len(has[asset])
    return places


def check_position(names: Sequence[str], place: int) -> None:
    """Raises `InvalidRequestError` where the band at a place of a stack (from 0) is another one in
    scenes with other numbers of bands."""
    *inner, _ = bands_by_asset(names).items()
    for asset, bands in inner[:place]:
        if len(bands) > 1:
            raise _ambiguous(f"b{place + 1}", {asset: bands}, f"name it {names[place]!r}")


def check_drawn(read: Read, names: Sequence[str], style: Style) -> None:
    """Raises `InvalidRequestError` where the bands of a stack that an image shows, or an algorithm
    takes, are others in scenes with other numbers of bands.

    Algorithms count all bands. An image shows the first band of each of three assets; or of one or
    two assets the first alone, in gray or color.
    """
    bands = bands_by_asset(names)
    if len(bands) == 1 or read.expression or read.names_bands:
        return
    counts = [len(own) for own in bands.values()]
    if style.algorithm:
        if max(counts) > 1:
            raise _ambiguous(f"algorithm {style.algorithm.name!r}", bands, _CHOOSE)
    elif max(counts[:_COLORS]) > 1 and not (len(counts) == 2 and counts[0] >= _COLORS):
        raise _ambiguous("a picture", bands, _CHOOSE)


def _ambiguous(what: str, bands: Mapping[str, Sequence[str]], remedy: str) -> InvalidRequestError:
    asset, count = next((name, len(own)) for name, own in bands.items() if len(own) > 1)
    return InvalidRequestError(
        f"{what} counts the bands of several assets, of which {asset!r} has {count} here, and may "
        f"have another number in other scenes: {remedy}"
    )

"""Hrefs of a scene's assets in its rows: what all of them begin with is stored once. Pure.

Every row of a scene repeats its assets, whose files mostly are in one folder: with 16 assets, whole
hrefs are two thirds of the row. Rows of formats before 2 have whole hrefs only.
"""

from collections.abc import Collection, Mapping
from itertools import takewhile
from typing import Any, Final

from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Item

_SINCE: Final = 2
"""The first format whose rows may have `base` and `files` in place of `assets`."""
_NAMES: Final = 16
"""Bytes that the attributes take in DynamoDB: names, and three bytes for a map."""


def shortened(mosaic: Mosaic, item: dict[str, Any]) -> dict[str, Any]:
    """Returns the attributes of a row with shorter hrefs, where its mosaic's format has them.

    `base` is what the hrefs begin with, and `files` has the rest of each by asset, in place of
    `assets`. Attributes without `assets`, and ones that would not be shorter, are returned as they
    are.
    """
    assets: Mapping[str, str] = item.get("assets", {})
    base = _common(assets.values())
    if mosaic.format < _SINCE or len(base) * (len(assets) - 1) <= _NAMES:
        return item
    files = {name: href.removeprefix(base) for name, href in assets.items()}
    return {n: value for n, value in item.items() if n != "assets"} | {"base": base, "files": files}


def assets_of(item: Item) -> Mapping[str, str]:
    """Returns the href of each asset in a row of any format; `KeyError` if it has none."""
    if "assets" in item:
        assets: Mapping[str, str] = item["assets"]
        return assets
    base, files = item["base"], item["files"]
    return {name: base + file for name, file in files.items()}


def _common(hrefs: Collection[str]) -> str:
    """Returns what all texts begin with: the common beginning of the first and last of them."""
    ends = zip(min(hrefs, default=""), max(hrefs, default=""), strict=False)
    return "".join(one for one, _ in takewhile(lambda both: both[0] == both[1], ends))

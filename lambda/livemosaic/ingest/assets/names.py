"""Names of assets that are the same in every Item of a collection. Pure.

The keys of some catalogues say nothing, or differ from Item to Item: NASA's CMR has `data`, `data1`
in any order, with different titles; Umbra and swisstopo use file names, others the Item's id. Such
an asset is stored under its title, or under the part of its file name that is not the Item's own.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from livemosaic.ingest.assets.media import is_geotiff
from livemosaic.model.assets import find_asset, last_part, matches, names_file, only_match

Assets = Mapping[str, Any]
"""Asset objects by key."""

_NUMBERED: Final = re.compile(
    r"(?:(?:data|asset|file|item|download|link|granule)?[-_ ]?\d*|[0-9a-f]{16,}"
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})",
    re.IGNORECASE,
)
_EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,5}$")
_DIGITS: Final = re.compile(r"\d")
_DATE: Final = re.compile(r"\d{6}|\d{4}-\d\d")
_LEAST_DIGITS: Final = 5
"""Digits of a file name that has a date, a tile or a serial number in it."""
_LEAST_ID: Final = 5
_MAX_NAME: Final = 128
_SEPARATORS: Final = " -_.:"
_ONLY: Final = "data"
"""Name of an asset whose key is the Item's id, and nothing more."""


def select_assets(
    item_id: str, assets: Assets, keeps: Sequence[str], shows: Sequence[str]
) -> dict[str, str]:
    """Returns the keys of the assets to store, by the names under which they are stored.

    With `keeps`, the assets that these name by key, title or last part of the href; else every
    GeoTIFF, and what `shows` names by title. Raises `AmbiguousAssetError` where a name may be one
    of several assets.
    """
    stored = {} if keeps else {name: key for key, name in stable_names(item_id, assets).items()}
    named = keeps or [name for name in shows if name not in stored and not names_file(name)]
    found = {name: _find(name, item_id, assets) for name in named}
    return stored | {name: key for name, key in found.items() if key is not None}


def _find(name: str, item_id: str, assets: Assets) -> str | None:
    if name in assets:
        return name
    rasters = {key: asset for key, asset in assets.items() if is_geotiff(key, asset)}
    titled = [key for key, asset in rasters.items() if matches(name, _title(asset))]
    named = _named(item_id, assets, list(rasters))
    stable = [key for key, stored in named.items() if stored == name]
    if titled or stable:
        return only_match(name, titled or stable)
    return find_asset(name, {key: str(asset.get("href")) for key, asset in rasters.items()})


def stable_names(item_id: str, assets: Assets) -> dict[str, str]:
    """Returns a name for the key of each GeoTIFF: the key itself, unless that is no good name."""
    return _named(item_id, assets, [k for k, asset in assets.items() if is_geotiff(k, asset)])


def _named(item_id: str, assets: Assets, rasters: Sequence[str]) -> dict[str, str]:
    names = {key: key for key in rasters}
    for changed in (_by_title(item_id, assets, rasters), _by_file(item_id, assets, rasters)):
        others = {name for key, name in names.items() if key not in changed}
        if len({*changed.values()}) == len(changed) and not others.intersection(changed.values()):
            names |= changed
    return names


def _by_title(item_id: str, assets: Assets, rasters: Sequence[str]) -> dict[str, str]:
    """Names for keys that are numbers; none where they have no different titles or file names."""
    keys = [key for key in rasters if _NUMBERED.fullmatch(key)]
    if len(keys) < 2:
        return {}
    titles = [_title(assets[key]) for key in keys]
    if not all(titles) or len({*titles}) < len(titles):
        titles = [last_part(str(assets[key].get("href"))) for key in keys]
    if all(_is_file(item_id, title) for title in titles):
        titles = _tails(item_id, titles)
    return dict(zip(keys, titles, strict=True)) if all(titles) else {}


def _by_file(item_id: str, assets: Assets, rasters: Sequence[str]) -> dict[str, str]:
    """Names for keys that have the Item's id in them, or are whole file names."""
    keys = [key for key in assets if _has_id(item_id, key) or _is_own_file(key, assets[key])]
    own = [key for key in keys if key in rasters]
    if not own:
        return {}
    tails = dict(zip(keys, _tails(item_id, keys), strict=True))
    if len(own) == 1 and not tails[own[0]]:
        return {own[0]: _ONLY}
    return {key: tails[key] for key in own} if all(tails[key] for key in own) else {}


def _tails(item_id: str, files: Sequence[str]) -> list[str]:
    """Returns what is left of file names without the id, else without what they all begin with."""
    stems = [_EXTENSION.sub("", file) for file in files]
    if all(_has_id(item_id, stem) for stem in stems):
        tails = [stem.replace(item_id, "", 1) for stem in stems]
    else:
        tails = [stem[_common(stems) :] for stem in stems]
    return [tail.strip(_SEPARATORS)[:_MAX_NAME] for tail in tails]


def _common(stems: Sequence[str]) -> int:
    """Returns how many characters whole words take that all stems begin with."""
    same = list(takewhile(lambda letters: len({*letters}) == 1, zip(*stems, strict=False)))
    common = "".join(letters[0] for letters in same)
    return len(common) if common in stems else 1 + max(map(common.rfind, _SEPARATORS))


def _is_own_file(key: str, asset: Any) -> bool:
    dated = bool(_DATE.search(key))
    if not isinstance(asset, Mapping) or not (dated or _has_serial(key)):
        return False
    file = last_part(str(asset.get("href")))
    return key == file or (dated and key == _EXTENSION.sub("", file))


def _is_file(item_id: str, text: str) -> bool:
    return _has_id(item_id, text) or (bool(_EXTENSION.search(text)) and _has_serial(text))


def _has_id(item_id: str, text: str) -> bool:
    return len(item_id) >= _LEAST_ID and item_id in text


def _has_serial(text: str) -> bool:
    return len(_DIGITS.findall(text)) >= _LEAST_DIGITS


def _title(asset: Mapping[str, Any]) -> str:
    title = asset.get("title")
    return title.strip()[:_MAX_NAME] if isinstance(title, str) else ""

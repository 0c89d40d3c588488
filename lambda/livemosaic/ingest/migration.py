"""STAC Items of 0.8, 0.9 and the candidates of 1.0 and 1.1, migrated to the present by pystac.

Nothing is fetched: what such an Item leaves to its Collection (extension `commons`, removed in 1.0)
stays unknown.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from livemosaic.errors import InvalidItemError

_PRESENT: Final = re.compile(r"1\.[^-]*")
_OLD: Final = re.compile(r"0\.[89]\.\d+(-.*)?|1\.[01]\.0-.*")
_MIGRATING: Final = Lock()
"""pystac finds its extensions at the first migration, without which a second one would not wait;
and warnings are caught for all threads."""
_KEPT: Final = ("type", "id", "collection", "geometry", "bbox")


@dataclass(frozen=True, slots=True)
class PresentItem:
    """An Item as STAC 1.0 or 1.1 has it."""

    document: Mapping[str, Any]
    notes: Sequence[str] = ()
    """Sentences about what was lost on the way."""


def migrate(document: Mapping[str, Any]) -> PresentItem:
    """Returns an Item of STAC 1.0 or 1.1 as it is, and an older one migrated.

    Raises `InvalidItemError` for a version that nothing here reads, without pystac, and where the
    migration fails or would change the place, the identity or the assets' hrefs of the Item.
    """
    version = str(document.get("stac_version"))[:80]
    if _PRESENT.fullmatch(version):
        return PresentItem(document)
    if not _OLD.fullmatch(version):
        raise InvalidItemError(f"stac_version is {version!r}; 0.8 to 1.1 are read")
    _refuse_negative_bands(document)
    migrated, warned = _migrated(document, version)
    if changed := _changed(document, migrated):
        raise InvalidItemError(f"pystac's migration from STAC {version} would change its {changed}")
    return PresentItem(migrated, (*warned, *_losses(migrated, document, version)))


def _migrated(document: Mapping[str, Any], version: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the migrated document, and pystac's warnings."""
    try:
        from pystac.serialization import identify_stac_object, migrate_to_latest
    except ImportError as error:
        raise InvalidItemError(
            f"stac_version is {version!r}, which pystac migrates, and a Lambda does not carry it: "
            "ingest the Item with the command `livemosaic ingest` (pip install livemosaic)"
        ) from error
    old = dict(document)
    try:
        with _MIGRATING, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            new = migrate_to_latest(old, identify_stac_object(old))
    except Exception as error:  # whatever a document provokes in pystac
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise InvalidItemError(f"pystac cannot migrate it from STAC {version}: {reason}") from error
    return new, [" ".join(str(one.message).split())[:300] for one in caught]


def _refuse_negative_bands(document: Mapping[str, Any]) -> None:
    """Refuses numbers of bands that pystac would count from the end of the list."""
    assets = document.get("assets")
    for key, asset in assets.items() if isinstance(assets, Mapping) else ():
        bands = asset.get("eo:bands") if isinstance(asset, Mapping) else None
        for band in bands if isinstance(bands, list) else ():
            if isinstance(band, int) and band < 0:
                raise InvalidItemError(
                    f"asset {key[:80]!r} has the band {band} of `eo:bands`, which count from 0"
                )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns the first member that a migration must keep and has not kept; empty if none."""
    for name in _KEPT:
        if old.get(name) != new.get(name):
            return name
    return "" if _hrefs(old) == _hrefs(new) else "assets"


def _hrefs(document: Mapping[str, Any]) -> object:
    assets = document.get("assets")
    if not isinstance(assets, Mapping):
        return assets
    return {k: a.get("href") if isinstance(a, Mapping) else a for k, a in assets.items()}


def _losses(new: Mapping[str, Any], old: Mapping[str, Any], version: str) -> Iterator[str]:
    """Yields a sentence for each thing that an Item says in a way that is not understood."""
    if "commons" in (old.get("stac_extensions") or ()):
        yield (
            f"it is of STAC {version} and leaves fields to its Collection (extension 'commons'), "
            "which is not read: assets and orders that need them do not find them"
        )
    for name in new["stac_extensions"]:
        if "://" not in str(name):
            yield (
                f"pystac does not know its extension {str(name)[:80]!r} of STAC {version}; the "
                "fields are taken as they stand"
            )
    numbered = [key for key, asset in new["assets"].items() if _has_numbers(asset)]
    if numbered:
        yield (
            f"the bands of its assets ({', '.join(numbered)[:200]}) are numbers of a list "
            "(`eo:bands`) that it does not have; they are not known by their names"
        )


def _has_numbers(asset: Any) -> bool:
    bands = asset.get("eo:bands") if isinstance(asset, Mapping) else None
    return isinstance(bands, list) and any(not isinstance(band, Mapping) for band in bands)

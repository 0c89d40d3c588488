"""What an Item states about the values of its assets, so that a mosaic shows one kind. Pure.

By the bands (common names, names with the sensor, center wavelengths), else by words of titles,
keys and file names; by the unit, the polarization and the roles.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from livemosaic.index.learning.meanings import AUXILIARY, COLORS, STATED, Meaning
from livemosaic.ingest.assets.media import AUXILIARY_ROLES, roles_of
from livemosaic.ingest.assets.sensors import (
    Colors,
    StatedBand,
    color_of,
    sensor_colors,
    stated_bands,
)
from livemosaic.ingest.assets.words import file_kind, kind_of
from livemosaic.model.assets import last_part, names_file

_COMMON_NAMES: Final = {
    "panchromatic": "pan",
    "lwir1": "lwir11",
    "lwir2": "lwir12",
    "swir1": "swir16",
    "swir2": "swir22",
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
    "red edge": "rededge",
    "rededge4": "nir08",
}
"""Common names of earlier versions, and near ones."""
_UNITS: Final = {
    "metre": "m",
    "meter": "m",
    "metres": "m",
    "meters": "m",
    "kelvin": "k",
    "kelvins": "k",
    "celsius": "°c",
    "degree celsius": "°c",
    "degrees celsius": "°c",
    "degc": "°c",
    "degree": "°",
    "degrees": "°",
    "deg": "°",
    "percent": "%",
    "percentage": "%",
    "millimeter": "mm",
    "millimeters": "mm",
    "millimetre": "mm",
    "millimetres": "mm",
    "centimeter": "cm",
    "centimeters": "cm",
    "feet": "ft",
    "foot": "ft",
    "decibel": "db",
    "none": "",
    "unitless": "1",
    "dimensionless": "1",
    "-": "1",
    "n/a": "",
    "kilometer": "km",
}
_MAIN_ROLES: Final = frozenset({"data", "visual", "reflectance", "analytic"})
_POLARIZATIONS: Final = frozenset({"vv", "vh", "hh", "hv"})
_LONGEST: Final = 40
_MOST_BANDS: Final = 16


def stated_meanings(
    assets: Mapping[str, tuple[str, Mapping[str, Any]]],
    properties: Mapping[str, Any],
    item_id: str,
    collection: str,
) -> dict[str, str]:
    """Returns the meanings of assets, as text, by the names under which they are stored.

    `assets` has the key of each in the Item, and the asset. An asset that is stored by a pattern
    for its file has no meaning here: the one who set the pattern decides.
    """
    found: dict[str, str] = {}
    of_item = sensor_colors(properties, item_id, collection)
    for name, (key, asset) in assets.items():
        if names_file(name) and key != name:
            continue
        colors = of_item or sensor_colors({}, last_part(str(asset.get("href"))))
        own = _kept(asset) or _meaning(name, key, asset, properties, item_id, colors)
        if text := own.text:
            found[name] = text
    return found


def _kept(asset: Mapping[str, Any]) -> Meaning | None:
    """Returns the meaning in an Item that livemosaic made of a scene, of which bands are a part."""
    text = asset.get(STATED)
    if not isinstance(text, str) or len(text) > _MOST_BANDS * _LONGEST:
        return None
    meaning = Meaning.of(text)
    return meaning if meaning.is_valid else None


def _meaning(
    name: str,
    key: str,
    asset: Mapping[str, Any],
    properties: Mapping[str, Any],
    item_id: str,
    colors: Colors,
) -> Meaning:
    stated = stated_bands(asset, properties)[:_MOST_BANDS]
    in_order = _are_places(stated)
    bands = tuple(_kind(band, in_order, colors) for band in stated)
    words = ""
    if not any(bands):
        words = _words(name, key, asset, item_id, colors)
        words = _with_polarization(words, asset, properties)
    return Meaning(bands, words, _unit(asset), _role(asset))


def _kind(band: StatedBand, is_place: bool, colors: Colors) -> str:
    own = sensor_colors({}, band.name) or colors
    color = "" if is_place else color_of(band.name, own)
    if common := _common(band.common_name):
        return _refined(common, color, band.wavelength)
    words = "" if is_place else color or kind_of(band.name, "", own)
    if words and not words.startswith("#"):
        return words
    return f"~{band.wavelength:.3f}" if band.wavelength else words


def _are_places(bands: Sequence[StatedBand]) -> bool:
    """Whether the names of bands are no more than places in the file: `b1`, `b2`; `band-1`."""
    names = [re.fullmatch(r"(?:b|band)?[_ -]?([1-9]\d?)", band.name) for band in bands]
    places = [int(found[1]) for found in names if found]
    return len(places) == len(bands) and places[:1] == [1] and places == sorted(places)


def _common(name: str) -> str:
    known = _COMMON_NAMES.get(name, name)
    return known if known in COLORS else ""


def _refined(common: str, color: str, wavelength: float) -> str:
    """Returns a common name, or the precise one of several that it stands for."""
    if color and (color.startswith(common) or (common, color) == ("rededge", "nir08")):
        return color
    if common == "rededge" and wavelength:
        precise = ("rededge071", "rededge075", "rededge078", "nir08")
        return min(precise, key=lambda n: abs(sum(COLORS[n]) / 2 - wavelength))
    return common


def _words(name: str, key: str, asset: Mapping[str, Any], item_id: str, colors: Colors) -> str:
    for text in dict.fromkeys((name, key)):
        if color := color_of(text, colors):
            return color
    return next(filter(None, _kinds_in_words(name, key, asset, item_id, colors)), "")


def _kinds_in_words(
    name: str, key: str, asset: Mapping[str, Any], item_id: str, colors: Colors
) -> Iterator[str]:
    """Yields what the texts of an asset state, the more telling first; empty ones as well."""
    yield _kind_of(asset.get("title"), item_id, colors)
    if key != name:
        yield file_kind(key, colors)
    yield file_kind(last_part(str(asset.get("href"))), colors)
    yield _kind_of(asset.get("description"), item_id, colors)


def _kind_of(text: object, item_id: str, colors: Colors) -> str:
    return kind_of(text, item_id, colors) if isinstance(text, str) else ""


def _with_polarization(words: str, asset: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Adds the only polarization that an asset or its Item has, unless words say another thing."""
    given = asset.get("sar:polarizations") or properties.get("sar:polarizations")
    only = given[0] if isinstance(given, Sequence) and len(given) == 1 else None
    polarization = only.lower() if isinstance(only, str) else ""
    return polarization if polarization in _POLARIZATIONS and not words else words


def _unit(asset: Mapping[str, Any]) -> str:
    """Returns the unit that all bands have, in a usual spelling; empty where none is stated."""
    listed = [asset.get(n) for n in ("raster:bands", "bands")]
    bands = chain(*(bands for bands in listed if isinstance(bands, list)))
    units = [band.get("unit") for band in bands if isinstance(band, Mapping)]
    given = {str(unit).strip().lower() for unit in units or [asset.get("unit")] if unit}
    if not given and (alone := asset.get("unit") or asset.get("raster:unit")):
        given = {str(alone).strip().lower()}
    only = given.pop() if len(given) == 1 else ""
    plain = re.sub(r"[|,\s]+", " ", _UNITS.get(only[:_LONGEST], only[:_LONGEST]))
    return plain.encode(errors="ignore").decode()


def _role(asset: Mapping[str, Any]) -> str:
    roles = roles_of(asset)
    if roles & AUXILIARY_ROLES:
        return AUXILIARY
    return "main" if roles & _MAIN_ROLES else ""

"""The bands that an Item states for an asset, and what numbered bands are by their sensor. Pure.

Numbers alone say nothing: B4 is red of Landsat 8, and near infrared of Landsat 7. Colors are the
common names of the EO extension. Sources: the band tables of Landsat, the Sentinel-2 MSI guide, the
HLS product guide (L30 has the numbers of OLI, S30 of MSI) and the MODIS band table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Colors = Mapping[str, str]
"""Common names by the numbers of bands, without leading zeros: `4`, `8a`; also by other names."""


def _numbered(first: int, names: str) -> Colors:
    return {str(number): name for number, name in enumerate(names.split(), first)}


_TM: Final = _numbered(1, "blue green red nir08 swir16 lwir swir22 pan")
_OLI: Final = _numbered(1, "coastal blue green red nir08 swir16 swir22 pan cirrus lwir11 lwir12")
_MSI: Final = {
    **_numbered(1, "coastal blue green red rededge071 rededge075 rededge078"),
    **_numbered(8, "nir nir09 cirrus swir16 swir22"),
    "8a": "nir08",
    "nbart_swir_2": "swir16",
    "nbart_swir_3": "swir22",
}
"""With two names of Digital Earth Australia, whose `nbart_swir_2` of Landsat is 2.2 µm."""
_HLS: Final = _numbered(1, "coastal blue green red")
"""The bands that L30 and S30 have in common."""
_MODIS: Final = {**_numbered(1, "red nir08 blue green"), "6": "swir16", "7": "swir22"}
_MSS_OF_1_TO_3: Final = _numbered(4, "green red nir08 nir09")
_MSS_OF_4_AND_5: Final = _numbered(1, "green red nir08 nir09")
_SENSORS: Final[tuple[tuple[str, Colors], ...]] = (
    (r"landsat[-_ ]?[123]\b|\blm0?[123]", _MSS_OF_1_TO_3),
    (r"\blm0?[45]|landsat[-_ ]?[45]\b.*\bmss\b", _MSS_OF_4_AND_5),
    (r"hls2?[-. ]?s30", _MSI),
    (r"hls2?[-. ]?l30", _OLI),
    (r"landsat[-_ ]?[457]|\bl[te]0?[457]|\betm\b|\btm\b", _TM),
    (r"landsat[-_ ]?[89]|\bl[co]0?[89]|\boli\b|\btirs\b", _OLI),
    (r"sentinel[-_ ]?2|\bs2|\bmsi\b", _MSI),
    (r"\bhls", _HLS),
    (r"modis|\bm[oy]d\d\d|\bmcd\d\d", _MODIS),
)
"""What platforms, instruments, ids and file names say, the more certain first."""
_SENSOR: Final = re.compile("|".join(like for like, _ in _SENSORS))
"""Finds any of them: most texts are names of bands, which say none."""
_SENSOR_PROPERTIES: Final = ("platform", "constellation", "mission", "instruments")

_NUMBER: Final = re.compile(
    r"(?:.*[^a-z0-9])?(?:sr_?|toa_?|st_?)?b(?:and)?[_ -]?0?(\d{1,2}a?)(?:_\d{2}m)?"
)
_LONGEST: Final = 100
"""Characters of a name that are looked at."""
_MICROMETRES: Final = 100
"""Center wavelengths above this are nanometres, as some catalogues have them."""


@dataclass(frozen=True, slots=True)
class StatedBand:
    """A band of an asset as its Item states it; what is not stated is empty."""

    name: str = ""
    common_name: str = ""
    wavelength: float = 0.0
    """The center wavelength in µm; 0 where it is not stated."""


def stated_bands(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> list[StatedBand]:
    """Returns the bands of an asset by `bands` (STAC 1.1), `eo:bands` (1.0) or its own fields.

    Before STAC 1.0 bands stood in the properties, and assets had their places. Names are in lower
    case. Empty where nothing is stated.
    """
    listed = properties.get("eo:bands")
    for field in ("bands", "eo:bands"):
        bands = asset.get(field)
        found = [_stated(band, listed) for band in bands] if isinstance(bands, list) else []
        if any(band != StatedBand() for band in found):
            return found
    alone = _stated({k: v for k, v in asset.items() if k != "name"})
    return [alone] if alone != StatedBand() else []


def sensor_colors(properties: Mapping[str, Any], *texts: str) -> Colors:
    """Returns what numbered bands of the sensor are; empty where the sensor is unknown.

    `texts` are what may name it beside the properties: the ids of the Item and its collection.
    """
    known = [properties.get(name) for name in _SENSOR_PROPERTIES]
    text = f"{' '.join(texts)} {known}".lower().replace("_", " ")
    if not _SENSOR.search(text):
        return {}
    return next(colors for like, colors in _SENSORS if re.search(like, text))


def band_number(name: str) -> str:
    """Returns the number of a band of that name (`B04`, `SR_B4`, `band 8a`): `4`, `8a`, or ""."""
    found = _NUMBER.fullmatch(re.sub(r"\.tiff?$", "", name[-_LONGEST:].lower()))
    return found[1] if found else ""


def color_of(name: str, colors: Colors) -> str:
    """Returns the common name of a band that a sensor has by that name or number, or ""."""
    return colors.get(re.sub(r"^nbar_", "nbart_", name.lower())) or colors.get(
        band_number(name), ""
    )


def _stated(band: object, listed: object = None) -> StatedBand:
    if isinstance(band, int) and isinstance(listed, list) and 0 <= band < len(listed):
        band = listed[band]
    if isinstance(band, str):
        return StatedBand(_text(band))
    if not isinstance(band, Mapping):
        return StatedBand()
    return StatedBand(
        _text(band.get("name")),
        _text(band.get("eo:common_name")) or _text(band.get("common_name")),
        _micrometres(band.get("eo:center_wavelength") or band.get("center_wavelength")),
    )


def _text(value: object) -> str:
    return value[:_LONGEST].strip().lower() if isinstance(value, str) else ""


def _micrometres(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        return 0.0
    return float(value / 1000 if value > _MICROMETRES else value)

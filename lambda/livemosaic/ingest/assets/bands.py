"""What a STAC Item states about the numbers in its assets: nodata, scale and offset of each band.

Sources: STAC 1.1, common metadata and `bands` (which fall back to the asset, and assets to the
Item's properties); raster extension 1.1 (`raster:bands`) and 2.0 (`raster:scale`, `raster:offset`);
file extension 1.0 (`file:nodata`, removed since).
The data type is not used: a TIFF always states its own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from livemosaic.model.raster import PLAIN, BandEncoding, Encoding

_FIELDS: Final = {"nodata": "nodata", "scale": "raster:scale", "offset": "raster:offset"}
"""Names in assets and properties, by the names in `BandEncoding` and `raster:bands`."""
_MAX_INT: Final = 2**64


@dataclass(frozen=True, slots=True)
class StatedEncodings:
    """The encodings of an Item's assets, and the values that are none."""

    encodings: Mapping[str, Encoding]
    """By the name of the asset; assets of which nothing is stated are missing."""
    problems: Sequence[str]
    """A sentence for each value that cannot be used."""


def stated_encodings(assets: Mapping[str, Any], properties: Mapping[str, Any]) -> StatedEncodings:
    """Reads the encodings of assets, by their names."""
    encodings: dict[str, Encoding] = {}
    problems: list[str] = []
    for name, asset in assets.items():
        found = tuple(_bands(asset, properties, f"asset {name[:80]!r}", problems))
        if any(band != PLAIN for band in found):
            encodings[name] = found
    return StatedEncodings(encodings, tuple(dict.fromkeys(problems)))


def _bands(
    asset: Mapping[str, Any], properties: Mapping[str, Any], what: str, problems: list[str]
) -> Iterator[BandEncoding]:
    bands, raster_bands = _objects(asset.get("bands")), _objects(asset.get("raster:bands"))
    of_file = {"nodata": _only(asset.get("file:nodata"))}
    for index in range(max(len(bands), len(raster_bands), 1)):
        own = [listed[index] for listed in (bands, raster_bands) if index < len(listed)]
        band: dict[str, float] = {}
        for name, full_name in _FIELDS.items():
            value = _first(own, full_name, name)
            if value is None:
                value = _first((asset, of_file, properties), full_name)
            try:
                if (number := _number(name, value)) is not None:
                    band[name] = number
            except ValueError:
                problems.append(f"{name} {str(value)[:40]!r} of {what} is no number that it can be")
        yield BandEncoding(**band)


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = value if isinstance(value, list) else []
    return [one if isinstance(one, Mapping) else {} for one in listed]


def _only(values: object) -> object:
    """Returns the value of a list of one, and anything else as it is."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _first(places: Iterable[Mapping[str, Any]], *names: str) -> object:
    found = (place.get(name) for place in places for name in names)
    return next((value for value in found if value is not None), None)


def _number(name: str, value: object) -> float | None:
    """Returns a number of JSON, or a text that stands for one (`nan`, `-inf`, also `-9999`).

    None for none, and for a nodata of NaN, which is invalid anyway. `ValueError` for anything else,
    and for a scale of zero, and a scale or offset that is not finite.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)  # noqa: TRY004
    number = _parsed(value) if isinstance(value, str) else value
    if isinstance(number, int) and not -_MAX_INT < number < _MAX_INT:
        raise ValueError(value)
    if name == "nodata":
        return None if math.isnan(number) else number
    if not math.isfinite(number) or (name == "scale" and number == 0):
        raise ValueError(value)
    return float(number)


def _parsed(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)

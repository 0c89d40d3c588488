"""What the words of a title, a key or a file name state about the values of an asset. Pure.

Titles are free text, and often differ from Item to Item: they hold ids, dates, tiles, places.
Therefore only words that are known count, and colors only where all of the text is understood:
"Band 4 (red)" is red, "Red River" is not.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from livemosaic.index.learning.meanings import AUXILIARY
from livemosaic.ingest.assets.sensors import Colors

_DECIMALS: Final = r"\s*\(?(?:swir|nir)?\)?\s*(?:band)?\s*\(?"
_COLORS: Final = (
    (
        rf"(?:short ?wave infrared|swir){_DECIMALS}(?:1[.]?6\d?\d?|1)\)?(?:\s?[uμµ]m)?(?!\d)",
        "swir16",
    ),
    (
        rf"(?:short ?wave infrared|swir){_DECIMALS}(?:2[.]?[12]\d?\d?|2)\)?(?:\s?[uμµ]m)?(?!\d)",
        "swir22",
    ),
    (r"short ?wave infrared(?: radiation)?(?: \(?swir\)?)?|swir", "swir"),
    (r"(?:vegetation )?red ?edge (?:band )?(?:1|071|70\d)\b", "rededge071"),
    (r"(?:vegetation )?red ?edge (?:band )?(?:2|075|740)\b", "rededge075"),
    (r"(?:vegetation )?red ?edge (?:band )?(?:3|078|78\d)\b", "rededge078"),
    (r"(?:vegetation )?red ?edge (?:band )?4\b", "nir08"),
    (r"(?:vegetation )?red ?edge", "rededge"),
    (r"(?:near infrared|nir)(?: radiation)?(?: band)? ?(?:\(nir\) )?(?:0[.]?8\d?)", "nir08"),
    (r"(?:near infrared|nir)(?: radiation)?(?: band)? ?(?:0[.]?9\d?)", "nir09"),
    (r"(?:near infrared|nir)(?: radiation)?(?: narrow)?(?: \(?nir\)?)?(?: \d(?=$| ))?", "nir"),
    (r"(?:thermal infrared|lwir|tirs?) ?11", "lwir11"),
    (r"(?:thermal infrared|lwir|tirs?) ?12", "lwir12"),
    (r"thermal infrared|lwir\d?|tirs?(?: [12])?", "lwir"),
    (r"(?:true|natural) ?colou?r|tci|rgb|visual", "rgb"),
    (r"(?:coastal|ultra ?blue)(?:[/ ]aerosol)?", "coastal"),
    (r"pan(?:chromatic)?", "pan"),
    *((color, color) for color in ("blue", "green", "yellow", "red", "cirrus")),
)
"""Patterns of texts in lower case and the common names they stand for, the longest first."""
_FILLERS: Final = (
    r"band|bands|channel|image|surface|reflectances?|boa|toa|sr|st|nbart?|sur|refl|level|l[12][abc]?"
    r"|the|of|at|in|for|nadir|resolution|cog|geotiff|tiff?|download|asset|data|direct|oli|etm|tm|msi"
    r"|optimized|cloud-optimized|\d+ ?(?:m|km|nm)|\d+-\d+ nm|b?\d{1,2}a?|single|3|preview|narrow"
    r"|file"
)
_QUANTITIES: Final = (
    *((rf"{code}s?", code) for code in ("ndvi", "savi", "ndwi", "ndmi", "ndsi", "nbr", "lai")),
    *((code, code) for code in ("vv", "vh", "hh", "hv", "scl", "aot", "wvp", "fpar", "chm")),
    (r"evi2?", "evi"),
    (r"d[est]m|elevation|altitude", "dem"),
    (r"lst|land ?-?surface temperature|surface temperature", "lst"),
    (r"sst|sea surface temperature", "sst"),
    (r"t(?:avg|mean)|average temperature", "temperature+mean"),
    (r"tmin|minimum temperature", "temperature+min"),
    (r"tmax|maximm?um temperature", "temperature+max"),
    (r"temperatures?", "temperature"),
    (r"prec|prcp|precipitation|rainfall", "precipitation"),
    (r"evapotranspiration", "evapotranspiration"),
    (r"land ?-?cover", "landcover"),
    *((w, w) for w in ("emissivity", "salinity", "albedo", "radiance", "coherence", "hillshade")),
    *((w, w) for w in ("transmittance", "backscatter", "biomass", "humidity", "burn")),
)
"""Words that no place or scene is named with: they count in any text."""
_AUXILIARY: Final = (
    *((code, code) for code in ("vza", "vaa", "sza", "saa", "fmask")),
    (r"bqa|qa|qc|qa pixel", "qa"),
)
"""Codes of masks, qualities and angles: they count in any text."""
_AUXILIARY_WORDS: Final = (
    r"quality|masks?|flags?|angles?|zenith|azimuth|uncertainty|errors?|standard deviation|stdev"
    r"|counts?|fill values|pointer|qa|qc|confidence"
)
"""Words that make anything else auxiliary that is named beside them."""
_QUALIFIERS: Final = (
    *((rf"{word}(?:time)?", word) for word in ("day", "night")),
    (r"min(?:imum)?", "min"),
    (r"max(?:im)?m?(?:um)?", "max"),
    (r"mean|average", "mean"),
    (r"anomal(?:y|ies)", "anomaly"),
)
_BAND_CODE: Final = r"b(?:and)?[ _-]?0?(\d{1,2}a?)"
_LONGEST: Final = 200
"""Characters of a text that are looked at; titles are shorter."""
_EXTENSION: Final = re.compile(r"\.(?:tiff?|gtiff|geotiff)\b")


def kind_of(text: str, item_id: str, colors: Colors) -> str:
    """Returns the kind that a text states, empty where it states none: see
    `index.learning.meanings`.

    The Item's own id in it does not count. `colors` are the sensor's, by numbers of bands.
    """
    plain = _plain(text, item_id)
    return _kind_in_words(plain) or _numbered(plain, colors)


@lru_cache(4096)
def _kind_in_words(plain: str) -> str:
    named = {*_found(_AUXILIARY, plain)}
    found = named | {*_found(_QUANTITIES, plain)}
    if not found:
        return _color(plain)
    if named or _search(_AUXILIARY_WORDS, plain):
        found.add(AUXILIARY)
    words = "+".join([*found, *_found(_QUALIFIERS, plain), *_numbers(plain)])
    return "+".join(sorted({*words.split("+")}))


def file_kind(name: str, colors: Colors) -> str:
    """Returns the kind that the end of a file name states, where bands are named by convention.

    `B04` is one without a sensor, too; `B4` may be a tile of a grid.
    """
    stem = _EXTENSION.sub("", name[-_LONGEST:].lower())
    last = [word for word in re.split(r"[._ -]", stem) if word][-2:]
    found = [(word, kind_of(word, "", colors)) for word in reversed(last)]
    kinds = (
        kind for word, kind in found if kind[:1] != "#" or re.fullmatch(r"b0\d|b\d[\da]", word)
    )
    return next((kind for kind in kinds if kind and kind != "pan"), "")


def _plain(text: str, item_id: str) -> str:
    text = text[:_LONGEST]
    without = text.lower().replace(item_id.lower(), " ") if len(item_id) > 1 else text.lower()
    without = re.sub(r"\d+[- ]?days?\b|\bday ?/ ?night|\bdays? of (?:the )?year", " ", without)
    spaced = re.sub(r"[_,:;()\[\]]|\s-\s|(?<!\d)[.]|[.](?!\d)", " ", _EXTENSION.sub("", without))
    return re.sub(r"\s+", " ", spaced.replace("near-", "near ").replace("short-", "short ")).strip()


def _found(patterns: tuple[tuple[str, str], ...], text: str) -> Iterator[str]:
    return (word for like, word in patterns if _search(like, text))


def _search(like: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<![a-z0-9])(?:{like})(?![a-z0-9])", text)


def _color(text: str) -> str:
    """Returns the color of a text of which every word is understood."""
    color, rest = "", text
    for like, name in _COLORS:
        if found := _search(like, rest):
            if color:
                return ""
            color, rest = name, f"{rest[: found.start()]} {rest[found.end() :]}"
            rest = re.sub(rf"(?<![a-z0-9])(?:{like})(?![a-z0-9])", " ", rest)
    left = re.sub(rf"(?<![a-z0-9])(?:{_FILLERS})(?![a-z0-9])", " ", rest)
    return color if not re.search(r"[a-z0-9]", left) else ""


def _numbered(text: str, colors: Colors) -> str:
    numbers = [*_numbers(text)]
    if len(numbers) != 1:
        return ""
    number = numbers[0][1:]
    return colors.get(number, "") if colors else ("" if number == "1" else numbers[0])


def _numbers(text: str) -> list[str]:
    found = re.findall(rf"(?<![a-z0-9]){_BAND_CODE}(?![a-z0-9])", text)
    return [f"#{number}" for number in dict.fromkeys(found)]

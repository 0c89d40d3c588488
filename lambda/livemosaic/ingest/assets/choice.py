"""The assets that a mosaic shows where a request names none, chosen from its first Item. Pure.

By `visual`; else by roles, by bands (`eo:bands` of STAC 1.0, `bands` of 1.1), by names and by media
types. The order of the assets in the Item does not count, so that Items that list the same assets
in different orders give the same choice.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Final

from livemosaic.ingest.assets.media import AUXILIARY_ROLES, roles_of
from livemosaic.ingest.assets.sensors import Colors, band_number, sensor_colors, stated_bands

_RGB: Final = ("red", "green", "blue")
_VISUAL_WORDS: Final = frozenset({"visual", "visible", "tci", "rgb", "truecolor", "truecolour"})
_VISUAL_PAIRS: Final = frozenset({("true", "color"), ("true", "colour"), ("natural", "color")})

_AUXILIARY_WORDS: Final = re.compile(
    r"(?:q[ac]|bqa|fmask|.*mask|quality|flags?|angles?|azimuth|zenith|scl|aot|wvp|[sv][az]a"
    r"|saturation|oa|clearob|totalob|provenance|contiguity|error|incidence|atmos|radsat|doy"
    r"|uncertainty|stdev)"
)
"""Words in names of assets that describe the pixels of others."""
_AUXILIARY_NAMES: Final = frozenset({"cloud", "clouds", "snow", "count"})
_PREFERRED: Final = (
    *(r"image", r"data", r"cog", r"ortho.*", r".*(?:^|_)gec", r"analytic.*", r"nbart.*"),
    *(r"vv", r"hh", r".*ndvi", r"lst_day.*", r"(?:.*[^a-z])?red", r"dem|dtm|dsm"),
)
"""Names of the main asset of an Item, the best first."""
_COG: Final = "profile=cloud-optimized"


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    asset: Mapping[str, Any]
    bands: tuple[str, ...]
    """Common names of its bands, or their names; empty where nothing is known."""

    @property
    def label(self) -> str:
        """The name in lower case; of the pattern `*_B4.TIF`, without the extension."""
        return re.sub(r"\.tiff?$", "", self.name.lower())

    @property
    def words(self) -> list[str]:
        return re.findall(r"[a-z0-9]+", self.label)

    @property
    def is_visual(self) -> bool:
        words = self.words
        return (
            "visual" in roles_of(self.asset)
            or not _VISUAL_WORDS.isdisjoint(words)
            or any(pair in _VISUAL_PAIRS for pair in pairwise(words))
        )

    @property
    def is_auxiliary(self) -> bool:
        return (
            bool(roles_of(self.asset) & AUXILIARY_ROLES)
            or self.label in _AUXILIARY_NAMES
            or any(_AUXILIARY_WORDS.fullmatch(word) for word in self.words)
        )

    @property
    def colors(self) -> set[str]:
        """The colors that it has, by its bands; by its name where nothing is known of these."""
        named = {band for band in self.bands if band in _RGB}
        return named if named or len(self.bands) > 1 else self._color_of_name()

    def _color_of_name(self) -> set[str]:
        words = {*self.words, *re.findall(r"[a-z0-9]+", " ".join(self.bands))}
        return words.intersection(_RGB) if "edge" not in words else set()

    def order(self) -> tuple[Any, ...]:
        """Sorts the asset that a person would choose first."""
        preferred = [n for n, like in enumerate(_PREFERRED) if re.fullmatch(like, self.label)]
        media = str(self.asset.get("type")).replace(" ", "").lower()
        place = preferred[0] if preferred else len(_PREFERRED)
        return place, resolution(self.asset), _COG not in media, _natural(self.label), self.name


def choose_assets(
    assets: Mapping[str, Mapping[str, Any]], properties: Mapping[str, Any], *ids: str
) -> tuple[str, ...]:
    """Returns the names of the assets to show: one, or red, green and blue; empty for no assets.

    `properties` and `ids` (of the Item and its collection) tell which sensor made numbered bands.
    """
    if not assets or "visual" in assets:
        return ("visual",) if assets else ()
    found = [_Candidate(name, a, tuple(_bands(a, properties))) for name, a in assets.items()]
    main = [c for c in found if not c.is_auxiliary or c.is_visual] or found
    data = [c for c in main if "data" in roles_of(c.asset)] or main
    visual = [c for c in main if c.is_visual]
    colored = [c for c in data if c.colors >= {*_RGB}]
    if visual or colored:
        return (_best(visual or colored),)
    return (
        _three(data, _of_color)
        or _three(data, _of_number(sensor_colors(properties, *ids)))
        or (_best(data),)
    )


def _best(candidates: Sequence[_Candidate]) -> str:
    return min(candidates, key=_Candidate.order).name


def _three(
    candidates: Sequence[_Candidate], color_of: Callable[[_Candidate], str]
) -> tuple[str, ...]:
    """Returns the best asset of each color, if possible of one family such as `nbart_*`."""
    everything: dict[str, list[_Candidate]] = {}
    families: dict[str, dict[str, list[_Candidate]]] = {}
    for candidate in candidates:
        if color := color_of(candidate):
            family = families.setdefault(re.sub(rf"{color}|\d+", "", candidate.label), {})
            for group in (family, everything):
                group.setdefault(color, []).append(candidate)
    whole = [group for group in families.values() if len(group) == len(_RGB)]
    whole = whole or [group for group in [everything] if len(group) == len(_RGB)]
    if not whole:
        return ()
    best = min(whole, key=lambda family: min(c.order() for c in chain(*family.values())))
    return tuple(_best(best[color]) for color in _RGB)


def _of_color(candidate: _Candidate) -> str:
    colors = candidate.colors
    return min(colors) if len(colors) == 1 else ""


def _of_number(numbered: Colors) -> Callable[[_Candidate], str]:
    def color_of(candidate: _Candidate) -> str:
        names = (candidate.label, *(candidate.bands if len(candidate.bands) == 1 else ()))
        numbers = (band_number(name) for name in names)
        color = next((numbered.get(number, "") for number in numbers if number), "")
        return color if color in _RGB else ""

    return color_of


def _bands(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    """Yields the common name of each band, else its name, in lower case."""
    for band in stated_bands(asset, properties):
        yield band.common_name or band.name


def resolution(asset: Mapping[str, Any]) -> float:
    """Returns the distance of pixels on the ground in metres; infinite where it is not given."""
    bands = [b for n in ("raster:bands", "bands") if isinstance(b := asset.get(n), list)]
    given = [asset.get("gsd"), asset.get("eo:gsd"), asset.get("raster:spatial_resolution")]
    given += [
        band.get(name)
        for band in chain(*bands)
        if isinstance(band, Mapping)
        for name in ("spatial_resolution", "raster:spatial_resolution", "gsd")
    ]
    known = [float(n) for n in given if isinstance(n, int | float) and 0 < n < 1e12]
    return min(known, default=float("inf"))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts B2 before B10."""
    return [
        (1, int(part), "") if part.isdecimal() and part.isascii() else (0, 0, part)
        for part in re.split(r"([0-9]+)", name)
    ]

"""What the assets of a mosaic mean: the bands, the quantity and the unit that Items state. Pure.

A mosaic keeps one meaning for each name of an asset, made of what its Items state. An Item whose
asset states something else has another kind of asset by that name, and the two are never shown as
one. What an Item does not state contradicts nothing.

A *kind* is a set of words joined by `+`: a color by its common name (`red`, `nir08`), a quantity
(`ndvi`, `vv`, `dem`), what a quantity is of (`day`, `max`), `aux` for pixels that describe others,
and the number of a band whose color is unknown (`#4`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene

COLORS: Final = {
    "coastal": (0.38, 0.46),
    "blue": (0.43, 0.54),
    "green": (0.49, 0.61),
    "green05": (0.5, 0.56),
    "yellow": (0.56, 0.64),
    "red": (0.59, 0.71),
    "rededge": (0.68, 0.8),
    "rededge071": (0.68, 0.73),
    "rededge075": (0.72, 0.76),
    "rededge078": (0.76, 0.8),
    "nir": (0.74, 1.1),
    "nir08": (0.74, 0.91),
    "nir09": (0.84, 1.1),
    "cirrus": (1.3, 1.45),
    "swir16": (1.5, 1.8),
    "swir22": (2.0, 2.5),
    "swir": (1.2, 3.0),
    "lwir": (8.0, 14.0),
    "lwir11": (10.0, 11.7),
    "lwir12": (11.0, 13.0),
    "pan": (0.35, 1.1),
    "rgb": (0.4, 0.75),
}
"""Common names (STAC EO extension 2), with the widest range of center wavelengths in use, in µm.
`rgb` is an image in true color whose bands are not stated one by one."""
AUXILIARY: Final = "aux"
STATED: Final = "livemosaic:meaning"
"""Field of an asset with its meaning as text, in Items that livemosaic makes."""
_ROLES: Final = {AUXILIARY: "a mask, quality or angle", "main": "data"}
_KIND: Final = re.compile(r"(~\d{1,4}\.\d{3}|#?[a-z0-9]+(\+#?[a-z0-9]+)*)?", re.ASCII)
_OF_QUANTITIES: Final = frozenset({"day", "night", "min", "max", "mean", "anomaly"})
_RGB: Final = ("red", "green", "blue")
_SAME_WAVELENGTH: Final = 0.1
"""Center wavelengths of one band by different sensors differ by less, as a part of themselves."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an Item states about the values of an asset; what it does not state is empty."""

    bands: tuple[str, ...] = ()
    """The kind of each band in the order of the file, or its center wavelength as `~0.665`."""
    words: str = ""
    """The kind of the asset by its name, title or file, where bands say nothing."""
    unit: str = ""
    role: str = ""
    """`aux` for a mask, quality or angle by the asset's roles, `main` for data."""

    @classmethod
    def of(cls, text: str) -> "Meaning":
        """Returns the meaning that a row holds as `text`."""
        bands, words, unit, role, *_ = f"{text}||||".split("|")
        return cls(tuple(bands.split(",")) if bands else (), words, unit, role)

    @property
    def is_valid(self) -> bool:
        """Whether its kinds and its role are such as can be compared."""
        kinds = (*self.bands, self.words)
        return self.role in ("", *_ROLES) and all(map(_KIND.fullmatch, kinds))

    @property
    def text(self) -> str:
        """The meaning as rows hold it; empty where nothing is stated."""
        # One band without a name is no statement, and "," would be two of them.
        bands = "" if self.bands == ("",) else ",".join(self.bands)
        return "|".join((bands, self.words, self.unit, self.role)).rstrip("|")


def difference(known: Meaning, own: Meaning) -> str:
    """Returns how a meaning contradicts a known one, such as `nir08, not red`; empty if not."""
    return next(_differences(known, own), "")


def united(known: Meaning, own: Meaning) -> Meaning:
    """Returns all that two meanings state that do not contradict each other."""
    longest = zip_longest(known.bands, own.bands, fillvalue="")
    return Meaning(
        (known.bands and tuple(map(_narrowed, *zip(*longest, strict=True)))) or own.bands,
        _narrowed(known.words, own.words),
        known.unit or own.unit,
        known.role or own.role,
    )


def learned(known: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """Returns the meanings of assets by name, with what an Item states that was not known."""
    found = dict(known)
    for name, before, own in _pairs(known, stated):
        if not difference(before, own):
            found[name] = united(before, own).text
    return found


def differences(known: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """Returns how assets of an Item contradict the known ones, by the names of these assets."""
    found = {name: difference(before, own) for name, before, own in _pairs(known, stated)}
    return {name: how for name, how in found.items() if how}


def _pairs(
    known: Mapping[str, str], stated: Mapping[str, str]
) -> Iterator[tuple[str, Meaning, Meaning]]:
    """Yields the known and the stated meaning of each asset of which they are not the same."""
    for name, text in stated.items():
        before = known.get(name, "")
        if before != text:
            yield name, Meaning.of(before), Meaning.of(text)


def compared(mosaic: Mosaic, scene: Scene) -> Scene:
    """Returns a scene with what its Item states compared with what the mosaic's Items have stated.

    A scene that was read keeps what was found when it was written.
    """
    stated = scene.meanings()
    found = differences(mosaic.meanings, stated) if stated else scene.other_kinds
    return scene if found == scene.other_kinds else replace(scene, other_kinds=found)


def contradicting(known: Meaning, how: str) -> Meaning:
    """Returns a meaning whose `difference` from the known one is `how`, as far as that says it."""
    own = how.partition(", not ")[0]
    if own in _ROLES.values():
        return Meaning(role=next(role for role, text in _ROLES.items() if text == own))
    if own.startswith("in "):
        return Meaning(unit=own.removeprefix("in "))
    if counted := re.fullmatch(r"of (\d+) bands", own):
        return Meaning(("",) * int(counted[1]))
    if known.bands:
        return Meaning(tuple(band.replace("?", "") for band in own.split("/")))
    return Meaning(words=own)


def _differences(known: Meaning, own: Meaning) -> Iterator[str]:
    if known.bands and own.bands:
        yield from _of_bands(known.bands, own.bands)
    for one, other in ((_whole(known), _whole(own)), (known.words, own.words)):
        if not _kinds_agree(one, other):
            yield f"{other}, not {one}"
    if known.unit and own.unit and known.unit != own.unit:
        yield f"in {own.unit}, not {known.unit}"
    # Catalogues disagree on the roles of one kind: angles are `data` to some.
    of_kinds = _whole(known) and _whole(own)
    if not of_kinds and known.role and own.role and known.role != own.role:
        yield f"{_ROLES.get(own.role)}, not {_ROLES.get(known.role)}"


def _of_bands(known: tuple[str, ...], own: tuple[str, ...]) -> Iterator[str]:
    if not all(_kinds_agree(one, other) for one, other in zip(known, own, strict=False)):
        yield f"{_listed(own)}, not {_listed(known)}"
    if len(known) != len(own) and 1 in (len(known), len(own)):
        yield f"of {len(own)} bands, not {len(known)}"


def _listed(bands: tuple[str, ...]) -> str:
    return "/".join(band or "?" for band in bands)[:60]


def _whole(meaning: Meaning) -> str:
    """Returns the kind of an asset as a whole, by its bands; by its words where these say none."""
    if len(meaning.bands) > 1 and meaning.bands[:3] == _RGB:
        return "rgb"
    return "+".join(band for band in meaning.bands if band) or meaning.words


def _kinds_agree(one: str, other: str) -> bool:
    if not one or not other or one == other:
        return True
    ones, others = {*one.split("+")}, {*other.split("+")}
    if (AUXILIARY in ones) != (AUXILIARY in others):
        return False
    if _disjoint(ones & _OF_QUANTITIES, others & _OF_QUANTITIES):
        return False
    content, other_content = (kind - _OF_QUANTITIES - {AUXILIARY} for kind in (ones, others))
    colors, other_colors = _colors(content), _colors(other_content)
    if colors and other_colors:
        return any(_colors_agree(a, b) for a in colors for b in other_colors)
    numbers, other_numbers = _numbers(content), _numbers(other_content)
    if (colors and other_content == other_numbers) or (other_colors and content == numbers):
        return True  # a number that no sensor explains may be any color
    if _disjoint(numbers, other_numbers):
        return False
    return not _disjoint(content, other_content)


def _disjoint(ones: set[str], others: set[str]) -> bool:
    return bool(ones) and bool(others) and ones.isdisjoint(others)


def _colors(kind: set[str]) -> set[str]:
    return {word for word in kind if word in COLORS or word.startswith("~")}


def _numbers(kind: set[str]) -> set[str]:
    return {word for word in kind if word.startswith("#")}


def _colors_agree(one: str, other: str) -> bool:
    """Whether two colors may be one: `nir` and `nir08`, `red` and `~0.665`."""
    if one.startswith("~") and other.startswith("~"):
        first, second = float(one[1:]), float(other[1:])
        return abs(first - second) <= _SAME_WAVELENGTH * max(first, second)
    if one.startswith("~"):
        one, other = other, one
    if other.startswith("~"):
        shortest, longest = COLORS[one]
        return shortest <= float(other[1:]) <= longest
    return one == other or re.sub(r"\d+$", "", one) == other or re.sub(r"\d+$", "", other) == one


def _narrowed(one: str, other: str) -> str:
    """Returns the more precise of two kinds that agree; what both say, where both say several."""
    if not one or not other:
        return one or other
    common = {*one.split("+")} & {*other.split("+")}
    if common:
        return "+".join(sorted(common))
    return max(one, other, key=_precision)


def _precision(kind: str) -> tuple[bool, bool, bool]:
    words = {*kind.split("+")}
    named = any(word in COLORS for word in words)
    return not kind.startswith("#"), named, any(word[-1].isdigit() for word in words)

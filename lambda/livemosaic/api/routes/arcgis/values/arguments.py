"""Arguments of raster functions: the ones that are read, and the ones that may be passed over."""

from collections.abc import Mapping
from typing import Any, Final

from livemosaic.errors import InvalidRequestError

Arguments = Mapping[str, Any]
"""Arguments of a raster function by name in lower case."""

INPUTS: Final = ("raster", "dem")
"""Arguments that are the raster on which a function works."""
_MEMBERS: Final = (
    "rasterFunction", "rasterFunctionArguments", "outputPixelType", "variableName", "name",
    "description", "help", "thumbnail",
)  # fmt: skip
"""Of a rendering rule; the later ones do not change its image."""
_OFF: Final = ("false", "0")
_ANY: Final = None

_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "aspect": (),
    "bandarithmetic": ("method", "bandindexes"),
    "colormap": ("colormap", "colormapname", "colorrampname", "colorramp"),
    "extractband": ("bandids",),
    "hillshade": ("azimuth", "altitude", "zfactor"),
    "ndvi": ("visiblebandid", "infraredbandid"),
    "remap": (
        "inputranges", "outputvalues", "nodataranges", "allowunmatched",
        "islastinputrangeinclusive",
    ),
    "slope": ("slopetype", "zfactor"),
    "statistics": ("type", "statisticstype", "kernelcolumns", "kernelrows"),
    "stretch": (
        "stretchtype", "statistics", "dra", "min", "max", "numberofstandarddeviations",
        "minpercent", "maxpercent", "usegamma", "gamma",
    ),
}  # fmt: skip
_SURFACE: Final = {"pspower": _ANY, "pszfactor": _ANY, "removeedgeeffect": _ANY}
_PASSED_OVER: Final[dict[str, dict[str, tuple[str, ...] | None]]] = {
    "aspect": {**_SURFACE},
    "extractband": {"missingbandaction": _ANY, "wavelengthmatchtolerance": _ANY},
    "hillshade": {**_SURFACE, "hillshadetype": ("0", "traditional"), "slopetype": ("1", "none")},
    "ndvi": {"scientificoutput": _OFF},
    "remap": {"usetable": _OFF},
    "slope": {**_SURFACE},
    "statistics": {"fillnodataonly": _OFF},
    "stretch": {
        "computegamma": _OFF, "sigmoidstrengthlevel": _ANY, "estimatestats": _ANY,
        "histograms": _ANY,
    },
}  # fmt: skip
"""Arguments that clients send, and the values with which they change nothing here."""


def arguments_of(rule: Mapping[str, Any]) -> Arguments:
    """Returns the arguments of a rendering rule; raises `InvalidRequestError` for what it is not.

    So it does for members that are not known, which could change the image.
    """
    if strange := [member for member in rule if member not in _MEMBERS]:
        raise InvalidRequestError(
            f"renderingRule has {strange[0][:80]!r}, which is not known; known are "
            f"{', '.join(_MEMBERS)}"
        )
    given = rule.get("rasterFunctionArguments") or {}
    if not isinstance(given, dict):
        raise InvalidRequestError("rasterFunctionArguments must be an object")
    found = {name.lower(): value for name, value in given.items()}
    if len(found) < len(given):
        raise InvalidRequestError("rasterFunctionArguments have a name twice")
    return found


def check_arguments(name: str, given: Arguments) -> None:
    """Raises `InvalidRequestError` for arguments of a function that would be passed over.

    Empty ones, and the ones that clients send with values that change nothing, are none of these.
    """
    known = (*_KNOWN.get(name, ()), *INPUTS)
    neutral = _PASSED_OVER.get(name, {})
    for argument, value in given.items():
        if argument in known or value in (None, "", [], {}):
            continue
        allowed = neutral.get(argument, ())
        if allowed is not _ANY and str(value).lower() not in allowed:
            raise InvalidRequestError(
                f"{name} has {argument[:80]!r} {str(value)[:80]!r}, which is not known here; known "
                f"are {', '.join(known)}"
            )

"""Raster functions by the arguments of a rendering rule: what each of them runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from livemosaic.api.routes.arcgis.values.arguments import Arguments
from livemosaic.api.routes.arcgis.values.asked import number_of, yes_or_no
from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Colors
from livemosaic.render.functions import bands, colors, terrain

_MOST_CELLS: Final = 225
"""Pixels of a focal window."""
_MOST_RANGES: Final = 256
_RAMPS: Final = {
    "gray": "gray", "grey": "gray", "black to white": "gray", "ndvi": "rdylgn", "ndvi3": "rdylgn",
    "elevation": "terrain", "elevation #1": "terrain", "aspect": "hsv", "heatmap": "hot",
}  # fmt: skip
"""ArcGIS's names of color ramps, and rio-tiler's colormaps that are like them."""
_STRETCHES: Final[dict[int, colors.StretchType]] = {
    0: "none", 3: "deviations", 5: "min_max", 6: "percent",
}  # fmt: skip

Run = Callable[[Pixels, Grid], Pixels]


@dataclass(frozen=True, slots=True)
class RasterFunction:
    """A raster function with its arguments."""

    run: Run
    margin: int = 0
    """Pixels around an image that it needs."""
    window: int = 0
    """Pixels of a focal window."""
    colors: str | Colors | None = None
    """The colormap by which it makes colors of values."""


def check_bands(given: Arguments, most: int) -> None:
    """Raises `InvalidRequestError` where a function names more bands than it may."""
    if len(_list("BandIDs", given.get("bandids"))) > most:
        raise InvalidRequestError(f"BandIDs can have {most} bands at most")


def _extract(given: Arguments) -> RasterFunction:
    ids = [_whole("BandIDs", one) for one in _list("BandIDs", given.get("bandids"))]
    if not ids:
        raise InvalidRequestError("ExtractBand needs BandIDs, counted from 0")
    return RasterFunction(lambda pixels, _: bands.extract_bands(pixels, ids))


def _ndvi(given: Arguments) -> RasterFunction:
    red = _whole("VisibleBandID", given.get("visiblebandid", 0))
    infrared = _whole("InfraredBandID", given.get("infraredbandid", 1))
    return RasterFunction(lambda pixels, _: bands.ndvi(pixels, red, infrared))


def _arithmetic(given: Arguments) -> RasterFunction:
    method = _whole("Method", given.get("method", 0))
    indexes = given.get("bandindexes", "")
    if not isinstance(indexes, str) or method not in bands.ARITHMETIC:
        raise InvalidRequestError(
            f"BandArithmetic needs BandIndexes as text, and a Method of {bands.ARITHMETIC}"
        )
    return RasterFunction(lambda pixels, _: bands.arithmetic(pixels, method, indexes))


def _remap(given: Arguments) -> RasterFunction:
    ranges = _pairs("InputRanges", given.get("inputranges"))
    values = [
        number_of("OutputValues", v) for v in _list("OutputValues", given.get("outputvalues"))
    ]
    hidden = _pairs("NoDataRanges", given.get("nodataranges"))
    if len(ranges) != len(values) or not ranges or len(ranges) > _MOST_RANGES:
        raise InvalidRequestError(
            f"Remap has {len(ranges)} InputRanges and {len(values)} OutputValues; it needs as many "
            f"of each, 1 to {_MOST_RANGES}"
        )
    run = partial(
        bands.remap,
        ranges=ranges,
        values=values,
        no_data=hidden,
        keeps_others=_flag("AllowUnmatched", given),
        holds_last=_flag("IsLastInputRangeInclusive", given),
    )
    return RasterFunction(lambda pixels, _: run(pixels))


def _hillshade(given: Arguments) -> RasterFunction:
    azimuth = number_of("Azimuth", given.get("azimuth", 315))
    altitude = number_of("Altitude", given.get("altitude", 45))
    z = number_of("ZFactor", given.get("zfactor", 1))
    return RasterFunction(
        partial(terrain.hillshade, azimuth=azimuth, altitude=altitude, z_factor=z), margin=1
    )


def _slope(given: Arguments) -> RasterFunction:
    kind = _whole("SlopeType", given.get("slopetype", 1))
    if kind not in (1, 2):
        raise InvalidRequestError(f"SlopeType {kind} must be 1, degrees, or 2, percent of rise")
    z = number_of("ZFactor", given.get("zfactor", 1))
    return RasterFunction(partial(terrain.slope, percent=kind == 2, z_factor=z), margin=1)


def _aspect(_: Arguments) -> RasterFunction:
    return RasterFunction(terrain.aspect, margin=1)


_FOCAL: Final[dict[str, terrain.FocalType]] = {
    "min": "min",
    "max": "max",
    "mean": "mean",
    "standarddeviation": "std",
    "1": "min",
    "2": "max",
    "3": "mean",
    "4": "std",
}


def _focal(given: Arguments) -> RasterFunction:
    named = given.get("type", given.get("statisticstype", "mean"))
    kind = _FOCAL.get(str(named).lower())
    columns = _whole("KernelColumns", given.get("kernelcolumns", 3))
    rows = _whole("KernelRows", given.get("kernelrows", 3))
    if kind is None:
        raise InvalidRequestError(f"Statistics has no Type {str(named)[:20]!r} here")
    if not (columns >= 1 and rows >= 1 and columns * rows <= _MOST_CELLS):
        raise InvalidRequestError(
            f"a window of {columns} × {rows} pixels must have 1 to {_MOST_CELLS}"
        )
    reach = max(columns, rows) // 2
    run = partial(terrain.focal, kind=kind, columns=columns, rows=rows)
    return RasterFunction(lambda pixels, _: run(pixels), reach, columns * rows)


def _stretch(given: Arguments) -> RasterFunction:
    number = _whole("StretchType", given.get("stretchtype", 0))
    kind = _STRETCHES.get(number)
    if kind is None:
        raise InvalidRequestError(
            f"StretchType {number} is not known here; known are 0 (none), 3 (standard deviations), "
            "5 (minimum and maximum) and 6 (percent clip)"
        )
    dynamic = _flag("DRA", given)
    ranges = () if dynamic else tuple(map(_range, _list("Statistics", given.get("statistics"))))
    if kind in ("deviations", "min_max") and not (ranges or dynamic):
        raise InvalidRequestError(
            "Stretch needs Statistics, [[min, max, mean, standard deviation]] of each band, or "
            "DRA: true, which takes them from the image"
        )
    gamma = [number_of("Gamma", one) for one in _list("Gamma", given.get("gamma"))]
    how = colors.Stretch(
        kind=kind,
        bands=ranges,
        deviations=number_of(
            "NumberOfStandardDeviations", given.get("numberofstandarddeviations", 2)
        ),
        min_percent=_percent("MinPercent", given),
        max_percent=_percent("MaxPercent", given),
        low=_byte("Min", given.get("min", 0)),
        high=_byte("Max", given.get("max", 255)),
        gamma=tuple(gamma) if _flag("UseGamma", given) else (),
    )
    if not all(one > 0 for one in how.gamma):
        raise InvalidRequestError("Gamma must be numbers above 0")
    return RasterFunction(lambda pixels, _: colors.stretch(pixels, how))


def _range(given: object) -> colors.BandRange:
    numbers = [number_of("Statistics", one) for one in _list("Statistics", given)]
    if len(numbers) < 2:
        raise InvalidRequestError("Statistics must be [min, max, mean, standard deviation]")
    least, largest, *rest = numbers
    mean = rest[0] if rest else (least + largest) / 2
    return colors.BandRange(least, largest, mean, rest[1] if len(rest) > 1 else 0.0)


def _percent(name: str, given: Arguments) -> float:
    number = number_of(name, given.get(name.lower(), 0.25))
    if not 0 <= number <= 50:
        raise InvalidRequestError(f"{name} {number:g} must be 0 to 50")
    return number


def _byte(name: str, given: object) -> float:
    number = number_of(name, given)
    if not 0 <= number <= 255:
        raise InvalidRequestError(f"{name} {number:g} of a Stretch must be 0 to 255")
    return number


def _colormap(given: Arguments) -> RasterFunction:
    table = _colors_of(given)
    return RasterFunction(lambda pixels, _: colors.colored(pixels, table), colors=table)


def _colors_of(given: Arguments) -> str | Colors:
    mapped = given.get("colormap")
    if isinstance(mapped, list):
        return _table(mapped)
    return _ramp(given.get("colormapname") or given.get("colorrampname") or given.get("colorramp"))


def _table(rows: Sequence[Any]) -> Colors:
    if not 1 <= len(rows) <= _MOST_RANGES:
        raise InvalidRequestError(f"Colormap has {len(rows)} colors, it can have 1 to 256")
    found = []
    for row in rows:
        value, *color = [_whole("Colormap", part) for part in _list("Colormap", row)] or [0]
        if len(color) not in (3, 4) or not all(0 <= part <= 255 for part in color):
            raise InvalidRequestError(
                f"Colormap has {str(row)[:80]}, which must be [value, red, green, blue]"
            )
        red, green, blue, *alpha = color
        found.append((value, (red, green, blue, alpha[0] if alpha else 255)))
    return tuple(found)


def _ramp(named: object) -> str:
    from livemosaic.render.colormaps import check_colormap_name

    if not isinstance(named, str):
        raise InvalidRequestError(
            "Colormap needs Colormap, [[value, red, green, blue]], or ColormapName"
        )
    return check_colormap_name(_RAMPS.get(named.lower(), named.lower()))


def _list(name: str, given: object) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidRequestError(f"{name} {str(given)[:80]!r} must be a list")
    return given


def _flag(name: str, given: Arguments) -> bool:
    """Returns an argument that is true or false, also as text or as 1 or 0; false without it."""
    text = str(given.get(name.lower(), False))
    return text.lower() != "none" and yes_or_no(name, text)


def _whole(name: str, given: object) -> int:
    number = number_of(name, given)
    if not number.is_integer():
        raise InvalidRequestError(f"{name} {str(given)[:80]!r} must be a whole number")
    return int(number)


def _pairs(name: str, given: object) -> list[tuple[float, float]]:
    numbers = [number_of(name, one) for one in _list(name, given)]
    if len(numbers) % 2:
        raise InvalidRequestError(
            f"{name} must be pairs: the lower and the upper end of each range"
        )
    return list(zip(numbers[::2], numbers[1::2], strict=True))


_BY_NAME: Final[dict[str, Callable[[Arguments], RasterFunction]]] = {
    "Aspect": _aspect,
    "BandArithmetic": _arithmetic,
    "Colormap": _colormap,
    "ExtractBand": _extract,
    "Hillshade": _hillshade,
    "NDVI": _ndvi,
    "Remap": _remap,
    "Slope": _slope,
    "Statistics": _focal,
    "Stretch": _stretch,
}
NAMES: Final = tuple(_BY_NAME)
FUNCTIONS: Final = {name.lower(): make for name, make in _BY_NAME.items()}

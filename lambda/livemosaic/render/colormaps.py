"""Color formulas and colormaps: parsing them, and applying them to pixels."""

import json
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.names import suggested
from livemosaic.model.render import Colors, Rgba

_MAX_FORMULA: Final = 200
_MAX_OPERATIONS: Final = 8
_STRIP: Final = 128
"""Rows per run of a formula, which makes several float64 copies."""
_MAX_COLORMAP: Final = 10_000
_MAX_COLORS: Final = 256
_MAX_VALUE: Final = 2**53


def check_formula(text: str) -> str:
    """Returns a color formula unchanged, if color-operations can parse and run it."""
    if len(text) > _MAX_FORMULA:
        raise InvalidRequestError(
            f"color_formula has {len(text):,} characters, at most {_MAX_FORMULA} are read"
        )
    if not all(math.isfinite(_number(token)) for token in text.replace(",", "").split()):
        raise InvalidRequestError(f"color_formula {text[:80]!r} has a number that is not finite")
    apply_formula(np.full((3, 1, 1), 128, np.uint8), text)
    return text


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return 0.0


def apply_formula(data: NDArray[Any], text: str) -> NDArray[np.uint8]:
    """Applies a color formula to bands, scaled by the whole range of their dtype.

    `InvalidRequestError` if it cannot be parsed, or does not fit them.
    """
    # Imported late: rio-tiler brings its readers with it, which take a sixth of a cold start.
    from color_operations import parse_operations
    from rio_tiler.models import ImageData

    if data.dtype.kind not in "iu":
        raise InvalidRequestError(f"{data.dtype} pixels need rescale=min,max for a color_formula")
    out = np.empty(data.shape, np.uint8)
    try:
        count = len(parse_operations(text))
        if count > _MAX_OPERATIONS:
            raise InvalidRequestError(
                f"color_formula has {count} operations, at most {_MAX_OPERATIONS} are run"
            )
        with np.errstate(all="ignore"):  # color-operations sets it for good where it cares
            for top in range(0, data.shape[1], _STRIP):
                strip = ImageData(data[:, top : top + _STRIP].copy())
                out[:, top : top + _STRIP] = strip.apply_color_formula(text).data
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"color_formula {text[:80]!r} cannot be run on {len(data)} bands: {str(error)[:200]}; "
            "write it like 'gamma rgb 1.8, saturation 1.2, sigmoidal rgb 10 0.5'"
        ) from error
    return out


def check_colormap_name(name: str) -> str:
    """Returns the name of a colormap unchanged, if rio-tiler has it."""
    # Imported late: it brings readers of STAC and HTTP with it, a sixth of a cold start.
    from rio_tiler.colormap import cmap

    if name not in cmap.list():
        raise InvalidRequestError(
            f"unknown colormap_name {suggested(name[:80], cmap.list())}; /colorMaps lists "
            "the known names"
        )
    return name


def parse_colormap(text: str) -> Colors:
    """Parses TiTiler's JSON colormap: colors by value, or a list of intervals and colors.

    `{"1": "#ff0000", "2": [0, 0, 255, 128]}`, or `[[[0, 10], "#ff0000"], …]`.
    """
    if len(text) > _MAX_COLORMAP:
        raise InvalidRequestError(
            f"colormap has {len(text):,} characters, at most {_MAX_COLORMAP:,} are read"
        )
    try:
        given = json.loads(text)
        pairs = list(given.items() if isinstance(given, dict) else given)
        colors = tuple((_value(value), _color(color)) for value, color in pairs)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"colormap {text[:80]!r} cannot be read: {str(error)[:200]}; write it like "
            '{"1": "#ff0000", "2": [0, 0, 255, 128]} or [[[0, 10], "#ff0000"]]'
        ) from error
    if not 1 <= len(colors) <= _MAX_COLORS:
        raise InvalidRequestError(
            f"colormap has {len(colors):,} colors, it can have 1 to {_MAX_COLORS}"
        )
    return colors


def _value(given: Any) -> int | tuple[float, float]:
    if isinstance(given, str):
        value = int(given)
        if abs(value) <= _MAX_VALUE:
            return value
        raise ValueError(f"value {given[:20]} is beyond {_MAX_VALUE:,}")
    low, high = given
    if not all(isinstance(end, int | float) for end in given):
        raise ValueError(f"interval {str(given)[:80]} must be two numbers")
    if not -_MAX_VALUE <= low < high <= _MAX_VALUE:
        raise ValueError(
            f"interval {str(given)[:80]} must be two numbers within ±{_MAX_VALUE:,}, the smaller "
            "first"
        )
    return float(low), float(high)


def _color(given: Any) -> Rgba:
    from rio_tiler.colormap import parse_color
    from rio_tiler.errors import InvalidColorFormat

    try:
        red, green, blue, alpha = parse_color(given)
    except (InvalidColorFormat, TypeError) as error:
        raise ValueError(f"{str(given)[:80]} is no color") from error
    color = red, green, blue, alpha
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in color):
        raise ValueError(f"color {str(given)[:80]} must be of integers from 0 to 255")
    return color


def apply_colormap(
    data: NDArray[Any], colors: str | Colors
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Maps one band (1, h, w) to red, green, blue (3, h, w) and alpha (h, w).

    Values without a color are transparent. A named colormap, rio-tiler's, needs uint8.
    """
    # Imported late: rio-tiler brings its readers with it, which take a sixth of a cold start.
    from rio_tiler.colormap import apply_cmap, apply_discrete_cmap, apply_intervals_cmap, cmap
    from rio_tiler.errors import InvalidColorMapName

    if isinstance(colors, str):
        try:
            rgb, alpha = apply_cmap(data, cmap.get(colors))
        except InvalidColorMapName as error:
            raise InvalidRequestError(f"colormap {colors[:80]!r} is not known") from error
    elif isinstance(colors[0][0], tuple):
        intervals: list[Any] = list(colors)
        rgb, alpha = apply_intervals_cmap(data, intervals)
    else:
        by_value: dict[Any, Rgba] = dict(colors)
        # Given 256 colors, rio-tiler would take values beyond uint8 modulo 256.
        paint = apply_cmap if data.dtype == np.uint8 else apply_discrete_cmap
        rgb, alpha = paint(data, by_value)
    return rgb, alpha

"""Raster functions from values to colors: stretch and colormap. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.model.render import Colors
from livemosaic.render.colormaps import apply_colormap

T = TypeVar("T")
StretchType = Literal["none", "deviations", "min_max", "percent"]
_LARGEST: Final = 255


@dataclass(frozen=True, slots=True)
class BandRange:
    """What a stretch knows of the values of one band."""

    least: float
    largest: float
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How values become 0 to 255, or another range of bytes."""

    kind: StretchType
    bands: tuple[BandRange, ...] = ()
    """One per band, or one for all; empty takes them from the valid pixels of the image."""
    deviations: float = 2.0
    min_percent: float = 0.25
    max_percent: float = 0.25
    """Parts of the pixels that are cut off at either end, in percent, by `percent`."""
    low: float = 0.0
    high: float = 255.0
    gamma: tuple[float, ...] = ()
    """One per band, or one for all."""


def stretch(pixels: Pixels, how: Stretch) -> Pixels:
    """Stretches bands to bytes, rounded; `InvalidRequestError` if ranges do not fit the bands."""
    if how.kind == "none":
        return pixels
    made = np.zeros(pixels.data.shape, np.uint8)
    for number, band in enumerate(pixels.data):
        low, high = _ends(band[pixels.valid].astype(np.float64), how, number, len(made))
        with np.errstate(over="ignore"):  # values beyond a range of one number
            scaled = (band.astype(np.float64) - low) / max(high - low, np.finfo(np.float64).tiny)
        scaled = np.clip(np.nan_to_num(scaled), 0, 1)
        if how.gamma:
            scaled = scaled ** (1 / _of(how.gamma, number, len(made)))
        made[number] = np.round(how.low + scaled * (how.high - how.low))
    return Pixels(np.where(pixels.valid, made, np.uint8(0)), pixels.valid, pixels.names)


def _ends(values: NDArray[Any], how: Stretch, number: int, count: int) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if how.kind == "percent":
        if not len(finite):
            return 0.0, 1.0
        ends = np.percentile(finite, [how.min_percent, 100 - how.max_percent])
        return float(ends[0]), float(ends[1])
    known = _of(how.bands, number, count) if how.bands else _measured(finite)
    if how.kind == "min_max":
        return known.least, known.largest
    reach = how.deviations * known.deviation
    return max(known.least, known.mean - reach), min(known.largest, known.mean + reach)


def _measured(values: NDArray[Any]) -> BandRange:
    if not len(values):
        return BandRange(0, 1, 0, 1)
    least, largest = float(values.min()), float(values.max())
    return BandRange(least, largest, float(values.mean()), float(values.std()))


def _of(given: Sequence[T], number: int, count: int) -> T:
    if len(given) == 1:
        return given[0]
    if number >= len(given):
        raise InvalidRequestError(f"a stretch of {len(given)} bands does not fit {count} bands")
    return given[number]


def colored(pixels: Pixels, colors: str | Colors) -> Pixels:
    """Maps one band to red, green and blue; values without a color become invalid.

    A named colormap maps bytes: values beyond them are an error.
    """
    if len(pixels.data) != 1:
        raise InvalidRequestError(
            f"Colormap needs one band, there are {len(pixels.data)}: extract one before"
        )
    data = pixels.data
    if isinstance(colors, str) and data.dtype != np.uint8:
        if not (data.min() >= 0 and data.max() <= _LARGEST):
            raise InvalidRequestError("a named colormap needs values of 0 to 255: Stretch before")
        data = data.astype(np.uint8)
    rgb, alpha = apply_colormap(data, colors)
    valid = pixels.valid & (alpha > 0)
    return Pixels(np.where(valid, rgb, np.uint8(0)), valid, ("red", "green", "blue"))

"""Raster functions over the bands of a pixel: extraction, arithmetic, indices, remapping. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.render.expression import Expression

_INDICES: Final = {
    1: "({0}-{1})/({0}+{1})",
    2: "({0}-{1})/({0}+{1}+{2})*(1+{2})",
    4: "(2*{0}+1-sqrt((2*{0}+1)**2-8*({0}-{1})))/2",
    12: "{0}/{1}-1",
    13: "{0}/{1}-1",
    15: "({0}-{1})/({0}+{1})",
    19: "{0}/{1}",
}
"""BandArithmetic by its method: NDVI, SAVI (third: L), MSAVI, CI green and red edge, NDRE, ratios;
expressions over the bands that it names, in its order."""
ARITHMETIC: Final = (0, *_INDICES)
"""Methods of BandArithmetic; 0 is an expression of the request."""


def extract_bands(pixels: Pixels, bands: Sequence[int]) -> Pixels:
    """Returns some bands, counted from 0, in their order; raises for one that is not there."""
    count = len(pixels.data)
    if strange := [band for band in bands if not 0 <= band < count]:
        raise InvalidRequestError(
            f"band {strange[0]} is not there: bands are counted from 0, and there are {count}"
        )
    names = tuple(pixels.names[band] for band in bands)
    return Pixels(pixels.data[list(bands)], pixels.valid, names)


def arithmetic(pixels: Pixels, method: int, bands: str) -> Pixels:
    """Computes one band: an expression of `b1`…, or an index of the bands, counted from 1."""
    if method == 0:
        return evaluated(pixels, bands.lower())
    formula = _INDICES.get(method)
    if formula is None:
        raise InvalidRequestError(
            f"BandArithmetic has no Method {method} here; it has {', '.join(map(str, ARITHMETIC))}"
        )
    parts = bands.replace(",", " ").split()
    operands = [_operand(part, number) for number, part in enumerate(parts)]
    try:
        return evaluated(pixels, formula.format(*operands))
    except IndexError as error:
        raise InvalidRequestError(
            f"BandIndexes {bands[:80]!r} are too few for Method {method}"
        ) from error


def _operand(text: str, place: int) -> str:
    """Returns a band as an expression names it; a third operand is a number."""
    if place < 2 and text.isdecimal():
        return f"b{int(text)}"
    try:
        return repr(float(text))
    except ValueError as error:
        raise InvalidRequestError(f"BandIndexes has {text[:20]!r}, which is no band") from error


def ndvi(pixels: Pixels, red: int, infrared: int) -> Pixels:
    """Computes the vegetation index as 0 to 200, 100 × (index + 1), of bands counted from 0."""
    index = evaluated(pixels, _INDICES[1].format(f"b{infrared + 1}", f"b{red + 1}"))
    scaled = np.clip(np.round(100 * index.data + 100), 0, 255).astype(np.uint8)
    return Pixels(np.where(index.valid, scaled, np.uint8(0)), index.valid, ("ndvi",))


def evaluated(pixels: Pixels, expression: str) -> Pixels:
    """Evaluates an expression over `b1`…, whatever assets the bands are of."""
    names = tuple(f"b{number}" for number in range(1, len(pixels.data) + 1))
    return Expression.parse(expression).apply(Pixels(pixels.data, pixels.valid, names))


def remap(
    pixels: Pixels,
    ranges: Sequence[tuple[float, float]],
    values: Sequence[float],
    no_data: Sequence[tuple[float, float]],
    *,
    keeps_others: bool,
) -> Pixels:
    """Replaces values of ranges, of which the lower end is included and the upper one is not.

    The last range holds its upper end, too. Values in no range are kept, or have no data.
    """
    whole = all(float(value).is_integer() for value in values)
    kind: Any = pixels.data.dtype if whole and pixels.data.dtype.kind == "f" else np.float32
    kind = np.int32 if whole and pixels.data.dtype.kind in "iu" else kind
    made = pixels.data.astype(kind)
    known = np.zeros(made.shape, np.bool_)
    for number, ((low, high), value) in enumerate(zip(ranges, values, strict=True)):
        end = pixels.data <= high if number == len(ranges) - 1 else pixels.data < high
        within = (pixels.data >= low) & end & ~known
        made[within] = value
        known |= within
    valid = pixels.valid if keeps_others else pixels.valid & known.all(axis=0)
    for low, high in no_data:
        valid = valid & ~((pixels.data >= low) & (pixels.data <= high)).any(axis=0)
    return Pixels(np.where(valid, made, made.dtype.type(0)), valid, pixels.names)

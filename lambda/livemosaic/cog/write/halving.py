"""Overviews: each pixel from the four below it, in a way that every machine computes alike.

A pixel is valid where any of its four is; the invalid ones count for nothing. Of floats, NaN counts
for nothing in its own band, and is what four NaN give.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Shape (bands, height, width)."""
Valid = NDArray[np.bool_]
"""Shape (height, width), or (bands, height, width) where bands differ; True where valid."""
Four = Sequence[NDArray[Any]]
"""Upper left, upper right, lower left and lower right pixel of each square of four."""


def halve(data: Values, valid: Valid, resampling: Sequence[str]) -> tuple[Values, Valid]:
    """Halves an image of even width and height; invalid pixels are zero, before and after.

    `resampling` names the policy of each band. The dtype stays.
    """
    fours, masks = _four(data), _four(valid)
    out = np.empty_like(fours[0], order="C")
    for policy in sorted(set(resampling)):
        bands = [i for i, name in enumerate(resampling) if name == policy]
        if len(bands) == len(data):
            out[...] = POLICIES[policy](fours, masks)
        else:
            out[bands] = POLICIES[policy]([pixel[bands] for pixel in fours], masks)
    any_valid: Valid = masks[0] | masks[1] | masks[2] | masks[3]
    if out.dtype.kind == "f" and not any_valid.all():
        out[:, ~any_valid] = 0  # integers are zero there: all four are
    return out, any_valid


def _four(image: NDArray[Any]) -> list[NDArray[Any]]:
    return [image[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]


def _real(fours: Four, masks: Four) -> Four:
    """Returns which pixels count: the valid ones, but no NaN."""
    if fours[0].dtype.kind != "f":
        return masks
    return [mask & (pixel == pixel) for mask, pixel in zip(masks, fours, strict=True)]


def mean(fours: Four, masks: Four) -> Values:
    """Returns the mean of pixels that count; of integers rounded, halves to the even neighbor.

    Rounded up, as in GDAL, halves would brighten each overview by an eighth of a step, which adds
    up: by 1.5 from zoom 12 to 0. Integers are exact, of 64 bits too. Floats are added in float64:
    the upper two, the lower two, both sums.
    """
    real = _real(fours, masks)
    if fours[0].dtype.kind == "f":
        return _mean_of_floats(fours, real)
    if fours[0].dtype.itemsize == 8:
        return _mean_of_wide(fours, real)
    return _mean_of_integers(fours, real)


def _mean_of_integers(fours: Four, real: Four) -> Values:
    # Invalid pixels are zero. Sums of four have two bits more; of 8 and 16 bits a float32 holds
    # them, and quotients by 3 are never near a half.
    small = fours[0].dtype.itemsize <= 2
    wide: Any = np.int32 if small else np.int64
    total = np.add(fours[0], fours[1], dtype=wide) + np.add(fours[2], fours[3], dtype=wide)
    if all(mask.all() for mask in real):
        odd: Values = (total >> 2) & 1
        return (total + 1 + odd) >> 2
    number = np.maximum(_number(real), 1).astype(np.float32 if small else np.float64)
    rounded: Values = np.rint(total.astype(number.dtype) / number)
    return rounded


def _number(real: Four) -> NDArray[np.uint8]:
    counts = [mask.view(np.uint8) for mask in real]
    total: NDArray[np.uint8] = (counts[0] + counts[1]) + (counts[2] + counts[3])
    return total


def _mean_of_wide(fours: Four, real: Four) -> Values:
    """Means of 64-bit integers, whose sums would overflow: by quotients and remainders."""
    dtype = fours[0].dtype
    number = np.maximum(_number(real), 1).astype(dtype)
    parts = [np.divmod(pixel, number) for pixel in fours]
    whole = (parts[0][0] + parts[1][0]) + (parts[2][0] + parts[3][0])
    rest = (parts[0][1] + parts[1][1]) + (parts[2][1] + parts[3][1])
    more, rest = np.divmod(rest, number)  # 0 <= rest < number <= 4
    whole += more
    up = (2 * rest > number) | ((2 * rest == number) & (whole % 2 == 1))
    rounded: Values = whole + up.astype(dtype)
    return rounded


def _mean_of_floats(fours: Four, real: Four) -> Values:
    counted = [
        np.where(mask, pixel, 0).astype(np.float64) for mask, pixel in zip(real, fours, strict=True)
    ]
    number = np.broadcast_to(_number(real), counted[0].shape)
    with np.errstate(all="ignore"):
        out = ((counted[0] + counted[1]) + (counted[2] + counted[3])) / number
        if not np.isfinite(out).all():
            # Sums beyond the largest float64, though the mean is not.
            split = [pixel / number for pixel in counted]
            again = (split[0] + split[1]) + (split[2] + split[3])
            out = np.where(np.isinf(out), again, out)
        narrow: Values = out.astype(fours[0].dtype) + fours[0].dtype.type(0)  # no negative zero
    # Whose sign an infinity less an infinity has depends on the machine.
    narrow[np.isnan(narrow)] = np.nan
    return narrow


_PAIRS: Final = ((2, 3), (1, 3), (0, 3), (1, 2), (0, 2), (0, 1))
"""Of the four, in the order in which a later equal pair takes the place of an earlier one."""


def mode(fours: Four, masks: Four) -> Values:
    """Returns the most frequent value, of equally frequent ones the first to be seen so often.

    Row by row, as GDAL's `mode`: of A B B A it is B.
    """
    real = _real(fours, masks)
    out = _first(fours, real)
    for one, other in _PAIRS:
        same = (fours[one] == fours[other]) & real[one] & real[other]
        np.copyto(out, fours[one], where=same)
    return _or_nan(out, real)


def color(fours: Four, masks: Four) -> Values:
    """Returns the most frequent color, like `mode`, but all bands of the same pixel.

    Colors of a palette stand for classes: band by band, two of them could make a third.
    """
    out = _first(fours, masks)
    for one, other in _PAIRS:
        same = (fours[one] == fours[other]).all(axis=0) & masks[one] & masks[other]
        np.copyto(out, fours[one], where=same)
    return out


def sample(fours: Four, masks: Four) -> Values:
    """Returns the first valid pixel, row by row, all bands of the same one."""
    return _first(fours, masks)


def _first(fours: Four, masks: Four) -> Values:
    out = np.array(fours[3])
    for pixel, mask in zip(reversed(fours[:3]), reversed(masks[:3]), strict=True):
        np.copyto(out, pixel, where=mask)
    return out


def least(fours: Four, masks: Four) -> Values:
    """Returns the smallest value."""
    return _extreme(fours, masks, np.minimum)


def most(fours: Four, masks: Four) -> Values:
    """Returns the largest value."""
    return _extreme(fours, masks, np.maximum)


def _extreme(fours: Four, masks: Four, choose: np.ufunc) -> Values:
    real = _real(fours, masks)
    out = _first(fours, real)
    for pixel, mask in zip(fours, real, strict=True):
        np.copyto(out, choose(out, pixel), where=mask)
    return _or_nan(out, real)


def _or_nan(out: Values, real: Four) -> Values:
    """Puts NaN where no pixel of floats counts."""
    if out.dtype.kind == "f":
        np.copyto(out, np.nan, where=~(real[0] | real[1] | real[2] | real[3]))
    return out


POLICIES: Final[dict[str, Callable[[Four, Four], Values]]] = {
    "mean": mean, "mode": mode, "sample": sample, "min": least, "max": most, "color": color,
}  # fmt: skip
"""By the names of Earth Engine's pyramiding policies, and `color`."""

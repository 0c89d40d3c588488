"""Palettes of images: the few colors that stand for all of them with the least error. Pure.

A color is one number, 0xRRGGBBAA, as uint32.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.uint32]

_SHIFTS: Final = (24, 16, 8, 0)
_OPAQUE: Final = 0xFF
_MAX_POINTS: Final = 1 << 14
"""Colors that are cut one by one; of more, all with the same leading bits stay together."""
_LEADING: Final = {True: 0xFCFCFCFF, False: 0xF0F0F0F0}
"""These bits, where all colors are opaque, or not."""


@dataclass(frozen=True, slots=True)
class _Points:
    """Pixels at places in the space of colors; all numbers are whole ones."""

    counts: NDArray[np.float64]
    """Pixels at each place, shape (points,)."""
    sums: NDArray[np.float64]
    """Of their channels, shape (channels, points)."""

    @property
    def means(self) -> NDArray[np.float32]:
        return np.rint(self.sums / self.counts).astype(np.float32)

    def grouped(self, numbers: NDArray[np.intp]) -> "_Points":
        """Returns one point for all with the same number, of numbers from 0 on."""
        sums = np.array([_total(channel, numbers) for channel in self.sums])
        return _Points(_total(self.counts, numbers), sums)


@dataclass(frozen=True, slots=True, order=True)
class _Box:
    """Points and the best place to cut them in two. The smallest box gains most by it."""

    loss: float
    """Minus the squared error that the cut takes away."""
    first: int
    """A point that no other box has."""
    points: NDArray[np.intp] = field(compare=False)
    """In order along the axis of the cut."""
    cut: int = field(compare=False)
    """How many of them lie before it."""


def paletted(colors: Colors, most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns a palette, shape (colors, 4), and the place in it of each of the colors given.

    Up to `most` different ones, at most 256, are kept as they are. More are cut in two where it
    takes most of the squared error away, again and again, as in X. Wu, "Efficient statistical
    computations for optimal color quantization" (Graphics Gems II, 1991); then each becomes the
    nearest of the means. The same on all machines: sums and distances are of whole numbers.
    """
    known, counts = np.unique(colors, return_counts=True)
    if len(known) <= most:
        each = np.stack([_channel(known, shift) for shift in _SHIFTS], axis=1)
        return each.astype(np.uint8), _places(known, np.arange(len(known)), colors)
    numbers, points = _points(known, counts)
    nearest = _nearest(points.means, points.grouped(_boxes(points, most)).means)
    nearest = np.unique(nearest, return_inverse=True)[1]
    means = points.grouped(nearest).means
    table = np.full((means.shape[1], 4), _OPAQUE, np.uint8)
    table[:, : len(means)] = means.T
    return table, _places(known, nearest[numbers], colors)


def _channel(colors: Colors, shift: int) -> Colors:
    return colors >> np.uint32(shift) & np.uint32(_OPAQUE)


def _is_opaque(colors: Colors) -> bool:
    return bool((_channel(colors, 0) == _OPAQUE).all())


def _points(known: Colors, counts: NDArray[np.intp]) -> tuple[NDArray[np.intp], _Points]:
    """Returns the number of each color's point, and the points; without alpha if all is opaque."""
    opaque = _is_opaque(known)
    numbers = np.arange(len(known))
    if len(known) > _MAX_POINTS:
        leading = known & np.uint32(_LEADING[opaque])
        numbers = np.unique(leading, return_inverse=True)[1]
    shifts = _SHIFTS[:-1] if opaque else _SHIFTS
    sums = np.array([_total(_channel(known, shift) * counts, numbers) for shift in shifts])
    return numbers, _Points(_total(counts, numbers), sums)


def _total(values: NDArray[Any], numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    """Returns the sum of the values of each number, of whole ones and thus exact."""
    return np.bincount(numbers, values).astype(np.float64)


def _boxes(points: _Points, most: int) -> NDArray[np.intp]:
    """Returns the number of each point's box, of up to `most`."""
    means = points.means
    boxes = [_cut(points, means, np.arange(len(points.counts)))]
    while len(boxes) < most and boxes[0].cut:
        box = heappop(boxes)
        for half in (box.points[: box.cut], box.points[box.cut :]):
            heappush(boxes, _cut(points, means, half))
    numbers = np.empty(len(points.counts), np.intp)
    for number, box in enumerate(boxes):
        numbers[box.points] = number
    return numbers


def _cut(points: _Points, means: NDArray[np.float32], inside: NDArray[np.intp]) -> _Box:
    first = int(inside[0])
    if len(inside) == 1:
        return _Box(0.0, first, inside, 0)
    order = inside[np.argsort(means[:, inside], axis=1, kind="stable")]
    counts = points.counts[order].cumsum(axis=1)
    sums = points.sums[:, order].cumsum(axis=2)
    before, low = sums[..., :-1], counts[:, :-1]
    after, high = sums[..., -1:] - before, counts[:, -1:] - low
    kept = (before**2).sum(axis=0) / low + (after**2).sum(axis=0) / high
    axis, place = divmod(int(kept.argmax()), len(inside) - 1)
    whole = (sums[:, 0, -1] ** 2).sum() / counts[0, -1]
    return _Box(float(whole - kept[axis, place]), first, order[axis], place + 1)


def _nearest(means: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the number of the nearest color of a table for each point."""
    lengths = (table**2).sum(axis=0)
    parts = np.array_split(means, range(_MAX_POINTS, means.shape[1], _MAX_POINTS), axis=1)
    return np.concatenate([(lengths - 2 * (part.T @ table)).argmin(axis=1) for part in parts])


def _places(known: Colors, numbers: NDArray[np.intp], colors: Colors) -> NDArray[np.uint8]:
    """Returns the number of each color, given the one of each known color, in ascending order."""
    if not _is_opaque(known):
        return numbers.astype(np.uint8)[np.searchsorted(known, colors)]
    table = np.zeros(1 << 24, np.uint8)
    table[known >> np.uint32(8)] = numbers
    places: NDArray[np.uint8] = table[colors >> np.uint32(8)]
    return places

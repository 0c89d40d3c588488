"""Large grids are read in strips: a read takes 24 bytes for each pixel to know where it lies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from livemosaic.model import Grid, Pixels

_MOST: Final = 1024 * 1024
"""Pixels of a strip."""


def strips_of(grid: Grid) -> list[Grid]:
    """A grid as one below the other, from its top; most are but one."""
    if grid.width * grid.height <= _MOST:
        return [grid]
    rows = max(1, _MOST // grid.width)
    left, bottom, right, top = grid.bounds
    step = (top - bottom) / grid.height
    strips = []
    for first in range(0, grid.height, rows):
        last = min(first + rows, grid.height)
        edges = (left, top - last * step, right, top - first * step)
        strips.append(replace(grid, bounds=edges, height=last - first))
    return strips


def joined(strips: Sequence[Pixels]) -> Pixels:
    """Pixels of strips as those of the grid."""
    return Pixels(
        np.concatenate([strip.data for strip in strips], axis=1),
        np.concatenate([strip.valid for strip in strips]),
        strips[0].names,
    )

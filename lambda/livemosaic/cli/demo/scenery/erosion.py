"""Erosion: rivers and hillslopes that wear a grid of heights down. Below zero is sea."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from livemosaic.cli.demo.scenery.noise import Array, Ints

STREAM_POWER: Final = 0.4


@dataclass(frozen=True, slots=True)
class Drainage:
    """Where water goes, in indices of the flat grid."""

    target: Ints
    """The cell that each cell flows to; itself in sea and pits."""
    groups: list[Ints]
    """Cells of equally many steps from their outlet; the outlets are the first group."""

    def area(self) -> Array:
        """Cells above and including each cell, flat."""
        area = np.ones(self.target.size, np.float32)
        for cells in self.groups[:0:-1]:
            np.add.at(area, self.target[cells], area[cells])
        return area


def eroded(z: Array, uplift: Array, rounds: int) -> tuple[Array, Drainage]:
    """Rivers against uplift: the implicit stream-power law (Braun and Willett, 2013).

    `uplift` is in metres a round; returns heights and the drainage that carved them.
    """
    for _ in range(rounds):
        z = filled(z)
        target = _downhill(z)
        drainage = Drainage(target, _by_distance(target))
        area = drainage.area()
        flat = z.ravel() + np.where(z > 0, uplift, 0).ravel()
        power = np.float32(STREAM_POWER) * np.sqrt(area)
        for cells in drainage.groups[1:]:
            flat[cells] += power[cells] * flat[target[cells]]
            flat[cells] /= 1 + power[cells]
        z = flat.reshape(z.shape)
        # Lowering only: a slope that creeps up would dam its valley before the next round.
        z = z + creep(z, area.reshape(z.shape)).clip(None, 0)
    return z, drainage


def creep(z: Array, area: Array) -> Array:
    """What one step of hillslope creep adds to each cell of land; channels carry it away."""
    p = np.pad(z, 1, mode="edge").clip(0)
    mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    out: Array = np.where(z > 0, np.float32(0.8) / (1 + area / 30) * (mean - z), 0)
    return out


def filled(z: Array, step: float = 0.5, rounds: int = 12) -> Array:
    """Shallow pits raised until they spill."""
    padded = np.pad(z, 1, constant_values=np.inf)
    inner, low = padded[1:-1, 1:-1], np.empty_like(z)
    columns = np.empty_like(padded[1:-1])
    rise = np.where(z > 0, np.float32(step), np.float32(-np.inf))
    for _ in range(rounds):
        np.minimum(padded[:-2], padded[2:], out=columns)
        np.minimum(columns, padded[1:-1], out=columns)
        np.minimum(columns[:, :-2], columns[:, 2:], out=low)
        np.minimum(low, padded[:-2, 1:-1], out=low)
        np.minimum(low, padded[2:, 1:-1], out=low)
        low += rise
        np.maximum(inner, low, out=inner)
    return inner.copy()


def _downhill(z: Array) -> Ints:
    """Index of each cell's steepest lower neighbour in the flat grid; itself in sea and pits."""
    rows, cols = z.shape
    padded = np.pad(z, 1, constant_values=np.inf)
    best, drop = np.zeros_like(z), np.empty_like(z)
    step = np.zeros(z.shape, np.intp)
    land = z > 0
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        np.subtract(z, padded[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + cols], out=drop)
        drop *= np.float32(1 / math.hypot(dy, dx))
        better = (drop > best) & land
        np.copyto(best, drop, where=better)
        np.copyto(step, dy * cols + dx, where=better)
    return np.arange(z.size, dtype=np.intp) + step.ravel()


def _by_distance(target: Ints) -> list[Ints]:
    """`Drainage.groups`, by pointer jumping: each round doubles the steps that are known."""
    steps, jump = (target != np.arange(target.size)).astype(np.int32), target
    while not np.array_equal(further := jump[jump], jump):
        steps += steps[jump]
        jump = further
    order = np.argsort(steps.astype(np.uint16), kind="stable")
    return np.split(order, np.cumsum(np.bincount(steps))[:-1])

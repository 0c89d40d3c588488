"""Noise that depends on the place alone, whichever raster asks for it."""

import math
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.intp]


def white(x: NDArray[Any], y: NDArray[Any], seed: int) -> Array:
    """White noise in [-1, 1) of integer coordinates that broadcast."""
    i, j = x.astype(np.int64).astype(np.uint32), y.astype(np.int64).astype(np.uint32)
    h = i * np.uint32(0x9E3779B1) ^ j * np.uint32(0x85EBCA77)
    h ^= np.uint32(seed & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h ^= h >> np.uint32(16)
    out: Array = h.astype(np.float32) / np.float32(2**31) - np.float32(1)
    return out


def ramp(values: NDArray[Any], start: float, end: float) -> Array:
    """0 at `start`, 1 at `end`, smooth between."""
    t = ((values - np.float32(start)) / np.float32(end - start)).clip(0, 1)
    out: Array = t * t * (3 - 2 * t)
    return out


def spline(grid: Array, u: NDArray[Any], v: NDArray[Any]) -> Array:
    """`grid` at columns `u` and rows `v`: shape (len(v), len(u)).

    Output rows and columns form a raster, so the two axes part: the columns are
    interpolated on few rows, and noise costs four multiplications a pixel, not sixteen.
    """
    (i, wu), (j, wv) = _taps(u), _taps(v)
    i, j = i.clip(0, grid.shape[1] - 4), j.clip(0, grid.shape[0] - 4)
    first = j.min()
    rows = grid[first : j.max() + 4]
    wide = [rows[:, i + k] * wu[k] for k in range(4)]
    across = wide[0] + wide[1] + wide[2] + wide[3]
    out: Array = across[j - first] * wv[0, :, None]
    for k in range(1, 4):
        out += across[j - first + k] * wv[k, :, None]
    return out


def _taps(u: NDArray[Any]) -> tuple[Ints, Array]:
    """First of four neighbours of each position, and their Catmull-Rom weights (4, n)."""
    base = np.floor(u)
    t = (u - base).astype(np.float32)
    a, b = t * t, t * t * t
    weights = np.stack([-t + 2 * a - b, 2 - 5 * a + 3 * b, t + 4 * a - 3 * b, b - a])
    return base.astype(np.intp) - 1, weights * np.float32(0.5)


@dataclass(frozen=True, slots=True)
class GroundView:
    """Pixel centres of an upright raster: metres east (ascending) and north (descending)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    gsd: float

    def moved(self, east: float, north: float) -> "GroundView":
        """The same raster elsewhere."""
        return GroundView(self.x + east, self.y + north, self.gsd)

    def noise(self, seed: int, name: str, wavelength: float) -> Array:
        """Smooth noise in about [-1, 1]; zero where the pixels are too coarse to show it."""
        if wavelength < 1.6 * self.gsd:
            return np.zeros((1, 1), np.float32)
        salt = crc32(f"{seed} {name} {wavelength:.3f}".encode())
        shift = salt % 997 / 997
        u, v = self.x / wavelength + shift, shift - self.y / wavelength
        left, top = math.floor(u[0]) - 1, math.floor(v[0]) - 1
        i, j = np.arange(left, math.floor(u[-1]) + 3), np.arange(top, math.floor(v[-1]) + 3)
        return spline(white(i, j[:, None], salt), u - left, v - top)

    def fbm(
        self, seed: int, name: str, wavelength: float, octaves: int, gain: float = 0.5
    ) -> Array:
        """Octaves of noise, each half as long and `gain` times as strong as the one before."""
        out = np.zeros((self.y.size, self.x.size), np.float32)
        for k in range(octaves):
            out += np.float32(gain**k) * self.noise(seed, f"{name}{k}", wavelength / 2.03**k)
        return out

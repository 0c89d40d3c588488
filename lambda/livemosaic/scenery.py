"""Scenes of an island that no map shows: dated, cloudy, overlapping COGs for `livemosaic demo`.

One world, made from a seed. Its relief is an eroded island in the Tasman Sea; all that is finer
than the relief's grid is noise hashed from world coordinates. Whichever scene looks at a place
sees the same ground, under its own sun, season and clouds.

Coordinates are metres east and north of `ORIGIN` in UTM 57 south; rows of arrays go south.
"""

import json
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.polygon import orient

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.intp]

CRS: Final = "EPSG:32757"
ORIGIN: Final = (380_000, 5_350_000)
"""Easting and northing of the island's middle, m: open sea, so no basemap disagrees."""
PATHS, ROWS = 4, 3
BOX_M: Final = 30_720
"""Side of a scene's raster."""
SWATH_M: Final = 26_000
"""Side of a scene's ground, a square turned by `TILT`: it just fits the raster."""
TILT: Final = math.radians(11)
"""Of an ascending orbit's track, west of north."""
PATH_STEP_M, ROW_STEP_M = 20_800, 22_800
EXTENT_M: Final = (106_000, 80_000)
LATITUDE: Final = math.radians(-42)
FIRST_PASS: Final = datetime(2025, 9, 6, 3, 31, 12, tzinfo=UTC)
"""Early afternoon of a southern spring: the sun stands north-west, where map readers expect it."""
DAYS_BETWEEN_PASSES: Final = 13
PATH_ORDER: Final = (1, 3, 0, 2)
BANDS: Final = {"blue": 0.49, "green": 0.56, "red": 0.665, "nir": 0.842}
"""Centre wavelength, µm, in the order of all reflectance arrays."""
SCALE, OFFSET = 0.0001, -0.1
CELL_M: Final = 100
"""Grid of the relief; what is finer is noise."""
UPLIFT_M: Final = 185
"""Of the divide in one round of erosion: its peaks end near 2,800 m."""
STREAM_POWER: Final = 0.4
RELIEF: Final = 1.25
"""Exaggerates slopes for light only."""
STRIP: Final = 128
"""Rows made at a time: temporary arrays that stay in the processor's cache are much faster."""
MARGIN: Final = 16
"""Pixels made beyond the swath, so that JPEG blocks across its edge do not darken it."""


# Noise


def _hash(x: NDArray[Any], y: NDArray[Any], seed: int) -> Array:
    """White noise in [-1, 1) of integer coordinates that broadcast."""
    i, j = x.astype(np.int64).astype(np.uint32), y.astype(np.int64).astype(np.uint32)
    h = i * np.uint32(0x9E3779B1) ^ j * np.uint32(0x85EBCA77)
    h ^= np.uint32(seed & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h ^= h >> np.uint32(16)
    out: Array = h.astype(np.float32) / np.float32(2**31) - np.float32(1)
    return out


def _taps(u: NDArray[Any]) -> tuple[Ints, Array]:
    """First of four neighbours of each position, and their Catmull-Rom weights (4, n)."""
    base = np.floor(u)
    t = (u - base).astype(np.float32)
    a, b = t * t, t * t * t
    weights = np.stack([-t + 2 * a - b, 2 - 5 * a + 3 * b, t + 4 * a - 3 * b, b - a])
    return base.astype(np.intp) - 1, weights * np.float32(0.5)


def _spline(grid: Array, u: NDArray[Any], v: NDArray[Any]) -> Array:
    """`grid` at columns `u` and rows `v`: shape (len(v), len(u)).

    Output rows and columns are those of a raster, so the two axes part: the columns are
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


@dataclass(frozen=True, slots=True)
class _View:
    """Pixel centres of an upright raster: metres east (ascending) and north (descending)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    gsd: float

    def moved(self, east: float, north: float) -> "_View":
        return _View(self.x + east, self.y + north, self.gsd)

    def noise(self, seed: int, name: str, wavelength: float) -> Array:
        """Smooth noise in about [-1, 1]; zero where the pixels are too coarse to show it."""
        if wavelength < 1.6 * self.gsd:
            return np.zeros((1, 1), np.float32)
        salt = crc32(f"{seed} {name} {wavelength:.3f}".encode())
        shift = salt % 997 / 997
        u, v = self.x / wavelength + shift, shift - self.y / wavelength
        left, top = math.floor(u[0]) - 1, math.floor(v[0]) - 1
        i, j = np.arange(left, math.floor(u[-1]) + 3), np.arange(top, math.floor(v[-1]) + 3)
        return _spline(_hash(i, j[:, None], salt), u - left, v - top)

    def fbm(
        self, seed: int, name: str, wavelength: float, octaves: int, gain: float = 0.5
    ) -> Array:
        """Octaves of noise, each half as long and `gain` times as strong as the one before."""
        parts = (
            np.float32(gain**k) * self.noise(seed, f"{name}{k}", wavelength / 2.03**k)
            for k in range(octaves)
        )
        out = np.zeros((self.y.size, self.x.size), np.float32)
        for part in parts:
            out += part
        return out


# Relief


def _downhill(z: Array) -> Ints:
    """Index of each cell's steepest lower neighbour in the flat grid; itself in sea and pits."""
    rows, cols = z.shape
    padded = np.pad(z, 1, constant_values=np.inf)
    here = np.arange(z.size, dtype=np.intp).reshape(z.shape)
    best, target = np.zeros_like(z), here.copy()
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        drop = z - padded[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + cols]
        drop *= np.float32(1 / math.hypot(dy, dx))
        better = (drop > best) & (z > 0)
        best, target = np.where(better, drop, best), np.where(better, here + dy * cols + dx, target)
    return target.ravel()


def _by_distance(target: Ints) -> list[Ints]:
    """Cells in groups of equally many steps from their outlet, which is in the first group."""
    steps, jump = (target != np.arange(target.size)).astype(np.int32), target
    while not np.array_equal(further := jump[jump], jump):
        steps += steps[jump]
        jump = further
    order = np.argsort(steps.astype(np.uint16), kind="stable")
    return np.split(order, np.cumsum(np.bincount(steps))[:-1])


def _drained(target: Ints, groups: list[Ints]) -> Array:
    """Cells above and including each cell."""
    area = np.ones(target.size, np.float32)
    for cells in groups[:0:-1]:
        np.add.at(area, target[cells], area[cells])
    return area


def _creep(z: Array, area: Array) -> Array:
    """What one step of hillslope creep adds to each cell of land; channels carry it away."""
    p = np.pad(z, 1, mode="edge").clip(0)
    mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    out: Array = np.where(z > 0, np.float32(0.8) / (1 + area / 30) * (mean - z), 0)
    return out


def _filled(z: Array, step: float = 0.5, rounds: int = 12) -> Array:
    """Shallow pits raised until they spill."""
    for _ in range(rounds):
        p = np.pad(z, 1, constant_values=np.inf)
        low = np.minimum(np.minimum(p[:-2], p[1:-1]), p[2:])
        low = np.minimum(np.minimum(low[:, :-2], p[:-2, 1:-1]), np.minimum(low[:, 2:], p[2:, 1:-1]))
        z = np.where(z > 0, np.maximum(z, low + np.float32(step)), z)
    return z


def _eroded(z: Array, uplift: Array, rounds: int) -> tuple[Array, Ints, list[Ints]]:
    """Rivers against uplift: the implicit stream-power law (Braun and Willett, 2013).

    `uplift` is in metres a round; returns heights and the drainage tree that carved them.
    """
    for _ in range(rounds):
        z = _filled(z)
        target = _downhill(z)
        groups = _by_distance(target)
        area = _drained(target, groups)
        flat = z.ravel() + np.where(z > 0, uplift, 0).ravel()
        power = np.float32(STREAM_POWER) * np.sqrt(area)
        for cells in groups[1:]:
            flat[cells] += power[cells] * flat[target[cells]]
            flat[cells] /= 1 + power[cells]
        z = flat.reshape(z.shape)
        # Lowering only: a slope that creeps up would dam its valley before the next round.
        z = z + _creep(z, area.reshape(z.shape)).clip(None, 0)
    return z, target, groups


def _over(cell: float) -> _View:
    east, north = EXTENT_M[0] / 2, EXTENT_M[1] / 2
    return _View(
        np.arange(-east, east, cell) + cell / 2, np.arange(north, -north, -cell) - cell / 2, cell
    )


def _shore(view: _View, seed: int) -> Array:
    """Positive on land, falling offshore; about one at the heart of the island."""
    bent = view.fbm(seed, "bend", 30_000, 3) * 5_000
    x, y = view.x[None, :] + bent, view.y[:, None] - bent * np.float32(0.7)
    heart = 1 - np.sqrt((x / 42_000) ** 2 + ((y - x * 0.12) / 29_000) ** 2)
    rough = view.fbm(seed, "coast", 17_000, 7, 0.52)
    out: Array = (heart + 0.34 * rough - 0.03).astype(np.float32)
    return out


def _uplift(view: _View, seed: int) -> Array:
    """Rate of rise, 0 to 1: an alpine divide with foothills on one side, plains on the other."""
    bent = view.fbm(seed, "divide", 34_000, 3) * 7_000
    across = (view.y[:, None] - 5_500 - 0.22 * view.x[None, :] + bent) / 1_000
    divide = np.exp(-np.square(across / np.where(across > 0, 9.5, 7.5)))
    hills = (view.fbm(seed, "hills", 14_000, 3) - 0.12).clip(0)
    along = 0.75 + 0.35 * view.fbm(seed, "along", 22_000, 2)
    out: Array = (0.012 + divide * along.clip(0.2) + 0.30 * hills).astype(np.float32)
    return out


@dataclass(frozen=True, slots=True)
class _World:
    """What is known before any pixel: the island on a coarse grid."""

    seed: int
    view: _View
    z: Array
    """Height in metres, lakes filled; below zero is the sea's depth."""
    rough: Array
    """Slope, 0 to 1."""
    river: Array
    """Strength of the stream in each cell; 0 where there is none."""
    lake: Array
    town: Array
    """Density of houses, 0 to 1."""

    def at(self, grid: Array, view: _View) -> Array:
        cell = self.view.gsd
        return _spline(grid, (view.x - self.view.x[0]) / cell, (self.view.y[0] - view.y) / cell)


def make_world(seed: int) -> _World:
    """The relief of the island: carved coarsely first, then finely."""
    coarse, fine = _over(2 * CELL_M), _over(CELL_M)
    shore = _shore(coarse, seed)
    z = np.where(shore > 0, 2 + 700 * shore + 8 * coarse.fbm(seed, "first", 1_600, 3), -1)
    z, _, _ = _eroded(z.astype(np.float32), UPLIFT_M * _uplift(coarse, seed), 40)
    shore = _shore(fine, seed)
    u, v = (fine.x - coarse.x[0]) / coarse.gsd, (coarse.y[0] - fine.y) / coarse.gsd
    z = _filled(np.where(shore > 0, _spline(z, u, v).clip(2), -1).astype(np.float32), 1, 80)
    z, target, groups = _eroded(z, UPLIFT_M * _uplift(fine, seed), 4)
    area = _drained(target, groups).reshape(z.shape)
    z = z + _creep(z, area)
    z = z + _creep(z, area)
    rng = np.random.default_rng(seed)
    level = _lakes(z, area, target, groups, rng)
    lake = (level > z) & (z > 0)
    steep = np.hypot(*np.gradient(z, CELL_M))
    river = _blurred(np.where(z > 0, ((np.log2(area) - 7.5) / 4.5).clip(0, 1.2), 0))
    town = _towns(fine, z, steep, river, lake, rng)
    sea = (shore * (330 + 900 * _ramp(fine.fbm(seed, "shelf", 15_000, 3), -0.3, 0.6)) - 0.5).clip(
        -160
    )
    z = np.where(z > 0, np.maximum(z, level), sea)
    flat = [a.astype(np.float32) for a in (z, steep.clip(0, 1) * (shore > 0), river, lake, town)]
    return _World(seed, fine, *flat)


def _blurred(stream: Array) -> Array:
    """One-cell lines made even: a diagonal step is as strong as a straight one."""
    for _ in range(2):
        p = np.pad(stream, ((1, 1), (0, 0)))
        stream = ((p[:-2] + 2 * p[1:-1] + p[2:]) * np.float32(1 / 3)).T
    return stream


def _lakes(
    z: Array, area: Array, target: Ints, groups: list[Ints], rng: np.random.Generator
) -> Array:
    """Surface height of lakes behind natural dams in valleys, elsewhere zero."""
    fits = np.flatnonzero((area > 900) & (area < 8_000) & (z > 100) & (z < 800))
    dams = rng.choice(fits, min(14, fits.size), replace=False)
    level = np.zeros(z.size, np.float32)
    level[dams] = z.ravel()[dams] + rng.uniform(40, 140, dams.size)
    for cells in groups[1:]:
        level[cells] = np.maximum(level[cells], level[target[cells]])
    return level.reshape(z.shape)


def _towns(
    view: _View, z: Array, steep: Array, river: Array, lake: Mask, rng: np.random.Generator
) -> Array:
    """Houses gather on flat, low ground; most by a river or the sea."""
    fits = np.flatnonzero((steep < 0.06) & (z > 2) & (z < 260) & ~lake & (river < 0.4))
    density = np.zeros(z.shape, np.float32)
    for size, at in zip(1_500 / (1 + np.arange(26)) ** 0.45, rng.permutation(fits), strict=False):
        row, col = divmod(int(at), z.shape[1])
        far = np.hypot(view.y[:, None] - view.y[row], view.x - view.x[col])
        density = np.maximum(density, np.exp(-np.square(far / size)))
    return density


# Light and ground


@dataclass(frozen=True, slots=True)
class _Pass:
    """One orbit over the island: a date, a sun, an air, a sky of clouds."""

    number: int
    when: datetime
    seed: int

    @property
    def day(self) -> int:
        return self.when.timetuple().tm_yday

    def wave(self, trough: int) -> float:
        """0 on day `trough` of the year, 1 half a year later."""
        return 0.5 - 0.5 * math.cos(2 * math.pi * (self.day - trough) / 365.25)

    @property
    def sun(self) -> tuple[float, float, float]:
        """Unit vector to the sun, east, north, up, two hours after noon."""
        declination = math.radians(-23.44) * math.cos(2 * math.pi * (self.day + 10) / 365.25)
        hour = math.radians(31)
        up = math.sin(LATITUDE) * math.sin(declination)
        up += math.cos(LATITUDE) * math.cos(declination) * math.cos(hour)
        east = -math.cos(declination) * math.sin(hour)
        return east, math.sqrt(max(0.0, 1 - up * up - east * east)), up

    def draw(self, name: str) -> float:
        """A number in [0, 1) that belongs to this pass."""
        return float(
            np.random.default_rng(crc32(f"{self.seed} {name} {self.number}".encode())).random()
        )


def _ramp(values: NDArray[Any], start: float, end: float) -> Array:
    """0 at `start`, 1 at `end`, smooth between."""
    t = ((values - np.float32(start)) / np.float32(end - start)).clip(0, 1)
    out: Array = t * t * (3 - 2 * t)
    return out


def _paint(ground: Array, color: tuple[float, float, float, float] | Array, weight: Array) -> None:
    """Blend a reflectance (blue, green, red, nir) into the ground, in place."""
    for band, value in zip(ground, color, strict=True):
        band += (value - band) * weight


def _sea(world: _World, view: _View, depth: Array, over: _Pass) -> Array:
    """Water over sand: each wavelength sees as deep as it is absorbed."""
    deep, bottom = (0.042, 0.024, 0.008, 0.004), (0.20, 0.235, 0.205, 0.15)
    absorb = (0.075, 0.07, 0.36, 1.6)
    patchy = 0.8 + 0.35 * view.fbm(world.seed, "reef", 900, 4)
    murk = 0.012 * _ramp(view.fbm(world.seed + over.number, "murk", 12_000, 5), 0, 1.2)
    waves = (
        1
        + 0.05 * view.noise(over.number, "wave", 60)
        + 0.05 * view.fbm(over.number, "wind", 5_000, 3)
    )
    sea = np.empty((4, *depth.shape), np.float32)
    for band, d, b, k in zip(sea, deep, bottom, absorb, strict=True):
        band[:] = (d + (b * patchy - d) * np.exp(-k * depth)) * waves
    _paint(sea, (0.06, 0.075, 0.05, 0.02), murk * 25 * _ramp(depth, 110, 0))
    surf = _ramp(depth, 1.8, 0) * _ramp(view.fbm(over.number, "surf", 260, 3), -0.1, 0.6)
    _paint(sea, (0.4, 0.4, 0.4, 0.35), surf * np.float32(0.55))
    return sea


def _parcels(world: _World, view: _View, over: _Pass) -> Array:
    """Fields: bricks whose grid turns from district to district."""
    seed, green = world.seed, over.wave(205)
    district = np.floor(3.1 * view.fbm(seed, "district", 7_000, 2)).astype(np.int32)
    angle = 1.5 * _hash(district, district, seed)
    c, s, x, y = (
        np.cos(angle),
        np.sin(angle),
        view.x.astype(np.float32),
        view.y.astype(np.float32)[:, None],
    )
    u, v = (x * c + y * s) / 560, (y * c - x * s) / 290
    row = np.floor(v)
    u += _hash(row, district, seed)
    col = np.floor(u)
    split = np.floor(
        (u - col) * (1 + (_hash(row, col, seed) > -0.2) + (_hash(row, col, seed + 1) > 0.3))
    )
    kind = _hash(row * 8 + split, col, seed + 2)
    tone = _hash(row * 8 + split, col, seed + 3)
    fields = np.empty((4, *kind.shape), np.float32)
    lush = (0.62 + 0.35 * green + 0.22 * tone).clip(0, 1)
    for band, bare, crop in zip(
        fields, (0.075, 0.11, 0.155, 0.23), (0.032, 0.082, 0.042, 0.46), strict=True
    ):
        band[:] = bare * (1 + 0.25 * tone) + (crop - bare) * lush
    _paint(fields, (0.085, 0.125, 0.165, 0.25), np.float32(0.6) * (kind > 0.55 + 0.35 * green))
    _paint(fields, (0.075, 0.155, 0.175, 0.36), np.float32(0.6) * (kind < -0.95 + 0.6 * green))
    _paint(
        fields, (0.03, 0.05, 0.035, 0.26), np.float32(0.6) * ((v - row < 0.06) | (u - col < 0.03))
    )
    return fields


def _land(world: _World, view: _View, z: Array, slope: Array, over: _Pass) -> Array:
    """Cover of dry ground, from valley to peak."""
    seed, green = world.seed, over.wave(205)
    big, small = view.fbm(seed, "cover", 5_000, 4), view.fbm(seed, "patch", 420, 4, 0.6)
    land = np.empty((4, *z.shape), np.float32)
    dry, lush = (0.06, 0.092, 0.092, 0.27), (0.036, 0.080, 0.048, 0.42)
    meadow = (0.35 + 0.45 * green + 0.3 * big + 0.15 * small - z / 2_600).clip(0, 1)
    for band, a, b in zip(land, dry, lush, strict=True):
        band[:] = a + (b - a) * meadow
    flat = _ramp(slope + 0.03 * big, 0.13, 0.07) * _ramp(z + 60 * big, 330, 240)
    _paint(land, _parcels(world, view, over), flat)
    woods = _ramp(big * 0.8 + small * 0.55 + 1.6 * slope - 1.6 * flat, 0.0, 0.25)
    woods *= _ramp(z + 220 * small + 150 * big, 1_250, 1_000)
    _paint(
        land, (0.022, 0.043 + 0.006 * green, 0.026, 0.25 + 0.05 * green), woods * np.float32(0.95)
    )
    high = _ramp(z + 200 * small, 950, 1_350)
    _paint(land, (0.065, 0.094, 0.105, 0.22), high * np.float32(0.7))
    rock = _ramp(slope + 0.25 * small + z / 6_000, 0.75, 1.05) * _ramp(z + 300 * big, 600, 1_300)
    _paint(land, (0.115, 0.13, 0.142, 0.18), rock * np.float32(0.85))
    _paint(
        land,
        (0.20, 0.255, 0.30, 0.38),
        _ramp(z + 1.5 * small + 3 * big, 3.2, 1.4) * _ramp(slope, 0.3, 0.1),
    )
    return land


def _settle(world: _World, view: _View, land: Array, slope: Array) -> None:
    """Towns, river beds and rivers, in place."""
    seed = world.seed
    fine = view.fbm(seed, "houses", 130, 3, 0.8)
    town = _ramp(
        world.at(world.town, view) + 0.22 * view.fbm(seed, "sprawl", 900, 3) + 0.12 * fine,
        0.42,
        0.72,
    )
    bright = 1 + 0.35 * fine
    houses = np.stack([c * bright for c in (0.135, 0.145, 0.155, 0.21)])
    _paint(land, houses, town * np.float32(0.85))
    river = world.at(world.river, view) + 0.10 * view.fbm(seed, "banks", 240, 3)
    _paint(
        land,
        (0.15, 0.17, 0.18, 0.22),
        _ramp(river, 0.30, 0.56) * _ramp(slope, 0.4, 0.15) * np.float32(0.7),
    )
    _paint(land, (0.068, 0.075, 0.042, 0.02), _ramp(river, 0.54, 0.68))


def _snow(world: _World, view: _View, z: Array, slope: Array, facing: Array, over: _Pass) -> Array:
    """Share of ground under snow: high, not too steep, longest where the sun is low."""
    line = 950 + 900 * over.wave(232)
    uneven = 190 * view.fbm(world.seed, "drift", 1_300, 5, 0.6) - 420 * (facing - over.sun[2])
    return _ramp(z + uneven, line, line + 240) * _ramp(slope + 0.2 * uneven / 190, 2.1, 1.35)


def _ground(world: _World, view: _View, over: _Pass) -> Array:
    """Reflectance without air and clouds, shape (4, height, width), as lit by the sun."""
    z, rough = world.at(world.z, view), world.at(world.rough, view).clip(0)
    ridges = 0.45 - np.abs(view.fbm(world.seed, "ridge", 520, 5, 0.55))
    z = z + (z > 0) * ridges * rough * 75 + ridges * 3
    if (z <= 0).all():
        return _sea(world, view, -z, over)
    land = _lit_land(world, view, z, over)
    if (z > 0).all():
        return land
    return np.where(z > 0, land, _sea(world, view, (-z).clip(0), over))


def _lit_land(world: _World, view: _View, z: Array, over: _Pass) -> Array:
    """Reflectance of ground and lakes in sun and skylight; shadows are blue."""
    north, east = np.gradient(z, -view.gsd, view.gsd)
    slope, sun = np.hypot(north, east), over.sun
    toward = sun[2] - RELIEF * (sun[0] * east + sun[1] * north)
    facing = toward / np.sqrt(1 + (RELIEF * slope) ** 2)
    land = _land(world, view, z, slope, over)
    _settle(world, view, land, slope)
    _paint(land, (0.80, 0.80, 0.79, 0.66), _snow(world, view, z, slope, facing, over))
    light = facing.clip(0) / np.float32(sun[2])
    for band, sky in zip(land, (0.30, 0.22, 0.17, 0.10), strict=True):
        band *= sky + (1 - sky) * light
    shore = world.at(world.lake, view) + 0.1 * view.noise(world.seed, "lakeside", 150)
    _paint(land, (0.085, 0.092, 0.045, 0.012), _ramp(shore, 0.45, 0.6))
    return land


def _clouds(view: _View, over: _Pass, octaves: int = 7) -> Array:
    """Opacity of the clouds above each pixel, 0 to 1."""
    seed = over.seed + 7919 * over.number
    bank = view.fbm(seed, "bank", 15_000, 3)
    puff = view.fbm(seed, "puff", 3_100, octaves, 0.62)
    sky = 0.35 + 1.2 * over.draw("sky")
    return _ramp(bank * 0.95 + puff * 0.62, sky * 0.8, sky * 0.8 + 0.5)


def _seen(world: _World, view: _View, over: _Pass) -> tuple[Array, Array]:
    """Reflectance at the top of the air and cloud opacity."""
    image = _ground(world, view, over)
    cloud = _clouds(view, over)
    sun, height = over.sun, 1_300 + 900 * over.draw("height")
    shadow = _clouds(view.moved(height * sun[0] / sun[2], height * sun[1] / sun[2]), over, 5)
    lit = _clouds(view.moved(260 * sun[0], 260 * sun[1]), over, 4)
    image *= 1 - np.float32(0.68) * shadow
    body = 0.74 + 0.22 * (cloud - lit).clip(-1, 1) + 0.05 * cloud
    _paint(
        image, np.stack([body, body * 0.985, body * 0.975, body * 0.95]), cloud * np.float32(0.97)
    )
    haze = (
        0.6 + 0.8 * over.draw("haze") + 0.25 * view.fbm(over.seed + over.number, "haze", 26_000, 2)
    )
    for band, air in zip(image, (0.042, 0.022, 0.012, 0.004), strict=True):
        band *= 1 - air * haze
        band += air * haze
    return image, cloud


def _visual(image: Array) -> NDArray[np.uint8]:
    """Display colours, red first, of a reflectance image: air mostly subtracted, toned."""
    out = np.empty((3, *image.shape[1:]), np.uint8)
    for band, i, air in ((0, 2, 0.010), (1, 1, 0.017), (2, 0, 0.034)):
        x = (image[i] - np.float32(air)).clip(0)
        out[band] = (1 + 254 * (1.16 * x / (x + np.float32(0.145))) ** np.float32(0.85)).clip(
            1, 255
        )
    return out


# Scenes


def make_scenes(
    folder: Path, *, count: int = 24, seed: int = 7, size: int = 1536
) -> Iterator[dict[str, Any]]:
    """Write `count` scenes of `size` × `size` pixels below `folder`; STAC Items as they arrive.

    Passes follow each other, three scenes each; now and then a scene comes weeks late. Later
    scenes are made while the caller works with earlier ones. The same arguments give the same
    pixels. Every fourth scene has `red`, `green`, `blue` and `nir` reflectance beside `visual`.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    world = make_world(seed)
    shots = sorted((_shot(number, seed) for number in range(count)), key=lambda s: s.arrival)
    workers = min(cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers) as pool:
        todo = (pool.submit(_make, folder, world, shot, size) for shot in shots)
        ahead: deque[Future[dict[str, Any]]] = deque(islice(todo, workers + 1))
        try:
            while ahead:
                item = ahead.popleft().result()
                ahead.extend(islice(todo, 1))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Shot:
    """One scene to be made."""

    number: int
    path: int
    row: int
    over: _Pass
    when: datetime
    arrival: datetime

    @property
    def id(self) -> str:
        return f"demo-1_{self.when:%Y%m%dT%H%M%S}_p{self.path + 1:02}r{self.row + 1:02}"

    @property
    def center(self) -> tuple[float, float]:
        """Metres east and north of `ORIGIN`; rows count from the north and drift west with it."""
        east, north = self.path - (PATHS - 1) / 2, (ROWS - 1) / 2 - self.row
        return east * PATH_STEP_M - north * ROW_STEP_M * math.tan(TILT), north * ROW_STEP_M

    def view(self, size: int) -> _View:
        """Pixel centres, on one pixel grid for all scenes."""
        gsd = BOX_M / size
        left, top = (
            round(m / gsd) * gsd for m in (self.center[0] - BOX_M / 2, self.center[1] + BOX_M / 2)
        )
        steps = (np.arange(size, dtype=np.float64) + 0.5) * gsd
        return _View(left + steps, top - steps, gsd)

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Of the swath's ground, counter-clockwise, metres."""
        c, s, half = math.cos(TILT), math.sin(TILT), SWATH_M / 2
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        x0, y0 = self.center
        return [(x0 + half * (i * c - j * s), y0 + half * (i * s + j * c)) for i, j in signs]

    def inside(self, view: _View) -> Mask:
        """Pixels whose centre is on the swath."""
        x, y = view.x - self.center[0], view.y[:, None] - self.center[1]
        c, s = math.cos(TILT), math.sin(TILT)
        out: Mask = np.maximum(np.abs(x * c + y * s), np.abs(y * c - x * s)) < SWATH_M / 2
        return out


def _shot(number: int, seed: int) -> _Shot:
    """The n-th scene in order of acquisition: the satellite comes from the south."""
    turn, step = divmod(number, ROWS)
    over = _Pass(turn, FIRST_PASS + timedelta(days=DAYS_BETWEEN_PASSES * turn), seed)
    when = over.when + timedelta(seconds=3.4 * step)
    luck = np.random.default_rng([seed, number])
    late = 15 + 10 * luck.random() if luck.random() < 0.15 else 0
    arrival = when + timedelta(hours=3 + 4 * luck.random(), days=late)
    return _Shot(number, PATH_ORDER[turn % PATHS], ROWS - 1 - step, over, when, arrival)


def _make(folder: Path, world: _World, shot: _Shot, size: int) -> dict[str, Any]:
    view = shot.view(size)
    valid = shot.inside(view)
    image, cloud = _developed(world, view, valid, shot.over)
    written = {"visual": _write_visual(folder / f"{shot.id}_visual.tif", view, image, valid)}
    if shot.number % 4 == 0:
        for name, band in zip(BANDS, image, strict=True):
            written[name] = _write_band(folder / f"{shot.id}_{name}.tif", view, band, valid)
    return _item(folder, shot, view, written, 100 * float((cloud[valid] > 0.5).mean()))


def _developed(world: _World, view: _View, valid: Mask, over: _Pass) -> tuple[Array, Array]:
    """Reflectance (4, rows, columns) and cloud opacity; zero or rough outside the swath."""
    image, cloud = np.zeros((4, *valid.shape), np.float32), np.zeros(valid.shape, np.float32)
    for top in range(0, valid.shape[0], STRIP):
        seen = np.flatnonzero(valid[top : top + STRIP].any(axis=0))
        if not seen.size:
            continue
        left, right = max(seen[0] - MARGIN, 0), seen[-1] + 1 + MARGIN
        bottom = min(top + STRIP, valid.shape[0])
        halo = _View(
            _grown(view.x[left:right], view.gsd), _grown(view.y[top:bottom], -view.gsd), view.gsd
        )
        part, above = _seen(world, halo, over)
        image[:, top:bottom, left:right] = part[:, 1:-1, 1:-1]
        cloud[top:bottom, left:right] = above[1:-1, 1:-1]
    return image, cloud


def _grown(centers: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """One more at each end: slopes need neighbours."""
    return np.concatenate([centers[:1] - step, centers, centers[-1:] + step])


def _transform(view: _View) -> Affine:
    left, top = view.x[0] - view.gsd / 2 + ORIGIN[0], view.y[0] + view.gsd / 2 + ORIGIN[1]
    return Affine(view.gsd, 0, left, 0, -view.gsd, top)


def _write(
    path: Path, view: _View, bands: NDArray[Any], valid: Mask | None, **options: Any
) -> Path:
    """A COG; with `valid`, transparency is an internal mask, else what `options` say."""
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "height": view.y.size,
        "width": view.x.size,
        "dtype": bands.dtype,
        "crs": CRS,
        "transform": _transform(view),
    }
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**profile, nodata=None if valid is not None else 0) as draft:
            draft.write(bands)
            if valid is not None:
                draft.write_mask(valid)
            else:
                draft.scales, draft.offsets = (SCALE,), (OFFSET,)
        copy(memory.name, path, driver="COG", **options)
    return path


def _write_visual(path: Path, view: _View, image: Array, valid: Mask) -> Path:
    """JPEG as imagery vendors publish it."""
    return _write(
        path,
        view,
        _visual(image),
        valid,
        compress="JPEG",
        quality=87,
        blocksize=512,
        overview_resampling="AVERAGE",
    )


def _write_band(path: Path, view: _View, band: Array, valid: Mask) -> Path:
    """Reflectance as uint16 with scale and offset, as Sentinel-2 has it."""
    digital = ((band - OFFSET) / SCALE).round().clip(1, 65535).astype(np.uint16) * valid
    return _write(
        path,
        view,
        digital[None],
        None,
        compress="DEFLATE",
        predictor=2,
        level=1,
        blocksize=512,
        overview_resampling="AVERAGE",
    )


def _footprint(shot: _Shot, gsd: float) -> Polygon:
    """The swath in longitude and latitude: edges bend, so they are split before they are turned."""
    ring = Polygon([(x + ORIGIN[0], y + ORIGIN[1]) for x, y in shot.corners])
    lonlat = shape(transform_geom(CRS, "OGC:CRS84", mapping(ring.segmentize(1_000))))
    return orient(lonlat.simplify(0.1 * gsd / 111_000))


def _item(
    folder: Path, shot: _Shot, view: _View, written: dict[str, Path], cover: float
) -> dict[str, Any]:
    footprint = _footprint(shot, view.gsd)
    stamp = shot.arrival.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in ("eo/v2.0.0", "projection/v2.0.0", "raster/v2.0.0")
        ],
        "id": shot.id,
        "collection": "demo",
        "geometry": json.loads(json.dumps(mapping(footprint))),
        "bbox": list(footprint.bounds),
        "properties": {
            "datetime": shot.when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "created": stamp,
            "updated": stamp,
            "platform": "demo-1",
            "gsd": view.gsd,
            "eo:cloud_cover": round(cover, 2),
            "proj:code": CRS,
            "proj:shape": [view.y.size, view.x.size],
            "proj:transform": list(_transform(view))[:6],
        },
        "assets": {name: _asset(name, path) for name, path in written.items()},
        "links": [
            {
                "rel": "collection",
                "href": str(folder / "collection.json"),
                "type": "application/json",
            }
        ],
    }


def _asset(name: str, path: Path) -> dict[str, Any]:
    asset: dict[str, Any] = {
        "href": str(path),
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
    }
    if name == "visual":
        bands = [{"name": n, "eo:common_name": n} for n in ("red", "green", "blue")]
        return asset | {
            "title": "True colour",
            "roles": ["visual"],
            "data_type": "uint8",
            "bands": bands,
        }
    band = {
        "name": name,
        "eo:common_name": name,
        "eo:center_wavelength": BANDS[name],
        "data_type": "uint16",
        "nodata": 0,
        "raster:scale": SCALE,
        "raster:offset": OFFSET,
    }
    return asset | {
        "title": f"Reflectance, {name}",
        "roles": ["data", "reflectance"],
        "bands": [band],
    }

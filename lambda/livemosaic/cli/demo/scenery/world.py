"""The world: the island's relief, waters and towns on a grid."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from livemosaic.cli.demo.scenery.erosion import Drainage, creep, eroded, filled
from livemosaic.cli.demo.scenery.noise import Array, GroundView, Mask, ramp, spline

EXTENT_M: Final = (106_000, 80_000)
"""East to west and north to south, around the origin: all scenes lie within."""
CELL_M: Final = 100
"""Grid of the relief; what is finer is noise."""
_FARTHEST: Final = 10.3
"""Sizes of a town from its middle at which its density is 0 in 32 bits: exp(-10.3²)."""
UPLIFT_M: Final = 185
"""Of the divide in one round of erosion: its peaks end near 2,800 m."""


@dataclass(frozen=True, slots=True)
class World:
    """What is known before any pixel: the island on a coarse grid."""

    seed: int
    view: GroundView
    z: Array
    """Height in metres, lakes filled; below zero is the sea's depth."""
    rough: Array
    """Slope, 0 to 1."""
    river: Array
    """Strength of the stream in each cell; 0 where there is none."""
    lake: Array
    town: Array
    """Density of houses, 0 to 1."""

    def at(self, grid: Array, view: GroundView) -> Array:
        """One of the grids above on the pixels of a view."""
        cell = self.view.gsd
        return spline(grid, (view.x - self.view.x[0]) / cell, (self.view.y[0] - view.y) / cell)


def make_world(seed: int) -> World:
    """The island of this seed: carved by rivers, then filled with lakes and settled."""
    view = _over(CELL_M)
    shore = _shore(view, seed)
    z, drainage = _carved(view, shore, seed)
    area = drainage.area().reshape(z.shape)
    for _ in range(2):
        z = z + creep(z, area)
    rng = np.random.default_rng(seed)
    level = _lakes(z, area, drainage, rng)
    lake = (level > z) & (z > 0)
    steep = np.hypot(*np.gradient(z, CELL_M))
    river = _blurred(np.where(z > 0, ((np.log2(area) - 7.5) / 4.5).clip(0, 1.2), 0))
    town = _towns(view, z, steep, river, lake, rng)
    shelf = 330 + 900 * ramp(view.fbm(seed, "shelf", 15_000, 3), -0.3, 0.6)
    z = np.where(z > 0, np.maximum(z, level), (shore * shelf - 0.5).clip(-160))
    rough = steep.clip(0, 1) * (shore > 0)
    return World(seed, view, *(a.astype(np.float32) for a in (z, rough, river, lake, town)))


def _over(cell: float) -> GroundView:
    east, north = EXTENT_M[0] / 2, EXTENT_M[1] / 2
    return GroundView(
        np.arange(-east, east, cell) + cell / 2, np.arange(north, -north, -cell) - cell / 2, cell
    )


def _carved(view: GroundView, shore: Array, seed: int) -> tuple[Array, Drainage]:
    """Heights and drainage: valleys are found on a coarse grid, sooner, and refined on `view`."""
    coarse = _over(2 * view.gsd)
    land = _shore(coarse, seed)
    z = np.where(land > 0, 2 + 700 * land + 8 * coarse.fbm(seed, "first", 1_600, 3), -1)
    z, _ = eroded(z.astype(np.float32), UPLIFT_M * _uplift(coarse, seed), 40)
    u, v = (view.x - coarse.x[0]) / coarse.gsd, (coarse.y[0] - view.y) / coarse.gsd
    z = filled(np.where(shore > 0, spline(z, u, v).clip(2), -1).astype(np.float32), 1, 80)
    return eroded(z, UPLIFT_M * _uplift(view, seed), 4)


def _shore(view: GroundView, seed: int) -> Array:
    """Positive on land, falling offshore; about one at the heart of the island."""
    bent = view.fbm(seed, "bend", 30_000, 3) * 5_000
    x, y = view.x[None, :] + bent, view.y[:, None] - bent * np.float32(0.7)
    heart = 1 - np.sqrt((x / 42_000) ** 2 + ((y - x * 0.12) / 29_000) ** 2)
    rough = view.fbm(seed, "coast", 17_000, 7, 0.52)
    out: Array = (heart + 0.34 * rough - 0.03).astype(np.float32)
    return out


def _uplift(view: GroundView, seed: int) -> Array:
    """Rate of rise, 0 to 1: an alpine divide with foothills on one side, plains on the other."""
    bent = view.fbm(seed, "divide", 34_000, 3) * 7_000
    across = (view.y[:, None] - 5_500 - 0.22 * view.x[None, :] + bent) / 1_000
    divide = np.exp(-np.square(across / np.where(across > 0, 9.5, 7.5)))
    hills = (view.fbm(seed, "hills", 14_000, 3) - 0.12).clip(0)
    along = 0.75 + 0.35 * view.fbm(seed, "along", 22_000, 2)
    out: Array = (0.012 + divide * along.clip(0.2) + 0.30 * hills).astype(np.float32)
    return out


def _lakes(z: Array, area: Array, drainage: Drainage, rng: np.random.Generator) -> Array:
    """Surface height of lakes behind natural dams in valleys, elsewhere zero."""
    fits = np.flatnonzero((area > 900) & (area < 8_000) & (z > 100) & (z < 800))
    dams = rng.choice(fits, min(14, fits.size), replace=False)
    level = np.zeros(z.size, np.float32)
    level[dams] = z.ravel()[dams] + rng.uniform(40, 140, dams.size)
    for cells in drainage.groups[1:]:
        level[cells] = np.maximum(level[cells], level[drainage.target[cells]])
    return level.reshape(z.shape)


def _blurred(stream: Array) -> Array:
    """One-cell lines made even: a diagonal step is as strong as a straight one."""
    for _ in range(2):
        p = np.pad(stream, ((1, 1), (0, 0)))
        stream = ((p[:-2] + 2 * p[1:-1] + p[2:]) * np.float32(1 / 3)).T
    return stream


def _towns(
    view: GroundView, z: Array, steep: Array, river: Array, lake: Mask, rng: np.random.Generator
) -> Array:
    """Houses gather on flat, low ground; most by a river or the sea."""
    fits = np.flatnonzero((steep < 0.06) & (z > 2) & (z < 260) & ~lake & (river < 0.4))
    density = np.zeros(z.shape, np.float32)
    for size, at in zip(1_500 / (1 + np.arange(26)) ** 0.45, rng.permutation(fits), strict=False):
        row, col = divmod(int(at), z.shape[1])
        reach = math.ceil(_FARTHEST * size / view.gsd)
        rows, cols = (slice(max(n - reach, 0), n + reach + 1) for n in (row, col))
        far = np.hypot(view.y[rows, None] - view.y[row], view.x[cols] - view.x[col])
        town = density[rows, cols]
        np.maximum(town, np.exp(-np.square(far / size)).astype(np.float32), out=town)
    return density

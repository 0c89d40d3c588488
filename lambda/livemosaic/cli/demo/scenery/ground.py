"""The ground as the sun lights it: sea, fields, woods, rock, towns, rivers, snow.

Reflectance arrays have the shape (4, height, width): blue, green, red and near infrared.
"""

from typing import Final

import numpy as np

from livemosaic.cli.demo.scenery.noise import Array, GroundView, ramp, white
from livemosaic.cli.demo.scenery.passes import Pass
from livemosaic.cli.demo.scenery.world import World

RELIEF: Final = 1.25
"""Exaggerates slopes for light only."""


def ground(world: World, view: GroundView, over: Pass) -> Array:
    """Reflectance without air and clouds; neighbours in the view make the slopes."""
    z, rough = world.at(world.z, view), world.at(world.rough, view).clip(0)
    ridges = 0.45 - np.abs(view.fbm(world.seed, "ridge", 520, 5, 0.55))
    z = z + (z > 0) * ridges * rough * 75 + ridges * 3
    if (z <= 0).all():
        return _sea(world, view, -z, over)
    land = _lit_land(world, view, z, over)
    if (z > 0).all():
        return land
    return np.where(z > 0, land, _sea(world, view, (-z).clip(0), over))


def paint(image: Array, color: tuple[float, float, float, float] | Array, weight: Array) -> None:
    """Blend a reflectance into the image, in place."""
    for band, value in zip(image, color, strict=True):
        band += (value - band) * weight


def _sea(world: World, view: GroundView, depth: Array, over: Pass) -> Array:
    """Water over sand: each wavelength sees as deep as it is absorbed."""
    deep, bottom = (0.042, 0.024, 0.008, 0.004), (0.20, 0.235, 0.205, 0.15)
    absorb = (0.075, 0.07, 0.36, 1.6)
    patchy = 0.8 + 0.35 * view.fbm(world.seed, "reef", 900, 4)
    swell, wind = view.noise(over.number, "wave", 60), view.fbm(over.number, "wind", 5_000, 3)
    waves = 1 + 0.05 * swell + 0.05 * wind
    sea = np.empty((4, *depth.shape), np.float32)
    for band, d, b, k in zip(sea, deep, bottom, absorb, strict=True):
        band[:] = (d + (b * patchy - d) * np.exp(-k * depth)) * waves
    murk = 0.012 * ramp(view.fbm(world.seed + over.number, "murk", 12_000, 5), 0, 1.2)
    paint(sea, (0.06, 0.075, 0.05, 0.02), murk * 25 * ramp(depth, 110, 0))
    surf = ramp(depth, 1.8, 0) * ramp(view.fbm(over.number, "surf", 260, 3), -0.1, 0.6)
    paint(sea, (0.4, 0.4, 0.4, 0.35), surf * np.float32(0.55))
    return sea


def _lit_land(world: World, view: GroundView, z: Array, over: Pass) -> Array:
    """Reflectance of ground and lakes in sun and skylight; shadows are blue."""
    north, east = np.gradient(z, -view.gsd, view.gsd)
    slope, sun = np.hypot(north, east), over.sun
    toward = sun[2] - RELIEF * (sun[0] * east + sun[1] * north)
    facing = toward / np.sqrt(1 + (RELIEF * slope) ** 2)
    land = _cover(world, view, z, slope, over)
    _settle(world, view, land, slope)
    paint(land, (0.80, 0.80, 0.79, 0.66), _snow(world, view, z, slope, facing, over))
    light = facing.clip(0) / np.float32(sun[2])
    for band, sky in zip(land, (0.30, 0.22, 0.17, 0.10), strict=True):
        band *= sky + (1 - sky) * light
    shore = world.at(world.lake, view) + 0.1 * view.noise(world.seed, "lakeside", 150)
    paint(land, (0.085, 0.092, 0.045, 0.012), ramp(shore, 0.45, 0.6))
    return land


def _cover(world: World, view: GroundView, z: Array, slope: Array, over: Pass) -> Array:
    """Dry ground from peak to valley: meadows, fields, woods, alpine grass, rock, beaches."""
    seed, green = world.seed, over.green
    big, small = view.fbm(seed, "cover", 5_000, 4), view.fbm(seed, "patch", 420, 4, 0.6)
    land = np.empty((4, *z.shape), np.float32)
    dry, lush = (0.06, 0.092, 0.092, 0.27), (0.036, 0.080, 0.048, 0.42)
    meadow = (0.35 + 0.45 * green + 0.3 * big + 0.15 * small - z / 2_600).clip(0, 1)
    for band, a, b in zip(land, dry, lush, strict=True):
        band[:] = a + (b - a) * meadow
    flat = ramp(slope + 0.03 * big, 0.13, 0.07) * ramp(z + 60 * big, 330, 240)
    paint(land, _fields(world, view, over), flat)
    woods = ramp(big * 0.8 + small * 0.55 + 1.6 * slope - 1.6 * flat, 0.0, 0.25)
    woods *= ramp(z + 220 * small + 150 * big, 1_250, 1_000)
    leaves = (0.022, 0.043 + 0.006 * green, 0.026, 0.25 + 0.05 * green)
    paint(land, leaves, woods * np.float32(0.95))
    high = ramp(z + 200 * small, 950, 1_350)
    paint(land, (0.065, 0.094, 0.105, 0.22), high * np.float32(0.7))
    rock = ramp(slope + 0.25 * small + z / 6_000, 0.75, 1.05) * ramp(z + 300 * big, 600, 1_300)
    paint(land, (0.115, 0.13, 0.142, 0.18), rock * np.float32(0.85))
    beach = ramp(z + 1.5 * small + 3 * big, 3.2, 1.4) * ramp(slope, 0.3, 0.1)
    paint(land, (0.20, 0.255, 0.30, 0.38), beach)
    return land


def _fields(world: World, view: GroundView, over: Pass) -> Array:
    """Bricks whose grid turns from district to district."""
    seed, green = world.seed, over.green
    district = np.floor(3.1 * view.fbm(seed, "district", 7_000, 2)).astype(np.int32)
    angle = 1.5 * white(district, district, seed)
    c, s = np.cos(angle), np.sin(angle)
    x, y = view.x.astype(np.float32), view.y.astype(np.float32)[:, None]
    u, v = (x * c + y * s) / 560, (y * c - x * s) / 290
    row = np.floor(v)
    u += white(row, district, seed)
    col = np.floor(u)
    parts = 1 + (white(row, col, seed) > -0.2) + (white(row, col, seed + 1) > 0.3)
    part = row * 8 + np.floor((u - col) * parts)
    kind, tone = white(part, col, seed + 2), white(part, col, seed + 3)
    fields = np.empty((4, *kind.shape), np.float32)
    soil, crops = (0.075, 0.11, 0.155, 0.23), (0.032, 0.082, 0.042, 0.46)
    lush = (0.62 + 0.35 * green + 0.22 * tone).clip(0, 1)
    for band, bare, crop in zip(fields, soil, crops, strict=True):
        band[:] = bare * (1 + 0.25 * tone) + (crop - bare) * lush
    most = np.float32(0.6)
    paint(fields, (0.085, 0.125, 0.165, 0.25), most * (kind > 0.55 + 0.35 * green))
    paint(fields, (0.075, 0.155, 0.175, 0.36), most * (kind < -0.95 + 0.6 * green))
    hedges = (v - row < 0.06) | (u - col < 0.03)
    paint(fields, (0.03, 0.05, 0.035, 0.26), most * hedges)
    return fields


def _settle(world: World, view: GroundView, land: Array, slope: Array) -> None:
    """Towns, river beds and rivers, in place."""
    seed = world.seed
    fine = view.fbm(seed, "houses", 130, 3, 0.8)
    town = world.at(world.town, view) + 0.22 * view.fbm(seed, "sprawl", 900, 3) + 0.12 * fine
    bright = 1 + 0.35 * fine
    houses = np.stack([c * bright for c in (0.135, 0.145, 0.155, 0.21)])
    paint(land, houses, ramp(town, 0.42, 0.72) * np.float32(0.85))
    river = world.at(world.river, view) + 0.10 * view.fbm(seed, "banks", 240, 3)
    bed = ramp(river, 0.30, 0.56) * ramp(slope, 0.4, 0.15)
    paint(land, (0.15, 0.17, 0.18, 0.22), bed * np.float32(0.7))
    paint(land, (0.068, 0.075, 0.042, 0.02), ramp(river, 0.54, 0.68))


def _snow(
    world: World, view: GroundView, z: Array, slope: Array, facing: Array, over: Pass
) -> Array:
    """Share of ground under snow: high, not too steep, longest where the sun is low."""
    line = 950 + 900 * over.thaw
    uneven = 190 * view.fbm(world.seed, "drift", 1_300, 5, 0.6) - 420 * (facing - over.sun[2])
    return ramp(z + uneven, line, line + 240) * ramp(slope + 0.2 * uneven / 190, 2.1, 1.35)

"""Rasters that run over the edge of the world are whole on tiles of both sides."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from rasterio.crs import CRS

from cogs import positions, write_cog
from livemosaic.model.raster import Grid, Pixels

from .tiles import read, tile_at, tile_grid

SIZE = 1000


def true_lonlat(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    left, bottom, right, top = grid.bounds
    x = left + (np.arange(grid.width) + 0.5) * (right - left) / grid.width
    y = top - (np.arange(grid.height) + 0.5) * (top - bottom) / grid.height
    to_lonlat = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*np.meshgrid(x, y))
    return np.asarray(lon), np.asarray(lat)


def agrees(pixels: Pixels, cols: np.ndarray, rows: np.ndarray) -> None:
    """Valid exactly where the raster is, each pixel the one that holds the centre.

    A fiftieth of a pixel may be missed, of the source's or the output's, whichever is larger.
    """
    near = 0.02 * max(1.0, float(np.abs(np.diff(rows, axis=0)).max()))
    inside = (cols > near) & (cols < SIZE - near) & (rows > near) & (rows < SIZE - near)
    outside = (cols < -near) | (cols > SIZE + near) | (rows < -near) | (rows > SIZE + near)
    assert inside.any()
    assert pixels.valid[inside].all()
    assert not pixels.valid[outside].any()
    assert np.abs(pixels.data[0] + 0.5 - cols)[pixels.valid].max() <= 0.5 + near
    assert np.abs(pixels.data[1] + 0.5 - rows)[pixels.valid].max() <= 0.5 + near


@pytest.mark.parametrize("west", [170, -190, 175], ids=lambda w: f"from{w}")
@pytest.mark.parametrize("lon", [175.5, 179.99, -179.99, -177.3])
@pytest.mark.parametrize("zoom", [0, 4, 7, 9])
@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_degrees_beyond_180(
    tmp_path: Path, west: float, lon: float, zoom: int, resampling: str
) -> None:
    """A raster of longitudes 170 to 190 (or -190 to -170) lies on both sides."""
    pixel = 20 / SIZE if west != 175 else 10 / SIZE
    transform = Affine(pixel, 0, west, 0, -pixel, 10)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs="EPSG:4326", transform=transform
    )
    grid = tile_grid(*tile_at(lon, 5, zoom))
    pixels = read(path, grid, resampling=resampling)
    lons, lats = true_lonlat(grid)
    cols = ((lons - west) % 360) / pixel
    rows = (10 - lats) / pixel
    if resampling == "nearest":
        agrees(pixels, cols, rows)
    else:
        away = (cols > 4) & (cols < SIZE - 4) & (rows > 4) & (rows < SIZE - 4)
        if zoom >= 4:  # at zoom 0 a tile's pixel is 70 of the raster's, and it has no overviews
            assert pixels.valid[away].all()
            assert np.abs(pixels.data[0] + 0.5 - cols)[away].max() < 0.6
        assert not pixels.valid[cols > SIZE + 1].any()


@pytest.mark.parametrize("lon", [179.3, 179.99, -179.99, -179.4])
@pytest.mark.parametrize("zoom", [8, 9, 11])
@pytest.mark.parametrize("epsg", [32660, 32601], ids=["utm60", "utm1"])
def test_utm_over_the_antimeridian(tmp_path: Path, epsg: int, lon: float, zoom: int) -> None:
    to_utm = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_utm.transform(180, -16.5 + 33)
    transform = Affine(200, 0, x - 100 * SIZE, 0, -200, y + 100 * SIZE)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs=f"EPSG:{epsg}", transform=transform
    )
    grid = tile_grid(*tile_at(lon, 16.5, zoom))
    xs, ys = to_utm.transform(*true_lonlat(grid))
    agrees(read(path, grid), (xs - transform.c) / 200, (transform.f - ys) / 200)


@pytest.mark.parametrize("lon", [-179.9, -0.1, 0.1, 179.9])
def test_a_raster_of_the_whole_world_from_0_to_360(tmp_path: Path, lon: float) -> None:
    pixel = 360 / SIZE
    transform = Affine(pixel, 0, 0, 0, -pixel, 180)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs="EPSG:4326", transform=transform
    )
    for zoom in (0, 2, 5):
        grid = tile_grid(*tile_at(lon, 1, zoom))
        lons, lats = true_lonlat(grid)
        agrees(read(path, grid), (lons % 360) / pixel, (180 - lats) / pixel)


def test_a_grid_over_the_antimeridian_takes_both_sides(tmp_path: Path) -> None:
    """A box from 170 to 190 over a raster of -180 to 180."""
    pixel = 360 / SIZE
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs="EPSG:4326",
        transform=Affine(pixel, 0, -180, 0, -pixel, 180),
    )  # fmt: skip
    grid = Grid(CRS.from_epsg(4326), (170, -10, 190, 10), 200, 200)
    lons, lats = np.meshgrid(170.05 + np.arange(200) / 10, 9.95 - np.arange(200) / 10)
    agrees(read(path, grid), ((lons + 180) % 360) / pixel, (180 - lats) / pixel)


def test_mercator_beyond_the_edge_of_the_world(tmp_path: Path) -> None:
    world = 40075016.685578488
    transform = Affine(500, 0, world / 2 - 250_000, 0, -500, 1_000_000)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs="EPSG:3857", transform=transform
    )
    for lon in (179, -179):
        grid = tile_grid(*tile_at(lon, 5, 7))
        left, _, right, top = grid.bounds
        step = (right - left) / 256
        x, y = np.meshgrid(
            left + (np.arange(256) + 0.5) * step, top - (np.arange(256) + 0.5) * step
        )
        cols = ((x - transform.c) % world) / 500
        agrees(read(path, grid), cols, (1_000_000 - y) / 500)


def test_a_polar_grid_holds_the_pole_of_a_geographic_raster(tmp_path: Path) -> None:
    """Around a pole all longitudes meet: nothing can be interpolated there."""
    pixel = 360 / SIZE
    transform = Affine(pixel, 0, -180, 0, -pixel, 90)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs="EPSG:4326", transform=transform
    )
    grid = Grid(CRS.from_epsg(3413), (-2e6, -2e6, 2e6, 2e6), 256, 256)
    lons, lats = true_lonlat(grid)
    agrees(read(path, grid), ((lons + 180) % 360) / pixel, (90 - lats) / pixel)


@pytest.mark.parametrize(("epsg", "lat"), [(3413, 80), (3031, -80)], ids=["north", "south"])
def test_polar_rasters_on_mercator_tiles(tmp_path: Path, epsg: int, lat: float) -> None:
    transform = Affine(6000, 0, -3_000_000, 0, -6000, 3_000_000)
    path = write_cog(
        tmp_path / "a.tif", positions(SIZE, SIZE), crs=f"EPSG:{epsg}", transform=transform
    )
    to_polar = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    for lon in (-179, -44, 0.5, 136, 179):
        for zoom in (1, 4, 6):
            grid = tile_grid(*tile_at(lon, lat, zoom))
            xs, ys = to_polar.transform(*true_lonlat(grid))
            cols, rows = (xs + 3_000_000) / 6000, (3_000_000 - ys) / 6000
            agrees(read(path, grid), cols, rows)

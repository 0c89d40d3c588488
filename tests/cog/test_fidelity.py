"""Each output pixel is the source pixel that holds its centre: no shift, at any zoom, in any CRS.

Rasters hold their own column and row. The true position of each output pixel is worked out by
pyproj, one point at a time, without the lattice that the reader interpolates on. Half a source
pixel is perfect; what is beyond it (0.02 is allowed) is the reader's error.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rio_tiler.io import Reader

from cogs import positions, write_cog
from livemosaic.model.raster import Grid, Pixels

from .tiles import read, tile_at, tile_grid

ERROR = 0.02
"""Source pixels by which a taken pixel may miss, beyond the half that nearest cannot avoid."""
GDAL_ERROR = 0.125
"""Source pixels by which GDAL's approximate transformer may miss (gdalwarp -et)."""

PLACES = {
    "utm-north": (32633, Affine(10, 0, 400000, 0, -10, 5_500_000)),
    "utm-south": (32733, Affine(10, 0, 400000, 0, -10, 6_200_000)),
    "utm-79-north": (32633, Affine(10, 0, 480000, 0, -10, 8_800_000)),
    "lonlat": (4326, Affine(1e-4, 0, 14, 0, -1e-4, 50)),
    "lonlat-80-north": (4326, Affine(3e-4, 0, 14, 0, -1e-4, 80)),
    "lonlat-south": (4326, Affine(1e-4, 0, -70, 0, -1e-4, -33)),
    "mercator": (3857, Affine(10, 0, 1_500_003, 0, -10, 6_000_007)),
    "polar": (3413, Affine(30, 0, 300_000, 0, -30, -900_000)),
    "rotated": (32633, Affine(8, 6, 400000, 6, -8, 5_500_000)),
}
SIZE = 1200


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Columns and rows as a raster of a place, by name; written once."""
    folder = tmp_path_factory.mktemp("fidelity")

    @cache
    def written(name: str) -> Path:
        epsg, transform = PLACES[name]
        data = positions(SIZE, SIZE)
        return write_cog(folder / f"{name}.tif", data, crs=f"EPSG:{epsg}", transform=transform)

    return written


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same with overviews made by averaging."""
    folder = tmp_path_factory.mktemp("averaged")

    @cache
    def written(name: str) -> Path:
        epsg, transform = PLACES[name]
        return write_cog(
            folder / f"{name}.tif", positions(2048, 2048), crs=f"EPSG:{epsg}", transform=transform,
            overviews=[2, 4, 8, 16], overview_resampling=Resampling.average, predictor=3,
        )  # fmt: skip

    return written


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, ramp: Callable[[str], Path]) -> Any:
    return ramp(request.param), *PLACES[request.param]


@pytest.mark.parametrize("zoom", [9, 11, 12, 14])
@pytest.mark.parametrize("size", [256, 512], ids=["256", "512"])
def test_each_pixel_is_the_one_that_holds_its_centre(place: Any, zoom: int, size: int) -> None:
    path, epsg, transform = place
    grid = tile_grid(*_tile_over(epsg, transform, zoom), size)
    pixels = read(path, grid)
    cols, rows = _true_positions(grid, epsg, transform)

    off_cols, off_rows = _offsets(pixels, cols, rows)
    assert off_cols.size > 10
    assert max(np.abs(off_cols).max(), np.abs(off_rows).max()) <= 0.5 + ERROR
    # No shift, as a shift of s would make the largest offset 0.5 + s. And the mean is that of as
    # many even draws from -0.5 to 0.5 (deviation 0.29) as the tile has columns, at the least.
    draws = pixels.valid.any(axis=0).sum() * min(1, np.abs(np.diff(cols, axis=1)).mean())
    if draws > 50:
        allowed = 4 * 0.29 / np.sqrt(draws)
        assert max(abs(off_cols.mean()), abs(off_rows.mean())) <= allowed

    inside = _inside(cols, rows, margin=ERROR)
    outside = ~_inside(cols, rows, margin=-ERROR)
    assert pixels.valid[inside].all()
    assert not pixels.valid[outside].any()


@pytest.mark.parametrize("zoom", [8, 9, 10, 11])
@pytest.mark.parametrize("name", ["utm-north", "utm-south", "lonlat", "mercator"])
def test_overviews_are_taken_without_a_shift(
    averaged: Callable[[str], Path], name: str, zoom: int
) -> None:
    """Overviews made by averaging hold the mean column and row, so the position of their centre."""
    epsg, transform = PLACES[name]
    path = averaged(name)
    grid = tile_grid(*_tile_over(epsg, transform, zoom, 2048))
    pixels = read(path, grid)
    cols, rows = _true_positions(grid, epsg, transform)
    off_cols, off_rows = _offsets(pixels, cols, rows)
    # What level was read shows in its values: those of level 2^n are 2^n apart.
    factor = int(np.diff(np.unique(pixels.data[0][pixels.valid])).min())
    step = np.median(np.abs(np.diff(cols, axis=1)))
    assert factor <= step + 0.1 + 1e-6
    assert factor == 16 or 2 * factor > step * 0.95
    assert max(np.abs(off_cols).max(), np.abs(off_rows).max()) <= (0.5 + ERROR) * factor
    assert max(abs(off_cols.mean()), abs(off_rows.mean())) < 0.03 * factor


@pytest.mark.parametrize("zoom", [9, 11, 12, 13, 14])
@pytest.mark.parametrize(
    "name", ["utm-north", "utm-south", "lonlat", "lonlat-south", "mercator", "polar"]
)
def test_rio_tiler_differs_only_at_ties(ramp: Callable[[str], Path], name: str, zoom: int) -> None:
    """Where rio-tiler takes another pixel it is the neighbour, and the true position is as close to
    the border of the two as GDAL's approximation is allowed to miss."""
    epsg, transform = PLACES[name]
    path = ramp(name)
    x, y, z = _tile_over(epsg, transform, zoom)
    ours = read(path, tile_grid(x, y, z))
    theirs, their_valid = rio_tiler_tile(path, x, y, z)
    cols, rows = _true_positions(tile_grid(x, y, z), epsg, transform)

    both = ours.valid & their_valid
    for true, band in ((cols, 0), (rows, 1)):
        differs = both & (ours.data[band] != theirs[band])
        assert (np.abs(ours.data[band] - theirs[band])[differs] == 1).all()
        to_border = np.abs(true - np.round(true))[differs]
        assert to_border.size == 0 or to_border.max() <= GDAL_ERROR
    edge = ours.valid != their_valid
    to_edge = np.minimum.reduce([np.abs(a - b) for a in (cols, rows) for b in (0, SIZE)])
    # In the tile's own CRS rio-tiler does not warp: it rounds the window to output pixels.
    most = 0.5 * np.abs(np.diff(cols)).max() if name == "mercator" else GDAL_ERROR
    assert not edge.any() or to_edge[edge].max() <= most


@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("name", ["utm-north", "lonlat", "mercator"])
def test_smooth_resamplings_give_the_true_position_itself(
    ramp: Callable[[str], Path], name: str, resampling: str
) -> None:
    """A ramp interpolated is the position: no half pixel lost between centres and corners."""
    epsg, transform = PLACES[name]
    path = ramp(name)
    for zoom in (12, 14, 15):
        grid = tile_grid(*_tile_over(epsg, transform, zoom))
        pixels = read(path, grid, resampling=resampling)
        cols, rows = _true_positions(grid, epsg, transform)
        away = _inside(cols, rows, margin=8)
        off_cols = (pixels.data[0] + 0.5 - cols)[away]
        off_rows = (pixels.data[1] + 0.5 - rows)[away]
        most = 0.55 if resampling == "average" else GDAL_ERROR
        assert max(np.abs(off_cols).max(), np.abs(off_rows).max()) <= most
        assert max(abs(off_cols.mean()), abs(off_rows.mean())) <= 0.09


def test_a_single_pixel_grid_reads_the_pixel_under_the_point(ramp: Callable[[str], Path]) -> None:
    epsg, transform = PLACES["utm-north"]
    path = ramp("utm-north")
    x, y = pyproj.Transformer.from_crs(epsg, 3857, always_xy=True).transform(
        *(transform @ (700.3, 300.8))
    )
    grid = Grid(tile_grid(0, 0, 0).crs, (x - 1, y - 1, x + 1, y + 1), 1, 1)
    assert read(path, grid).data.ravel().tolist() == [700, 300]


def rio_tiler_tile(path: Path, x: int, y: int, z: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    with quiet(), Reader(str(path)) as dataset:
        image = dataset.tile(x, y, z)
        return image.array.data, ~image.array.mask.all(axis=0)


@contextmanager
def quiet() -> Iterator[None]:
    """rio-tiler and rasterio are not ready for affine 3 (PendingDeprecationWarning)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _tile_over(epsg: int, transform: Affine, zoom: int, size: int = SIZE) -> tuple[int, int, int]:
    x, y = transform @ (size * 0.45, size * 0.55)
    lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    return tile_at(*lonlat, zoom)


def _true_positions(
    grid: Grid, epsg: int, transform: Affine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, bottom, right, top = grid.bounds
    x = left + (np.arange(grid.width) + 0.5) * (right - left) / grid.width
    y = top - (np.arange(grid.height) + 0.5) * (top - bottom) / grid.height
    to_source = pyproj.Transformer.from_crs(3857, epsg, always_xy=True)
    xs, ys = to_source.transform(*np.meshgrid(x, y))
    inverse = ~transform
    return (
        inverse.a * xs + inverse.b * ys + inverse.c,
        inverse.d * xs + inverse.e * ys + inverse.f,
    )


def _offsets(
    pixels: Pixels, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre of the pixel taken minus true position, in source pixels, where valid."""
    v = pixels.valid
    return (pixels.data[0] + 0.5 - cols)[v], (pixels.data[1] + 0.5 - rows)[v]


def _inside(
    cols: NDArray[np.float64], rows: NDArray[np.float64], margin: float
) -> NDArray[np.bool_]:
    return (cols > margin) & (cols < SIZE - margin) & (rows > margin) & (rows < SIZE - margin)

"""Rasters with ground control points only, placed as GDAL's own transformers place them.

Rasters hold their own column and row, so that what a tile shows is where it was taken from.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import GCPTransformer
from rasterio.warp import reproject

from cogs import positions
from livemosaic.errors import UnreadableAssetError
from livemosaic.geo.gcps import GcpError, gcp_transform
from livemosaic.model.raster import Grid, Pixels

from .tiles import read, tile_at, tile_grid

Points = NDArray[np.float64]
WIDTH, HEIGHT = 1500, 1000
LONLAT = CRS.from_epsg(4326)


@dataclass(frozen=True)
class Swath:
    """A skewed, bent raster: a side-looking radar's, of which an affine is far off."""

    lon: float
    lat: float
    size: float = 2.0
    """Degrees across."""
    bend: float = 0.03

    def place(self, cols: Points, rows: Points) -> tuple[Points, Points]:
        u, v = cols / WIDTH - 0.5, rows / WIDTH - 0.33
        shrink = np.cos(np.radians(self.lat))
        x = self.size * (u + 0.2 * v + self.bend * (u * u + u * v + np.sin(5 * v) * u / 3)) / shrink
        y = self.size * (0.15 * u - v + self.bend * (v * v - u * u))
        return (self.lon + x + 180) % 360 - 180, self.lat + y

    def gcps(self, across: int = 21, down: int = 10) -> list[GroundControlPoint]:
        found = []
        for row in np.linspace(0, HEIGHT, down):
            for col in np.linspace(0, WIDTH, across):
                x, y = self.place(np.array(col), np.array(row))
                found.append(GroundControlPoint(row=row, col=col, x=float(x), y=float(y), z=120.0))
        return found


SWATHS = {
    "mid latitudes": Swath(14, 50),
    "south": Swath(-70, -33, 0.2),
    "equator": Swath(0, 0, 5),
    "antimeridian": Swath(179.7, -17),
    "78 north": Swath(20, 78, 3),
}


def write(path: Path, gcps: list[GroundControlPoint], crs: CRS = LONLAT, **tags: str) -> Path:
    data = positions(WIDTH, HEIGHT)
    with rasterio.open(
        path, "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=len(data), dtype=data.dtype,
        tiled=True, blockxsize=256, blockysize=256, compress="deflate",
    ) as file:  # fmt: skip
        file.write(data)
        file.update_tags(**tags)
        file.gcps = (gcps, crs)
        file.build_overviews([2, 4], Resampling.nearest)
    return path


@pytest.fixture(scope="module")
def swath(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("gcps")

    def written(name: str) -> Path:
        path = folder / f"{name}.tif"
        return path if path.exists() else write(path, SWATHS[name].gcps())

    return written


def lonlat_of(grid: Grid) -> tuple[Points, Points]:
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    left, bottom, right, top = grid.bounds
    x, y = left + cols * (right - left) / grid.width, top - rows * (top - bottom) / grid.height
    return pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(x, y)


def missed(found: Pixels, grid: Grid, gcps: list[GroundControlPoint], *, tps: bool) -> float:
    """Source pixels, beyond nearest's half, by which pixels lie off GDAL's positions."""
    lon, lat = lonlat_of(grid)
    middle = gcps[len(gcps) // 2].x
    near = [
        GroundControlPoint(p.row, p.col, middle + (p.x - middle + 180) % 360 - 180, p.y)
        for p in gcps
    ]
    lon = middle + (lon - middle + 180) % 360 - 180
    with GCPTransformer(near, tps=tps) as gdal:
        rows, cols = gdal.rowcol(lon[found.valid], lat[found.valid], op=lambda value: value)
    off = found.data[:, found.valid] - np.stack([np.floor(cols) + 0, np.floor(rows) + 0])
    exact = np.abs(found.data[:, found.valid] + 0.5 - np.stack([cols, rows]))
    assert off.shape[1]
    return float(exact.max()) - 0.5


@pytest.mark.parametrize("name", SWATHS)
@pytest.mark.parametrize("zoom", [9, 11, 13])
def test_each_pixel_is_where_gdals_spline_puts_it(
    name: str, zoom: int, swath: Callable[[str], Path]
) -> None:
    one, path = SWATHS[name], swath(name)
    for lon, lat in ((one.lon, one.lat), (one.lon - 0.31 * one.size, one.lat + 0.2 * one.size)):
        grid = tile_grid(*tile_at(lon, lat, zoom))
        found = read(path, grid)
        step = scale_of(one, grid)
        level = max(n for n in (1, 2, 4) if n < max(step + 0.1, 1.1))
        assert missed(found, grid, one.gcps(), tps=True) <= 0.05 * max(1, step) + (level - 1)


def scale_of(one: Swath, grid: Grid) -> float:
    pixel = one.size / WIDTH * 111_320
    left, _, right, _ = grid.bounds
    return (right - left) / grid.width * np.cos(np.radians(one.lat)) / pixel


@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "lanczos", "average"])
@pytest.mark.parametrize("name", SWATHS)
def test_smooth_resamplings_are_gdals(
    name: str, resampling: str, swath: Callable[[str], Path]
) -> None:
    """Columns and rows are linear, so any kernel gives the position itself."""
    one = SWATHS[name]
    grid = tile_grid(*tile_at(one.lon, one.lat, 11))
    smooth, nearest = (read(swath(name), grid, resampling=how) for how in (resampling, "nearest"))
    assert (smooth.valid == nearest.valid).all()
    inner = nearest.valid & (nearest.data > 8).all(0) & (nearest.data[0] < WIDTH - 8)
    inner &= nearest.data[1] < HEIGHT - 8
    assert inner.any()
    assert (
        np.abs(smooth.data - nearest.data)[:, inner].max() < 0.6 * max(1, scale_of(one, grid)) + 1
    )


def test_smooth_values_are_gdals_warper_has(swath: Callable[[str], Path]) -> None:
    one = SWATHS["mid latitudes"]
    grid = tile_grid(*tile_at(one.lon, one.lat, 12))
    found = read(swath("mid latitudes"), grid, resampling="bilinear")
    theirs = np.zeros((2, 256, 256))
    with rasterio.open(swath("mid latitudes")) as file:
        reproject(
            file.read(), theirs, gcps=file.gcps[0], src_crs=LONLAT, dst_crs=grid.crs,
            dst_transform=grid.transform, resampling=Resampling.bilinear, SRC_METHOD="GCP_TPS",
            tolerance=0,
        )  # fmt: skip
    assert found.valid.all()
    assert np.abs(found.data - theirs).max() < 0.1


def test_a_swath_across_the_antimeridian_is_drawn_on_both_sides(
    swath: Callable[[str], Path],
) -> None:
    path = swath("antimeridian")
    for zoom in (0, 1, 4, 7):
        tiles = {tile_at(lon, -17.0, zoom) for lon in (179.2, -179.8)}
        assert all(read(path, tile_grid(*tile)).valid.any() for tile in tiles)


def test_a_swath_over_the_pole_is_drawn_around_it(tmp_path: Path) -> None:
    """In degrees no fit could: the points are fitted in a plane around the pole."""
    to_lonlat = pyproj.Transformer.from_crs(3413, 4326, always_xy=True)
    gcps = []
    for row in np.linspace(0, HEIGHT, 10):
        for col in np.linspace(0, WIDTH, 15):
            x, y = (col - 700) * 2000 + row * 300, (450 - row) * 2000 + col * 200
            lon, lat = to_lonlat.transform(x, y)
            gcps.append(GroundControlPoint(row=row, col=col, x=lon, y=lat))
    path = write(tmp_path / "pole.tif", gcps)
    grid = Grid(CRS.from_epsg(3413), (-256000, -256000, 256000, 256000), 256, 256)
    found = read(path, grid)
    assert found.valid.all()
    cols, rows = np.meshgrid(np.arange(256) * 2000 - 255000, 255000 - np.arange(256) * 2000)
    m = np.array([[2000, 300], [200, -2000]])
    true = np.linalg.solve(m, np.stack([cols.ravel() + 1400000, rows.ravel() - 900000]))
    assert np.abs(found.data.reshape(2, -1) + 0.5 - true).max() < 1.1
    tile = read(path, tile_grid(*tile_at(20, 84.9, 6)))
    assert tile.valid.any()


@pytest.mark.parametrize("tag", ["Area", "Point"])
def test_pixels_are_areas_or_points_as_gdal_reads_them(tag: str, tmp_path: Path) -> None:
    one = Swath(14, 50, bend=0)
    path = write(tmp_path / "p.tif", one.gcps(3, 3), AREA_OR_POINT=tag)
    with rasterio.open(path) as file:
        gcps, _ = file.gcps
    grid = tile_grid(*tile_at(14, 50, 12))
    assert missed(read(path, grid), grid, gcps, tps=False) < 0.05


def test_points_in_a_projected_crs(tmp_path: Path) -> None:
    gcps = [
        GroundControlPoint(row=row, col=col, x=400000 + 10 * col + row, y=5_500_000 - 9 * row + col)
        for row, col in ((0, 0), (0, WIDTH), (HEIGHT, 0), (HEIGHT, WIDTH))
    ]
    path = write(tmp_path / "utm.tif", gcps, CRS.from_epsg(32633))
    lon, lat = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(404000, 5_496_000)
    found = read(path, tile_grid(*tile_at(lon, lat, 14)))
    assert found.valid.all()


def fit(points: Points, width: int = WIDTH, height: int = HEIGHT) -> str:
    return gcp_transform(tuple(map(tuple, points.tolist())), LONLAT, width, height).fit


def grid_of_points(count: int = 5) -> tuple[Points, Points]:
    cols, rows = np.meshgrid(np.linspace(0, WIDTH, count), np.linspace(0, HEIGHT, count))
    return cols.ravel(), rows.ravel()


def test_the_simplest_of_the_best_fits_is_taken_and_its_error_stated() -> None:
    cols, rows = grid_of_points()
    plain = np.column_stack([cols, rows, 14 + cols * 1e-3, 50 - rows * 1e-3])
    assert fit(plain).startswith("polynomial of order 1 through 25 GCPs, RMS error ")
    bent = plain + np.column_stack([0 * cols, 0 * cols, (cols / WIDTH) ** 2 / 50, 0 * cols])
    assert "order 1" not in fit(bent)
    noise = np.random.default_rng(1).normal(0, 3e-3, (25, 2))
    noisy = plain + np.column_stack([0 * cols, 0 * cols, noise])
    assert "polynomial of order 1" in fit(noisy)
    bumpy = plain + np.column_stack([0 * cols, 0 * cols, np.sin(cols / 300) / 30, 0 * cols])
    assert "spline" in fit(bumpy)


def test_four_corners_of_any_quadrilateral_are_met() -> None:
    corners = np.array(
        [(0, 0, 14, 50), (WIDTH, 0, 15.1, 50.2), (0, HEIGHT, 13.9, 49.1), (WIDTH, HEIGHT, 15.3, 49)]
    )
    found = gcp_transform(tuple(map(tuple, corners.tolist())), LONLAT, WIDTH, HEIGHT)
    cols, rows = found.to_pixel(corners[:, 2], corners[:, 3])
    assert np.allclose(np.stack([cols, rows]), corners[:, :2].T, atol=1e-6)


def test_thousands_of_points_are_fitted_by_some_of_them() -> None:
    cols, rows = grid_of_points(60)
    lon, lat = Swath(14, 50).place(cols, rows)
    began = time.perf_counter()
    found = gcp_transform(
        tuple(map(tuple, np.column_stack([cols, rows, lon, lat]).tolist())), LONLAT, WIDTH, HEIGHT
    )
    assert found.error < 0.2
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 0, 14, 50), (9, 9, 15, 49)], "has 2 ground control points; 3 to 10,000 are needed"),
        ([(n, n, 14 + n, 50 - n) for n in range(5)], "lie on one line"),
    ],
)
def test_points_that_fit_nothing_are_refused(points: list[tuple[float, ...]], why: str) -> None:
    with pytest.raises(GcpError, match=why):
        fit(np.array(points, float))


def test_a_file_with_rpcs_only_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "rpc.tif", [])
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="RPC", **RPC)
    with pytest.raises(UnreadableAssetError, match=r"RPC.*gdalwarp -rpc"):
        read(path, tile_grid(0, 0, 0))


ONES = " ".join(["1"] + ["0"] * 19)
RPC = {
    "LINE_OFF": "500", "SAMP_OFF": "750", "LAT_OFF": "45", "LONG_OFF": "7", "HEIGHT_OFF": "100",
    "LINE_SCALE": "500", "SAMP_SCALE": "750", "LAT_SCALE": "0.1", "LONG_SCALE": "0.1",
    "HEIGHT_SCALE": "100", "LINE_NUM_COEFF": ONES, "LINE_DEN_COEFF": ONES, "SAMP_NUM_COEFF": ONES,
    "SAMP_DEN_COEFF": ONES,
}  # fmt: skip


def test_far_from_the_points_nothing_is_drawn(swath: Callable[[str], Path]) -> None:
    """A polynomial folds back, far away, into the raster."""
    path = swath("mid latitudes")
    for lon, lat in ((-166, -50), (14, 0), (100, 50), (30, 50), (14, 56)):
        assert not read(path, tile_grid(*tile_at(lon, lat, 5))).valid.any() or abs(lon - 14) < 6

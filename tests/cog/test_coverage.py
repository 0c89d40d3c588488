"""A scene shows the same pixels under every resampling, however small it is on the map."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling as GdalResampling
from rasterio.warp import reproject

from cogs import write_cog
from livemosaic.model.raster import Grid
from livemosaic.model.render import Resampling

from .tiles import read, tile_at, tile_grid

SMOOTH = [how for how in get_args(Resampling) if how != "nearest"]
SIZES = (0.1, 0.7, 1, 1.6, 3, 8, 50)
"""Output pixels across."""
RASTERS = {
    "utm": (32633, 0.0),
    "rotated": (32633, 30.0),
    "lonlat": (4326, 0.0),
    "mercator": (3857, 7.0),
}


def scene(folder: Path, crs: int, angle: float, size: float) -> tuple[Path, list[Grid]]:
    """A scene of random values with holes, and grids on which it is `size` pixels wide."""
    side = 64
    random = np.random.default_rng(int(size * 10))
    data = random.integers(1, 200, (1, side, side)).astype(np.uint8)
    data[:, random.random((side, side)) < 0.1] = 0
    unit = 1e-4 if crs == 4326 else 10
    x, y = {4326: (14.0, 50.0), 32633: (430_000, 5_540_000), 3857: (1_558_472, 6_446_276)}[crs]
    to_map = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(unit, -unit)
    path = write_cog(folder / "scene.tif", data, crs=f"EPSG:{crs}", transform=to_map, nodata=0)
    zoom = round(np.log2(40_075_017 * 0.64 / 256 / (side * 10 / size)))
    tile = tile_at(14.02, 49.99, int(np.clip(zoom, 0, 22)))
    left, bottom, right, top = tile_grid(*tile).bounds
    moved = (right - left) / 256 * 0.37
    grids = [tile_grid(*tile)]
    grids.append(
        Grid(grids[0].crs, (left + moved, bottom + moved, right + moved, top + moved), 256, 256)
    )
    return path, grids


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RASTERS)
def test_all_resamplings_cover_what_nearest_covers(name: str, size: float, tmp_path: Path) -> None:
    path, grids = scene(tmp_path, *RASTERS[name], size)
    for grid in grids:
        nearest = read(path, grid)
        for how in SMOOTH:
            found = read(path, grid, resampling=how)
            assert (found.valid == nearest.valid).all(), how
            assert (found.data[:, ~found.valid] == 0).all(), how


@pytest.mark.parametrize("how", SMOOTH)
def test_values_are_gdals_where_it_has_them(how: Resampling, tmp_path: Path) -> None:
    path, grids = scene(tmp_path, *RASTERS["utm"], 8)
    found = read(path, grids[0], resampling=how)
    theirs = np.zeros((2, 256, 256), np.uint8)
    with rasterio.open(path) as file:
        reproject(
            np.concatenate([file.read(), file.read_masks(1)[None]]), theirs,
            src_transform=file.transform, src_crs=file.crs, dst_transform=grids[0].transform,
            dst_crs=grids[0].crs, resampling=GdalResampling[how], src_alpha=2, dst_alpha=2,
        )  # fmt: skip
    both = found.valid & (theirs[1] > 0)
    assert both.sum() > 20
    assert (found.data[0] == theirs[0])[both].all()

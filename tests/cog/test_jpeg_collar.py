"""Nodata under JPEG leaves a fringe, as in GDAL; an internal mask none (docs/pixels.md)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from numpy.typing import NDArray

from api.served import SIZE, Server, quiet, raster, scene, serving
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    with serving(sqlite_table, tmp_path) as made:
        made.create()
        yield made


def tilted() -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A textured scene on black, and where it is."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = np.abs(columns - SIZE / 2 + (rows - SIZE / 2) / 3) < SIZE / 4
    texture = rng.integers(60, 255, (3, SIZE, SIZE), dtype=np.uint8)
    return np.where(inside, texture, np.uint8(0)), inside


def shown(server: Server, path: Path) -> NDArray[np.bool_]:
    server.add(scene("a", server.url(path)))
    return server.picture().valid


@pytest.mark.parametrize("colors", ["ycbcr", "rgb"])
def test_nodata_leaves_the_fringe_that_it_has_in_gdal(server: Server, colors: str) -> None:
    """Two decoders may round one value of a pixel differently, so that few are not the same."""
    data, inside = tilted()
    path = raster(server.folder / "a.tif", data, nodata=0, compress="jpeg", photometric=colors)
    valid = shown(server, path)
    with rasterio.open(path) as dataset:
        in_gdal = dataset.dataset_mask() > 0
    assert (in_gdal & ~inside).sum() > 100
    assert (valid != in_gdal).mean() < 0.02
    assert valid[inside].all()


def test_the_mask_that_gdal_makes_of_alpha_leaves_no_fringe(server: Server) -> None:
    """`gdal_translate -of COG -co COMPRESS=JPEG` of a file with alpha."""
    data, inside = tilted()
    bands = np.concatenate([data, np.where(inside, np.uint8(255), np.uint8(0))[None]])
    source = raster(server.folder / "alpha.tif", bands, alpha=True)
    path = server.folder / "cog.tif"
    with quiet():
        rasterio.shutil.copy(source, path, driver="COG", compress="JPEG", quality=85)
    np.testing.assert_array_equal(shown(server, path), inside)

"""Real files of public projects, beside rio-tiler."""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rio_tiler.io import Reader

from livemosaic.errors import UnreadableAssetError
from livemosaic.model.raster import Pixels
from livemosaic.model.render import Read

from .tiles import DATA, TMS, reader, tile_grid

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not beside the repo")

FILES = [
    path
    for folder in ("masks", "dateline", "landsat", "noaa", "world")
    for path in sorted((DATA / folder).glob("*.tif"))
]


@contextmanager
def quiet() -> Iterator[None]:
    """rio-tiler and rasterio are not ready for affine 3 (PendingDeprecationWarning)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(path: Path, x: int, y: int, z: int) -> Pixels:
    opened = reader(path.parent)
    how = Read(palette=False)
    return asyncio.run(opened.read({"data": str(path)}, tile_grid(x, y, z), how, version="1"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize("coarser", [0, 2], ids=["maxzoom", "overview"])
def test_a_real_file_looks_as_rio_tiler_shows_it(path: Path, coarser: int) -> None:
    """The same bands, type and, but for ties along the edge, validity; alike in their values."""
    with quiet(), Reader(str(path)) as dataset:
        west, south, east, north = dataset.get_geographic_bounds("epsg:4326")
        lon = (west + east + (360 if west > east else 0)) / 2
        tile = TMS.tile((lon + 180) % 360 - 180, (south + north) / 2, dataset.maxzoom - coarser)
        theirs = dataset.tile(tile.x, tile.y, tile.z).array
    pixels = read(path, tile.x, tile.y, tile.z)
    their_valid = ~theirs.mask.all(axis=0)
    assert pixels.data.shape == theirs.shape
    assert pixels.data.dtype == theirs.dtype
    assert pixels.valid.any()
    assert (pixels.valid != their_valid).mean() < 0.001
    both = pixels.valid & their_valid
    ours, others = pixels.data[:, both].astype("float64"), theirs.data[:, both].astype("float64")
    # Away from the equator Mercator stretches degrees in one direction. Where that decides between
    # two overviews ours is by the area of the tile's pixels, and GDAL's by the file as a whole.
    if abs(south + north) / 2 < 45 and ours.std() > 0:
        assert np.corrcoef(ours.ravel(), others.ravel())[0, 1] > 0.75
        assert abs(ours.mean() - others.mean()) <= 0.05 * max(1.0, np.abs(others).mean())


def test_mars_is_not_on_earth() -> None:
    path = DATA / "mars" / "cog_hirise_mars.tif"
    with pytest.raises(UnreadableAssetError, match="CRS"):
        read(path, 0, 0, 0)

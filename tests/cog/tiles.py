"""What the tests of this folder share: grids of map tiles, one reader, one call."""

import asyncio
from pathlib import Path
from typing import Any

import morecantile
from rasterio.crs import CRS

from livemosaic.cog.raster import AssetLimits
from livemosaic.cog.reader import CogReader
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList

TMS = morecantile.tms.get("WebMercatorQuad")
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def tile_grid(x: int, y: int, z: int, size: int = 256) -> Grid:
    bounds = TMS.xy_bounds(morecantile.Tile(x, y, z))
    return Grid(CRS.from_epsg(3857), tuple(bounds), size, size)


def tile_at(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    tile = TMS.tile(lon, lat, z)
    return tile.x, tile.y, tile.z


def reader(root: Path, **limits: Any) -> CogReader:
    return CogReader(AllowList([str(root)]), limits=AssetLimits(**limits))


def read(path: Path, grid: Grid, **how: Any) -> Pixels:
    """Read one file, as asset `data`, onto a grid."""
    opened = reader(path.parent)
    return asyncio.run(opened.read({"data": str(path)}, grid, Read(**how), version="1"))

"""Warm-up of a process, before its first request.

Loads the modules that are imported at first use, PROJ's database, decoders and threads: a third of
the time of the first tile. It takes twice as long as it saves, so it only pays before a snapshot
(SnapStart), which keeps the result. It opens no connections.
"""

import asyncio
from typing import Any, Final

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.session import DummySession
from rasterio.transform import from_origin
from starlette.concurrency import run_in_threadpool

from livemosaic.cog.geotiff import TiffRaster
from livemosaic.cog.pixels import plan_read, resample, stack
from livemosaic.cog.raster import AssetLimits
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import WHOLE, decode
from livemosaic.geo.rasterize import Outline
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.render.encode import encode
from livemosaic.render.stack.compose import compose
from livemosaic.storage.adapters import InMemoryObject
from livemosaic.tiler.views import TileAddress

_SIZE: Final = 256
_TILE: Final = TileAddress("WebMercatorQuad", 14, 8529, 5975)
_GEOREFERENCE: Final[dict[str, Any]] = {
    "crs": "EPSG:32632",
    "transform": from_origin(372_000, 4_842_000, 10, 10),
}
"""Georeference of a raster that fills a part of the tile."""


def warm_up() -> None:
    """Renders one tile of a raster in memory."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_tile())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _tile() -> None:
    "localhost".encode("idna")  # needed by every first connection; loading its tables is slow
    mosaic, read = Mosaic(id="warm-up"), Read()
    grid, cells = _TILE.view(mosaic, _SIZE).grid, cell_grid(mosaic.tms)
    rings = decode(cells, "", WHOLE)
    Outline.of(rings, cells.crs, grid).burn()
    body = _raster()
    raster = await TiffRaster.open(InMemoryObject(body), AssetLimits(), body)
    plan = plan_read(raster.profile, grid, read)
    raw = [await raster.read(plan.level, window) for window in plan.windows]
    layer = resample(plan, raw, raster.profile, tuple(range(raster.profile.count)), grid, read)
    pixels = compose([stack(("visual",), [layer])])
    await run_in_threadpool(encode, pixels, Render(), grid)


def _raster() -> bytes:
    """Returns a GeoTIFF of one block."""
    bands = np.ones((3, _SIZE, _SIZE), np.uint8)
    kind = {"driver": "GTiff", "tiled": True, "compress": "deflate", "dtype": "uint8", "count": 3}
    with rasterio.Env(DummySession()), MemoryFile() as file:
        with file.open(width=_SIZE, height=_SIZE, **kind, **_GEOREFERENCE) as written:
            written.write(bands)
        body: bytes = file.read()
    return body

"""Samples of a mosaic: the data type, bands and nodata value that tiles of a request have."""

from dataclasses import dataclass, replace
from typing import Final

from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from starlette.concurrency import run_in_threadpool

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import extent
from livemosaic.geo.box import Box
from livemosaic.geo.crs import LONLAT
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Format, Read, Render
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.render.encode import encode
from livemosaic.services import Services
from livemosaic.tiler.tilesets import WORLD
from livemosaic.tiler.views import box_view, lonlat_view

_EDGE: Final = 64
"""Pixels of the edge of a sample, which covers a whole scene."""
_LISTED: Final = 100
"""Scenes among which one is looked for that takes part."""
_SCENES: Final = 4
"""Scenes read at most, of the ones that overlap the sampled one."""
_SHOWN_BY_PNG: Final = ("uint8", "uint16")


@dataclass(frozen=True, slots=True)
class TileProfile:
    """What GDAL finds in tiles of one request and one format."""

    dtype: str
    """Of rasterio: `uint8`, `float32`."""
    count: int
    """Bands, with alpha."""
    has_alpha: bool
    nodata: float | None


@dataclass(frozen=True, slots=True)
class SampleImage:
    """Pixels of some place where a mosaic has scenes."""

    pixels: Pixels
    grid: Grid
    render: Render

    def profile(self, image_format: Format) -> TileProfile:
        """Returns the profile of tiles in a format that GDAL reads.

        Raises `InvalidRequestError` where the format cannot show the pixels.
        """
        encoded = encode(self.pixels, replace(self.render, format=image_format), self.grid)
        with MemoryFile(encoded.body) as file, file.open() as tile:
            has_alpha = ColorInterp.alpha in tile.colorinterp
            return TileProfile(tile.dtypes[0], tile.count, has_alpha, tile.nodata)


async def sample_of(
    services: Services, mosaic: Mosaic, read: Read, render: Render, rule: Rule
) -> SampleImage | None:
    """Reads a sample; None where no scene takes part, or none can be read."""
    scene = await run_in_threadpool(_scene, services, mosaic, read, rule)
    if scene is None:
        return None
    view = box_view(Box.of(LONLAT, extent(scene.footprint)), mosaic, _EDGE, _EDGE)
    few = replace(rule, max_scenes=min(rule.max_scenes or _SCENES, _SCENES))
    try:
        made = await services.tiler.make(services.tiler.draft(mosaic, view, read, few))
    except InvalidRequestError:
        return None
    return SampleImage(made.pixels, made.grid, render) if made.pixels.valid.any() else None


async def format_that_shows(
    services: Services, mosaic: Mosaic, read: Read, render: Render, rule: Rule
) -> Format:
    """Returns a format that shows what is requested: PNG, or TIFF for values that PNG cannot hold.

    PNG where that is not known, as of a mosaic without scenes.
    """
    if render.rescale or render.colormap is not None:
        return "png"
    found = await sample_of(services, mosaic, read, render, rule)
    return "png" if found is None else await run_in_threadpool(shown_by, found)


def shown_by(sample: SampleImage) -> Format:
    """Returns PNG, or TIFF for a sample of values that PNG cannot hold."""
    return "png" if sample.profile("tif").dtype in _SHOWN_BY_PNG else "tif"


def _scene(services: Services, mosaic: Mosaic, read: Read, rule: Rule) -> Scene | None:
    """Returns a scene that takes part in images of a rule, whatever its place in the order."""
    takes = services.tiler.listing(mosaic, lonlat_view(mosaic, WORLD), read, rule).candidates.takes
    scenes, _ = services.index.list_scenes(mosaic, limit=_LISTED)
    return next((scene for scene in scenes if takes(scene)), None)

"""Samples of a mosaic: the data type, bands and nodata value that tiles of a request have."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from rasterio import Env
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.session import DummySession
from starlette.concurrency import run_in_threadpool

from livemosaic.api.params.pixels import like_format
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import extent
from livemosaic.geo.box import Box, step_of
from livemosaic.geo.frame import Frame
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Format, Read, Render
from livemosaic.model.rule import Rule
from livemosaic.render.encode import encode
from livemosaic.services import Services
from livemosaic.tiler.kept.kind import taking_part
from livemosaic.tiler.views import box_view, lonlat_on

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

    @property
    def interpretations(self) -> list[str]:
        """What each band is, as GDAL names it: `Red`, `Gray`, `Alpha`."""
        bands = self.count - self.has_alpha
        colors = (
            ["Red", "Green", "Blue"] if bands == 3 and self.dtype in _SHOWN_BY_PNG else ["Gray"]
        )
        rest = ["Undefined"] * (bands - len(colors))
        return [*colors, *rest, *(["Alpha"] if self.has_alpha else [])]


@dataclass(frozen=True, slots=True)
class SampleImage:
    """Pixels of some place where a mosaic has scenes."""

    pixels: Pixels
    grid: Grid
    render: Render
    frame: Frame | None
    """Where the scene's own pixels lie."""

    def step(self, crs: CRS) -> float | None:
        """Returns the size of the scene's own pixels in a CRS; None where it has none there."""
        step = step_of(self.frame, crs) if self.frame else None
        return min(step) if step else None

    def profile(self, image_format: Format) -> TileProfile:
        """Returns the profile of tiles in a format that GDAL reads.

        Raises `InvalidRequestError` where the format cannot show the pixels.
        """
        tif = self._of_tif()
        if image_format == "tif":
            return tif
        self._encoded(image_format)
        bands = tif.count - tif.has_alpha
        has_alpha = self.render.return_mask is not False and image_format != "jpeg"
        shown = 3 if bands >= 3 or image_format == "webp" else 1
        return TileProfile(tif.dtype, shown + has_alpha, has_alpha, None)

    def _of_tif(self) -> TileProfile:
        tif = self._encoded("tif")
        with Env(DummySession()), MemoryFile(tif) as file, file.open() as tile:
            has_alpha = ColorInterp.alpha in tile.colorinterp
            return TileProfile(tile.dtypes[0], tile.count, has_alpha, tile.nodata)

    def _encoded(self, image_format: Format) -> bytes:
        return encode(self.pixels, replace(self.render, format=image_format), self.grid).body


async def sample_of(
    services: Services, mosaic: Mosaic, read: Read, render: Render, rule: Rule
) -> SampleImage | None:
    """Reads a sample; None where no scene takes part, or none can be read."""
    tiler = services.tiler
    scenes = await run_in_threadpool(taking_part, tiler, mosaic, read, rule, _LISTED)
    if not scenes:
        return None
    render = await services.stretched(mosaic, read, render, rule)
    scene = min(scenes, key=lambda scene: scene.footprint.area)  # its pixels are fine, too
    view = box_view(Box.of(lonlat_on(mosaic), extent(scene.footprint)), mosaic, _EDGE, _EDGE)
    few = replace(rule, max_scenes=min(rule.max_scenes or _SCENES, _SCENES))
    try:
        made = await tiler.make(tiler.draft(mosaic.unclipped, view, read, few))
    except InvalidRequestError:
        return None
    frame = await tiler.native(tiler.draft(mosaic.unclipped, view, read, few))
    kind = await services.kinds.find(tiler, mosaic, read, rule)
    if kind is not None and replace(render, format="tif").shows_values:
        render = replace(render, nodata=kind.nodata)
    return SampleImage(made.pixels, made.grid, render, frame) if made.pixels.valid.any() else None


async def format_that_shows(
    services: Services, mosaic: Mosaic, read: Read, render: Render, rule: Rule
) -> Format:
    """Returns a format that shows what is requested: PNG, or TIFF for values that PNG cannot hold.

    PNG where that is not known, as of a mosaic without scenes. Of plain values that is kept for a
    minute. Raises `InvalidRequestError` as `Tiler.of_scenes` does.
    """
    return like_format(mosaic, await _format_of(services, mosaic, read, render, rule))


async def _format_of(
    services: Services, mosaic: Mosaic, read: Read, render: Render, rule: Rule
) -> Format:
    if render.rescale or render.auto_rescale or render.colormap is not None:
        return "png"
    if replace(render, format="tif").shows_values:
        services.tiler.of_scenes(mosaic, read, rule)
        kind = await services.kinds.find(services.tiler, mosaic, read, rule)
        return "png" if kind is None else _format_for(np.dtype(kind.dtype).name)
    found = await sample_of(services, mosaic, read, render, rule)
    return "png" if found is None else await run_in_threadpool(shown_by, found)


def shown_by(sample: SampleImage) -> Format:
    """Returns PNG, or TIFF for a sample of values that PNG cannot hold."""
    return _format_for(sample.profile("tif").dtype)


def _format_for(dtype: str) -> Format:
    return "png" if dtype in _SHOWN_BY_PNG else "tif"

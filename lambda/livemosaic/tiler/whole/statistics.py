"""Use case: statistics of a whole mosaic, from one image of it, or from samples of few scenes.

The image is of overview cells where the mosaic has any: no scene is read then. Where it would leave
scenes out, or where scenes lie so far apart that it has few pixels of them, and the mosaic has few
scenes, each scene is sampled by itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from livemosaic.geo.antimeridian import extent
from livemosaic.geo.box import Box, Size
from livemosaic.geo.cells import cell_grid
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.statistics import Tally
from livemosaic.tiler.views import box_view, lonlat_on
from livemosaic.tiler.whole.area import pixel_areas
from livemosaic.tiler.whole.image import (
    SIDE,
    few_scenes,
    image_of,
    is_enough,
    too_many,
    whole_view,
)

_SAMPLE: Final = 128
"""Pixels of the longer side of a sample of one scene."""
_AT_ONCE: Final = 4


@dataclass(slots=True)
class WholeCount:
    """The values of a mosaic's pixels, weighted by their true area, and where they come from."""

    tally: Tally
    """Weights are km²."""
    bounds: BBox
    """West, south, east, north of the mosaic, in degrees; west > east across ±180."""
    size: tuple[int, int] | None = None
    """Width and height of the image; None where scenes were sampled one by one."""
    area_km2: float | None = None
    """The true area of valid pixels; None where samples may overlap."""
    scenes: dict[str, None] = field(default_factory=dict)
    """Ids of the scenes that were read, without the ones that cells stand for."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Ids of the scenes that could not be read or take no part, and why."""
    rungs: set[int] = field(default_factory=set)
    """Zooms of the overview cells that were read in place of scenes."""
    truncated: str = ""
    """Which limit left scenes out of overview cells; empty if none did."""

    def add(self, made: Picture) -> float:
        """Adds an image; returns the area of its valid pixels in km²."""
        areas = pixel_areas(made.grid)
        has_pixels = len(made.seen.scenes) > len(made.skipped)
        self.tally.add(areas, made.pixels if has_pixels else None)
        self.scenes |= dict.fromkeys(made.scenes)
        self.skipped |= dict(made.skipped) | dict(made.left_out) | dict(made.lost)
        if made.shown is not None:
            self.rungs.add(made.shown.zoom)
        self.truncated = self.truncated or made.truncated
        return float(areas[made.pixels.valid].sum(dtype=np.float64))


async def count_whole(
    tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule, side: int = SIDE
) -> WholeCount | None:
    """Counts the pixels of a whole mosaic; None where it has no scenes.

    Raises `InvalidRequestError` where it has too many scenes to read and no overviews to stand for
    them, and as `Tiler.prepare` does.
    """
    view = whole_view(mosaic, side, cell_grid(mosaic.tms).crs)
    if view is None or mosaic.bounds is None:
        return None
    made = await image_of(tiler, mosaic, view, read, rule)
    if made is not None and is_enough(made):
        return await asyncio.to_thread(_counted, mosaic, made)
    few = await asyncio.to_thread(few_scenes, tiler, mosaic)
    if few:
        return await _sampled(tiler, mosaic, few, read, rule)
    if made is not None:
        return await asyncio.to_thread(_counted, mosaic, made)
    raise too_many(mosaic)


def _counted(mosaic: Mosaic, made: Picture) -> WholeCount:
    counted = _empty(mosaic, made.grid.width * made.grid.height)
    counted.size = made.grid.width, made.grid.height
    counted.area_km2 = counted.add(made)
    return counted


def _empty(mosaic: Mosaic, pixels: int) -> WholeCount:
    assert mosaic.bounds is not None  # noqa: S101 (for the type)
    return WholeCount(Tally(pixels=pixels), mosaic.bounds)


async def _sampled(
    tiler: Tiler, mosaic: Mosaic, scenes: Sequence[Scene], read: Read, rule: Rule
) -> WholeCount:
    """Counts images around each of few scenes, with all that shows there."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(scene: Scene) -> Picture:
        box = Box.of(lonlat_on(mosaic), extent(scene.footprint))
        view = box_view(box, mosaic, *Size(max_size=_SAMPLE).of(box, None))
        async with turns:
            return await tiler.make(await tiler.prepare(mosaic, view, read, rule))

    looks = await asyncio.gather(*map(look, scenes))
    counted = _empty(mosaic, sum(made.grid.width * made.grid.height for made in looks))
    for made in looks:
        await asyncio.to_thread(counted.add, made)
    return counted
